"""What must agree between a result of torch and one of pycnn: structure, shape, dtype, values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import pycnn

from .convert import as_dtype, as_numpy

# relative to each element, and to the largest finite one: samples cancel, and sum in another order
TOLERANCE = {"float64": 1e-9, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


class Mismatch(AssertionError):
    """pycnn and torch differ."""


def same_values(ours: np.ndarray, theirs: np.ndarray, what: str, tolerance: float) -> None:
    if str(theirs.dtype) not in TOLERANCE:
        if not np.array_equal(ours, theirs):
            raise Mismatch(f"{what}: {ours.tolist()}, torch has {theirs.tolist()}"[:600])
        return
    tolerance = max(tolerance, TOLERANCE[str(theirs.dtype)])
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(all="ignore"):
        finite = np.abs(b[np.isfinite(b)])
        scale = max(1.0, finite.max(initial=0.0)) if finite.size else 1.0
        close = np.isclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
        # what rounds to infinity in a half may round to its largest number in the other
        if theirs.dtype != np.float64 and theirs.dtype != np.float32:
            close |= np.abs(a) + np.abs(b) > 6e4
    if not close.all():
        at = tuple(int(i[0]) for i in np.nonzero(~close))
        wrong = f"{int((~close).sum())} of {close.size} elements differ"
        raise Mismatch(f"{what}: {wrong}; at {at} {a[at]!r}, torch has {b[at]!r}")


def same(ours: Any, theirs: Any, what: str, tolerance: float = 0.0) -> None:
    """Mismatch unless `ours` is what `theirs` is; `tolerance` can only widen the dtype's."""
    if isinstance(theirs, torch.Tensor):
        if not isinstance(ours, pycnn.Tensor):
            raise Mismatch(f"{what}: {type(ours).__name__}, torch has a tensor")
        if ours.shape != tuple(theirs.shape):
            raise Mismatch(f"{what}: shape {ours.shape}, torch has {tuple(theirs.shape)}")
        if ours.dtype != as_dtype(theirs.dtype):
            raise Mismatch(f"{what}: dtype {ours.dtype}, torch has {theirs.dtype}")
        same_values(ours.detach().numpy(), as_numpy(theirs.resolve_neg()), what, tolerance)
    elif isinstance(theirs, (tuple, list)):
        if not isinstance(ours, (tuple, list)) or len(ours) != len(theirs):
            raise Mismatch(f"{what}: {type(ours).__name__}, torch has {len(theirs)} results")
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, f"{what}[{i}]", tolerance)
    elif not (ours == theirs or (ours != ours and theirs != theirs)):
        raise Mismatch(f"{what}: {ours!r}, torch has {theirs!r}")


def tensors_of(result: Any) -> list[Any]:
    """The tensors of a result, in order."""
    if isinstance(result, (tuple, list)):
        return [t for r in result for t in tensors_of(r)]
    return [result] if isinstance(result, (torch.Tensor, pycnn.Tensor)) else []
