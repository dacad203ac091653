"""Tensors from data and from nothing: tensor, from_numpy, zeros, arange, rand ... Torch's names and
defaults."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import array, dispatch, dtypes, random
from .array import Array
from .tensor import Tensor

__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full",
    "full_like", "linspace", "ones", "ones_like", "rand", "rand_like", "randint", "randn",
    "randn_like", "randperm", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def _finish(a: Array, requires_grad: bool) -> Tensor:
    t = Tensor._wrap(a)
    return t.requires_grad_() if requires_grad else t


def _array_of(data: Any, exact: bool) -> np.ndarray:
    """A NumPy array of nested numbers in torch's default dtype, or of an array in its own; `exact`:
    floats stay float64, for a dtype that they are to have instead of the default."""
    if isinstance(data, np.generic):
        return np.asarray(data)
    if isinstance(data, (bool, int, float)):
        exact = exact and isinstance(data, float)
        return np.asarray(data, np.float64 if exact else dtypes.scalar_dtype(data))
    if isinstance(data, (list, tuple)):
        has_typed = any(isinstance(item, (np.ndarray, np.generic, Tensor)) for item in data)
        items = [item.detach().cpu().numpy() if isinstance(item, Tensor) else item for item in data]
        try:
            a = np.asarray(items)
        except ValueError as error:
            raise ValueError(
                f"data: expected a rectangular nested sequence of numbers: {error}"
            ) from None
        if a.dtype == object or a.dtype.kind in "USVcmM":
            raise TypeError(
                f"data: expected nested sequences of real numbers, got items of dtype {a.dtype}"
            )
        if not (has_typed or exact) and a.dtype == np.float64:
            a = a.astype(dtypes.get_default_dtype())
        return a
    raise TypeError(
        f"data: got {type(data).__name__}, expected numbers, nested sequences, an array or a Tensor"
    )


def tensor(
    data: Any, *, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """A new tensor holding a copy of `data` (numbers, nested sequences, an array, a Tensor).

    Python floats become the default dtype, ints int64; arrays keep theirs. TypeError for what is
    not a number."""
    if isinstance(data, Tensor):
        source: Array = data._data
        device = data.device if device == "cpu" else device
    elif array.is_array(data):
        source = data
    elif hasattr(data, "__array__"):
        source = np.asarray(data)
    else:
        source = _array_of(data, exact=dtype is not None)
    wanted = dtypes.as_dtype(source.dtype if dtype is None else dtype)
    out = array.empty_like(source, wanted)
    out[...] = source
    return _finish(array.to_device(out, array.as_device(device)), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where dtype and device allow."""
    if isinstance(data, Tensor):
        t = data
    elif isinstance(data, np.ndarray):
        t = from_numpy(data)
    else:
        t = tensor(data, dtype=None if hasattr(data, "__array__") else dtype)
    if dtype is not None:
        t = t.to(dtypes.as_dtype(dtype))
    return t if device is None else t.to(array.as_device(device))


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor over the same memory, no copy. TypeError for a dtype pycnn does not have."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtypes.as_dtype(ndarray.dtype)
    if not ndarray.dtype.isnative:
        raise ValueError(
            f"ndarray: byte order of {ndarray.dtype.str} is not the machine's; convert it first"
        )
    if any(stride % ndarray.itemsize for stride in ndarray.strides):
        raise ValueError(
            "ndarray: strides that are no multiple of the item size are not supported; copy it "
            "first"
        )
    return Tensor._wrap(ndarray)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of any object that speaks DLPack (torch, cupy, jax ...), no copy."""
    a = array.from_dlpack(ext_tensor)
    dtypes.as_dtype(a.dtype)
    return Tensor._wrap(a)


def _size(size: tuple[Any, ...], op: str) -> tuple[int, ...]:
    items = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    out = []
    for item in items:
        if isinstance(item, (bool, float, str)) or not hasattr(item, "__index__"):
            raise TypeError(
                f"{op}(): argument 'size' must be ints or a tuple of ints, got {size!r}"
            )
        if item < 0:
            raise RuntimeError(f"{op}(): size: got {items}, expected non-negative sizes")
        out.append(int(item.__index__()))
    return tuple(out)


def _new(
    op: str, size: tuple[Any, ...], dtype: Any, device: Any, memory_format: str = "contiguous"
) -> Array:
    wanted = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return array.empty(_size(size, op), wanted, memory_format, array.as_device(device))


def empty(
    *size: Any,
    dtype: Any = None,
    device: Any = "cpu",
    requires_grad: bool = False,
    memory_format: str = array.contiguous_format,
) -> Tensor:
    """An uninitialised tensor of this size."""
    return _finish(_new("empty", size, dtype, device, memory_format), requires_grad)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of `fill_value`; its dtype follows the value unless given."""
    a = _new("full", (size,), dtypes.scalar_dtype(fill_value) if dtype is None else dtype, device)
    a[...] = fill_value
    return _finish(a, requires_grad)


