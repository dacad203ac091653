"""What Python costs: importing pycnn, and calling an op whose kernel does nothing."""

import subprocess
import sys
import timeit

import pytest
import torch

import pycnn
from pycnn import dispatch
from pycnn import functional as F


@pytest.fixture
def empty_kernels(monkeypatch):
    """Every kernel replaced by a function that does nothing."""

    def nothing(*inputs, out, geometry, epilogue):
        return None

    table = {
        name: [entry._replace(function=nothing) for entry in dispatch.entries(name)]
        for name in dispatch.PRIMITIVES
    }
    monkeypatch.setattr(dispatch, "_table", table)
    dispatch.select.cache_clear()
    yield
    dispatch.select.cache_clear()


def ratio(ours, theirs):
    """Least time of each over interleaved rounds, as a ratio."""
    best = [float("inf"), float("inf")]
    with pycnn.no_grad(), torch.no_grad():
        for _ in range(25):
            for i, function in enumerate((ours, theirs)):
                best[i] = min(best[i], timeit.timeit(function, number=400))
    return best[0] / best[1]


def test_conv2d_without_its_kernel_costs_less_than_three_torch_calls(empty_kernels):
    x, w = pycnn.randn(1, 4, 4, 4), pycnn.randn(4, 4, 3, 3)
    s, v = torch.randn(1, 4, 4, 4), torch.randn(4, 4, 3, 3)
    assert (
        ratio(
            lambda: F.conv2d(x, w, padding=1), lambda: torch.nn.functional.conv2d(s, v, padding=1)
        )
        <= 3
    )


def test_relu_without_its_kernel_costs_less_than_six_torch_calls(empty_kernels):
    x, s = pycnn.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    assert ratio(lambda: F.relu(x), lambda: torch.relu(s)) <= 6


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_import_pycnn_adds_at_most_40_ms_to_numpy():
    """Wall-clock, in a process that has imported numpy: the least of ten."""
    code = (
        "import time, numpy; t = time.perf_counter(); import pycnn; print(time.perf_counter() - t)"
    )
    added = min(float(_python(code)) for _ in range(10))
    assert added <= 0.040, f"{added * 1e3:.1f} ms"


def test_import_pycnn_imports_neither_torch_nor_cupy_nor_triton():
    heavy = (
        "torch",
        "cupy",
        "triton",
        "scipy",
        "rich",
        "click",
        "matplotlib",
        "ml_dtypes",
        "dataclasses",
    )
    loaded = _python(
        "import sys, numpy; before = set(sys.modules); import pycnn; print(*(set(sys.modules) - "
        "before))"
    )
    assert "pycnn.tensor" in loaded.split()
    assert not set(heavy) & set(loaded.split())


def test_the_first_op_imports_nothing_heavy_either():
    code = "import sys, pycnn; pycnn.functional.relu(pycnn.ones(1)); print(*sys.modules)"
    assert not {"torch", "cupy", "triton"} & set(_python(code).split())
