"""docs/adding_an_op.md, executed: its blocks are written into a copy of the source tree and its
tests run there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^(New file|Appended to) `([^`]+)`:\n\n```python\n(.*?)^```", re.M | re.S)


def test_adding_an_op_works_as_written(tmp_path):
    blocks = BLOCK.findall((ROOT / "docs" / "adding_an_op.md").read_text())
    assert len(blocks) == 5, "the page adds an op in five places"
    for name in ("pycnn", "kernels", "tests", "pyproject.toml"):
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    os.symlink(tmp_path / "kernels", tmp_path / "pycnn" / "kernels")
    for how, name, code in blocks:
        path = tmp_path / name
        assert path.exists() is (how == "Appended to"), f"{how} {name}"
        with path.open("a") as file:
            file.write(("\n\n" if how == "Appended to" else "") + code)
    probe = "import pycnn, sys; sys.exit(pycnn.__file__ != sys.argv[1])"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "PYTEST_ADDOPTS": "",
    }
    command = [sys.executable, "-W", "ignore", "-c", probe, str(tmp_path / "pycnn" / "__init__.py")]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    tests = ["tests/functional/test_shift2d.py", "tests/kernels/test_kernels.py", "-k", "shift2d"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    passed = int(re.search(r"(\d+) passed", result.stdout).group(1))
    assert passed > 20, (
        f"the new row ran on two kernels, four dtypes and every layout: {result.stdout}"
    )
