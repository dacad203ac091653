"""Measuring a problem's contenders against each other, so that none of them can cheat.

What a turn does, the same for every contender:

1. Its input buffers are written with numbers of another set than at the turn before: the same
   addresses hold other inputs, so neither an answer kept by address nor the last answer is right.
2. What the call needs and is not timed (the forward pass before a backward one) is done.
3. The outputs of the turn before are filled with NaN and released, so that the memory which the
   calls allocate holds poison. Every contender allocates its outputs itself, inside the call.
4. The clock makes one call that is not timed, then the timed ones, each on a buffer of its own; on
   the CPU a pause has come before 2 and, if calls are short, a millisecond of them. Right after
   each, outside the timed span, some elements of the output are copied.
5. Every output is compared with the float64 truth of its inputs (once in full; after that by a sum
   over its bits, and in full again where that differs), the copied elements with the output, the
   buffers with what was written into them. What fails raises Caught and says how.

What that does to the caches. Inputs have just been written, and so has the memory of the outputs
(the poison): data that fit in a cache are in it, dirty, as the layer before and the allocator's
reuse leave them in a network. The buffers of a turn take each other's place, so a call finds its
inputs in a cache only if the turn's buffers fit there together; large ones come from memory. Small
problems get three timed calls a turn, large ones (over 32 MB) one.

Turns alternate between the contenders, forwards and backwards in turn, until each has had its
seconds, and at least four rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np

from . import problem as p
from .measure import Times, times_of
from .problem import Array, Bind, Call, Problem

_SMALL = 32 << 20  # bytes of a problem whose turns have three timed calls
_ROUNDS = 4
_LATE = 0.3  # seconds that an unfinished output is given to betray that it was


class Caught(RuntimeError):
    """A call that does not compute what it is timed for; the message says what it did instead."""


class Clock(Protocol):
    """Times calls: HostClock, or a GPU's."""

    def settle(self, call: Call | None) -> None:
        """Before a turn, with a call to make as often as it takes; None: the call that is not timed
        takes long enough."""

    def turn(
        self, calls: Sequence[Call], look: Callable[[Any], Any]
    ) -> tuple[list[Any], list[Any], list[float]]:
        """Make all calls and time all but the first; `look` at each timed output right after its
        span. (all outputs; of the timed calls what look returned, and the seconds)"""

    def scope(self) -> AbstractContextManager[Any]:
        """What a contender's preparations and calls run in: a GPU's stream."""

    def finish(self) -> None:
        """Wait for everything that was launched, on whatever stream."""


class Measured(NamedTuple):
    times: Times
    error: float  # the greatest of all sets of inputs


class Pool:
    """Sets of inputs, the buffers that hold them for the calls, and the truths."""

    def __init__(self, problem: Problem, device: str = "cpu") -> None:
        self.problem, self.device = problem, device
        self.small = small = problem.bytes <= _SMALL
        self.calls = 4 if small else 2  # of a turn: one that is not timed, and the timed ones
        self.sets = 3 if small else 2
        self._values: dict[int, tuple[Array, ...]] = {}
        self._buffers: dict[str, list[tuple[Array, ...]]] = {}
        self._truths: dict[int, list[np.ndarray]] = {}

    def values(self, index: int) -> tuple[Array, ...]:
        """A set of inputs, on the device."""
        from .. import array

        if index not in self._values:
            made = self.problem.values(index)
            self._values[index] = tuple(array.to_device(v, self.device) for v in made)
        return self._values[index]

    def buffers(self, layout: str) -> list[tuple[Array, ...]]:
        """The buffers of a turn's calls; contenders of one layout share them."""
        if layout not in self._buffers:
            self._buffers[layout] = [
                tuple(p.place(v, layout, self.device) for v in self.values(0))
                for _ in range(self.calls)
            ]
        return self._buffers[layout]

    def load(self, buffers: Sequence[Array], index: int) -> None:
        for buffer, value in zip(buffers, self.values(index), strict=True):
            buffer[...] = value

    def truth(self, index: int) -> list[np.ndarray]:
        """The float64 outputs on a set of inputs; large ones are computed anew when needed."""
        if index not in self._truths:
            wide = []
            for value in p.hosts(self.values(index)):
                tensor = p.as_torch(value)
                wide.append(tensor.double() if tensor.is_floating_point() else tensor)
            truths = p.hosts(p.as_arrays(self.problem.truth(*wide)))
            if sum(t.nbytes for t in truths) > 4 * _SMALL:
                return truths
            self._truths[index] = truths
        return self._truths[index]


