"""csrc/cpu/gemm.cpp: the matrix product, blocked for registers and caches, and as its formula."""

from __future__ import annotations

from collections.abc import Callable

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import Epilogue, refuses_nothing, register
from ...geometry import GemmGeometry
from .refusals import floating_only


def _algorithm(name: str) -> Callable[..., None]:
    def launch(
        a: Array, b: Array, *, out: Array, geometry: GemmGeometry, epilogue: Epilogue | None = None
    ) -> None:
        _native.gemm(a, b, out, geometry.values, epilogue, name)

    return launch


for _name in ("tiled", "naive"):
    register("gemm", "native", _name, floating_only(refuses_nothing), devices=("cpu",))(
        _algorithm(_name)
    )
