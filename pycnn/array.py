"""Arrays under the tensors: NumPy's on the CPU, CuPy's on a GPU. The only module that imports cupy.

An array's logical shape is N C H W; its physical layout is only its strides. `describe` says what a
kernel may ask about an operand, `memory_format` resolves the shapes whose layout is ambiguous,
`empty` allocates.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray

contiguous_format = "contiguous"
channels_last = "channels_last"
preserve_format = "preserve"
MEMORY_FORMATS = (contiguous_format, channels_last, preserve_format)
_LARGE = 1 << 15  # bytes from which on the native provider's cache serves an array


class OutOfMemoryError(RuntimeError, MemoryError):
    """A tensor does not fit: torch raises RuntimeError here, Python's own class is MemoryError."""


class Operand(NamedTuple):
    """What select() and a kernel's `refuses` know of an array."""

    dtype: np.dtype
    ndim: int
    memory_format: str  # the layout an output should take from this operand; "strided" if neither
    contiguous: bool  # physically C-contiguous (true of both layouts where they coincide)
    channels_last: bool  # physically dense in N H W C order
    aligned: bool  # starts on a 16-byte boundary
    element_aligned: bool = True  # every element starts on a boundary of its own size


def _cupy() -> Any:
    """The cupy module if an array of it can exist in this process, without importing it."""
    return sys.modules.get("cupy")


def import_cupy() -> Any:
    """CuPy, imported; RuntimeError in one sentence where there is none or no GPU answers."""
    status = gpu_status()
    if status is not None:
        raise RuntimeError(f"device 'cuda' cannot be used: {status}")
    import cupy

    return cupy


@lru_cache(maxsize=1)
def gpu_status() -> str | None:
    """None where CuPy and a GPU answer, else the reason they do not."""
    if importlib.util.find_spec("cupy") is None:
        return "cupy is not installed (pip install pycnn[gpu])"
    try:
        import cupy

        if cupy.cuda.runtime.getDeviceCount() < 1:
            return "cupy is installed but finds no GPU"
    except Exception as error:  # cupy raises its own classes for a missing driver or library
        return f"cupy cannot be used: {str(error).splitlines()[0]}"
    return None


def gpu_name() -> str:
    """The GPU's name, or in brackets why there is none."""
    status = gpu_status()
    if status is not None:
        return f"none ({status})"
    cupy = import_cupy()
    return cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()


def is_array(value: Any) -> bool:
    cupy = _cupy()
    return isinstance(value, np.ndarray) or (cupy is not None and isinstance(value, cupy.ndarray))


def xp(*arrays: Array) -> Any:
    """The module (numpy or cupy) whose functions take these arrays; RuntimeError if they are on
    different devices."""
    on_cpu = [isinstance(a, np.ndarray) for a in arrays if a is not None]
    if all(on_cpu):
        return np
    if any(on_cpu):
        raise RuntimeError(
            "expected all tensors on one device, but found at least two: cpu and cuda"
        )
    return _cupy()


def device_of(a: Array) -> str:
    """ "cpu", or "cuda:0" and so on."""
    return "cpu" if isinstance(a, np.ndarray) else f"cuda:{a.device.id}"


def as_device(spec: Any) -> str:
    """The device `spec` names ("cpu", "cuda", "cuda:1", or an object whose str is one of these)."""
    name = str(spec)
    if name == "cpu":
        return name
    kind, _, index = name.partition(":")
    if kind == "cuda" and (index.isdecimal() or not index):
        return f"cuda:{int(index or 0)}"
    raise RuntimeError(f"device: got {spec!r}, expected 'cpu', 'cuda' or 'cuda:N'")


def to_device(a: Array, device: str) -> Array:
    """`a` itself where it is on `device` already, else a copy there in the same layout."""
    if device_of(a) == device:
        return a
    if device == "cpu":
        return like_strides(a, a.get())
    cupy = import_cupy()
    with cupy.cuda.Device(int(device.partition(":")[2])):
        return like_strides(a, cupy.asarray(a))


def like_strides(a: Array, b: Array) -> Array:
    """`b`, copied into channels-last layout where `a` has it."""
    if describe(a).memory_format != channels_last or describe(b).memory_format == channels_last:
        return b
    out = empty(b.shape, b.dtype, channels_last, device_of(b))
    out[...] = b
    return out


def synchronize() -> None:
    """Wait until the current GPU has finished what was launched; nothing to do on the CPU."""
    cupy = _cupy()
    if cupy is not None and gpu_status() is None:
        cupy.cuda.get_current_stream().synchronize()


# --- layout ---------------------------------------------------------------------------------------


