"""csrc/cpu/batch_norm_*.cpp: the four primitives of batch normalisation, "direct" and "naive"."""

from __future__ import annotations

from typing import Any

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import Epilogue
from ...geometry import BatchNormGeometry
from .registration import native_kernel


def _refuses(geometry: BatchNormGeometry, operands: Any, epilogue: Any) -> str | None:
    if epilogue is not None and any(a is not None for a in epilogue[:3]):
        return "the epilogue is a residual and an activation at most"
    return None


def _register(algorithm: str) -> None:
    @native_kernel("batch_norm_stats", algorithm)
    def stats(
        x: Array,
        *,
        out: tuple[Array, Array],
        geometry: BatchNormGeometry,
        epilogue: None = None,
    ) -> None:
        _native.batch_norm_stats(x, *out, algorithm)

    @native_kernel("batch_norm_apply", algorithm, _refuses)
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
        _native.batch_norm_apply(x, mean, invstd, weight, bias, out, epilogue, algorithm)

    @native_kernel("batch_norm_reduce", algorithm)
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
        _native.batch_norm_reduce(dy, x, mean, invstd, weight, bias, *out, geometry.relu, algorithm)

    @native_kernel("batch_norm_dgrad", algorithm)
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
        _native.batch_norm_dgrad(
            dy, x, mean, invstd, weight, bias, sum_dy, sum_dy_xhat, out, geometry.relu, algorithm
        )


_register("direct")
_register("naive")
