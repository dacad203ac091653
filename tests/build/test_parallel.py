"""The native provider's threads and memory: sharing, concurrent callers, fork, the cache."""

import os
import queue
import subprocess
import sys
import threading

import numpy as np
import pytest

import pycnn
from pycnn import array, dispatch
from pycnn.config import native_status
from pycnn.geometry import conv2d_geometry

native, why_none = native_status()
pytestmark = pytest.mark.skipif(native is None, reason=f"no C++ extension: {why_none}")

GEOMETRY = conv2d_geometry((4, 6, 12, 11), (8, 6, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)


@pytest.fixture(autouse=True)
def _settings():
    """Everything is shared, on three threads; as it was afterwards."""
    before = native.get_num_threads()
    native.set_num_threads(3)
    native.set_least_share(0)
    yield
    native.set_least_share(4000)
    native.set_num_threads(before)


def problem(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s, dtype=np.float32) for s in (GEOMETRY.x_shape, GEOMETRY.w_shape)]


def convolved(x, w):
    with dispatch.using("native", "naive"):
        return dispatch.run("conv2d_fprop", x, w, out_shape=GEOMETRY.y_shape, geometry=GEOMETRY)


def test_native_threads_change_no_bit():
    x, w = problem(0)
    native.set_num_threads(1)
    expected = convolved(x, w)
    for count in (2, 3, 7):
        native.set_num_threads(count)
        for _ in range(50):
            assert np.array_equal(convolved(x, w), expected)


def test_native_callers_on_many_threads_at_once():
    """Who finds the pool busy works alone; nobody waits for ever, nobody gets another's result."""
    problems = [problem(i) for i in range(6)]
    expected = [convolved(*p) for p in problems]
    wrong = []

    def work(i):
        for _ in range(60):
            if not np.array_equal(convolved(*problems[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert not wrong


@pytest.mark.unchecked  # a sanitizer's allocator stays locked if fork() meets a thread that starts
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_native_works_in_a_child_after_fork():
    """The child has none of its parent's threads: a pool of its own, and a cache it can use."""
    code = """
import os, numpy as np
from tests.build import test_parallel as t
t.native.set_num_threads(3); t.native.set_least_share(0)
x, w = t.problem(1)
expected = t.convolved(x, w)
for generation in range(2):
    pid = os.fork()
    if pid:
        break
    for _ in range(20):
        assert np.array_equal(t.convolved(x, w), expected)
        np.array(t.array.empty((1 << 20,), np.dtype("f4")))
if pid:
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    assert np.array_equal(t.convolved(x, w), expected)
    print("well", generation)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert sorted(done.stdout.split()) == ["0", "1", "well", "well"], done.stdout + done.stderr


def test_native_releases_the_interpreter_lock():
    """Another thread of Python goes on while a kernel runs."""
    g = conv2d_geometry((1, 32, 64, 64), (32, 32, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    x, w = np.ones(g.x_shape, np.float32), np.ones(g.w_shape, np.float32)
    native.set_num_threads(1)
    steps, inside, done = [0], threading.Event(), threading.Event()

    def count():
        inside.set()
        while not done.is_set():
            steps[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    inside.wait()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.5)  # only a release hands the lock over
    try:
        before = steps[0]
        with dispatch.using("native", "naive"):
            dispatch.run("conv2d_fprop", x, w, out_shape=g.y_shape, geometry=g)
        during = steps[0] - before
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
    assert during > 1000


# cores each thread may use, before and after threads that had fallen asleep were woken
CORES = """
import os, sys, time, numpy as np
from tests.build import test_parallel as t
if len(sys.argv) > 1:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
t.native.set_num_threads(2); t.native.set_least_share(0)
x, w = t.problem(1)
mine, started = os.sched_getaffinity(0), set(os.listdir("/proc/self/task"))
expected = t.convolved(x, w)
workers = set(os.listdir("/proc/self/task")) - started
assert len(workers) == 1, workers
for _ in range(20):
    time.sleep(0.01)
    assert np.array_equal(t.convolved(x, w), expected)
    assert os.sched_getaffinity(0) == mine
print(len(mine), len(os.sched_getaffinity(int(workers.pop())) & mine))
"""


@pytest.mark.unchecked  # a sanitizer may start a thread of its own
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and affinities")
@pytest.mark.parametrize("one_core", [False, True])
def test_native_threads_are_woken_on_another_core_than_the_callers(one_core):
    done = subprocess.run(
        [sys.executable, "-c", CORES, *(["one core"] if one_core else [])],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    callers, workers = map(int, done.stdout.split())
    assert workers == max(callers - 1, 1)
    assert callers == 1 or not one_core


@pytest.mark.unchecked  # likewise
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_native_work_too_small_to_wake_a_thread_for_is_done_alone():
    code = """
import os, time
from tests.build import test_parallel as t
from pycnn import dispatch
from pycnn.geometry import concat_geometry
import numpy as np
t.native.set_num_threads(2)
def copied(images):  # 0.8 microseconds each
    x = np.ones((images, 32, 1, 64), np.float32)
    for _ in range(3):
        dispatch.run("concat", x, x, out=np.empty((images, 64, 1, 64), np.float32),
                     geometry=concat_geometry(1, (32, 32)))
    return len(os.listdir("/proc/self/task"))
alone = copied(1)
print(copied(20) - alone, copied(64) - alone)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["0", "1"], done.stdout + done.stderr


# --- memory ---------------------------------------------------------------------------------------


def test_native_memory_is_reused_and_counted():
    pycnn.empty_cache()
    shape = (3, 5, 640, 480)
    before = pycnn.memory_stats()
    a = array.empty(shape, np.dtype("f4"), array.channels_last)
    a[...] = 1
    address, size = array.data_pointer(a), a.nbytes
    during = pycnn.memory_stats()
    assert size <= during["allocated"] - before["allocated"] <= size * 1.13
    assert during["peak"] >= during["allocated"]
    del a
    after = pycnn.memory_stats()
    assert after["allocated"] == before["allocated"]
    assert size <= after["cached"] - before["cached"] <= size * 1.13
    b = array.empty(shape, np.dtype("f4"))
    assert array.data_pointer(b) == address
    assert pycnn.memory_stats()["hits"] == after["hits"] + 1
    del b
    pycnn.empty_cache()
    assert pycnn.memory_stats()["cached"] == 0


def test_native_memory_kept_is_bounded():
    limit = pycnn.memory_stats()["limit"]
    try:
        native.set_cache_limit(20 << 20)
        arrays = [array.empty((n << 18,), np.dtype("f4")) for n in range(1, 9)]
        del arrays
        assert 0 < pycnn.memory_stats()["cached"] <= 20 << 20
        native.set_cache_limit(0)
        assert pycnn.memory_stats()["cached"] == 0
    finally:
        native.set_cache_limit(limit)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3, 3), (70000,), (2, 3, 200, 300)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "?"])
