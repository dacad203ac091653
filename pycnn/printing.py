"""How a tensor reads: its values as NumPy prints them, then what NumPy cannot know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import array, dtypes

if TYPE_CHECKING:
    from .tensor import Tensor


def tensor_repr(t: Tensor) -> str:
    """`tensor([[1., 2.]], grad_fn=<AddBackward>)`; dtype, device and layout appear where they are
    not the default."""
    a = array.to_device(t._data, "cpu")
    shown = a.astype(np.float32) if a.dtype in dtypes.HALVES else a
    prefix = "tensor("
    body = np.array2string(
        shown,
        separator=", ",
        prefix=prefix,
        precision=4,
        suppress_small=False,
        threshold=1000,
        edgeitems=3,
    )
    notes = []
    usual = {dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_}
    if not a.size and a.ndim != 1:
        notes.append(f"size={t.shape}")
    if a.dtype not in usual or not a.size:
        notes.append(f"dtype=pycnn.{a.dtype}")
    if t.device != "cpu":
        notes.append(f"device={t.device!r}")
    if t.grad_fn is not None:
        notes.append(f"grad_fn={t.grad_fn!r}")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    return prefix + ", ".join([body, *notes]) + ")"
