"""Softmax cross entropy with class indices, and its
gradient."""

from __future__ import annotations

from ...array import Array
from ...geometry import CrossEntropyGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("softmax_cross_entropy_fprop")
    def softmax_cross_entropy_fprop(
        logits: Array,
        target: Array,
        class_weight: Array | None,
        *,
        out: tuple[Array, Array],
        geometry: CrossEntropyGeometry,
        epilogue: None = None,
    ) -> None:
        call.softmax_cross_entropy_fprop(
            logits, target, class_weight, *out, geometry.ignore_index, geometry.label_smoothing
        )

    @extension.kernel("softmax_cross_entropy_dgrad")
    def softmax_cross_entropy_dgrad(
        dloss: Array,
        logits: Array,
        target: Array,
        class_weight: Array | None,
        logsumexp: Array,
        *,
        out: Array,
        geometry: CrossEntropyGeometry,
        epilogue: None = None,
    ) -> None:
        call.softmax_cross_entropy_dgrad(
            dloss, logits, target, class_weight, logsumexp, out,
            geometry.ignore_index, geometry.label_smoothing,
        )  # fmt: skip
