"""Matrix products with torch's names: all of them run the primitive `gemm` on views, transposed
where need be.

Both operands have one dtype, integers included; halves are summed in float32. RuntimeError where
shapes do not fit.
"""

from __future__ import annotations

from ._einsum import einsum
from ._products import addmm, baddbmm, bmm, dot, linear, matmul, mm, mv, outer

__all__ = [
    "addmm", "baddbmm", "bmm", "dot", "einsum", "linear", "matmul", "mm", "mv", "outer",
]  # fmt: skip
