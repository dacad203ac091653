"""The matrix product, in the algorithms of an extension."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...array import Array
from ...dispatch import Epilogue, refuses_nothing
from ...geometry import GemmGeometry
from .extension import Extension, Refuses


def register(
    extension: Extension, algorithms: Sequence[str], refuses: dict[str, Refuses] | None = None
) -> None:
    """Enter the algorithms in the table, each with what it refuses."""
    gemm = extension.functions.gemm

    def algorithm(name: str) -> Callable[..., None]:
        def launch(
            a: Array,
            b: Array,
            *,
            out: Array,
            geometry: GemmGeometry,
            epilogue: Epilogue | None = None,
        ) -> None:
            gemm(a, b, out, geometry.values, epilogue, name)

        return launch

    for name in algorithms:
        refuse = (refuses or {}).get(name, refuses_nothing)
        extension.kernel("gemm", name, refuse, floating=True)(algorithm(name))