def zeros(
    *size: Any, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    a = _new("zeros", size, dtype, device)
    a[...] = 0
    return _finish(a, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False) -> Tensor:
    a = _new("ones", size, dtype, device)
    a[...] = 1
    return _finish(a, requires_grad)


def _like(
    input: Tensor, dtype: Any, device: Any, memory_format: str = array.preserve_format
) -> Array:
    wanted = input.dtype if dtype is None else dtypes.as_dtype(dtype)
    target = input.device if device is None else array.as_device(device)
    if memory_format == array.preserve_format and target == input.device:
        return array.empty_like(input._data, wanted)
    keep = (
        array.memory_format(input._data)
        if memory_format == array.preserve_format
        else memory_format
    )
    return array.empty(input.shape, wanted, keep, target)


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: str = array.preserve_format,
) -> Tensor:
    """An uninitialised tensor of input's size, dtype, device and layout unless told otherwise."""
    return _finish(_like(input, dtype, device, memory_format), requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    a = _like(input, dtype, device)
    a[...] = fill_value
    return _finish(a, requires_grad)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def _place(a: np.ndarray, dtype: np.dtype, device: Any, requires_grad: bool) -> Tensor:
    return _finish(
        array.to_device(a.astype(dtype, copy=False), array.as_device(device)), requires_grad
    )


def _plain(value: Any) -> Any:
    """A number, taken out of a tensor that has one element."""
    return value.item() if isinstance(value, Tensor) else value


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end; int64 if all three are ints, else the default dtype. In a
    dtype of integers start and step lose their fractions."""
    if end is None:
        start, end = 0, start
    start, end, step = _plain(start), _plain(end), _plain(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    wanted = (
        dtypes.as_dtype(dtype)
        if dtype is not None
        else dtypes.int64
        if whole
        else dtypes.get_default_dtype()
    )
    if wanted == dtypes.int64:  # the one dtype whose length, too, is that of the whole numbers
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
    count = math.ceil((end - start) / step)
    if wanted not in dtypes.FLOATING:
        start, step = int(start), int(step)
    return _place(start + np.arange(count) * step, wanted, device, requires_grad)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """`steps` evenly spaced values from start to end, both included. In a dtype of integers the
    ends lose their fractions first, then the values."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if np.ndim(start) or np.ndim(end):
        raise RuntimeError("linspace only supports 0-dimensional start and end tensors")
    start, end = _plain(start), _plain(end)
    wanted = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    if wanted not in dtypes.FLOATING:
        start, end = int(start), int(end)
    return _place(np.linspace(start, end, steps), wanted, device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """The n x m matrix with ones on its diagonal."""
    wanted = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    rows, columns = _size((n, n if m is None else m), "eye")
    return _place(np.eye(rows, columns), wanted, device, requires_grad)


def _random_dtype(dtype: Any, op: str) -> np.dtype:
    wanted = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    if wanted not in dtypes.FLOATING:
        raise NotImplementedError(f"{op}(): dtype: got {wanted}, expected a floating-point dtype")
    return wanted


def rand(*size: Any, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False) -> Tensor:
    """Uniform draws from [0, 1)."""
    wanted = _random_dtype(dtype, "rand")
    return _finish(
        random.uniform(_size(size, "rand"), 0.0, 1.0, wanted, array.as_device(device)),
        requires_grad,
    )


def randn(
    *size: Any, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """Standard Gaussian draws."""
    wanted = _random_dtype(dtype, "randn")
    return _finish(
        random.normal(_size(size, "randn"), 0.0, 1.0, wanted, array.as_device(device)),
        requires_grad,
    )


def rand_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    return rand(
        input.shape,
        dtype=dtype or input.dtype,
        device=device or input.device,
        requires_grad=requires_grad,
    )


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    return randn(
        input.shape,
        dtype=dtype or input.dtype,
        device=device or input.device,
        requires_grad=requires_grad,
    )


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: Any = dtypes.int64, device: Any = "cpu",
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers uniform in [low, high); `randint(high, size)` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    draws = dispatch.run_array(
        "random", random.generator().integers, low, high, _size((size,), "randint")
    )
    return _place(draws, dtypes.as_dtype(dtype), device, requires_grad)


def randperm(
    n: int, *, dtype: Any = dtypes.int64, device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """The integers below n in random order."""
    draws = dispatch.run_array("random", random.generator().permutation, _size((n,), "randperm")[0])
    return _place(draws, dtypes.as_dtype(dtype), device, requires_grad)


# --- tensors like another, of another size ---


def _new_like(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, *size: Any, **named: Any) -> Tensor:
        named.setdefault("dtype", self.dtype)
        named.setdefault("device", self.device)
        return make(*size, **named)

    return method


for _name, _make in (
    ("zeros", zeros),
    ("ones", ones),
    ("empty", empty),
    ("full", full),
    ("tensor", tensor),
):
    setattr(Tensor, f"new_{_name}", _new_like(_make))
