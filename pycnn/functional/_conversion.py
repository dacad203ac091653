"""The same values in another memory format, dtype or device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run_array
from ..tensor import Tensor, tensor_method
from ._common import check_tensor
from ._pointwise import cast


class Relayout(Function):
    """A copy in another memory format; the gradient passes as it is."""

    memory_format: str

    def forward(self, x: Array) -> Array:
        if self.memory_format == array.preserve_format:
            return run_array("copy", array.copy, x)
        y = run_array("copy", array.with_format, x, self.memory_format)
        return array.copy(x) if y is x else y

    def backward(self, dy: Array) -> Array:
        return dy


class Transfer(Function):
    """A copy on another device; the gradient travels back."""

    device: str

    def forward(self, x: Array) -> Array:
        self.source = array.device_of(x)
        return run_array("transfer", array.to_device, x, self.device)

    def backward(self, dy: Array) -> Array:
        return run_array("transfer", array.to_device, dy, self.source)


def _check_format(input: Tensor, memory_format: Any) -> None:
    if memory_format not in array.MEMORY_FORMATS:
        raise RuntimeError(
            f"memory_format: got {memory_format!r}, expected one of {array.MEMORY_FORMATS}"
        )
    if memory_format == array.channels_last and input._data.ndim != 4:
        raise RuntimeError("required rank 4 tensor to use channels_last format")


@tensor_method
def clone(input: Tensor, *, memory_format: str = array.preserve_format) -> Tensor:
    """A copy, dense, in input's axis order unless another memory format is asked for."""
    check_tensor(input, "input", "clone")
    _check_format(input, memory_format)
    return Relayout(memory_format=memory_format)(input)


@tensor_method
def contiguous(input: Tensor, memory_format: str = array.contiguous_format) -> Tensor:
    """input itself if it is dense in the memory format, else a copy that is."""
    _check_format(input, memory_format)
    if input.is_contiguous(memory_format):
        return input
    if memory_format == array.preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    return Relayout(memory_format=memory_format)(input)


def _to_arguments(args: tuple[Any, ...], dtype: Any, device: Any) -> tuple[Any, Any]:
    """(dtype, device) of to()'s positional arguments: a dtype, a device, both, or another
    tensor."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg._data.dtype, arg.device
        elif isinstance(arg, bool):
            continue  # non_blocking and copy, by position
        elif isinstance(arg, str) and (arg == "cpu" or arg.partition(":")[0] == "cuda"):
            device = arg
        else:
            try:
                dtype = dtypes.as_dtype(arg)
            except TypeError:
                device = array.as_device(arg)
    return dtype, device


@tensor_method
def to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: str = array.preserve_format,
) -> Tensor:
    """input in another dtype, on another device, in another memory format: to(dtype), to(device),
    to(device, dtype) or to(other tensor). input itself where nothing changes and copy is False."""
    dtype, device = _to_arguments(args, dtype, device)
    _check_format(input, memory_format)
    x = input
    if device is not None:
        name = array.as_device(device)
        if name != x.device:
            x = Transfer(device=name)(x)
    if dtype is not None:
        x = cast(x, dtypes.as_dtype(dtype))
    if memory_format not in (array.preserve_format, array.memory_format(x._data)):
        x = Relayout(memory_format=memory_format)(x)
    return clone(x) if copy and x is input else x


@tensor_method(name="type")
def type_(input: Tensor, dtype: Any = None) -> Any:
    """The dtype's name, or input cast to `dtype`."""
    return str(input._data.dtype) if dtype is None else cast(input, dtypes.as_dtype(dtype))


@tensor_method
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """input in other's dtype, on its device."""
    return to(input, other)


def _caster(dtype: Any) -> Callable[..., Tensor]:
    return lambda self, memory_format=array.preserve_format: to(
        self, dtype, memory_format=memory_format
    )


for _name, _dtype in (
    ("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16), ("bfloat16",
    "bfloat16"), ("int", dtypes.int32), ("long", dtypes.int64), ("short", dtypes.int16), ("char",
    dtypes.int8), ("byte", dtypes.uint8), ("bool", dtypes.bool_),
):  # fmt: skip
    setattr(Tensor, _name, _caster(_dtype))


@tensor_method
def cpu(input: Tensor) -> Tensor:
    """input on the CPU."""
    return to(input, "cpu")


@tensor_method
def cuda(input: Tensor, device: Any = None) -> Tensor:
    """input on a GPU; RuntimeError where there is none."""
    if device is None:
        device = "cuda"
    return to(input, f"cuda:{device}" if isinstance(device, int) else device)
