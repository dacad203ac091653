"""Lengths, angles and distances of vectors."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run_array
from ..tensor import Tensor, check_dim
from ._common import check_tensor
from ._pointwise import cast, pointwise
from .elementwise import add, clamp_min, sub
from .reduction import norm
from .reduction import sum as sum_of
from .shape import broadcast_tensors

__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]


class NormFloor(Function):
    """max(n, eps), differentiated as if nothing were cut off: how torch bounds the norms of a
    cosine."""

    eps: float

    def forward(self, n: Array) -> Array:
        return pointwise("clamp_min", n, parameters=(self.eps,))

    def backward(self, dy: Array) -> Array:
        return dy


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """sum x1 * x2 / (max(|x1|, eps) * max(|x2|, eps)) along `dim`.

    Each vector is divided by its norm before they are multiplied, so that neither overflows. The
    gradient flows through a norm below eps as through any other.

    Args:
        x1, x2: shapes that broadcast; their common dtype is floating point.
        dim: the vectors' dimension in the broadcast shape.
    Returns:
        the broadcast shape without `dim`.
    Raises:
        RuntimeError: integers, shapes that do not broadcast. IndexError: no such dimension.
    """
    op = "cosine_similarity"
    check_tensor(x1, "x1", op)
    check_tensor(x2, "x2", op)
    dtype = dtypes.result_type(x1, x2)
    if dtype not in dtypes.FLOATING:
        raise RuntimeError(
            f"{op}(): expected common dtype to be floating point, yet common dtype is {dtype}"
        )
    x1, x2 = broadcast_tensors(cast(x1, dtype), cast(x2, dtype))
    axis = check_dim(dim, x1.ndim)
    units = [x / NormFloor(eps=float(eps))(norm(x, 2, axis, keepdim=True)) for x in (x1, x2)]
    return sum_of(units[0] * units[1], axis)


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """input / max(|input|_p, eps), the p-norm taken over `dim` (an int or several).

    With `out` the result is also written there, without a gradient, and `out` is returned.
    RuntimeError for integers, IndexError where there is no such dimension."""
    check_tensor(input, "input", "normalize")
    if out is None:
        return input / clamp_min(norm(input, p, dim, keepdim=True), eps)
    check_tensor(out, "out", "normalize")
    result = normalize(input.detach(), p, dim, eps)
    if out.shape != result.shape or out.dtype != result.dtype:
        raise RuntimeError(
            f"normalize(): out: expected {result.dtype} of shape {list(result.shape)}, "
            f"got {out.dtype} of shape {list(out.shape)}"
        )
    out.check_inplace()
    run_array("copy", out._data.__setitem__, ..., result._data)
    out.edited(None)
    return out


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """|x1 - x2 + eps|_p over the last dimension; the shapes broadcast."""
    check_tensor(x1, "x1", "pairwise_distance")
    check_tensor(x2, "x2", "pairwise_distance")
    return norm(add(sub(x1, x2), eps), p, -1, keepdim)
