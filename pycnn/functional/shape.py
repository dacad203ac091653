"""Shapes, layouts and dtypes with torch's names: views where torch makes views, `cat` and
`split_copy` by kernels.

A view shares memory and version counter with its base; editing either in place reaches the gradient
of both.
"""

from __future__ import annotations

from ._conversion import (
    clone,
)
from ._joining import (
    cat,
    chunk,
    concat,
    meshgrid,
    narrow,
    split,
    split_copy,
    stack,
    unbind,
)
from ._reshaping import (
    broadcast_tensors,
    broadcast_to,
    flatten,
    flip,
    movedim,
    permute,
    ravel,
    reshape,
    roll,
    squeeze,
    swapaxes,
    swapdims,
    t,
    tile,
    transpose,
    tril,
    triu,
    unflatten,
    unsqueeze,
)

__all__ = [
    "broadcast_tensors", "broadcast_to", "cat", "chunk", "clone", "concat", "flatten", "flip",
    "meshgrid", "movedim", "narrow", "permute", "ravel", "reshape", "roll", "split", "split_copy",
    "squeeze", "stack", "swapaxes", "swapdims", "t", "tile", "transpose", "tril", "triu", "unbind",
    "unflatten", "unsqueeze",
]  # fmt: skip
