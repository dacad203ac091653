"""pycnn.study.toolkit: where CUDA's compiler is looked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pycnn.study import toolkit


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without CUDA, but for what /usr/local has."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CUDACXX", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_what_is_asked_for_comes_first_then_path_then_the_folders(nowhere, monkeypatch):
    home = program(nowhere / "cuda" / "bin" / "nvcc", "")
    monkeypatch.setenv("CUDA_HOME", str(nowhere / "cuda"))
    assert toolkit.find_nvcc() == (home, "")
    on_path = program(nowhere / "bin" / "nvcc", "")
    assert toolkit.find_nvcc() == (on_path, "")
    monkeypatch.setenv("CUDACXX", home)
    assert toolkit.find_nvcc() == (home, "")
    monkeypatch.setenv("CUDACXX", "/nonexistent")
    assert toolkit.find_nvcc() == (
        None, "CUDACXX is '/nonexistent', and there is no such program"
    )  # fmt: skip


def test_the_release_is_read_from_its_words(nowhere):
    nvcc = program(nowhere / "nvcc", "Cuda compilation tools, release 13.0, V13.0.88")
    assert toolkit.nvcc_version(nvcc) == "13.0"
    with pytest.raises(RuntimeError, match="names no release"):
        toolkit.nvcc_version(program(nowhere / "odd", "hello"))


def test_setup_can_load_it_without_pycnn():
    """setup.py runs it before NumPy or pycnn are there."""
    code = f"exec(open({toolkit.__file__!r}).read()); import sys; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
