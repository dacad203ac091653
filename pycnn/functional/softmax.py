"""Softmax, its logarithm, and softmin."""

from __future__ import annotations

import warnings
from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run
from ..geometry import SoftmaxGeometry, softmax_geometry
from ..tensor import Tensor, check_dim, tensor_method
from ._common import check_floating, check_tensor
from .elementwise import neg

__all__ = ["log_softmax", "softmax", "softmin"]


class Softmax(Function):
    """y = exp(x) / sum(exp(x)) along an axis, or its logarithm; the gradient needs y alone."""

    geometry: SoftmaxGeometry

    def forward(self, x: Array) -> Array:
        y = run("softmax_fprop", x, out=array.empty_like(x), geometry=self.geometry)
        self.retain(y)
        return y

    def backward(self, dy: Array) -> Array:
        (y,) = self.retained
        return run("softmax_dgrad", dy, y, out=array.empty_like(y), geometry=self.geometry)


def _implicit_dim(op: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {op} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def _softmax(op: str, input: Tensor, dim: Any, dtype: Any, log: bool, stacklevel: int) -> Tensor:
    check_tensor(input, "input", op)
    if dim is None:
        dim = _implicit_dim(op, input.ndim, stacklevel + 1)
    axis = check_dim(dim, input.ndim)
    if dtype is not None:
        wanted = dtypes.as_dtype(dtype)
        input = input if input.dtype == wanted else input.to(wanted)
    check_floating(input, "input", op)
    if input.ndim == 0:
        return _softmax(op, input.reshape(1), 0, None, log, stacklevel).reshape(())
    return Softmax(geometry=softmax_geometry(axis, log))(input)


@tensor_method
def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y_i = exp(x_i) / sum_j exp(x_j) along `dim`.

    Args:
        input: any shape, floating point; of any dtype where `dtype` is given.
        dim: the dimension that sums to one. Without it, 0 for 0-, 1- and 3-dimensional input and 1
            otherwise, with a warning.
        dtype: input is converted to it first.
    Returns:
        input's shape and layout.
    Raises:
        IndexError: no such dimension. TypeError: dim is no int. NotImplementedError: an integer
            input.
    """
    return _softmax("softmax", input, dim, dtype, False, _stacklevel)


@tensor_method
def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y_i = x_i - log(sum_j exp(x_j)) along `dim`; arguments and errors as in `softmax`."""
    return _softmax("log_softmax", input, dim, dtype, True, _stacklevel)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """softmax(-input, dim); arguments and errors as in `softmax`."""
    check_tensor(input, "input", "softmin")
    return _softmax("softmin", neg(input), dim, dtype, False, _stacklevel)
