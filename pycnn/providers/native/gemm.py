"""csrc/cpu/gemm.cpp: the matrix product, blocked for registers and caches, and as its formula."""

from __future__ import annotations

from collections.abc import Callable

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import Epilogue
from ...geometry import GemmGeometry
from .registration import native_kernel


def _algorithm(name: str) -> Callable[..., None]:
    def launch(
        a: Array, b: Array, *, out: Array, geometry: GemmGeometry, epilogue: Epilogue | None = None
    ) -> None:
        _native.gemm(a, b, out, geometry.values, epilogue, name)

    return launch


for _name in ("tiled", "naive"):
    native_kernel("gemm", _name, floating=True)(_algorithm(_name))
