"""Fixtures of the tests of tuning: a made-up GPU, kernels and an empty cache."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pycnn import array
from pycnn.kernels import mode, tuning, tuning_rows

from .made_up import HOPPER, HUGE, LARGE, OLD, SMALL


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


@pytest.fixture
def three(folder):
    yield tuning.Configurations("made_up.tiles", SMALL, LARGE, HUGE)
    del tuning.REGISTRY["made_up.tiles"]
