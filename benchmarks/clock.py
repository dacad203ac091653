"""The clock of the CPU, and turns of calls whose answers are checked elsewhere."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .measure import Times, times_of

SPIN = 0.015  # seconds that a turn waits for the other's idle threads: OpenMP's spin for up to 9 ms
WAKE = 0.001  # seconds of calls that are not timed, in which a contender's own threads wake up


class HostClock:
    """Wall-clock time of each call.

    A turn begins with a pause, a millisecond of calls that are not timed, and one more after its
    buffers are ready: the threads of the contender before spin on their cores for milliseconds, its
    own have to wake up and get a core each, and its code comes back into the caches. Python's
    collector is off meanwhile."""

    def __init__(self, spin: float = SPIN, now: Callable[[], float] = time.perf_counter) -> None:
        self.spin, self.now = spin, now

    def settle(self, call: Callable[[], Any] | None) -> None:
        """Let other threads come to rest, and those of `call` awake."""
        if not self.spin:
            return
        time.sleep(self.spin)
        awake = self.now() + WAKE
        while call is not None and self.now() < awake:
            call()

    def turn(
        self, calls: Sequence[Callable[[], Any]], look: Callable[[Any], Any]
    ) -> tuple[list[Any], list[Any], list[float]]:
        outputs, seen, seconds = [], [], []
        collecting = gc.isenabled()
        gc.disable()
        try:
            outputs.append(calls[0]())  # kept: its memory is not what the timed calls are given
            for call in calls[1:]:
                start = self.now()
                output = call()
                seconds.append(self.now() - start)
                seen.append(look(output))
                outputs.append(output)
        finally:
            if collecting:
                gc.enable()
        return outputs, seen, seconds

    def scope(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def finish(self) -> None:
        """Nothing is launched that a call does not wait for."""


def interleaved(functions: dict[str, Callable[[], Any]], seconds: float) -> dict[str, Times]:
    """The times of each function, in turns of three calls, `seconds` for each of them."""
    clock = HostClock()
    samples: dict[str, list[float]] = {name: [] for name in functions}
    end, rounds = clock.now() + seconds * len(functions), 0
    while rounds < 4 or clock.now() < end:
        for name, function in functions.items():
            clock.settle(function)
            samples[name] += clock.turn([function] * 4, lambda output: None)[2]
        rounds += 1
    return {name: times_of(taken) for name, taken in samples.items()}
