"""docs/bring_your_own_kernel.md, executed: its files are written and its commands run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("torch")

from click.testing import CliRunner

from pycnn.cli import main
from pycnn.kernels import mode
from pycnn.study import cuda_source

from .own_kernels import page, sources, write

_COMMANDS = re.findall(r"^python -m pycnn (.+)$", page(), re.M)
_WHY_NOT = {"triton": mode.why_not(), ".cu": cuda_source.why_not("cpu")}


def _parameter(command: str):
    slow = command == "study check direct_triton.py"  # half a minute, as the page says
    return pytest.param(command, marks=[pytest.mark.slow] if slow else [], id=command)


@pytest.fixture
def folder(tmp_path, monkeypatch, cache):
    for name in sources():
        write(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_writes_one_kernel_in_three_languages():
    assert list(sources()) == ["direct.py", "direct_triton.py", "direct.cu"]
    assert len(_COMMANDS) == 5, "a command for each, a shorter one for Triton, and the ladder"


@pytest.mark.parametrize("command", [_parameter(command) for command in _COMMANDS])
def test_a_command_of_the_page(command, folder):
    for word, reason in _WHY_NOT.items():
        if reason is not None and word in command:
            pytest.skip(reason)
    result = CliRunner().invoke(main, [*shlex.split(command), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    expected = "computes conv2d_fprop" if "check" in command else "native/naive"
    assert expected in result.output


def test_the_message_on_the_page(folder):
    """A dropped dilation, with the page's seed: the same words, numbers included."""
    (shown,) = re.findall(r"^```text\n(.*?)^```", page(), re.M | re.S)
    write(folder, "direct.py", ("s * g.dilation_w", "s"))
    command = re.search(r"`python -m pycnn (study check direct.py --seed 1)`", page())[1]
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 1
    assert result.output.endswith(shown), result.output


def test_the_python_of_the_page(folder):
    blocks = re.findall(r"From Python.*?```python\n(.*?)^```", page(), re.M | re.S)
    (code,) = blocks
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.match(r"\d+ ok, \d+ refused 0\.\d+", done.stdout), done.stdout
