"""A copy of the tree with an extension built in another way: for mutants and sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("pycnn", "tests", "csrc")
FILES = ("setup.py", "CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE")


def copy_tree(target: Path) -> None:
    """The sources, laid out as an installed pycnn is: with its kernels inside."""
    target.mkdir(parents=True, exist_ok=True)
    # half-written bytecode of other test processes vanishes while it is copied
    half_written = shutil.ignore_patterns("*.pyc.*")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=half_written, dirs_exist_ok=True)
    shutil.copytree(ROOT / "kernels", target / "pycnn" / "kernels", dirs_exist_ok=True)
    (target / "kernels").mkdir(exist_ok=True)
    for name in FILES:
        shutil.copy2(ROOT / name, target)


def build(target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the extension inside the copy; `environment` is what setup.py reads."""
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=target,
        env=os.environ | {"PYCNN_NATIVE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