class Contender:
    """One implementation on one problem, in turns."""

    def __init__(
        self,
        name: str,
        pool: Pool,
        bind: Bind,
        layout: str,
        clock: Clock,
        tensors: bool = True,
        scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """`tensors`: the bind takes PyTorch's instead of arrays. `scope`: what it runs in."""
        self.name, self.pool, self.bind, self.clock = name, pool, bind, clock
        self.scope = scope
        self.buffers = pool.buffers(layout)
        self.given = [tuple(map(p.as_torch, b)) if tensors else b for b in self.buffers]
        self.turns = 0
        self.error = 0.0
        self._right: dict[int, set[Any]] = {i: set() for i in range(pool.sets)}
        self._written: dict[int, tuple[Any, ...]] = {}
        self._spare: list[Array] = []

    def rehearse(self) -> None:
        """Untimed turns until every set of inputs was compared with the truth."""
        if not self.turns:
            with self.clock.scope(), self.scope():
                self.pool.load(self.buffers[0], 0)
                calls = [self.bind(*self.given[0]) for _ in self.buffers]
                self._spare = [a for out in [call() for call in calls] for a in p.as_arrays(out)]
        while not all(self._right.values()):
            self.turn()

    def turn(self) -> list[float]:
        """Seconds of the timed calls of one turn.

        Raises:
            Caught: a call did not do its work, or did something else.
        """
        with self.clock.scope(), self.scope():
            return self._turn()

    def _turn(self) -> list[float]:
        pool = self.pool
        chosen = [(self.turns + i) % pool.sets for i in range(pool.calls)]
        self.turns += 1
        for buffers, index in zip(self.buffers, chosen, strict=True):
            pool.load(buffers, index)
            if index not in self._written:
                self._written[index] = p.digest(buffers)
        self.clock.settle(self._once if pool.small else None)
        calls = [self.bind(*given) for given in self.given]
        p.poison(self._spare)
        self._spare.clear()
        outputs, seen, seconds = self.clock.turn(calls, lambda out: p.sample(p.as_arrays(out)))
        for output, early, index in zip(outputs, [None, *seen], chosen, strict=True):
            self._check(p.as_arrays(output), early, index)
        for buffers, index in zip(self.buffers, chosen, strict=True):
            self._check_inputs(buffers, index)
        self._spare = [a for output in outputs for a in p.as_arrays(output)]
        del calls, outputs
        return seconds

    def _once(self) -> None:
        p.poison(p.as_arrays(self.bind(*self.given[0])()))

    # --- judging ----------------------------------------------------------------------------------

    def _check(self, output: Sequence[Array], early: Sequence[Array] | None, index: int) -> None:
        known = p.digest(output)
        if known not in self._right[index]:
            error = self._error(output, index)
            if not error <= self._tolerance:
                raise Caught(f"{self.name}: {self._diagnosis(output, index, error)}")
            self._right[index].add(known)
            self.error = max(self.error, error)
        if early is not None and p.digest(early) != p.digest(p.sample(output)):
            raise Caught(f"{self.name}: {_LATE_WORK}")

    def _check_inputs(self, buffers: Sequence[Array], index: int) -> None:
        now = p.digest(buffers)
        if now != self._written[index]:
            which = [i for i, (a, b) in enumerate(zip(now, self._written[index])) if a != b]
            raise Caught(
                f"{self.name}: it changed its input {', '.join(map(str, which))}: a call must "
                "leave its inputs as they are"
            )

    @property
    def _tolerance(self) -> float:
        return p.TOLERANCE[self.pool.problem.key.dtype]

    def _error(self, output: Sequence[Array], index: int) -> float:
        return self.pool.problem.error(p.hosts(output), self.pool.truth(index))

    def _diagnosis(self, output: Sequence[Array], index: int, error: float) -> str:
        """What a wrong output betrays."""
        truths, got = self.pool.truth(index), [a.copy() for a in p.hosts(output)]
        if [o.shape for o in got] != [t.shape for t in truths[: len(got)]]:
            shapes = [list(o.shape) for o in got], [list(t.shape) for t in truths]
            return "its outputs have the shapes {}, not {}".format(*shapes)
        time.sleep(_LATE)
        self.clock.finish()
        if self._error(output, index) <= self._tolerance:
            return _LATE_WORK
        for other in range(self.pool.sets):
            if other != index and self._error(got, other) <= self._tolerance:
                return (
                    "it returned the answer to other inputs than it was given: a result kept from "
                    "an earlier call"
                )
        for number, (o, t) in enumerate(zip(got, truths)):
            off = np.abs(o.astype(np.float64) - t) / max(float(np.abs(t).max()), 1e-30)
            missing = np.isnan(off) & ~np.isnan(t)
            far = ~(off <= self._tolerance)
            if missing.any() and not (far & ~missing).any():
                return (
                    f"it left {int(missing.sum()):,} of {o.size:,} elements of output {number} "
                    f"unwritten (they still hold the poison), the first at {_first(missing)}"
                )
            if self.pool.problem.check is not None:  # not each element has to be right
                continue
            if far.any() and far.mean() < 0.9 and np.median(off[far]) > 0.05:  # not rounding
                return (
                    f"{int(far.sum()):,} of {o.size:,} elements of output {number} are wrong and "
                    f"the rest is right: part of it is not computed, the first at {_first(far)}"
                )
        return (
            f"its output differs from float64 by {error:.1e} of the largest number; accepted: "
            f"{self._tolerance:.0e}"
        )


_LATE_WORK = (
    "its output was not finished when the call returned and was later: work is left on another "
    "thread or stream, outside of what is timed"
)


def _first(mask: np.ndarray) -> list[int]:
    return [int(i) for i in np.argwhere(mask)[0]]


class Turns(Protocol):
    """What `compare` needs of a contender: one here, or in another process."""

    name: str
    error: float

    def rehearse(self) -> None: ...

    def turn(self) -> list[float]: ...


def compare(contenders: Sequence[Turns], seconds: float) -> dict[str, Measured]:
    """The times and the error of each contender, by name; `seconds` are for each of them.

    All are checked before any is timed, and every timed output is checked.

    Raises:
        Caught: see Contender.
    """
    for contender in contenders:
        contender.rehearse()
    samples: dict[str, list[float]] = {c.name: [] for c in contenders}
    end = time.perf_counter() + seconds * len(contenders)
    order, rounds = list(contenders), 0
    while rounds < _ROUNDS or time.perf_counter() < end:
        for contender in order:
            samples[contender.name] += contender.turn()
        order.reverse()
        rounds += 1
    return {c.name: Measured(times_of(samples[c.name]), c.error) for c in contenders}
