"""The clock of a GPU, and its roof.

A call is captured into a CUDA graph where that works, and what is timed is one replay of it,
between two events on its stream: the GPU's work and nothing of Python's. What cannot be captured is
launched between the events instead. Either way the stream is kept busy before the first event for
longer than the host needs to launch, or the time would hold the wait for it.

With a warm cache a call finds in L2 what fits there of the inputs, written a moment before. With a
cold one, memory of several times the size of L2 is read before the first event: nothing of the call
is left there, and no written lines wait to be evicted within the timed span. Both flush and poison
are outside of it.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from .. import array
from . import problem as p
from .roof import Roof

_COVER = 20e-6  # seconds the stream is kept busy before a replay, more than its launch takes
_SIZES = [1 << shift for shift in range(20, 31)]  # bytes of a working set: 1 MB to 1 GB
_PRODUCTS = (2048, 4096, 8192)


class DeviceClock:
    """Times calls of one library on a stream of its own.

    Args:
        library: "cupy" or "torch": whose allocator and graphs the calls use.
        cache: "warm" or "cold".
        captures: whether calls are captured at all; not those that bring their own graphs.
        note: told why calls could not be captured, once.
        torch, cupy: the modules; a test gives its own.
    """

    def __init__(
        self,
        library: str,
        cache: str = "warm",
        captures: bool = True,
        note: Callable[[str], None] = lambda text: None,
        torch: Any = None,
        cupy: Any = None,
    ) -> None:
        torch = torch or importlib.import_module("torch")
        cupy = cupy or array.import_cupy()
        self.library, self.cache, self.note = library, cache, note
        self.torch, self.cupy = torch, cupy
        self.stream = torch.cuda.Stream()
        self.external = cupy.cuda.ExternalStream(self.stream.cuda_stream)
        attributes = cupy.cuda.Device().attributes
        elements = max(4 * int(attributes["L2CacheSize"]), 1 << 27) // 4
        self.flushed = cupy.zeros(elements, "float32") if cache == "cold" else None
        self.cycles = 1e3 * float(attributes.get("ClockRate", 2e6))  # a second
        self.captures = captures
        self._noted = False

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Both libraries launch on this clock's stream."""
        self.stream.wait_stream(self.torch.cuda.default_stream())
        with self.torch.cuda.stream(self.stream), self.external:
            yield

    def finish(self) -> None:
        self.cupy.cuda.runtime.deviceSynchronize()

    def settle(self, call: Callable[[], Any] | None) -> None:
        """A GPU's kernels have no threads to wake."""

    def turn(
        self, calls: Sequence[Callable[[], Any]], look: Callable[[Any], Any]
    ) -> tuple[list[Any], list[Any], list[float]]:
        launches = [self._captured(call) for call in calls]
        outputs, seen, seconds = [launches[0][0]()], [], []
        self.finish()
        for launch, captured in launches[1:]:
            start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            self._cover(_COVER if captured else self._host_seconds(launch))
            start.record(self.stream)
            output = launch()
            end.record(self.stream)
            seen.append(look(output))
            end.synchronize()
            seconds.append(start.elapsed_time(end) / 1e3)
            outputs.append(output)
        return outputs, seen, seconds

    # --- launching --------------------------------------------------------------------------------

    def _captured(self, call: Callable[[], Any]) -> tuple[Callable[[], Any], bool]:
        """(the replay of the call's graph, its outputs poisoned, True), or (the call, False) where
        it cannot be captured."""
        if not self.captures:
            return call, False
        try:
            launch, output = self._capture(call)
        except Exception as error:  # each library has its own classes for what capture forbids
            if not self._noted:
                self.note(f"not captured, timed as launched: {str(error).splitlines()[0]}")
            self._noted = True
            return call, False
        p.poison(p.as_arrays(output))

        def replay() -> Any:
            launch()
            return output

        return replay, True

    def _capture(self, call: Callable[[], Any]) -> tuple[Callable[[], Any], Any]:
        if self.library == "torch":
            graph = self.torch.cuda.CUDAGraph()
            with self.torch.cuda.graph(graph, stream=self.stream):
                output = call()
            return graph.replay, output
        self.external.begin_capture()
        try:
            output = call()
        finally:
            graph = self.external.end_capture()
        return (lambda: graph.launch(self.external)), output

    def _cover(self, seconds: float) -> None:
        """The flush, and work in front of the first event."""
        if self.flushed is not None:
            self.flushed.sum()
        self.torch.cuda._sleep(int(self.cycles * seconds))

    def _host_seconds(self, launch: Callable[[], Any]) -> float:
        """Twice what the host takes to launch a call, once more untimed."""
        self.finish()
        start = time.perf_counter()
        launch()
        host = time.perf_counter() - start
        self.finish()
        return 2 * host


def clocks(cache: str, note: Callable[[str], None]) -> tuple[DeviceClock, ...]:
    """(ours, PyTorch's, that of what brings its own graphs)"""
    torch = DeviceClock("torch", cache, note=note)
    launched = DeviceClock("torch", cache, captures=False, note=note)
    return DeviceClock("cupy", cache, note=note), torch, launched


# --- the roof -------------------------------------------------------------------------------------


def measure(dtypes: Sequence[str]) -> Roof:
    """The roof of the GPU at hand: copies, sums and fills by working set, products of square
    matrices of random numbers. TF32 is as PyTorch is set."""
    bandwidth = [(size, _bandwidth(size, 1)) for size in _SIZES]
    return Roof(bandwidth, {dtype: _rate(dtype, 1) for dtype in dtypes}, again)


def again(part: str | int, effort: float) -> Roof:
    """One figure of the roof, of a working set or of a dtype."""
    if isinstance(part, int):
        return Roof([(part, _bandwidth(part, effort))], {})
    return Roof([], {part: _rate(part, effort)})


def _bandwidth(size: int, effort: float) -> float:
    import torch

    whole = torch.zeros(size // 4, device="cuda")
    half = whole[: size // 8], whole[size // 8 : size // 4]
    calls = (lambda: half[0].copy_(half[1]), whole.sum, whole.zero_)
    return max(size / _seconds(call, 10, effort) for call in calls)


def _rate(dtype: str, effort: float) -> float:
    import torch

    best = 0.0
    for n in _PRODUCTS:
        a, b = (torch.randn(n, n, device="cuda").to(getattr(torch, dtype)) for _ in "ab")
        taken = _seconds(partial(torch.mm, a, b, out=torch.empty_like(a)), 3, effort)
        best = max(best, 2 * n**3 / taken)
    return best


def _seconds(call: Callable[[], Any], repeats: int, effort: float) -> float:
    """The least time of a call among several that follow each other."""
    import torch

    best = math.inf
    for _ in range(int(8 * effort)):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        call()
        torch.cuda._sleep(1 << 20)
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3 / repeats)
    return best
