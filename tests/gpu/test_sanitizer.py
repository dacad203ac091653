"""The CUDA kernels under NVIDIA's compute-sanitizer: accesses out of bounds, races in shared
memory, reads of what nobody wrote, barriers that not all reach."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pycnn.config import cuda_status
from pycnn.study import toolkit

from ..build_copy import ROOT
from .providers import on_a_gpu

sanitizer = toolkit.find_tool("compute-sanitizer")
pytestmark = [
    *on_a_gpu,
    pytest.mark.skipif(cuda_status()[0] is None, reason=cuda_status()[1] or "it is there"),
    pytest.mark.skipif(sanitizer is None, reason="compute-sanitizer was not found"),
    pytest.mark.timeout(1800),
]


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
def test_nothing_is_found(tool):
    found = subprocess.run(
        [sanitizer, "--tool", tool, "--error-exitcode", "9",
         sys.executable, "-m", "tests.gpu.sanitized"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, (found.stdout + found.stderr)[-6000:]