@pytest.mark.parametrize("last", [False, True])
def test_native_empty_gives_ordinary_arrays(shape, dtype, last):
    a = native.empty(shape, np.dtype(dtype), last)
    assert (a.shape, a.dtype) == (shape, np.dtype(dtype))
    assert a.flags.owndata
    assert a.flags.writeable
    assert a.flags.aligned
    a[...] = 1
    if len(shape) == 4 and last:
        assert a.transpose(0, 2, 3, 1).flags.c_contiguous
    else:
        assert a.flags.c_contiguous
    b = a.copy()
    assert np.array_equal(a, b)
    c = a[...]
    del a
    assert (c == 1).all()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (((-1,), np.dtype("f4")), ValueError),
        (((2**62, 2**62), np.dtype("f4")), ValueError),
        (((2**40, 4, 4, 2**40), np.dtype("f4"), True), ValueError),
        (((2**40,), np.dtype("f4")), MemoryError),
        ((("x",), np.dtype("f4")), TypeError),
        ((3, np.dtype("f4")), TypeError),
        (((3,), "f4"), TypeError),
        (((1,) * 40, np.dtype("f4")), ValueError),
    ],
)
def test_native_empty_refuses(arguments, error):
    with pytest.raises(error):
        native.empty(*arguments)


def test_native_empty_leaves_numpys_allocator_alone():
    native.empty((1 << 20,), np.dtype("f4"))
    misses = native.memory_stats()["misses"]
    np.empty(1 << 21, np.float32)
    assert native.memory_stats()["misses"] == misses


def test_native_array_can_be_pickled_and_not_resized_in_place():
    import pickle

    a = native.empty((1 << 16,), np.dtype("f4"))
    a[...] = 3
    assert (pickle.loads(pickle.dumps(a)) == 3).all()
    with pytest.raises(MemoryError):
        a.resize((1 << 17,), refcheck=False)
    assert (a == 3).all()


def test_native_memory_survives_many_threads():
    """Arrays that are made on one thread and freed on another."""
    made, errors = queue.SimpleQueue(), []

    def make(seed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            a = array.empty((int(rng.integers(1, 1 << 18)),), np.dtype("f4"))
            a[...] = seed
            made.put((seed, a))
            # of nine, four threads take one each at most: get() never waits
            if made.qsize() > 8:
                value, b = made.get()
                if not (b == value).all():
                    errors.append(value)

    threads = [threading.Thread(target=make, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
