"""How configurations are measured, and `python -m pycnn tune`. No GPU is needed: the GPU, its clock
and the kernels are made up."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import pycnn
from pycnn import array
from pycnn.geometry import pool2d_geometry
from pycnn.kernels import launch, mode, tuning, tuning_rows

if mode.why_not() is not None:
    pytest.skip(str(mode.why_not()), allow_module_level=True)

from pycnn.study import fill, tune

from .made_up import HOPPER, HUGE, LARGE, SMALL, by_size, choose

# --- measuring ------------------------------------------------------------------------------------


class Machine:
    """A made-up GPU: each configuration fills the output in its own way and time."""

    def __init__(self, kernel, times, broken=(), wrong=(), second=None):
        self.kernel, self.times, self.second = kernel, times, second
        self.broken, self.wrong = broken, wrong
        self.out = np.zeros(1000, np.float32)
        self.runs = 0
        self.microseconds = 0.0

    def run(self):
        config = self.kernel.choose("float32", (100, 1000), by_size)
        self.microseconds = self.times[config]
        if self.second is not None:
            self.microseconds *= self.second(self.kernel_two.choose("float32", (5,), by_size))
        if launch.is_recording():
            return
        self.runs += 1
        if config in self.broken:
            raise RuntimeError("out of resources\nmore")
        self.out[:] = np.linspace(1, 2, 1000)
        if config in self.wrong:
            self.out[-1] += 0.01

    def clock(self, run):
        run()
        return self.microseconds


def measure(machine):
    asked = tune.ask(machine.run)
    return list(tune.measure_call(machine.run, (machine.out,), asked, 90, machine.clock))


def test_the_fastest_wins(three):
    (found,) = measure(Machine(three, {SMALL: 5, LARGE: 3, HUGE: 4}))
    assert found.analytic == HUGE and found.best == LARGE
    assert found.times == {SMALL: 5, LARGE: 3, HUGE: 4} and not found.failed


def test_noise_does_not_win(three):
    (found,) = measure(Machine(three, {SMALL: 5, LARGE: 3.95, HUGE: 4}))
    assert found.best == HUGE


def test_another_answer_or_an_error_does_not_win(three):
    times = {SMALL: 1, LARGE: 2, HUGE: 9}
    (found,) = measure(Machine(three, times, broken=[LARGE], wrong=[SMALL]))
    assert found.best == HUGE and found.times == {HUGE: 9}
    assert found.failed == {
        LARGE: "RuntimeError: out of resources",
        SMALL: "another answer than the model's choice",
    }


def test_an_answer_left_over_does_not_count(three):
    """A configuration that writes nothing must not pass by what the last one wrote."""
    machine = Machine(three, {SMALL: 1, LARGE: 2, HUGE: 9})
    usual = machine.run

    def lazy():
        if not launch.is_recording() and three.choose("float32", (100, 1000), by_size) == SMALL:
            return
        usual()

    asked = tune.ask(lazy)
    (found,) = tune.measure_call(lazy, (machine.out,), asked, 90, machine.clock)
    assert found.best == LARGE and SMALL in found.failed


def test_what_cannot_run_is_not_measured(three):
    def cost(config):
        return math.inf if config == SMALL else by_size(config)

    machine = Machine(three, {SMALL: 1, LARGE: 5, HUGE: 4})
    asked = [tuning.Asked(three, "float32", (1,), cost, HUGE)]
    (found,) = tune.measure_call(machine.run, (machine.out,), asked, 90, machine.clock)
    assert found.best == HUGE and set(found.times) == {LARGE, HUGE}


def test_kernels_of_a_call_are_measured_one_after_the_other(three):
    machine = Machine(three, {SMALL: 5, LARGE: 3, HUGE: 4}, second=lambda c: 1 + (c == HUGE))
    machine.kernel_two = tuning.Configurations("made_up.sum", LARGE, HUGE)
    try:
        first, second = measure(machine)
    finally:
        del tuning.REGISTRY["made_up.sum"]
    assert (first.best, second.best) == (LARGE, LARGE)
    assert first.times[LARGE] == 6 and second.times == {HUGE: 6, LARGE: 3}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64"])
def test_agreement_is_up_to_rounding(dtype):
    rng = np.random.default_rng()
    wanted = (8 * rng.standard_normal(100)).astype(pycnn.dtypes.as_dtype(dtype))
    wanted[0] = 8
    assert tune.agrees(wanted.copy(), wanted) and tune.agrees(wanted[:0], wanted[:0])
    wrong = wanted.copy()
    wrong[0] += 1
    assert not tune.agrees(wrong, wanted)
    if dtype == "int64":
        return
    near = wanted.copy()
    near[0] = 8 * (1 + tune._unit(wanted.dtype))
    assert near[0] != wanted[0]
    assert tune.agrees(near, wanted)
    for value in (np.nan, np.inf):
        broken = wanted.copy()
        broken[3] = value
        assert not tune.agrees(broken, wanted) and not tune.agrees(wanted, broken)
        assert tune.agrees(broken.copy(), broken)
        assert not tune.agrees(-broken, broken) or np.isnan(value)


def call(machine, out=None, operands=()):
    tune.first_call(
        machine.run, operands, machine.out if out is None else out, "copy/test", None, machine.clock
    )


@pytest.fixture
def unsettled(monkeypatch):
    monkeypatch.setattr(tune, "_settled", set())
    monkeypatch.setattr(tune, "software", lambda: "none")


def test_a_first_call_is_measured_and_stored(gpu, three, unsettled):
    machine = Machine(three, {SMALL: 5, LARGE: 3, HUGE: 4})
    call(machine)
    runs = machine.runs
    assert runs > 0
    (stored,) = tuning_rows.read(tuning_rows.cache_file(HOPPER))
    assert tuning_rows.wrong_with(stored) is None and tuning_rows.is_current(stored)
    assert stored["config"] == str(LARGE) and stored["analytic"] == str(HUGE)
    assert (stored["microseconds"], stored["analytic_microseconds"]) == (3, 4)
    assert choose(three, "float32", (100, 1000)) == LARGE
    call(machine)
    tune._settled.clear()  # another process: the row is there
    call(machine)
    assert machine.runs == runs


def test_a_call_that_cannot_be_repeated_is_left_alone(gpu, three, unsettled):
    machine = Machine(three, {SMALL: 5, LARGE: 3, HUGE: 4})
    call(machine, operands=(machine.out[1:], None, "relu"))
    with tuning.forcing("made_up.tiles", HUGE):
        call(machine)
    with launch.recording():
        call(machine)
    assert machine.runs == 0


def test_what_cannot_be_measured_warns_once(gpu, three, unsettled):
    machine = Machine(three, {SMALL: 5, LARGE: 3, HUGE: 4}, broken=[HUGE])
    with pytest.warns(RuntimeWarning, match="copy/test runs untuned, RuntimeError: out of"):
        call(machine)
    call(machine)
    assert not tuning_rows.cache_file(HOPPER).exists()


@pytest.mark.skipif(mode.settle() != mode.INTERPRETED, reason="kernels are compiled here")
def test_a_kernels_first_call_is_measured_where_that_is_asked(monkeypatch, tmp_path, unsettled):
    """From a user's call to the row, with a kernel that is interpreted and a clock that is not."""
    monkeypatch.setenv("PYCNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tuning, "current_gpu", lambda: None if launch.is_recording() else HOPPER)
    times = iter(range(1000, 0, -1))
    monkeypatch.setattr(tune, "GPUClock", lambda: lambda run: run() or next(times))
    a = pycnn.randn(20, 30)
    with pycnn.using("triton"):
        before = a @ a.T
        assert not list(tmp_path.iterdir())
        monkeypatch.setenv("PYCNN_AUTOTUNE", "1")
        tuning_rows.forget()
        after = a @ a.T
        (stored,) = tuning_rows.read(tuning_rows.cache_file(HOPPER))
        left = next(times)
        np.testing.assert_array_equal((a @ a.T).numpy(), after.numpy())
    np.testing.assert_allclose(before.numpy(), after.numpy(), rtol=1e-5, atol=1e-5)
    assert left == next(times) + 1  # the second call was not measured
    assert stored["kernel"].startswith("gemm.") and stored["call"].startswith("gemm/")
    assert tuning_rows.is_current(stored)
    # later calls of the clock are faster: the last that was tried has won, unless there is one
    fitting = tuning.REGISTRY[stored["kernel"]].fitting("float32", 90)
    assert stored["config"] in [str(config) for config in fitting]
    tuning_rows.forget()


def test_tuning_leaves_out_what_has_a_row(gpu, three):
    machine = Machine(three, {SMALL: 5, LARGE: 3, HUGE: 4})

    def make():
        return tune.Call("a call", machine.run, (machine.out,))

    def refused():
        raise tune.Refused("too small")

    def broken():
        raise MemoryError("too large")

    def tuned(found, limit=None):
        return list(tune.tune(found, HOPPER, machine.clock, "none", limit))

    todo = [("first", refused), ("second", broken), ("third", make), ("fourth", make)]
    (second, why), (third, found) = tuned(todo)
    assert (second, why, third) == ("second", "MemoryError: too large", "third")
    assert found.best == LARGE
    assert found.words()[3:] == (str(LARGE), "3.0", str(HUGE), "4.0", "1.33")
    assert tuned(todo[2:]) == []
    tuning_rows.cache_file(HOPPER).unlink()
    tuning_rows.forget()
    assert len(tuned([todo[2], todo[1]], limit=1)) == 1


def test_the_clock_flushes_before_and_times_between_events():
    log = []

    class Event:
        def record(self, stream):
            log.append("event")

        def synchronize(self):
            log.append("wait")

    class Buffer:
        nbytes = 1 << 26

        def fill(self, value):
            log.append("flush")

    times = iter([9.0, 1.0, 2.0, 3.0, 0.1, 0.2, 50.0, 4.0])
    stream = SimpleNamespace(synchronize=lambda: log.append("wait"))
    cuda = SimpleNamespace(
        Event=Event, get_current_stream=lambda: stream, get_elapsed_time=lambda a, b: next(times)
    )
    clock = object.__new__(tune.GPUClock)
    clock.cupy, clock.flush = SimpleNamespace(cuda=cuda), Buffer()
    clock.seconds, clock.least, clock.most = 0.05, 7, 50
    assert clock(lambda: log.append("run")) == 2000.0  # of the last seven, in microseconds
    assert log[:4] == ["run", "wait", "run", "wait"]
    once = " ".join(log[4:]).split("wait")
    assert len(once) == 9
    for part in once[:-1]:
        assert part.split()[-4:] == ["flush", "event", "run", "event"]


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays_are_filled_with_what_kernels_can_read():
    x = np.empty((2, 3, 8, 8), np.float32)
    g = pool2d_geometry(x.shape, (3, 3), (2, 2), (1, 1))
    offsets = np.empty(g.y_shape, np.uint8)
    fill.fill("max_pool2d_dgrad", g, (x, None, offsets))
    assert (np.abs(x) <= 1).all() and x.std() > 0.3 and (offsets == 4).all()
    g = pool2d_geometry(x.shape, (2, 2), (2, 2), (0, 0))
    indices = np.empty(g.y_shape, np.int64)
    fill.fill("max_unpool2d_fprop", g, (x, indices))
    assert (indices[1, 2] == 16 * np.arange(4)[:, None] + 2 * np.arange(4)).all()
    target = np.empty((2, 8, 8), np.int64)
    fill.fill("softmax_cross_entropy_fprop", None, (x, target, None))
    assert set(np.unique(target)) == {0, 1, 2}
    with pytest.raises(TypeError, match="relu: no rule for its int64 array"):
        fill.fill("relu", None, (target,))


def test_every_integer_array_of_the_named_layers_has_a_rule():
    from pycnn.study.problems import problems

    seen = set()

    def make(shape, kind=None):
        known = {None: "float32", "accumulation": "float32"}
        return np.broadcast_to(np.zeros((), known.get(kind, kind)), shape)

    for problem in problems(1):
        inputs, _, _ = problem.arrays(make)
        if any(a is not None and a.dtype.kind not in "f" for a in inputs):
            seen.add(problem.primitive)
    assert seen <= {
        "dropout",
        "max_pool2d_dgrad", "max_unpool2d_fprop", "max_unpool2d_dgrad",
        "softmax_cross_entropy_fprop", "softmax_cross_entropy_dgrad",
    }  # fmt: skip


# --- the command ----------------------------------------------------------------------------------


def test_the_command_says_why_it_cannot():
    pytest.importorskip("click")
    if array.gpu_status() is None:
        pytest.skip("there is a GPU")
    from click.testing import CliRunner

    from pycnn.cli import main

    result = CliRunner().invoke(main, ["tune"])
    assert result.exit_code == 1
    assert result.output.strip().count("\n") == 0
    assert "Error: tuning measures kernels on a GPU, and there is none: " in result.output


def test_the_command_prints_a_table(gpu, three, monkeypatch):
    pytest.importorskip("click")
    from click.testing import CliRunner

    from pycnn.cli import main

    machine = Machine(three, {SMALL: 5, LARGE: 3, HUGE: 4}, broken=[SMALL])
    monkeypatch.setattr(
        tune, "calls",
        lambda kernel, dtype, batch: [
            (f"{dtype} of {batch}", lambda: tune.Call("x", machine.run, (machine.out,)))
        ],
    )  # fmt: skip
    monkeypatch.setattr(tune, "GPUClock", lambda: machine.clock)
    monkeypatch.setattr(tune, "software", lambda: "none")
    result = CliRunner().invoke(main, ["tune", "--dtype", "float16", "--batch", "2"])
    assert result.exit_code == 0, result.output
    for words in ("made_up.tiles", "128 1024", str(LARGE), "1.33", "1 rows for Test H9 in "):
        assert words in result.output
    assert (
        "float16 of 2: BLOCK=16 warps=4 stages=2: RuntimeError: out of resources" in result.output
    )
    result = CliRunner().invoke(main, ["tune", "nothing"])
    assert result.exit_code == 2 and "no Triton kernel is called 'nothing'" in result.output
