"""Integer inputs: embedding tables and one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function, no_grad, wrap
from ..dispatch import run_array
from ..tensor import Tensor
from ._common import check_tensor
from ._pointwise import pointwise
from .elementwise import where
from .indexing import scatter_sum
from .reduction import norm

__all__ = ["embedding", "one_hot"]

NORM_FLOOR = 1e-7  # torch's: added to a norm before it divides


class Embedding(Function):
    """Rows of a table. Gradients of a row named twice add up; the padding row gets none."""

    indices: Array
    padding_idx: int | None
    scale_grad_by_freq: bool

    def forward(self, weight: Array) -> Array:
        self.shape = weight.shape
        return run_array("index", array.xp(weight).take, weight, self.indices, 0)

    def backward(self, dy: Array) -> Array:
        xp = array.xp(dy)
        indices = self.indices.reshape(-1)
        dy = dy.reshape(indices.size, self.shape[1])
        if self.padding_idx is not None:
            counts = indices != self.padding_idx
            indices, dy = indices[counts], dy[counts]
        if self.scale_grad_by_freq and indices.size:
            repeated = run_array("bincount", xp.bincount, indices)[indices].astype(dy.dtype)
            dy = pointwise("div", dy, repeated[:, None])
        return run_array("index_add", scatter_sum, self.shape, indices, dy, False)


def _renormalise(weight: Tensor, indices: Array, max_norm: float, norm_type: float) -> None:
    """Scale the rows named by `indices` whose norm passes max_norm down to it, in the table
    itself."""
    rows = run_array("unique", array.xp(indices).unique, indices)
    if not rows.size:
        return
    with no_grad():
        weight.check_inplace()
        chosen = wrap(run_array("index", array.xp(rows).take, weight._data, rows, 0))
        norms = norm(chosen, norm_type, 1, keepdim=True)
        scaled = chosen * where(norms > max_norm, max_norm / (norms + NORM_FLOOR), 1.0)
        run_array("index_put", weight._data.__setitem__, rows, scaled._data)
        weight.edited(None)


def _padding_row(padding_idx: Any, rows: int) -> int | None:
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError(
            f"embedding(): Padding_idx must be within num_embeddings: got {padding_idx} "
            f"with {rows} rows"
        )
    return padding_idx % rows


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that `input` names.

    Args:
        input: int64 or int32 of any shape, each in [0, V).
        weight: the table (V, D).
        padding_idx: a row that gets no gradient; negative counts from the end.
        max_norm: rows in use whose `norm_type`-norm is larger are scaled down to it, in `weight`
            itself.
        scale_grad_by_freq: divide a row's gradient by how often input names it.
        sparse: sparse gradients do not exist here: only False.
    Returns:
        input's shape with D appended, in weight's dtype.
    Raises:
        IndexError: a row outside [0, V), looked for on the CPU. RuntimeError: wrong dtypes or
            dimensions.
        AssertionError: padding_idx outside the table, as torch has it. NotImplementedError:
            sparse=True.
    """
    op = "embedding"
    check_tensor(input, "input", op)
    check_tensor(weight, "weight", op)
    if sparse:
        raise NotImplementedError(
            f"{op}(): sparse: got True; gradients are dense arrays here, pass sparse=False"
        )
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{op}(): input: expected dtype int64 or int32, got {input.dtype}")
    if weight.ndim != 2:
        raise RuntimeError(f"{op}(): 'weight' must be 2-D, got {weight.ndim} dimensions")
    array.xp(input._data, weight._data)
    rows = weight.shape[0]
    padding = _padding_row(padding_idx, rows)
    indices = input._data
    if not input.is_cuda and indices.size:
        low, high = run_array("range", lambda a: (int(a.min()), int(a.max())), indices)
        if low < 0 or high >= rows:
            wrong = low if low < 0 else high
            raise IndexError(f"{op}(): index out of range: got {wrong} with {rows} rows")
    if max_norm is not None:
        _renormalise(weight, indices, float(max_norm), norm_type)
    function = Embedding(
        indices=indices, padding_idx=padding, scale_grad_by_freq=bool(scale_grad_by_freq)
    )
    return function(weight)


def _hot(indices: Array, classes: int) -> Array:
    xp = array.xp(indices)
    return (xp.expand_dims(indices, -1) == xp.arange(classes)).astype(np.int64)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class, 0 elsewhere: int64 of tensor's shape with `num_classes` appended.

    Args:
        tensor: int64 classes of any shape.
        num_classes: their number, or -1 for the largest plus one.
    Raises:
        RuntimeError: another dtype; a class outside [0, num_classes) on the CPU; no classes to
            infer a number from.
    """
    op = "one_hot"
    check_tensor(tensor, "tensor", op)
    a = tensor._data
    if a.dtype != dtypes.int64:
        raise RuntimeError(f"{op} is only applicable to index tensor of type int64, got {a.dtype}")
    if not a.size and num_classes <= 0:
        raise RuntimeError(f"{op}(): Can not infer total number of classes from empty tensor.")
    if a.size and (num_classes == -1 or not tensor.is_cuda):
        low, high = run_array("range", lambda a: (int(a.min()), int(a.max())), a)
        if low < 0:
            raise RuntimeError(f"{op}(): Class values must be non-negative, got {low}")
        if num_classes == -1:
            num_classes = high + 1
        elif high >= num_classes:
            raise RuntimeError(
                f"{op}(): Class values must be smaller than num_classes {num_classes}, got {high}"
            )
    return wrap(run_array("one_hot", _hot, a, num_classes))
