"""Which configuration a call gets: rows, their files, and how they are measured. No GPU is needed:
the GPU, its clock and the kernels are made up here."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import pycnn
from pycnn import array
from pycnn.geometry import conv2d_geometry, pool2d_geometry
from pycnn.kernels import launch, mode, tuning, tuning_rows
from pycnn.kernels.tuning import Config
from pycnn.kernels.tuning_rows import GPU

if mode.why_not() is not None:
    pytest.skip(str(mode.why_not()), allow_module_level=True)

from pycnn.study import fill, tune

HOPPER = GPU("Test H9", 90)
SMALL, LARGE, HUGE = (Config({"BLOCK": n}) for n in (16, 64, 256))
OLD = Config({"BLOCK": 32}, archs=(80,))


def by_size(config):
    return -config.tiles["BLOCK"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Kernels of this test's own, an empty shipped table and an empty cache."""
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    (kernels / "made_up.py").write_text("from .shared import f\nfrom .tuning import Config\n")
    (kernels / "shared.py").write_text("from . import deeper\n")
    (kernels / "deeper.py").write_text("\n")
    (kernels / "tuning.py").write_text("\n")
    monkeypatch.setattr(tuning_rows, "FOLDER", kernels)
    monkeypatch.setattr(tuning_rows, "SHIPPED", kernels / "table.json")
    monkeypatch.setenv("PYCNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("PYCNN_AUTOTUNE", raising=False)
    tuning_rows.forget()
    yield kernels
    monkeypatch.undo()
    tuning_rows.forget()


@pytest.fixture
def gpu(monkeypatch):
    """A process that believes it compiles for a GPU."""
    tuning.describe_gpu.cache_clear()

    class Device:
        compute_capability = "90"

        def __init__(self, index=0):
            self.id = index

    runtime = SimpleNamespace(getDeviceProperties=lambda index: {"name": HOPPER.name.encode()})
    cupy = SimpleNamespace(cuda=SimpleNamespace(Device=Device, runtime=runtime))
    monkeypatch.setattr(array, "gpu_status", lambda: None)
    monkeypatch.setattr(array, "import_cupy", lambda: cupy)
    monkeypatch.setattr(mode, "settle", lambda: mode.COMPILED)
    yield HOPPER
    tuning.describe_gpu.cache_clear()


@pytest.fixture
def kernel(folder):
    yield tuning.Configurations("made_up.tiles", SMALL, LARGE, OLD)
    del tuning.REGISTRY["made_up.tiles"]


def row(**changed):
    made = {
        "kernel": "made_up.tiles", "source": tuning_rows.source_hash("made_up"),
        "gpu": HOPPER.name, "arch": "sm_90", "dtype": "float16", "key": "128 256",
        "config": str(SMALL), "microseconds": 2.0, "analytic": str(LARGE),
        "analytic_microseconds": 3, "call": "a test", "software": "none", "date": "2000-01-01",
    }  # fmt: skip
    return made | changed


def write(path, *rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"schema": tuning_rows.SCHEMA, "rows": list(rows)}))
    tuning_rows.forget()


def choose(kernel, dtype="float16", key=(100, 200), cost=by_size):
    return kernel.choose(dtype, key, cost)


# --- keys -----------------------------------------------------------------------------------------


