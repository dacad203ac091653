"""Dropout of elements and of whole channels. Srivastava et al. 2014, JMLR 15."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import array, random
from ..array import Array
from ..dispatch import run, run_array
from ..dtypes import FLOATING
from ..geometry import dropout_geometry, elementwise_geometry
from ..tensor import Function, Tensor
from ._common import check_tensor, overwrite

__all__ = ["dropout", "dropout1d", "dropout2d"]

_LOSE_ALL = elementwise_geometry("mul_scalar", (0.0,))


class Dropout(Function):
    """y = x * mask, each mask element 0 with probability p, else 1 / (1 - p).

    The mask spans the first `axes` axes of x, or all; it follows from a key of two numbers, which
    is all that is kept of it. With `overwrite` y is x's own memory."""

    p: float
    axes: int | None = None
    overwrite = False

    def forward(self, x: Array) -> Array:
        key = None if self.p == 1 else run_array("random", draw_key, x)
        self.retain(key)
        return self.drop(x, key, x if self.overwrite else array.empty_like(x))

    def drop(self, x: Array, key: Array | None, out: Array) -> Array:
        if key is None:
            return run("elementwise", x, out=out, geometry=_LOSE_ALL)
        geometry = dropout_geometry(self.p, x.ndim if self.axes is None else self.axes)
        return run("dropout", x, key, out=out, geometry=geometry)

    def backward(self, dy: Array) -> Array:
        (key,) = self.retained
        return self.drop(dy, key, array.empty_like(dy))


def draw_key(x: Array) -> Array:
    """(2,) int64 on x's device: a seed from the process's generator, and the offset 0."""
    seed = random.generator().integers(-(2**63), 2**63, dtype="int64")
    return array.to_device(np.array([seed, 0]), array.device_of(x))


def _drop(input: Any, p: Any, training: bool, inplace: bool, axes: int | None, op: str) -> Tensor:
    check_tensor(input, "input", op)
    if isinstance(p, str) or not hasattr(p, "__float__"):
        raise TypeError(f"{op}(): argument 'p' must be float, got {p!r}")
    p = float(p)
    if p != p:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0 or not input.numel():
        return input
    if input.dtype not in FLOATING and p < 1:
        raise RuntimeError(
            f"{op}(): input: got dtype {input.dtype}, expected a floating-point dtype"
        )
    if inplace:
        return overwrite(input, Dropout(p=p, axes=axes, overwrite=True))
    return Dropout(p=p, axes=axes)(input)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability p, else divided by 1 - p; the input itself unless `training`.

    Repeatable after `pycnn.manual_seed`. ValueError unless 0 <= p <= 1, RuntimeError for
    integers."""
    return _drop(input, p, training, inplace, None, "dropout")


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """dropout of whole channels of (N,C,W) or (C,W); RuntimeError for other dimensions."""
    check_tensor(input, "input", "dropout1d")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input"
        )
    return _drop(input, p, training, inplace, input.ndim - 1, "dropout1d")


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """dropout of whole channels: (N,C,*) loses every element of a channel together.

    Tompson et al. 2015, arXiv:1411.4280. Three dimensions are (N,C,W), as in torch. RuntimeError
    below two."""
    check_tensor(input, "input", "dropout2d")
    if input.ndim < 2:
        raise RuntimeError(
            "dropout2d: Feature dropout requires at least 2 dimensions in the input, got "
            f"{input.ndim}"
        )
    return _drop(input, p, training, inplace, 2, "dropout2d")
