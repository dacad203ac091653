"""The five ways to multiply float32: their setting, and the error of each."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import pycnn
from pycnn import config, dispatch
from pycnn.config import cuda_modules
from pycnn.geometry import gemm_geometry
from pycnn.study import float32_precision as model

# what a 576-term product of Gaussian numbers may miss by, relative; the sums are float32
LARGEST_ERROR = {"ieee": 4e-7, "tf32": 4e-4, "tf32x3": 4e-7, "bf16x3": 6e-6, "bf16x6": 4e-7}
SMALLEST_ERROR = {"tf32": 2e-4, "bf16x3": 3e-6}  # a model that rounds nothing models nothing


@pytest.fixture
def setting(monkeypatch):
    monkeypatch.setattr(config, "_float32_precision", None)


@pytest.mark.parametrize("name", config.FLOAT32_PRECISIONS)
def test_error(name):
    assert SMALLEST_ERROR.get(name, 0.0) <= model.error(name) <= LARGEST_ERROR[name]


def test_pieces_add_up():
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    x[:4] = 0.0, -0.0, 1.0, 2.0**-100
    assert np.array_equal(sum(model.pieces(x, 8, 3)), x)
    assert np.array_equal(model.rounded(x, 8), x.astype(pycnn.bfloat16).astype(np.float32))


def test_default_and_setting(setting, monkeypatch):
    monkeypatch.delenv("PYCNN_FLOAT32_PRECISION", raising=False)
    assert pycnn.get_float32_precision() == "ieee"
    for name in config.FLOAT32_PRECISIONS:
        pycnn.set_float32_precision(name)
        assert pycnn.get_float32_precision() == name


def test_environment(setting, monkeypatch):
    monkeypatch.setenv("PYCNN_FLOAT32_PRECISION", "bf16x3")
    assert pycnn.get_float32_precision() == "bf16x3"
    monkeypatch.setattr(config, "_float32_precision", None)
    monkeypatch.setenv("PYCNN_FLOAT32_PRECISION", "fp8")
    with pytest.raises(ValueError, match=r"PYCNN_FLOAT32_PRECISION: got 'fp8', expected one of"):
        pycnn.get_float32_precision()


def test_unknown_name(setting):
    with pytest.raises(ValueError, match=r"name: got 'TF32', expected one of ieee, tf32"):
        pycnn.set_float32_precision("TF32")


_COMPILED = """
import numpy as np, pycnn
from pycnn.kernels.precision import input_precision
print([input_precision(np.dtype(name)) for name in ("float32", "float64", "float16")])
"""


@pytest.mark.parametrize("mode, want", [("compile", "tf32x3"), ("interpret", "ieee")])
def test_what_kernels_are_told(mode, want):
    pytest.importorskip("triton")
    environment = os.environ | {"PYCNN_TRITON": mode, "PYCNN_FLOAT32_PRECISION": "tf32x3"}
    run = [sys.executable, "-c", _COMPILED]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"['{want}', None, None]"


@pytest.mark.skipif(not cuda_modules(), reason="no CUDA kernels were built")
def test_cuda_rounds_to_tf32_where_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(config, "_float32_precision", None)
    pycnn.set_float32_precision("ieee")
    a = np.full((1, 8, 8), 1 + 2.0**-12, np.float32)
    geometry = gemm_geometry(1, 8, 8, 8)
    sums = {}
    with pycnn.using("cuda"):
        for name in ("ieee", "tf32", "ieee"):  # what dispatch keeps of one must not outlive it
            pycnn.set_float32_precision(name)
            out = np.empty_like(a)
            with pycnn.trace() as trace:
                dispatch.run("gemm", a, np.ones_like(a), out=out, geometry=geometry)
            sums[name] = trace.records[0].algorithm, float(out[0, 0, 0])
    pycnn.set_float32_precision("ieee")
    assert sums == {"ieee": ("tiled", 8 + 8 * 2.0**-12), "tf32": ("tf32", 8.0)}
