"""What the families share: argument checks, and the tensors an op was given."""

from __future__ import annotations

from typing import Any

from .. import array, dtypes
from ..array import Array
from ..dispatch import run
from ..geometry import reduce_geometry
from ..tensor import Function, Tensor


class DimensionError(RuntimeError, IndexError):
    """Too few dimensions: torch raises one class or the other, by the op and by how many lack."""


def check_tensor(value: Any, name: str, op: str) -> None:
    """TypeError unless `value` is a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{op}(): argument '{name}' must be Tensor, not {type(value).__name__}")


def check_same_dtype(op: str, **tensors: Tensor | None) -> None:
    """RuntimeError unless the tensors given have one dtype, and one device."""
    first: tuple[str, Tensor] | None = None
    for name, t in tensors.items():
        if t is None:
            continue
        if first is None:
            first = (name, t)
            continue
        if t.dtype != first[1].dtype:
            raise RuntimeError(
                f"{op}(): {first[0]} type ({first[1].dtype}) and {name} type ({t.dtype}) should be "
                "the same"
            )
        array.xp(first[1]._data, t._data)


def check_floating(t: Tensor, name: str, op: str) -> None:
    """NotImplementedError (a RuntimeError, as torch's) for integer and bool tensors."""
    if t.dtype not in dtypes.FLOATING:
        raise NotImplementedError(
            f'"{op}" not implemented for {name} of dtype {t.dtype}; expected a floating-point dtype'
        )


def sum_over(a: Array, axes: tuple[int, ...], out_shape: tuple[int, ...]) -> Array:
    """The sum of `a` over `axes`, reshaped to `out_shape`."""
    axes = tuple(sorted(axis % a.ndim for axis in axes))
    left = tuple(size for i, size in enumerate(a.shape) if i not in axes)
    out = array.empty(left, a.dtype, device=array.device_of(a))
    return run("reduce", a, out=out, geometry=reduce_geometry("sum", axes)).reshape(out_shape)


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """`gradient` summed over the axes along which `shape` was broadcast."""
    if gradient.shape == shape:
        return gradient
    return sum_over(gradient, array.sum_to(gradient, shape), shape)


def overwrite(x: Tensor, function: Function) -> Tensor:
    """x <- function(x) for a Function whose forward writes into its input's memory; returns x.

    Its backward may need nothing from before the edit: unlike `x.inplace`, no copy of the input is
    kept."""
    x.check_inplace()
    result = function(x)
    x.edited(result)
    # the version counter has just seen this call's own edit
    function._versions = tuple(
        [None if v is None else (v[0], v[0].value) for v in function._versions]
    )
    return x
