"""docs/study.md: its commands are ones that the command line takes, its Python runs, its links
lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import click

from pycnn.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "study.md"
COMMANDS = re.findall(r"^python -m pycnn (.*?)\s*(?:#.*)?$", PAGE.read_text(), re.M)


def test_there_is_something_of_every_command():
    assert {line.split()[0] for line in COMMANDS} == {
        "inspect", "trace", "graph", "compare", "visualize",
    }  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_understood(line):
    from pycnn.models import list_models

    name, *arguments = shlex.split(line)
    command = main.commands[name]
    given = command.make_context(name, arguments, resilient_parsing=False).params
    for model in [given.get("model"), *(given.get("models") or ())]:
        assert model is None or model in list_models()
    with pytest.raises(click.UsageError):
        command.make_context(name, [*arguments, "--no-such-option"])


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["resnet18.svg", "trace.json"]
    assert "Occupancy(blocks=4, warps=32" in capsys.readouterr().out


def test_its_links_lead_to_files():
    for link in re.findall(r"\]\(([^)#]+)", PAGE.read_text()):
        assert link.startswith("https://") or (PAGE.parent / link).exists(), link
