"""pycnn._cuda built by nvcc, for one architecture, where there is no GPU: it links, and importing
it asks nothing of CUDA."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pybind11
import pytest

from pycnn.study import toolkit

ROOT = Path(__file__).resolve().parents[2]
nvcc, reason = toolkit.find_nvcc()
cmake = shutil.which("cmake", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(nvcc is None, reason=reason),
    pytest.mark.skipif(cmake is None, reason="CMake was not found"),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="there are no sources beside pycnn"),
]

IMPORTS = """
import pycnn, _cuda
assert _cuda.version() == pycnn.__version__
assert callable(_cuda.add_activation)
maps = open("/proc/self/maps").read()
assert "libcudart" not in maps, "CUDA's runtime is not linked in"
assert "libcuda.so" not in maps, "importing opened the driver"
try:
    _cuda.add_activation(None, None, None, None)
except TypeError as error:
    assert str(error) == "out is None; accepted: a cupy.ndarray", error
"""


def run(command: list[str], **environment: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def test_the_kernels_link_and_import_without_a_gpu():
    folder = ROOT / "build" / "cuda-sm_80"  # kept: the next run compiles only what changed
    run([
        cmake, f"-S{ROOT}", f"-B{folder}", f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", "-DPYCNN_WERROR=ON",
        f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={folder / 'lib'}",
        "-DPYCNN_CUDA=ON", "-DPYCNN_CUDA_ARCHS=80", f"-DCMAKE_CUDA_COMPILER={nvcc}",
    ])  # fmt: skip
    run([cmake, "--build", str(folder), "--target", "_cuda", "--parallel", "2"])
    path = os.pathsep.join([str(ROOT), str(folder / "lib")])
    run([sys.executable, "-c", IMPORTS], PYTHONPATH=path)
