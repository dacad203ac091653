"""The clock of the CPU."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

SPIN = 0.006  # seconds that a turn waits for the other's idle threads to stop spinning


class HostClock:
    """Wall-clock time of each call.

    A turn begins with a pause and a call that is not timed: the threads of the contender before
    spin on their cores for milliseconds, its own have to wake up, and its code comes back into the
    caches. Python's collector is off meanwhile."""

    def __init__(self, spin: float = SPIN, now: Callable[[], float] = time.perf_counter) -> None:
        self.spin, self.now = spin, now

    def turn(
        self, calls: Sequence[Callable[[], Any]], look: Callable[[Any], Any]
    ) -> tuple[list[Any], list[Any], list[float]]:
        outputs, seen, seconds = [], [], []
        collecting = gc.isenabled()
        gc.disable()
        try:
            time.sleep(self.spin)
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
