"""Data types: pycnn's dtypes are NumPy dtype objects, promoted by PyTorch's rules.

`pycnn.float32` *is* `numpy.dtype("float32")`; bfloat16 comes from ml_dtypes. Wherever a dtype is an
argument, a string ("float32", "half"), a NumPy dtype or scalar type, Python's float, int or bool,
or a torch dtype will do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

float16 = np.dtype("float16")
float32 = np.dtype("float32")
float64 = np.dtype("float64")
uint8 = np.dtype("uint8")
int8 = np.dtype("int8")
int16 = np.dtype("int16")
int32 = np.dtype("int32")
int64 = np.dtype("int64")
bool_ = np.dtype("bool")

half, double = float16, float64

# bfloat16 joins the first four of these when something first asks for it: see _load_bfloat16
FLOATING = {float16, float32, float64}
HALVES = {float16}
SUPPORTED = {float16, float32, float64, uint8, int8, int16, int32, int64, bool_}
UNIT_ROUNDOFF = {
    float16: 2.0**-11,
    float32: 2.0**-24,
    float64: 2.0**-53,
}  # u, half the distance from 1 to the next
INTEGRAL = frozenset((uint8, int8, int16, int32, int64))

_BY_NAME = {str(dtype): dtype for dtype in SUPPORTED} | {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
}


def _load_bfloat16() -> np.dtype:
    """bfloat16 from ml_dtypes, whose import costs as much as pycnn's own: done on first use.

    Every array enters through `as_dtype`, so none can hold bfloat16 before this has run."""
    known = globals().get("bfloat16")
    if known is not None:
        return known
    import ml_dtypes

    dtype = np.dtype(ml_dtypes.bfloat16)
    FLOATING.add(dtype)
    HALVES.add(dtype)
    SUPPORTED.add(dtype)
    UNIT_ROUNDOFF[dtype] = 2.0**-8
    _BY_NAME["bfloat16"] = dtype
    globals()["bfloat16"] = dtype
    return dtype


def __getattr__(name: str) -> Any:
    if name == "bfloat16":
        return _load_bfloat16()
    raise AttributeError(f"module 'pycnn.dtypes' has no attribute {name!r}")


def as_dtype(spec: Any) -> np.dtype:
    """The dtype `spec` names; TypeError for anything pycnn has no arithmetic for."""
    if isinstance(spec, np.dtype) and spec in SUPPORTED:
        return spec
    name = spec if isinstance(spec, str) else str(spec) if "torch." in repr(spec) else None
    if name is not None:
        name = name.removeprefix("torch.").removeprefix("pycnn.")
        dtype = _load_bfloat16() if name == "bfloat16" else _BY_NAME.get(name)
    else:
        try:
            dtype = np.dtype(spec) if spec is not None else None
        except TypeError:
            dtype = None
        if dtype is not None and dtype.name == "bfloat16":
            dtype = _load_bfloat16()
        dtype = dtype if dtype in SUPPORTED else None
    if dtype is None:
        accepted = ", ".join(sorted(str(d) for d in SUPPORTED))
        raise TypeError(f"dtype: got {spec!r}, expected one of {accepted}")
    return dtype  # type: ignore[return-value]


def is_floating_point(dtype: np.dtype) -> bool:
    return dtype in FLOATING


def accumulation_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype sums are kept in: float32 for the halves, itself otherwise."""
    return float32 if dtype in HALVES else dtype


def category(dtype: np.dtype) -> int:
    """0 for bool, 1 for integers, 2 for floating point: PyTorch's order of promotion."""
    return 2 if dtype in FLOATING else 1 if dtype in INTEGRAL else 0


@lru_cache(maxsize=1024)
def promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """The smallest dtype PyTorch accepts both in: a floating dtype wins over every integer."""
    if a == b:
        return a
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    if a in HALVES and b in HALVES:
        return float32
    return np.promote_types(a, b)


_default_dtype = float32


def get_default_dtype() -> np.dtype:
    """The dtype of new floating-point tensors; float32 unless `set_default_dtype` changed it."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype of new floating-point tensors; TypeError unless it is a floating dtype."""
    global _default_dtype
    chosen = as_dtype(dtype)
    if chosen not in FLOATING:
        raise TypeError(f"dtype: got {chosen}, expected a floating-point dtype")
    _default_dtype = chosen


def scalar_dtype(value: Any) -> np.dtype:
    """The dtype a Python number stands for on its own."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _default_dtype
    raise TypeError(f"expected a real number, got {type(value).__name__} {value!r}")


def result_type(*operands: Any) -> np.dtype:
    """The dtype of an elementwise result, as torch.result_type gives it for any number of operands.

    Tensors and arrays with dimensions outrank zero-dimensional ones, which outrank Python numbers:
    a lower rank changes the result only by belonging to a higher category (bool < integer <
    floating)."""
    ranks: list[np.dtype | None] = [None, None, None]
    for operand in operands:
        dtype = getattr(operand, "dtype", None)
        if dtype is None or isinstance(operand, np.generic):
            rank, dtype = 2, scalar_dtype(operand)
        else:
            rank = 0 if operand.ndim else 1
        known = ranks[rank]
        ranks[rank] = dtype if known is None else promote_types(known, dtype)
    result: np.dtype | None = None
    for rank_dtype in ranks:
        if rank_dtype is None:
            continue
        if result is None:
            result = rank_dtype
        elif category(rank_dtype) > category(result):
            result = rank_dtype if rank_dtype in FLOATING or category(rank_dtype) < 2 else result
    if result is None:
        raise ValueError("result_type: expected at least one operand, got none")
    return result
