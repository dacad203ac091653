"""Measuring on a GPU: rows are written, and the next process reads them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pycnn import array

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(array.gpu_status() is not None, reason=str(array.gpu_status())),
]

READS = """
import pycnn
from pycnn.kernels import tuning, tuning_rows
gpu = tuning.current_gpu()
rows = tuning_rows.read(tuning_rows.cache_file(gpu))
assert rows and all(map(tuning_rows.is_current, rows))
for row in rows:
    found = tuning_rows.find(gpu, row["kernel"], row["dtype"], row["key"])
    assert found == row["config"], row
"""


def _python(*arguments: str, folder: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False,
        env=os.environ | {"PYCNN_CACHE_DIR": folder} | environment,
    )  # fmt: skip


def test_the_command_measures_and_others_read(tmp_path):
    folder = str(tmp_path)
    tuned = _python(
        "-m", "pycnn", "tune", "gemm", "--dtype", "float16", "--limit", "2", folder=folder
    )
    assert tuned.returncode == 0, tuned.stdout + tuned.stderr
    assert "2 rows for " in tuned.stdout
    read = _python("-c", READS, folder=folder)
    assert read.returncode == 0, read.stderr


def test_a_first_call_is_measured_where_that_is_asked(tmp_path):
    code = (
        "import pycnn\n"
        "a = pycnn.randn(64, 300).to('cuda')\n"
        "with pycnn.using('triton'): b, c = a @ a.T, a @ a.T\n"
        "assert (b.to('cpu').numpy() == c.to('cpu').numpy()).all()\n"
    )
    result = _python("-c", code + READS, folder=str(tmp_path), PYCNN_AUTOTUNE="1")
    assert result.returncode == 0, result.stderr
    assert "untuned" not in result.stderr
