"""A small problem, kernels for it that lie, and a clock that does not depend on the machine."""

import threading
import time

import numpy as np

from pycnn import array
from pycnn.benchmarks.clock import HostClock
from pycnn.benchmarks.harness import Contender, Pool
from pycnn.benchmarks.problem import Key, Problem

SHAPE = (1, 8, 32, 32)
SIZE = 8 * 32 * 32


def problem(**changes):
    """a + b."""

    def inputs(rng):
        return [rng.standard_normal(SHAPE, dtype=np.float32) for _ in "ab"]

    parts = {
        "key": Key("made up", "a + b", "forward", 1),
        "primitive": "add_activation",
        "geometry": "1x8x32x32",
        "inputs": inputs,
        "ours": lambda: honest,
        "theirs": lambda layout: lambda a, b: lambda: a + b,
        "truth": lambda a, b: a + b,
        "flops": SIZE,
        "bytes": 12 * SIZE,
        "least_flops": lambda algorithm: SIZE,
        "least_bytes": 12 * SIZE,
    }
    return Problem(**parts | changes)


def contender(bind, clock=None, **options):
    """A kernel of arrays on the problem."""
    clock = clock or HostClock(spin=0)
    return Contender("the kernel", Pool(problem()), bind, "channels-last", clock, False, **options)


class FakeTime:
    """A clock's `now` that only `spend` moves."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time

    def spend(self, seconds):
        self.time += seconds


# --- kernels --------------------------------------------------------------------------------------


def honest(a, b):
    def call():
        out = array.empty_like(a)
        np.add(a, b, out=out)
        return out

    return call


def keeps_its_result():
    """A bind whose calls return the first result for ever."""
    kept = []

    def bind(a, b):
        def call():
            if not kept:
                kept.append(a + b)
            return kept[0].copy()

        return call

    return bind


def keeps_results_by_address():
    kept = {}

    def bind(a, b):
        def call():
            address = array.data_pointer(a)
            if address not in kept:
                kept[address] = a + b
            return kept[address].copy()

        return call

    return bind


def changes_its_input(a, b):
    def call():
        a.__iadd__(b)
        return a.copy()

    return call


def leaves_work_to_a_thread(seconds):
    def bind(a, b):
        def call():
            out = array.empty_like(a)

            def work():
                time.sleep(seconds)
                np.add(a, b, out=out)

            threading.Thread(target=work).start()
            return out

        return call

    return bind


def skips_the_last_row(a, b):
    def call():
        out = array.empty_like(a)
        np.add(a[:, :, :-1], b[:, :, :-1], out=out[:, :, :-1])
        return out

    return call


def is_a_little_wrong(a, b):
    return lambda: a + b + np.float32(1e-3) * abs(a)


class Lazy:
    """Not an array: it would compute when it is looked at."""

    def __init__(self, a, b):
        self.parts = a, b

    def __array__(self, dtype=None, copy=None):
        return np.add(*self.parts)