def contiguous_strides(shape: Sequence[int], itemsize: int = 1) -> tuple[int, ...]:
    """Strides of a C-contiguous array, in units of `itemsize`."""
    strides = []
    step = itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def _is_dense(
    shape: Sequence[int], strides: Sequence[int], order: Iterable[int], itemsize: int
) -> bool:
    """Whether walking the axes of `order` from the innermost meets no gap; axes of one element do
    not count."""
    expected = itemsize
    for axis in order:
        if shape[axis] != 1 and strides[axis] != expected:
            return False
        expected *= shape[axis]
    return True


def _suggests_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """PyTorch's rule for layouts that strides leave open (C = 1, H = W = 1): channels-last iff,
    walking C, W, H, N, each stride reaches past what lies inside it, size-1 axes included, and
    N1HW-contiguous stays contiguous."""
    if strides[1] == 0:
        return False
    reach = 0
    for axis in (1, 3, 2, 0):
        if shape[axis] == 0 or strides[axis] < reach:
            return False
        if axis == 0 and reach == strides[1]:
            return False
        reach = strides[axis] * max(shape[axis], 1)
    return True


@lru_cache(maxsize=65536)
def layout(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int
) -> tuple[str, bool, bool]:
    """(memory_format, contiguous, channels_last) of an array; see Operand."""
    empty_array = 0 in shape
    contiguous = empty_array or _is_dense(shape, strides, reversed(range(len(shape))), itemsize)
    if len(shape) != 4:
        return (contiguous_format if contiguous else "strided"), contiguous, False
    dense_last = empty_array or _is_dense(shape, strides, (1, 3, 2, 0), itemsize)
    if dense_last and _suggests_channels_last(shape, strides):
        return channels_last, contiguous, True
    if contiguous:
        return contiguous_format, True, dense_last
    return (channels_last if dense_last else "strided"), False, dense_last


def describe(a: Array) -> Operand:
    """What dispatch needs to know of an array, cached by all it depends on."""
    if a.base is None:  # it starts where the allocator put it: at least 16-byte aligned
        return _operand(a.shape, a.strides, a.dtype, True, True)
    element_aligned = not isinstance(a, np.ndarray) or a.flags.aligned
    return _operand(a.shape, a.strides, a.dtype, data_pointer(a) % 16 == 0, element_aligned)


@lru_cache(maxsize=65536)
def _operand(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype,
    aligned: bool,
    element_aligned: bool,
) -> Operand:
    memory_format, contiguous, dense_last = layout(shape, strides, dtype.itemsize)
    return Operand(
        dtype, len(shape), memory_format, contiguous, dense_last, aligned, element_aligned
    )


def data_pointer(a: Array) -> int:
    return a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr


def memory_format(a: Array) -> str:
    """ "contiguous", "channels_last" or "strided": the one resolution of ambiguous strides."""
    return layout(a.shape, a.strides, a.itemsize)[0]


def empty(
    shape: Sequence[int],
    dtype: np.dtype,
    memory_format: str = contiguous_format,
    device: str = "cpu",
) -> Array:
    """An uninitialised array in the given layout; channels-last applies to four dimensions."""
    last = memory_format == channels_last and len(shape) == 4
    try:
        if device == "cpu":
            return _host_empty()(shape, dtype, last)
        module = import_cupy()
        if last:
            n, c, h, w = shape
            return module.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)
        return module.empty(shape, dtype)
    except (ValueError, MemoryError, OverflowError) as error:
        raise OutOfMemoryError(
            f"cannot allocate a {dtype} tensor of shape {list(shape)}: {error}"
        ) from None


@lru_cache(maxsize=1)
def _host_empty() -> Callable[[Sequence[int], np.dtype, bool], np.ndarray]:
    """empty(shape, dtype, channels_last) of the native provider's caching allocator, or NumPy's."""
    from .config import native_status

    native, _ = native_status()
    return _numpy_empty if native is None else native.empty


def _numpy_empty(shape: Sequence[int], dtype: np.dtype, last: bool) -> np.ndarray:
    if not last:
        return np.empty(shape, dtype)
    n, c, h, w = shape
    return np.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def empty_like(
    a: Array, dtype: np.dtype | None = None, shape: Sequence[int] | None = None
) -> Array:
    """An uninitialised array on a's device with a's axis order in memory; a broadcast or gappy one
    becomes dense."""
    if shape is not None and tuple(shape) != a.shape:
        keep = channels_last if memory_format(a) == channels_last else contiguous_format
        return empty(shape, dtype or a.dtype, keep, device_of(a))
    if not isinstance(a, np.ndarray):
        return xp(a).empty_like(a, dtype)
    if a.nbytes >= _LARGE:
        _, contiguous, dense_last = layout(a.shape, a.strides, a.itemsize)
        if contiguous or dense_last:
            keep = contiguous_format if contiguous else channels_last
            return empty(a.shape, dtype or a.dtype, keep)
    return np.empty_like(a, dtype)


