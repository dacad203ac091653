"""The GPU, in torch.cuda's words: which there are, what they hold, streams.

    if pycnn.cuda.is_available():
        net.to("cuda")

Arrays on a GPU are CuPy's: memory comes from CuPy's pool, kernels are launched on CuPy's current
stream, and a stream made here is a CuPy stream. Without CuPy or a GPU everything but
`is_available()` and `device_count()` raises RuntimeError and says what is missing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from . import array

__all__ = [
    "MemoryStats",
    "Stream",
    "current_device",
    "current_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "is_available",
    "memory_stats",
    "stream",
    "synchronize",
]


class MemoryStats(NamedTuple):
    """CuPy's memory pool of one device, in bytes."""

    used: int  # by arrays that are alive
    held: int  # used, and kept for the next arrays
    limit: int | None  # what the pool may hold; None without a limit


def is_available() -> bool:
    """Whether CuPy and a GPU answer."""
    return array.gpu_status() is None


def device_count() -> int:
    """How many GPUs there are; 0 without CuPy."""
    return array.import_cupy().cuda.runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The index of the device on which this thread makes new arrays and launches kernels."""
    return int(array.import_cupy().cuda.Device().id)


def _index(device: Any) -> int:
    """The index that an int, "cuda:1", a CuPy device or None, the current one, stands for."""
    if device is None:
        return current_device()
    count = array.import_cupy().cuda.runtime.getDeviceCount()
    index = device if isinstance(device, int) else getattr(device, "id", None)
    if index is None:
        kind, _, number = array.as_device(device).partition(":")
        if kind != "cuda":
            raise ValueError(f"device: got {device!r}, expected a GPU")
        index = current_device() if str(device) == "cuda" else int(number)
    if not 0 <= index < count:
        raise ValueError(f"device: got {device!r}, expected cuda:0 to cuda:{count - 1}")
    return int(index)


def device(device: Any) -> AbstractContextManager[Any]:
    """Inside, that GPU is the current one: `with pycnn.cuda.device(1): ...`"""
    cupy = array.import_cupy()
    return cupy.cuda.Device(_index(device))


def get_device_name(device: Any = None) -> str:
    """ "NVIDIA H200" """
    cupy = array.import_cupy()
    return cupy.cuda.runtime.getDeviceProperties(_index(device))["name"].decode()


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability, (9, 0) on Hopper."""
    cupy = array.import_cupy()
    found = cupy.cuda.runtime.getDeviceProperties(_index(device))
    return int(found["major"]), int(found["minor"])


def synchronize(device: Any = None) -> None:
    """Waits until a GPU, the current one by default, has done everything launched on it."""
    cupy = array.import_cupy()
    with cupy.cuda.Device(_index(device)):
        cupy.cuda.runtime.deviceSynchronize()


def memory_stats(device: Any = None) -> MemoryStats:
    """What CuPy's memory pool uses, holds and may hold."""
    cupy = array.import_cupy()
    with cupy.cuda.Device(_index(device)):
        pool = cupy.get_default_memory_pool()
        return MemoryStats(pool.used_bytes(), pool.total_bytes(), pool.get_limit() or None)


def empty_cache() -> None:
    """Gives back what CuPy's pools, on the current GPU and of pinned host memory, keep unused."""
    cupy = array.import_cupy()
    cupy.get_default_memory_pool().free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()


# --- streams --------------------------------------------------------------------------------------


def Stream(device: Any = None) -> Any:
    """A new CuPy stream: work on it does not wait for work on others. It is a context manager,
    `with pycnn.cuda.Stream(): ...`, and has synchronize(), record() and wait_event()."""
    cupy = array.import_cupy()
    with cupy.cuda.Device(_index(device)):
        return cupy.cuda.Stream(non_blocking=True)


def current_stream() -> Any:
    """The CuPy stream to which kernels go."""
    return array.import_cupy().cuda.get_current_stream()


def stream(stream: Any) -> AbstractContextManager[Any]:
    """Inside, kernels go to this stream: `with pycnn.cuda.stream(s): ...`"""
    array.import_cupy()
    return stream
