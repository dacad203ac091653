"""The roof: how fast this machine moves bytes and multiplies, measured in the run it judges.

No call is faster than its bytes at the bandwidth of the memory they lie in, or its operations at
the rate of the arithmetic units; a time below that floor is a mistake of the measurement, and
`Roof.refuse` raises instead of recording it.

Bandwidth. Data that fit in a cache are not limited by the memory behind it, so there is no one
bandwidth: it is measured by the size of the working set, as the best of the C library's memcpy,
memchr (which only reads) and memset (which only writes). A thread's private caches serve it alone:
for working sets below 1 MB a thread, what one thread reaches on its share is multiplied by the
threads; above, all threads run side by side. A smaller set is never slower, so each size takes the
best of itself and everything larger. Sets below 64 KB have the figure of 64 KB: what they could
gain in the first-level cache is less than the microsecond that a call from Python costs.

Arithmetic. The best of PyTorch's and pycnn's product of square matrices, over several sizes. No
library reaches what the units could do at best; so the floor allows SLACK beyond the roof. Where
the floor refuses a time, that figure of the roof is measured again first, for longer and longer:
what was disturbed then may not be disturbed now.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

SLACK = 1.25
_SIZES = [1 << shift for shift in range(16, 29)]  # bytes of a working set: 64 KB to 256 MB
_SHARED = 1 << 20  # bytes a thread from which on caches are shared
_PRODUCTS = (256, 384, 512, 1024)
_ATTEMPTS = 5  # at a figure of the roof, each for twice as long, before a time is refused

Again = Callable[[str | int, float], "Roof"]


class TooFast(RuntimeError):
    """A time that this machine cannot reach."""


class Roof:
    """Bandwidth by working set and operations per second, for one number of threads or a GPU.

    `bandwidth` is [(bytes, bytes a second), ...] in ascending order, `rates` operations a second by
    dtype. `again(part, effort)` measures one figure anew, of a dtype or of a working set, and
    returns a Roof to merge with this one."""

    def __init__(
        self,
        bandwidth: Sequence[tuple[int, float]],
        rates: dict[str, float],
        again: Again | None = None,
    ) -> None:
        best = 0.0
        envelope = []
        for size, rate in sorted(bandwidth, reverse=True):
            best = max(best, rate)
            envelope.append((size, best))
        self.bandwidth = envelope[::-1]
        self.rates = dict(rates)
        self.again = again

    def _size(self, working_set: int) -> int:
        """The largest measured size that is not larger, or the smallest."""
        fitting = [size for size, _ in self.bandwidth if size <= working_set]
        return fitting[-1] if fitting else self.bandwidth[0][0]

    def bytes_per_second(self, working_set: int) -> float:
        """The bandwidth of the largest measured size that is not larger."""
        return dict(self.bandwidth)[self._size(working_set)]

    def parts(self, moved: int, flops: float, dtype: str) -> tuple[float, float]:
        """(seconds that the bytes take at the least, seconds that the operations take)"""
        return moved / self.bytes_per_second(moved), flops / self.rates[dtype]

    def refuse(self, seconds: float, moved: int, flops: float, dtype: str, row: str) -> None:
        """Raise TooFast where `seconds` are below the floor, SLACK allowed; `row` names whose."""
        floor = self._floor(moved, flops, dtype)
        for attempt in range(_ATTEMPTS):
            if seconds >= floor or self.again is None:
                break
            memory, compute = self.parts(moved, flops, dtype)
            part = self._size(moved) if memory >= compute else dtype
            self.merge(self.again(part, 2.0**attempt))
            floor = self._floor(moved, flops, dtype)
        if seconds >= floor:
            return
        memory, compute = self.parts(moved, flops, dtype)
        what = (
            f"{moved:,} bytes at {self.bytes_per_second(moved) / 1e9:.1f} GB/s"
            if memory >= compute
            else f"{flops:,.0f} operations at {self.rates[dtype] / 1e9:.1f} GFLOP/s of {dtype}"
        )
        raise TooFast(
            f"{row}: {seconds * 1e6:.2f} us is below the physical floor of {floor * 1e6:.2f} us "
            f"({what}, measured in this run, {SLACK:g} times that allowed); not recorded"
        )

    def _floor(self, moved: int, flops: float, dtype: str) -> float:
        return max(self.parts(moved, flops, dtype)) / SLACK

    def merge(self, other: Roof) -> None:
        """Take what is better of another measurement on the same machine."""
        sizes = dict(other.bandwidth)
        merged = [(size, max(rate, sizes.get(size, 0.0))) for size, rate in self.bandwidth]
        for dtype, rate in other.rates.items():
            self.rates[dtype] = max(rate, self.rates.get(dtype, 0.0))
        self.bandwidth = Roof(merged, {}).bandwidth

    def record(self) -> dict[str, Any]:
        """As it stands in the file of results: the bandwidth of memory, and of every size."""
        return {
            "gbytes_per_second": self.bandwidth[-1][1] / 1e9,
            "gflops": {dtype: rate / 1e9 for dtype, rate in self.rates.items()},
            "by_working_set": [[size, rate / 1e9] for size, rate in self.bandwidth],
        }

    @classmethod
    def recorded(cls, record: dict[str, Any], again: Again | None = None) -> Roof:
        """The Roof of a record."""
        sizes = [(int(size), rate * 1e9) for size, rate in record["by_working_set"]]
        return cls(sizes, {d: rate * 1e9 for d, rate in record["gflops"].items()}, again)


# --- the CPU --------------------------------------------------------------------------------------


def measure(threads: int, dtypes: Sequence[str], seconds: float = 0.02) -> Roof:
    """The roof of the CPU for that many threads; `seconds` are spent on each figure."""
    bandwidth = [(size, _bandwidth(size, threads, seconds)) for size in _SIZES]
    rates = {dtype: _dtype_rate(threads, dtype, seconds) for dtype in dtypes}
    return Roof(bandwidth, rates, anew(threads))


def anew(threads: int) -> Again:
    """What measures one figure again, for longer."""

    def again(part: str | int, effort: float) -> Roof:
        if isinstance(part, int):
            return Roof([(part, _bandwidth(part, threads, 0.05 * effort))], {})
        return Roof([], {part: _dtype_rate(threads, part, 0.05 * effort)})

    return again


def _dtype_rate(threads: int, dtype: str, seconds: float) -> float:
    """A half may be widened and multiplied as float32."""
    wide = _rate(threads, "float32", seconds) if dtype in ("float16", "bfloat16") else 0.0
    return max(wide, _rate(threads, dtype, seconds))


def _bandwidth(size: int, threads: int, seconds: float) -> float:
    share = size // threads
    if share < _SHARED:
        return threads * max(_stream(kind, share, 1, seconds / 3) for kind in _STREAMS)
    return max(_stream(kind, share, threads, seconds / 3) for kind in _STREAMS)


def _copy(library: Any, block: int, size: int) -> Callable[[], Any]:
    half = size // 2
    return lambda: library.memcpy(block + half, block, half)


def _read(library: Any, block: int, size: int) -> Callable[[], Any]:
    return lambda: library.memchr(block, 255, size)  # which is not there


def _write(library: Any, block: int, size: int) -> Callable[[], Any]:
    return lambda: library.memset(block, 1, size)


_STREAMS = {"copy": _copy, "read": _read, "write": _write}


def _library() -> Any:
    library = ctypes.CDLL(None)  # its calls run without the interpreter's lock
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name, arguments in (
        ("memcpy", [pointer, pointer, size]),
        ("memchr", [pointer, ctypes.c_int, size]),
        ("memset", [pointer, ctypes.c_int, size]),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, pointer
    return library


def _stream(kind: str, share: int, threads: int, seconds: float) -> float:
    """Bytes a second of a stream over `share` bytes on each of `threads` threads."""
    library = _library()
    blocks = [np.full(share + 64, 1, np.uint8) for _ in range(threads)]
    calls = [_STREAMS[kind](library, -(-b.ctypes.data // 64) * 64, share) for b in blocks]
    best = 0.0
    calls[0]()
    start = time.perf_counter()
    calls[0]()
    once = max(time.perf_counter() - start, 1e-7)
    repeats = max(1, min(1000, int(seconds / 8 / once)))

    def work(call: Callable[[], Any], barrier: threading.Barrier, spans: list[Any]) -> None:
        barrier.wait()
        begin = time.perf_counter()
        for _ in range(repeats):
            call()
        spans.append((begin, time.perf_counter()))

    for _ in range(8):
        spans: list[tuple[float, float]] = []
        barrier = threading.Barrier(threads)
        others = [threading.Thread(target=work, args=(c, barrier, spans)) for c in calls[1:]]
        for other in others:
            other.start()
        work(calls[0], barrier, spans)
        for other in others:
            other.join()
        span = max(end for _, end in spans) - min(begin for begin, _ in spans)
        best = max(best, share * threads * repeats / span)
    return best


def _rate(threads: int, dtype: str, seconds: float) -> float:
    """Operations a second of the best product of square matrices."""
    import torch

    from .. import array, dispatch, dtypes, set_num_threads
    from ..geometry import gemm_geometry

    torch.set_num_threads(threads)
    set_num_threads(threads)
    kind, best = getattr(torch, dtype), 0.0
    slow: set[str] = set()  # what had a quarter of the best rate gains nothing by a larger size
    for n in _PRODUCTS:
        a, b = torch.ones(n, n, dtype=kind), torch.ones(n, n, dtype=kind)
        x, y, z = (array.empty((1, n, n), dtypes.as_dtype(dtype)) for _ in range(3))
        x[...] = y[...] = 1
        g, c = gemm_geometry(1, n, n, n), torch.empty_like(a)
        calls: dict[str, Callable[[], Any]] = {
            "torch": partial(torch.mm, a, b, out=c),
            "pycnn": partial(dispatch.run, "gemm", x, y, out=z, geometry=g),
        }
        rates = {k: 2 * n**3 / _least(call, seconds) for k, call in calls.items() if k not in slow}
        best = max([best, *rates.values()])
        slow |= {k for k, rate in rates.items() if rate < best / 4}
    return best


def _least(call: Callable[[], Any], seconds: float) -> float:
    call()
    least, end = float("inf"), time.perf_counter() + seconds
    while least == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least