def test_keys_are_buckets():
    def spelled(*key):
        return tuning.bucket("test", key)

    assert spelled(0, 1, 3, 7, 8) == "0 1 3 7 8"
    assert spelled(9, 16, 17, 2**31 + 1, np.int64(100)) == "16 16 32 4294967296 128"
    assert spelled(-9, -3) == "-16 -3"
    assert spelled("channels_last", True, None, 0.5) == "channels_last True None 0.5"
    assert spelled((2, 33), ((1,),)) == "(2 64) ((1))"
    g = conv2d_geometry((20, 64, 56, 56), (100, 64, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    assert spelled(g, "x") == "(32 64 64 64 128 3 3 1 1 1 1 1 1 1 1 1) x"


def test_every_kernel_of_the_table_has_a_key_that_files_can_hold():
    """A launcher's key must not spell an address, and a kernel's file must be found by its name."""
    from pycnn import dispatch
    from pycnn.study.problems import problems

    seen = set()
    entries = [e for e in dispatch.entries() if e.provider == "triton"]
    for problem in problems(1):
        for entry in (e for e in entries if e.primitive == problem.primitive):
            if (entry, problem.geometry) in seen:
                continue
            seen.add((entry, problem.geometry))
            inputs, out, epilogue = problem.allocate("float32")
            operands = tuple(array.describe(a) for a in inputs if a is not None)
            described = None if epilogue is None else epilogue.describe()
            if entry.refuses(problem.geometry, operands, described) is not None:
                continue
            asked = tune.ask(
                lambda call=(entry, problem, inputs, out, epilogue): call[0].function(
                    *call[2], out=call[3], geometry=call[1].geometry, epilogue=call[4]
                )
            )
            for one in asked:
                assert " at 0x" not in one.bucket, one
                assert tuning_rows.source_hash(one.kernel.name.partition(".")[0]), one.kernel.name
                assert one.bucket == tuning.bucket(one.kernel.name, one.key)
                assert not math.isinf(one.cost(one.chosen)), one.kernel.name


def test_the_source_is_the_file_and_what_it_imports(folder):
    def edited(name):
        before = tuning_rows.source_hash("made_up")
        path = folder / f"{name}.py"
        path.write_text(path.read_text() + "# edited\n")
        tuning_rows.forget()
        return tuning_rows.source_hash("made_up") != before

    assert edited("made_up")
    assert edited("shared")
    assert edited("deeper")
    assert not edited("tuning")  # chooses, and does not reach the machine code
    assert tuning_rows.source_hash("nothing") is None


# --- choosing -------------------------------------------------------------------------------------


def test_without_a_row_the_model_decides(gpu, kernel):
    assert choose(kernel) == LARGE


def test_a_row_decides(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel) == SMALL
    assert choose(kernel, key=(65, 129)) == SMALL  # the same buckets
    assert choose(kernel, key=(129, 200)) == LARGE
    assert choose(kernel, dtype="float32") == LARGE
    with tuning.forcing("made_up.tiles", OLD):
        assert choose(kernel) == OLD


@pytest.mark.parametrize(
    "changed",
    [
        {"gpu": "Test H8"},
        {"arch": "sm_80"},
        {"source": "0" * 16},
        {"config": "BLOCK=128 warps=4 stages=2"},  # not shipped any more
        {"config": str(OLD)},  # shipped for another architecture
        {"kernel": "made_up.other"},
    ],
)
def test_a_row_of_something_else_does_not(gpu, folder, kernel, changed):
    write(tuning_rows.SHIPPED, row(**changed))
    assert choose(kernel) == LARGE


def test_a_row_cannot_choose_what_cannot_run(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel, cost=lambda c: math.inf if c == SMALL else 1) == LARGE


def test_the_users_cache_wins(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row(config=str(LARGE)))
    write(tuning_rows.cache_file(HOPPER), row())
    assert choose(kernel) == SMALL


def test_an_edited_kernel_has_no_rows(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel) == SMALL
    (folder / "deeper.py").write_text("x = 1\n")
    tuning_rows.forget()
    assert choose(kernel) == LARGE


def test_autotune_0_leaves_rows_out(gpu, folder, kernel, monkeypatch):
    write(tuning_rows.SHIPPED, row())
    for setting, wanted in (("0", LARGE), ("read", SMALL), ("1", SMALL), ("", SMALL)):
        monkeypatch.setenv("PYCNN_AUTOTUNE", setting)
        assert choose(kernel) == wanted


def test_an_unknown_setting_is_refused(kernel, monkeypatch):
    monkeypatch.setenv("PYCNN_AUTOTUNE", "yes")
    with pytest.raises(ValueError, match="PYCNN_AUTOTUNE: got 'yes', expected 0, 1 or read"):
        choose(kernel)


def test_launches_that_are_only_recorded_do_not_read_rows(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    with launch.recording():
        assert choose(kernel) == LARGE
    assert choose(kernel) == SMALL


@pytest.mark.skipif(mode.settle() != mode.INTERPRETED, reason="kernels are compiled here")
def test_interpreted_kernels_do_not_read_rows(folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel) == LARGE


def test_a_gpu_is_given_what_is_shipped_for_it(gpu, kernel):
    assert choose(kernel, cost=lambda c: c != OLD) == SMALL  # not OLD, which is for sm_80
    assert [tuning.shipped_arch(a) for a in (75, 80, 86, 89, 90, 120)] == [80, 80, 80, 80, 90, 90]


def test_another_threads_forcing_is_its_own(kernel):
    inside, found = threading.Event(), []

    def other():
        inside.wait(10)
        with tuning.asking() as asked:
            found.append(choose(kernel))
            found.append(len(asked))

    thread = threading.Thread(target=other)
    thread.start()
    with (
        tuning.forcing("made_up.tiles", SMALL),
        tuning.asking() as asked,
        tuning.consulting() as names,
        launch.recording(),
    ):
        inside.set()
        thread.join()
        assert found == [LARGE, 1]
        assert not asked and not names
        assert choose(kernel) == SMALL and len(asked) == len(names) == 1


# --- files ----------------------------------------------------------------------------------------


def test_the_shipped_table_is_valid():
    document = json.loads(tuning_rows.SHIPPED.read_text())
    assert tuning_rows.problems(document) == []
    assert all(tuning_rows.is_current(r) for r in document["rows"]), "rows of edited kernels"


def test_problems_are_named(folder):
    def of(*rows):
        return tuning_rows.problems({"schema": 1, "rows": list(rows)})

    assert of(row()) == of(row(), row(key="1 1")) == of(row(key="")) == []
    assert of(row(), row(config="x")) == [
        "two rows for made_up.tiles | " + " | ".join(
            [tuning_rows.source_hash("made_up"), HOPPER.name, "sm_90", "float16", "128 256"]
        )
    ]  # fmt: skip
    for wrong, words in (
        (row(microseconds="2"), "row 0: microseconds: got '2', expected a positive number"),
        (row(microseconds=0), "row 0: microseconds: got 0, expected"),
        (row(microseconds=math.nan), "row 0: microseconds: got nan"),
        (row(microseconds=math.inf), "row 0: microseconds: got inf"),
        (row(analytic_microseconds=True), "row 0: analytic_microseconds: got True"),
        (row(dtype=None), "row 0: dtype: got None, expected a string"),
        (row(kernel=""), "row 0: kernel: got '', expected a string"),
        (row(colour="red"), "row 0: its fields differ in colour"),
        ([1], "row 0: expected an object"),
    ):
        assert of(wrong)[0].startswith(words), of(wrong)
    assert tuning_rows.problems({"schema": 2, "rows": []})
    assert tuning_rows.problems([]) and tuning_rows.problems({"schema": 1})


CORRUPT = [
    b"", b"{", b"[]", b"null", b'{"schema": 1}', b'{"schema": 1, "rows": {}}', b"\xff\xfe\x00",
    b'{"schema": 0, "rows": []}', b'{"schema": 1, "rows": [1, null, {}]}', b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", CORRUPT, ids=lambda c: repr(c[:30]))
def test_a_corrupt_file_is_ignored_and_rebuilt(gpu, folder, kernel, content):
    path = tuning_rows.cache_file(HOPPER)
    path.parent.mkdir()
    path.write_bytes(content)
    tuning_rows.forget()
    assert choose(kernel) == LARGE
    assert tuning_rows.store(HOPPER, [row()]) == path
    assert choose(kernel) == SMALL
    assert tuning_rows.problems(json.loads(path.read_text())) == []


def test_a_broken_row_costs_only_itself(gpu, folder, kernel):
    write(tuning_rows.cache_file(HOPPER), {"kernel": 3}, row(), row(config=None))
    assert choose(kernel) == SMALL


def test_storing_adds_replaces_and_drops_what_is_stale(gpu, folder, kernel):
    path = tuning_rows.cache_file(HOPPER)
    write(path, row(source="0" * 16), row(key="1 1"), row(config=str(LARGE)))
    tuning_rows.store(HOPPER, [row(), row(key="2 2")])
    kept = json.loads(path.read_text())["rows"]
    assert sorted(r["key"] for r in kept) == ["1 1", "128 256", "2 2"]
    assert choose(kernel) == SMALL  # this process sees it at once


def test_a_crash_leaves_the_file_as_it_was(folder, monkeypatch):
    path = tuning_rows.store(HOPPER, [row()])
    before = path.read_text()

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        tuning_rows.store(HOPPER, [row(key="1 1")])
    assert path.read_text() == before
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".lock"]


def test_a_folder_that_cannot_be_written_is_an_oserror(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PYCNN_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(OSError):
        tuning_rows.store(HOPPER, [row()])


WRITER = """
import sys
from pycnn.kernels import tuning_rows
from pycnn.kernels.tuning_rows import GPU
fields = {name: 1.0 if kind is float else "x" for name, kind in tuning_rows.FIELDS.items()}
fields |= {"kernel": "add_activation.x", "source": tuning_rows.source_hash("add_activation")}
for i in range(6):
    tuning_rows.store(GPU("Test", 90), [fields | {"key": f"{sys.argv[1]} {i}"}])
"""


def test_processes_write_at_once_and_lose_nothing(tmp_path):
    environment = os.environ | {"PYCNN_CACHE_DIR": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(i)], env=environment) for i in range(3)
    ]
    path = tmp_path / "tuning-test-sm-90.json"
    while any(process.poll() is None for process in running):
        if path.exists():  # whole at every moment
            assert tuning_rows.problems(json.loads(path.read_text())) == []
        time.sleep(0.01)
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(json.loads(path.read_text())["rows"]) == 18
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".lock"]


def test_threads_store_and_read_at_once(gpu, folder, kernel):
    def work(index):
        for i in range(5):
            tuning_rows.store(HOPPER, [row(key=f"{index} {i}")])
            assert choose(kernel, key=(index, i)) == SMALL

    errors = []
    threading_hook, threading.excepthook = threading.excepthook, errors.append
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = threading_hook
    assert not errors
    assert len(tuning_rows.read(tuning_rows.cache_file(HOPPER))) == 20


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv("PYCNN_CACHE_DIR", "/a")
    assert tuning_rows.cache_file(GPU("NVIDIA H100 80GB HBM3", 90)) == Path(
        "/a/tuning-nvidia-h100-80gb-hbm3-sm-90.json"
    )
    assert tuning_rows.cache_file(GPU("../NVIDIA/x", 80)) == Path("/a/tuning-nvidia-x-sm-80.json")
    monkeypatch.delenv("PYCNN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert tuning_rows.cache_folder() == Path("/b/pycnn")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert tuning_rows.cache_folder() == Path("/home/someone/.cache/pycnn")


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


@pytest.fixture
def three(folder):
    yield tuning.Configurations("made_up.tiles", SMALL, LARGE, HUGE)
    del tuning.REGISTRY["made_up.tiles"]


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
        "max_pool2d_dgrad", "max_unpool2d_fprop", "max_unpool2d_dgrad",
        "softmax_cross_entropy_fprop", "softmax_cross_entropy_dgrad",
    }  # fmt: skip


# --- estimates and the command --------------------------------------------------------------------


def test_estimates_rank_tiles():
    assert [tuning.waves(n) for n in (0, 1, 132, 133, 264)] == [0, 1, 1, 2, 2]
    assert tuning.waves(9, 4) == 3

    def cost(rows, cols, depth, *tile, **splits):
        return tuning.gemm_cost(rows, cols, depth, *tile, **splits)

    large, small = (128, 256, 64), (64, 64, 32)
    assert cost(100352, 256, 2304, *large) < cost(100352, 256, 2304, *small)
    assert cost(32, 32, 64, *small) < cost(32, 32, 64, *large)
    deep = (64, 64, 400_000)  # one tile: its depth must be shared out
    assert cost(*deep, *small, splits=64) < cost(*deep, *small) / 8
    assert cost(100352, 256, 2304, *large) < cost(100352, 256, 2304, *large, splits=4)


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
