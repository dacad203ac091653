"""A GPU's clock, on made-up devices: the order of flush, cover, events, launches and looks."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from pycnn.benchmarks import gpu, harness

from . import made_up


class Device:
    """Stands for torch and cupy; `log` is what reached the stream, in order."""

    def __init__(self, captures=True):
        self.log, self.captures, self.capturing = [], captures, None
        self.time = 0.0
        device = self

        class Event:
            def __init__(self, enable_timing):
                assert enable_timing

            def record(self, stream):
                assert stream is device.stream
                device.log.append("event")
                self.time = device.time

            def synchronize(self):
                device.log.append("synchronize")

            def elapsed_time(self, end):
                return (end.time - self.time) * 1e3

        class External(nullcontext):
            def begin_capture(self):
                device.begin()

            def end_capture(self):
                work = device.end()
                return SimpleNamespace(launch=lambda stream: device.run(work))

        @contextmanager
        def graph(held, stream):
            assert stream is device.stream
            device.begin()
            yield
            work = device.end()
            held.replay = lambda: device.run(work)

        self.stream = SimpleNamespace(cuda_stream=7, wait_stream=lambda other: None)
        sum_ = lambda: self.launch("flush", lambda: None, 1e-3)
        self.torch = SimpleNamespace(
            cuda=SimpleNamespace(
                Stream=lambda: self.stream, Event=Event, graph=graph,
                CUDAGraph=SimpleNamespace, default_stream=lambda: None,
                stream=lambda s: nullcontext(),
                _sleep=lambda cycles: self.launch("cover", lambda: None, cycles / 1e9),
            )
        )  # fmt: skip
        self.cupy = SimpleNamespace(
            zeros=lambda n, kind: SimpleNamespace(sum=sum_, size=n),
            cuda=SimpleNamespace(
                ExternalStream=lambda pointer: External(),
                Device=lambda: SimpleNamespace(attributes={"L2CacheSize": 50e6, "ClockRate": 1e6}),
                runtime=SimpleNamespace(deviceSynchronize=lambda: self.log.append("finish")),
            ),
        )

    def begin(self):
        if not self.captures:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.capturing = []

    def end(self):
        work, self.capturing = self.capturing, None
        return work

    def run(self, work):
        for name, function, seconds in work:
            self.launch(name, function, seconds)

    def launch(self, name, function, seconds):
        if self.capturing is not None:
            self.capturing.append((name, function, seconds))
            return
        self.log.append(name)
        self.time += seconds
        function()

    def clock(self, library="torch", cache="warm", **options):
        return gpu.DeviceClock(library, cache, torch=self.torch, cupy=self.cupy, **options)

    def kernel(self, a, b):
        def call():
            out = np.empty_like(a)
            self.launch("kernel", lambda: np.add(a, b, out=out), 2e-6)
            return out

        return call


@pytest.mark.parametrize("library", ["torch", "cupy"])
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_replay_lies_between_two_events_after_flush_and_cover(library, cache):
    device = Device()
    clock = device.clock(library, cache)
    kernel = device.kernel(np.ones((2, 2)), np.ones((2, 2)))
    looks = []

    def look(out):
        device.log.append("look")
        looks.append(out.copy())

    outputs, seen, seconds = clock.turn([kernel] * 3, look)
    once = [*(["flush"] if cache == "cold" else []), "cover", "event", "kernel", "event", "look",
            "synchronize"]  # fmt: skip
    assert device.log == ["kernel", "finish", *once, *once]
    assert seconds == [pytest.approx(2e-6)] * 2 and len(seen) == 2 and len(outputs) == 3
    assert all((out == 2).all() for out in [*outputs, *looks])


def test_outputs_of_a_graph_are_poisoned_before_its_replay():
    device = Device()
    clock = device.clock()
    launch, captured = clock._captured(device.kernel(np.ones(4), np.ones(4)))
    out = clock._captured(lambda: np.zeros(4))[0]()
    assert captured and np.isnan(out).all()
    assert (launch() == 2).all()


def test_what_cannot_be_captured_is_launched_between_the_events():
    notes = []
    device = Device(captures=False)
    clock = device.clock(note=notes.append)
    _, _, seconds = clock.turn([device.kernel(np.ones(2), np.ones(2))] * 3, lambda out: None)
    once = ["finish", "kernel", "finish", "cover", "event", "kernel", "event", "synchronize"]
    assert device.log == ["kernel", "finish", *once, *once]
    assert seconds == [pytest.approx(2e-6)] * 2
    assert notes == [
        "not captured, timed as launched: operation not permitted when stream is capturing"
    ]


def test_the_flush_is_several_times_l2():
    assert Device().clock(cache="cold").flushed.size * 4 >= 4 * 50e6
    assert Device().clock(cache="warm").flushed is None


def compare(device, bind):
    return harness.compare([made_up.contender(bind, device.clock())], 0.0)["the kernel"]


def test_the_harness_times_a_kernel_on_a_device():
    device = Device()
    assert compare(device, device.kernel).times.least == pytest.approx(2e-6)


def test_work_on_another_stream_is_caught():
    """It is not ordered before the events of the clock's stream, and done when the device is."""
    device = Device()
    pending = []

    def finish():
        while pending:
            pending.pop()()

    device.cupy.cuda.runtime.deviceSynchronize = finish

    def bind(a, b):
        def call():
            out = np.empty_like(a)
            work = lambda: np.add(a, b, out=out)
            device.launch("fork", lambda: pending.append(work), 1e-6)
            return out

        return call

    with pytest.raises(harness.Caught, match="work is left on another thread or stream"):
        compare(device, bind)


def test_a_kernel_that_does_nothing_after_the_first_time_is_caught():
    device = Device()
    done = []

    def bind(a, b):
        def call():
            out = np.empty_like(a)

            def work():
                if len(done) < 6:
                    np.add(a, b, out=out)
                done.append(1)

            device.launch("kernel", work, 1e-6)
            return out

        return call

    with pytest.raises(harness.Caught, match="unwritten"):
        compare(device, bind)
