"""The harness times what computes, and catches what does not."""

import numpy as np
import pytest

from pycnn.benchmarks import clock, harness
from pycnn.benchmarks import problem as p

from . import made_up
from .made_up import contender


def test_an_honest_kernel_is_timed_and_its_error_is_that_of_float32():
    found = harness.compare([contender(made_up.honest)], 0.0)["the kernel"]
    assert 0 < found.times.least <= found.times.p20 <= found.times.p50 <= found.times.p80
    assert 0 < found.error < 2.0**-23


@pytest.mark.parametrize(
    "liar, said",
    [
        (made_up.keeps_its_result(), "a result kept from an earlier call"),
        (made_up.keeps_results_by_address(), "a result kept from an earlier call"),
        (made_up.changes_its_input, "it changed its input 0"),
        (made_up.leaves_work_to_a_thread(0.05), "work is left on another thread or stream"),
        (made_up.leaves_work_to_a_thread(0.0005), "work is left on another thread or stream"),
        (made_up.skips_the_last_row, "left 256 of 8,192 elements of output 0 unwritten"),
        (made_up.is_a_little_wrong, "its output differs from float64 by"),
    ],
    ids=["result", "address", "input", "thread", "quick thread", "part", "wrong"],
)
def test_a_liar_is_caught_in_words(liar, said):
    with pytest.raises(harness.Caught, match="^the kernel: ") as caught:
        harness.compare([contender(liar)], 0.0)
    assert said in str(caught.value)


def test_a_liar_that_begins_to_lie_once_it_is_timed_is_caught():
    calls = []
    lies = made_up.keeps_its_result()

    def bind(a, b):
        calls.append(1)
        return (made_up.honest if len(calls) < 12 else lies)(a, b)

    with pytest.raises(harness.Caught, match="kept from an earlier call"):
        harness.compare([contender(bind)], 0.0)


def test_work_that_is_done_by_the_time_its_output_is_compared_is_caught():
    """What was copied right after the timed span is without it."""
    pending = []

    class Quick(clock.HostClock):
        def turn(self, calls, look):
            found = super().turn(calls, look)
            while pending:
                pending.pop()()
            return found

    def bind(a, b):
        def call():
            out = made_up.array.empty_like(a)
            pending.append(lambda: np.add(a, b, out=out))
            return out

        return call

    one = contender(bind, Quick(0))
    with pytest.raises(harness.Caught, match="work is left on another thread or stream"):
        one.turn()


def test_what_would_compute_on_demand_is_refused():
    with pytest.raises(TypeError, match="made_up.Lazy; accepted: arrays and tensors"):
        contender(lambda a, b: lambda: made_up.Lazy(a, b)).rehearse()


def test_every_timed_call_has_other_numbers_at_the_same_address():
    seen = []

    def bind(a, b):
        seen.append((a.ctypes.data, float(a[0, 0, 0, 0])))
        return made_up.honest(a, b)

    one = contender(bind)
    one.rehearse()
    seen.clear()
    one.turn(), one.turn()
    first, second = seen[: one.pool.calls], seen[one.pool.calls :]
    assert [address for address, _ in first] == [address for address, _ in second]
    assert all(a != b for (_, a), (_, b) in zip(first, second, strict=True))


def test_memory_that_the_call_is_given_holds_poison():
    held = []

    def bind(a, b):
        def call():
            out = made_up.array.empty_like(a)
            held.append(np.isnan(out).mean())
            np.add(a, b, out=out)
            return out

        return call

    one = contender(bind)
    one.rehearse()
    held.clear()
    one.turn()
    # the allocator describes a free block in its first bytes
    assert len(held) == one.pool.calls and min(held) > 0.99


def test_only_the_call_is_timed():
    now = made_up.FakeTime()

    def bind(a, b):
        now.spend(100.0)  # preparation

        def call():
            now.spend(0.25)
            return made_up.honest(a, b)()

        return call

    found = harness.compare([contender(bind, clock.HostClock(0, now))], 0.0)["the kernel"]
    assert set(found.times) == {0.25}


def test_turns_alternate_and_change_their_order():
    order = []

    class Named:
        error = 0.0

        def __init__(self, name):
            self.name = name

        def rehearse(self):
            order.append(f"rehearse {self.name}")

        def turn(self):
            order.append(self.name)
            return [1.0]

    harness.compare([Named("a"), Named("b")], 0.0)
    assert order == ["rehearse a", "rehearse b", *"abbaabba"]


def test_a_digest_sees_every_element_and_both_layouts():
    a = made_up.array.empty((2, 3, 4, 5), np.dtype("float32"), "channels_last")
    a[...] = np.arange(120).reshape(a.shape)
    before = p.digest([a])
    for index in np.ndindex(a.shape):
        kept = a[index]
        a[index] = np.nan
        assert p.digest([a]) != before, index
        a[index] = kept
    assert p.digest([a]) == before


def test_errors_are_relative_to_the_largest_number_and_nan_is_infinite():
    truth = np.array([1.0, -4.0])
    assert p.relative_error(np.array([1.0, -3.0], np.float32), truth) == 0.25
    assert p.relative_error(np.array([np.nan, -4.0], np.float32), truth) == np.inf
    assert made_up.problem().error([np.zeros(3)], [truth]) == np.inf


def test_functions_take_turns_of_three_calls():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in "ab"}
    found = clock.interleaved(functions, 0.0)
    assert set(found) == {"a", "b"} and all(0 <= t.least <= t.p50 <= t.p80 for t in found.values())
    turns = [name for name, before in zip(order, [None, *order]) if name != before]
    assert turns == ["a", "b"] * 4, "four rounds"
    assert min(map(order.count, "ab")) > 4 * 4, "and a millisecond of other calls before each turn"
