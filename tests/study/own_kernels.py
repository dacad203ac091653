"""The kernels of docs/bring_your_own_kernel.md, as files, and with a fault put in."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bring_your_own_kernel.md"
_FILE = re.compile(r"New file\s+`([^`]+)`:\n\n```\w+\n(.*?)^```", re.M | re.S)


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def sources() -> dict[str, str]:
    """The files that the page writes, by name."""
    return dict(_FILE.findall(page()))


def write(folder: Path, name: str, *faults: tuple[str, str]) -> Path:
    """A file of the page; each fault is a text, which it holds once, and what replaces it."""
    text = sources()[name]
    for old, new in faults:
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
