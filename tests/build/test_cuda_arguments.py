"""How pycnn._cuda reads CuPy's arrays, without CuPy and without a GPU: made-up arrays, and the part
of the bindings that reads them, built alone. What is wrong is refused before CUDA is called."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
import sysconfig
import types
from pathlib import Path

import ml_dtypes
import numpy as np
import pybind11
import pytest

from pycnn import array
from pycnn.study import toolkit

ROOT = Path(__file__).resolve().parents[2]
nvcc, reason = toolkit.find_nvcc()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(nvcc is None, reason=reason),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="there are no sources beside pycnn"),
]


@pytest.fixture(scope="module")
def bindings(tmp_path_factory):
    """tests/build/device_arguments.cpp, built and imported."""
    module = tmp_path_factory.mktemp("device") / "device_arguments.so"
    sources = [
        ROOT / "csrc/bindings/device_arrays_only.cpp",
        ROOT / "csrc/bindings/host_arrays.cpp",
        Path(__file__).with_suffix("").parent / "device_arguments.cpp",
    ]
    include = [ROOT / "csrc", pybind11.get_include(), sysconfig.get_path("include")]
    command = [nvcc, "-std=c++17", "-O0", "-shared", "-Xcompiler", "-fPIC,-fvisibility=hidden"]
    command += [f"-I{path}" for path in include] + ["-o", str(module), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    spec = importlib.util.spec_from_file_location("device_arguments", module)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Array:
    """cupy.ndarray, as far as it is read."""

    def __init__(self, shape=(2, 3), dtype=np.float32, strides=None, pointer=0x1000, device=0):
        self.dtype = np.dtype(dtype)
        self.shape = shape
        size = self.dtype.itemsize
        contiguous = tuple(s * size for s in array.contiguous_strides(shape))
        self.strides = contiguous if strides is None else strides
        self.data = types.SimpleNamespace(ptr=pointer)
        self.device = types.SimpleNamespace(id=device)


@pytest.fixture
def cupy(monkeypatch):
    """A made-up CuPy whose current device is 0; `asked` lists what it was asked for."""
    fake = types.ModuleType("cupy")
    fake.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    fake.ndarray = Array
    fake.asked = []
    stream = types.SimpleNamespace(ptr=0)
    fake.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(getDevice=lambda: fake.asked.append("device") or 0),
        get_current_stream=lambda: fake.asked.append("stream") or stream,
    )
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


def test_a_view_is_what_the_array_says(bindings, cupy):
    assert bindings.view(Array()) == (0x1000, "float32", (2, 3), (3, 1), True)
    gaps = Array((4, 2), np.float64, (-64, 8), pointer=0x7FFF_0000_1000)
    assert bindings.view(gaps) == (0x7FFF_0000_1000, "float64", (4, 2), (-8, 1), True)
    assert bindings.view(Array((), np.int64)) == (0x1000, "int64", (), (), True)
    assert bindings.view(Array((0, 3), np.float16, pointer=0))[:3] == (0, "float16", (0, 3))
    assert bindings.view(Array(dtype=ml_dtypes.bfloat16))[1] == "bfloat16"
    assert bindings.view(Array(dtype=bool))[1] == "bool"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: np.ones(3), "x is a numpy.ndarray; accepted: a cupy.ndarray"),
        (lambda: [1.0], "x is [1.0]; accepted: a cupy.ndarray"),
        (lambda: None, "x is None; accepted: a cupy.ndarray"),
        (lambda: Array(dtype=np.complex64), "x's dtype is dtype('complex64'); accepted: float16"),
        (lambda: Array(dtype=">f4"), "x's dtype is dtype('>f4'); accepted: float16"),
        (lambda: Array(dtype=ml_dtypes.float8_e4m3fn), "x's dtype is dtype(float8_e4m3fn)"),
        (lambda: Array((1,) * 9), "x's number of axes is 9; accepted: at most 8"),
        (lambda: Array(strides=(12, 2)), "x's byte stride of axis 1 is 2; accepted: a multiple"),
        (lambda: Array((3,), strides=(-(2**63),)), "x's byte stride of axis 0 is -92233720"),
        (lambda: Array(pointer=0x1002), "x is misaligned; accepted: data aligned to its elements"),
        (lambda: Array((2**40, 2**40), strides=(4, 4)), "x's number of bytes is 1099511627776 *"),
        (lambda: Array(device=1), "x is an array on cuda:1; accepted: one on the current device, "),
        (lambda: Array(strides=(4,)), "x's number of strides is 1; accepted: 2"),
        (lambda: Array((2**64,), strides=(4,)), "x's size is 18446744073709551616; accepted: an"),
        (lambda: Array((-1,), strides=(4,)), "x's size is -1; accepted: an integer of at least 0"),
        (lambda: Array(pointer="here"), "x's data is 'here'; accepted: an address"),
    ],
)
def test_what_is_refused(bindings, cupy, wrong, message):
    with pytest.raises((TypeError, ValueError)) as refused:
        bindings.view(wrong())
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
    assert "stream" not in cupy.asked


def test_without_cupy_nothing_is_an_array_of_it(bindings, monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with pytest.raises(TypeError, match="accepted: a cupy.ndarray"):
        bindings.view(Array())
    assert "cupy" not in sys.modules


@pytest.mark.skipif(array.gpu_status() is None, reason="there is a GPU")
def test_a_launch_asks_for_device_and_stream_and_needs_a_gpu(bindings, cupy):
    with pytest.raises(RuntimeError, match="^the GPU: [^\n]+$"):
        bindings.run()
    assert cupy.asked == ["device", "stream"]
