"""The four primitives of batch normalisation, "direct" and "naive"."""

from __future__ import annotations

from typing import Any

from ...array import Array
from ...dispatch import Epilogue
from ...geometry import BatchNormGeometry
from .extension import Extension


def _refuses(geometry: BatchNormGeometry, operands: Any, epilogue: Any) -> str | None:
    if epilogue is not None and any(a is not None for a in epilogue[:3]):
        return "the epilogue is a residual and an activation at most"
    return None


def register(extension: Extension) -> None:
    for algorithm in ("direct", "naive"):
        _register(extension, algorithm)


def _register(extension: Extension, algorithm: str) -> None:
    call = extension.functions

    @extension.kernel("batch_norm_stats", algorithm)
    def stats(
        x: Array,
        *,
        out: tuple[Array, Array],
        geometry: BatchNormGeometry,
        epilogue: None = None,
    ) -> None:
        call.batch_norm_stats(x, *out, algorithm)

    @extension.kernel("batch_norm_apply", algorithm, _refuses)
    def apply(
        x: Array,
        mean: Array,
        invstd: Array,
        weight: Array | None,
        bias: Array | None,
        *,
        out: Array,
        geometry: BatchNormGeometry,
        epilogue: Epilogue | None = None,
    ) -> None:
        call.batch_norm_apply(x, mean, invstd, weight, bias, out, epilogue, algorithm)

    @extension.kernel("batch_norm_reduce", algorithm)
    def reduce(
        dy: Array,
        x: Array,
        mean: Array,
        invstd: Array,
        weight: Array | None,
        bias: Array | None,
        *,
        out: tuple[Array, Array],
        geometry: BatchNormGeometry,
        epilogue: None = None,
    ) -> None:
        call.batch_norm_reduce(dy, x, mean, invstd, weight, bias, *out, geometry.relu, algorithm)

    @extension.kernel("batch_norm_dgrad", algorithm)
    def dgrad(
        dy: Array,
        x: Array,
        mean: Array,
        invstd: Array,
        weight: Array | None,
        bias: Array | None,
        sum_dy: Array | None,
        sum_dy_xhat: Array | None,
        *,
        out: Array,
        geometry: BatchNormGeometry,
        epilogue: None = None,
    ) -> None:
        call.batch_norm_dgrad(
            dy, x, mean, invstd, weight, bias, sum_dy, sum_dy_xhat, out, geometry.relu, algorithm
        )