def empty_for(arrays: Iterable[Array], shape: Sequence[int], dtype: np.dtype) -> Array:
    """An uninitialised output of a convolution, pooling or norm: channels-last iff an operand
    is."""
    given = [a for a in arrays if a is not None]
    kept = format_for([describe(a) for a in given], shape)
    return empty(shape, dtype, kept, device_of(given[0]))


def format_for(operands: Iterable[Operand], shape: Sequence[int]) -> str:
    """The memory format of an output of this shape: of four dimensions, channels-last iff an
    operand is."""
    if len(shape) == 4:
        for operand in operands:
            if operand.memory_format == channels_last:
                return channels_last
    return contiguous_format


def with_format(a: Array, wanted: str) -> Array:
    """`a` in the wanted memory format, copied only if it is not; "preserve" keeps a's axis
    order."""
    if wanted not in MEMORY_FORMATS:
        raise RuntimeError(f"memory_format: got {wanted!r}, expected one of {MEMORY_FORMATS}")
    if wanted == preserve_format:
        return a
    if wanted == channels_last and a.ndim != 4:
        raise RuntimeError(
            f"memory_format: channels_last needs a 4-dimensional tensor, got {a.ndim} dimensions"
        )
    if memory_format(a) == wanted:
        return a
    out = empty(a.shape, a.dtype, wanted, device_of(a))
    out[...] = a
    return out


def copy(a: Array) -> Array:
    """A dense copy in a's axis order."""
    out = empty_like(a)
    out[...] = a
    return out


def shares_memory(a: Array, b: Array) -> bool:
    """Whether `b`, computed from `a`, is a view of it rather than a fresh allocation."""
    if isinstance(a, np.ndarray):
        return bool(np.may_share_memory(a, b)) if b.size else b.base is not None
    return a.data.mem is b.data.mem


def expand(a: Array, shape: tuple[int, ...]) -> Array:
    """`a` broadcast to `shape` by strides of 0: a view, as writable as `a` is."""
    lead = len(shape) - a.ndim
    strides = (0,) * lead + tuple(
        0 if size != wanted else stride
        for size, wanted, stride in zip(a.shape, shape[lead:], a.strides, strict=True)
    )
    return xp(a).lib.stride_tricks.as_strided(a, shape, strides)


def sum_to(a: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes over which `a` is summed to undo a broadcast from `shape`."""
    lead = a.ndim - len(shape)
    return tuple(range(lead)) + tuple(
        lead + i for i, size in enumerate(shape) if size == 1 and a.shape[lead + i] != 1
    )


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape; RuntimeError naming the sizes that do not match, as PyTorch words it."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    ndim = max(len(shape) for shape in shapes)
    result = [1] * ndim
    for shape in shapes:
        for i, size in enumerate(shape, ndim - len(shape)):
            if size != 1 and result[i] == 1:
                result[i] = size
            elif size not in (1, result[i]):
                raise RuntimeError(
                    f"The size of tensor a ({result[i]}) must match the size of tensor b ({size}) "
                    f"at non-singleton dimension {i}: shapes {list(shapes)} do not broadcast"
                )
    return tuple(result)


def words(a: Array) -> str:
    """ "float32 tensor of shape [2, 3]" """
    return f"{a.dtype} tensor of shape {list(a.shape)}"


def memory_stats() -> dict[str, int]:
    """The host's caching allocator, in bytes: "allocated" and its "peak", "cached" and its "limit";
    "hits" and "misses" of the cache. Empty without the native provider."""
    from .config import native_status

    native, _ = native_status()
    return {} if native is None else native.memory_stats()


def empty_cache() -> None:
    """Return to the system the host memory that no array uses."""
    from .config import native_status

    native, _ = native_status()
    if native is not None:
        native.empty_cache()


def nbytes(a: Array) -> int:
    """Bytes of the elements `a` addresses, each counted once however often a zero stride repeats
    it."""
    return a.itemsize * math.prod(
        size for size, stride in zip(a.shape, a.strides, strict=True) if stride or size == 0
    )


def from_dlpack(source: Any) -> Array:
    """An array over the memory a DLPack capsule or exporter describes, without a copy."""
    kind = source.__dlpack_device__()[0] if hasattr(source, "__dlpack_device__") else 1
    if kind in (1, 3):
        return np.from_dlpack(source)
    return import_cupy().from_dlpack(source)


def dlpack_checked(a: Array) -> Array:
    """`a`, or BufferError where DLPack cannot carry its dtype."""
    if a.dtype.name == "bfloat16":
        raise BufferError("NumPy's DLPack export has no bfloat16; call .to('float32') first")
    return a
