"""Where CUDA's compiler and driver are. setup.py reads this file too, before pycnn is installed: it
imports the standard library alone."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess


def find_tool(name: str) -> str | None:
    """A program of CUDA's toolkit: on PATH, under CUDA_HOME or CUDA_PATH, or in /usr/local/cuda."""
    folders = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [name, *(os.path.join(folder, "bin", name) for folder in folders if folder)]
    return next((found for place in places if (found := shutil.which(place))), None)


def find_nvcc() -> tuple[str | None, str]:
    """(nvcc's path, "") or (None, why there is none)."""
    asked = os.environ.get("CUDACXX")
    if asked:
        if shutil.which(asked):
            return shutil.which(asked), ""
        return None, f"CUDACXX is {asked!r}, and there is no such program"
    found = find_tool("nvcc")
    if found is not None:
        return found, ""
    return None, "nvcc was not found (on PATH, under CUDA_HOME or in /usr/local/cuda, or CUDACXX)"


def nvcc_version(nvcc: str) -> str:
    """The release of CUDA: "13.0"."""
    text = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release (\d+\.\d+)", text)
    if found is None:
        raise RuntimeError(f"{nvcc} --version names no release")
    return found[1]


def has_driver() -> bool:
    """Whether NVIDIA's driver is installed, with or without a GPU that works."""
    if shutil.which("nvidia-smi"):
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
