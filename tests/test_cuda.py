"""pycnn.cuda: without a GPU one sentence, and with one CuPy's own answers (a made-up CuPy here)."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys
import types

import pytest

import pycnn
from pycnn import array

without_gpu = pytest.mark.skipif(array.gpu_status() is None, reason="there is a GPU")
SENTENCE = r"^device 'cuda' cannot be used: [^\n]+$"


@without_gpu
def test_without_a_gpu_there_is_none():
    assert pycnn.cuda.is_available() is False
    assert pycnn.cuda.device_count() == 0


@without_gpu
@pytest.mark.parametrize(
    "call",
    [
        *(lambda name=name: getattr(pycnn.cuda, name)() for name in (
            "current_device", "get_device_name", "get_device_capability", "synchronize",
            "memory_stats", "empty_cache", "Stream", "current_stream",
        )),
        lambda: pycnn.cuda.device(0),
        lambda: pycnn.cuda.stream(None),
        lambda: pycnn.cuda.get_device_name("cuda:1"),
        lambda: pycnn.ones(3).to("cuda"),
        lambda: pycnn.ones(3).to("cuda:0"),
        lambda: pycnn.ones(3, device="cuda"),
        lambda: pycnn.models.lenet5().to("cuda"),
    ],
)  # fmt: skip
def test_without_a_gpu_everything_else_says_why(call):
    with pytest.raises(RuntimeError, match=SENTENCE):
        call()


def test_importing_pycnn_does_not_import_cupy():
    code = (
        "import sys, pycnn; assert 'pycnn.cuda' not in sys.modules\n"
        "assert 'cuda' in dir(pycnn); pycnn.cuda\n"
        "assert not {'cupy', 'triton', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class CuPy(types.ModuleType):
    """What pycnn.cuda uses of CuPy, on a machine with two GPUs."""

    ndarray = type("ndarray", (), {})

    def __init__(self):
        super().__init__("cupy")
        self.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
        outer = self
        self.current, self.log, self.streams = 0, [], ["the default stream"]

        class Device:
            def __init__(self, index=None):
                self.id = outer.current if index is None else index

            def __enter__(self):
                self.before, outer.current = outer.current, self.id
                return self

            def __exit__(self, *_):
                outer.current = self.before

        class Stream:
            def __init__(self, non_blocking=False):
                assert non_blocking, "it would wait for the default stream"
                self.device_id = outer.current

            def __enter__(self):
                outer.streams.append(self)
                return self

            def __exit__(self, *_):
                outer.streams.pop()

        class Pool:
            def __init__(self, name):
                self.name = name

            used_bytes = lambda self: 100 + outer.current
            total_bytes = lambda self: 200 + outer.current
            get_limit = lambda self: 300 * outer.current
            free_all_blocks = lambda self: outer.log.append((self.name, outer.current))

        self.runtime = types.SimpleNamespace(
            getDeviceCount=lambda: 2,
            getDeviceProperties=lambda i: {
                "name": b"Test H%d" % i, "major": 8 + i, "minor": 6 * (1 - i),
            },
            deviceSynchronize=lambda: self.log.append(("synchronize", self.current)),
        )  # fmt: skip
        self.cuda = types.SimpleNamespace(
            runtime=self.runtime,
            Device=Device,
            Stream=Stream,
            get_current_stream=lambda: self.streams[-1],
        )
        device, pinned = Pool("device"), Pool("pinned")
        self.get_default_memory_pool = lambda: device
        self.get_default_pinned_memory_pool = lambda: pinned


@pytest.fixture
def cupy(monkeypatch):
    fake = CuPy()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    array.gpu_status.cache_clear()
    yield fake
    monkeypatch.undo()
    array.gpu_status.cache_clear()


def test_devices(cupy):
    assert pycnn.cuda.is_available() and pycnn.cuda.device_count() == 2
    assert pycnn.cuda.current_device() == 0
    assert pycnn.cuda.get_device_name() == "Test H0"
    with pycnn.cuda.device(1):
        assert pycnn.cuda.current_device() == 1
        assert pycnn.cuda.get_device_name() == pycnn.cuda.get_device_name("cuda") == "Test H1"
        assert pycnn.cuda.get_device_name("cuda:0") == pycnn.cuda.get_device_name(0) == "Test H0"
    assert pycnn.cuda.current_device() == 0
    assert pycnn.cuda.get_device_capability() == (8, 6)
    assert pycnn.cuda.get_device_capability(cupy.cuda.Device(1)) == (9, 0)


@pytest.mark.parametrize("wrong", [2, -1, "cuda:2", "cpu"])
def test_devices_that_do_not_exist(cupy, wrong):
    with pytest.raises(ValueError, match="device: got .*, expected (cuda:0 to cuda:1|a GPU)"):
        pycnn.cuda.get_device_name(wrong)
    with pytest.raises(RuntimeError, match="device: got 'gpu', expected 'cpu', 'cuda' or 'cuda:N'"):
        pycnn.cuda.device("gpu")


def test_waiting(cupy):
    pycnn.cuda.synchronize()
    pycnn.cuda.synchronize("cuda:1")
    assert cupy.log == [("synchronize", 0), ("synchronize", 1)]
    assert cupy.current == 0


def test_memory(cupy):
    assert pycnn.cuda.memory_stats() == (100, 200, None)
    stats = pycnn.cuda.memory_stats(1)
    assert (stats.used, stats.held, stats.limit) == (101, 201, 300)
    pycnn.cuda.empty_cache()
    assert cupy.log == [("device", 0), ("pinned", 0)]


def test_streams(cupy):
    stream = pycnn.cuda.Stream()
    assert pycnn.cuda.current_stream() == "the default stream"
    with pycnn.cuda.stream(stream):
        assert pycnn.cuda.current_stream() is stream
    with stream:
        assert pycnn.cuda.current_stream() is stream
    assert pycnn.cuda.current_stream() == "the default stream"
    assert pycnn.cuda.Stream("cuda:1").device_id == 1


def test_a_gpu_that_does_not_answer_is_one_sentence(cupy):
    def fail():
        raise OSError("no driver\nat all")

    cupy.runtime.getDeviceCount = fail
    array.gpu_status.cache_clear()
    assert not pycnn.cuda.is_available() and pycnn.cuda.device_count() == 0
    with pytest.raises(RuntimeError, match=SENTENCE):
        pycnn.cuda.synchronize()


@pytest.mark.gpu
@pytest.mark.skipif(array.gpu_status() is not None, reason=str(array.gpu_status()))
def test_on_a_gpu():
    assert pycnn.cuda.device_count() >= 1
    assert pycnn.cuda.get_device_name() and pycnn.cuda.get_device_capability() >= (5, 0)
    before = pycnn.cuda.memory_stats().used
    x = pycnn.ones(1 << 20, device="cuda")
    pycnn.cuda.synchronize()
    assert pycnn.cuda.memory_stats().used >= before + (4 << 20)
    with pycnn.cuda.stream(pycnn.cuda.Stream()) as stream:
        assert pycnn.cuda.current_stream() == stream
        y = x + x
        stream.synchronize()
    assert (y.to("cpu").numpy() == 2).all()
    del x, y
    pycnn.cuda.synchronize()
    pycnn.cuda.empty_cache()
    assert pycnn.cuda.memory_stats().used <= before
