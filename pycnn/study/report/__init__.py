"""Results as tables, pictures and one HTML page: `python -m pycnn report`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ...files import replacing
from . import results
from .palette import DARK, LIGHT, Theme


def write(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    code_seconds: float = 0.0,
    say: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write report.html and its pictures, SVG files, into the folder `out`, which is made.

    `code_seconds` is how long to compile kernels for excerpts of their machine code; what was
    compiled before costs nothing. `say` is told what is left out.

    Returns:
        the files written, the page first.
    Raises:
        ValueError: a file holds no results, or there is no file.
        OSError: a file cannot be read, or the folder not be written to.
    """
    from . import machine_code, page, plots

    files = results.read_all(paths)
    if not files:
        raise ValueError("no files of results were given")
    excerpts = machine_code.excerpts(code_seconds, say) if code_seconds > 0 else {}
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    pictures: dict[tuple[str, str, Theme], str] = {}
    written = [out / "report.html"]
    devices = list(dict.fromkeys(file.device for file in files))
    for device in devices:
        own = [file for file in files if file.device == device]
        for name in plots.PICTURES:
            for theme in (LIGHT, DARK):
                svg = plots.draw(name, own, theme)
                if svg is None:
                    break
                pictures[device, name, theme] = svg
                if theme is LIGHT:
                    place = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
                    written.append(out / f"{name}{f'-{place}' if len(devices) > 1 else ''}.svg")
                    _replace(written[-1], svg)
    _replace(written[0], page.render(files, pictures, excerpts))
    return written


def _replace(path: Path, text: str) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
