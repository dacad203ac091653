"""Arrays in guarded memory: canaries, stride gaps, and NaN in what is not yet written."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from ... import array, dtypes

# (layout of the inputs, layout of the outputs)
LAYOUTS = (
    ("contiguous", "contiguous"),
    ("channels_last", "channels_last"),
    ("gaps", "gaps"),
    ("negative", "contiguous"),
    ("misaligned", "misaligned"),
    ("channels_last", "contiguous"),
    ("contiguous", "negative"),
)


@dataclass
class Placed:
    """An array inside a larger buffer of random bytes."""

    view: Any
    buffer: Any
    before: np.ndarray = field(repr=False)
    owned: np.ndarray = field(repr=False)  # which bytes of the buffer belong to the view

    def damage(self, whole: bool) -> int:
        """How many bytes outside the view changed; anywhere, if `whole`."""
        changed = _to_host(self.buffer) != self.before
        return int(np.count_nonzero(changed if whole else changed & ~self.owned))


def _to_host(buffer: Any) -> np.ndarray:
    return buffer if isinstance(buffer, np.ndarray) else buffer.get()


def place(values: np.ndarray, layout: str, rng: np.random.Generator, device: str = "cpu") -> Placed:
    """`values` copied into guarded memory with the strides and the offset `layout` names."""
    shape, itemsize = values.shape, values.itemsize
    order = list(range(values.ndim))
    if layout == "channels_last" and values.ndim == 4:
        order = [0, 2, 3, 1]
    steps = [0] * values.ndim
    step = itemsize
    for axis in reversed(order):
        if layout == "gaps":
            step *= 2 if axis == order[-1] else 1
        steps[axis] = step
        step *= max(shape[axis], 1)
        if layout == "gaps":
            step += itemsize * (3 if axis else 0)
    guard = 64
    start = guard + (itemsize if layout == "misaligned" else 0)
    size = step + 2 * guard + itemsize
    raw = rng.integers(0, 256, size + 64, dtype=np.uint8)
    if device != "cpu":
        raw = array.to_device(raw, device)
    raw = raw[(-array.data_pointer(raw)) % 64 :][:size]
    first = start
    if layout == "negative":
        for axis, n in enumerate(shape):
            if n > 1:
                first += steps[axis] * (n - 1)
                steps[axis] = -steps[axis]
    view = _view(raw, shape, values.dtype, first, steps)
    view[...] = values if device == "cpu" else array.to_device(np.ascontiguousarray(values), device)
    owned = np.zeros(size, bool)
    marks = _view(owned, (*shape, itemsize), np.dtype(bool), first, [*steps, 1])
    marks[...] = True
    return Placed(view, raw, _to_host(raw).copy(), owned)


@contextlib.contextmanager
def shut_to_sanitizers(placed: list[Placed]) -> Iterator[None]:
    """In a process with AddressSanitizer, what lies before and behind the views is none of a
    kernel's memory, so that even reading there is reported."""
    process = ctypes.CDLL(None)
    if not hasattr(process, "__asan_poison_memory_region"):
        yield
        return
    regions = []
    for p in placed:
        start, mine = p.buffer.ctypes.data, np.flatnonzero(p.owned)
        first, end = (mine[0], mine[-1] + 1) if mine.size else (p.buffer.size, p.buffer.size)
        regions += [(start, int(first)), (start + int(end), int(p.buffer.size - end))]
    try:
        for address, size in regions:
            process.__asan_poison_memory_region(ctypes.c_void_p(address), ctypes.c_size_t(size))
        yield
    finally:
        for address, size in regions:
            process.__asan_unpoison_memory_region(ctypes.c_void_p(address), ctypes.c_size_t(size))


def _view(
    buffer: Any, shape: tuple[int, ...], dtype: np.dtype, offset: int, strides: list[int]
) -> Any:
    if isinstance(buffer, np.ndarray):
        return np.ndarray(shape, dtype, buffer, offset, tuple(strides))
    cupy = array.import_cupy()
    return cupy.ndarray(shape, dtype, buffer.data + offset, tuple(strides))


def poison(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What an output holds before the call: NaN, or a value no kernel would store."""
    if dtype in dtypes.FLOATING:
        return np.full(shape, np.nan, dtype)
    return np.full(shape, True if dtype == dtypes.bool_ else np.iinfo(dtype).max - 3, dtype)


@contextlib.contextmanager
def poisoned_workspaces() -> Iterator[None]:
    """Uninitialised memory is NaN while a kernel runs."""

    def filled(make: Callable[..., Any]) -> Callable[..., Any]:
        def allocate(*args: Any, **kwargs: Any) -> Any:
            a = make(*args, **kwargs)
            a[...] = poison((), a.dtype) if a.dtype in dtypes.SUPPORTED else 0
            return a

        return allocate

    with (
        mock.patch.object(np, "empty", filled(np.empty)),
        mock.patch.object(np, "empty_like", filled(np.empty_like)),
    ):
        yield
