"""The report as one HTML file that needs no other: styles, program, pictures and rows inside."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from . import highlight, kernels, plots
from .machine_code import Excerpt
from .palette import DARK, LIGHT, Theme
from .results import FAMILIES, KEYS, MEMORY, NETS, Results, Row, geometric_mean
from .tables import milliseconds, number, where

_PICTURES = {
    "ratios": "How often each family of kernels is faster, and by how much.",
    "scaling": "What a larger batch, more threads and larger images do.",
    "memory": "What a run needs of memory at its peak.",
}


class Device(NamedTuple):
    """What the overview shows of one device."""

    name: str
    where: str
    files: list[Results]
    rows: list[Row]  # of kernels, with a ratio
    mean: float | None
    losses: int
    worst: Row | None
    nets: list[Row]
    pictures: list[tuple[str, str, str, str]]  # name, caption, light and dark data: URLs


class Kernel(NamedTuple):
    """A family with what was measured of it."""

    family: kernels.Family
    rooms: list[str]
    rows: list[Row]
    mean: float | None
    on_gpu: bool
    excerpts: list[Excerpt]


def render(
    files: list[Results],
    pictures: dict[tuple[str, str, Theme], str],
    excerpts: dict[str, list[Excerpt]],
) -> str:
    """The report of these files.

    `pictures` holds the SVGs by device, name and theme; `excerpts` machine code by family."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "code": _trusted(highlight.code), "markdown": _trusted(highlight.markdown),
        "number": number, "ms": milliseconds, "bar": _bar,
        "words": lambda value: "" if value is None else value,
    }  # fmt: skip
    return environment.get_template("report.html").render(
        files=files,
        devices=[_device(name, files, pictures) for name in _names(files)],
        kernels=[_kernel(stem, files, excerpts.get(stem, [])) for stem in FAMILIES],
        themes={"light": LIGHT, "dark": DARK},
        budgets=kernels.budget_files(),
        data=_json(_data(files)),
    )


def _trusted(function: Callable[..., str]) -> Callable[..., Any]:
    """A filter whose result is HTML already."""
    from markupsafe import Markup

    return lambda *given: Markup(function(*given))


def _names(files: list[Results]) -> list[str]:
    return list(dict.fromkeys(file.device for file in files))


def _device(name: str, files: list[Results], pictures: dict[tuple[str, str, Theme], str]) -> Device:
    own = [file for file in files if file.device == name]
    found = [row for file in own for row in file.rows]
    rows = [row for row in found if row["ratio"] and row["suite"] not in (*NETS, MEMORY)]
    shown = [
        (what, caption, _url(pictures[name, what, LIGHT]), _url(pictures[name, what, DARK]))
        for what, caption in _PICTURES.items()
        if (name, what, LIGHT) in pictures
    ]
    return Device(
        name, where(own[0]), own, rows,
        geometric_mean(row["ratio"] for row in rows) if rows else None,
        sum(row["ratio"] < 1 for row in rows), min(rows, key=lambda r: r["ratio"], default=None),
        [row for row in found if row["suite"] in NETS], shown,
    )  # fmt: skip


def _url(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _kernel(stem: str, files: list[Results], excerpts: list[Excerpt]) -> Kernel:
    family = kernels.load(stem)
    own = [(file, row) for file in files for row in file.rows if row["family"] == stem]
    known = [row["ratio"] for _, row in own if row["ratio"]]
    return Kernel(
        family, list(dict.fromkeys(source.room for source in family.sources)),
        [row for _, row in own], geometric_mean(known) if known else None,
        any(file.kind == "gpu" for file, _ in own), excerpts,
    )  # fmt: skip


def _bar(ratio: float | None) -> str:
    """Where a ratio's bar begins and ends, as percent of a cell whose middle is 1: a style."""
    if not ratio:
        return ""
    reach = 50 * max(-1.0, min(1.0, math.log2(ratio) / 2))
    return f"left:{50 + min(reach, 0):.1f}%;width:{abs(reach):.1f}%"


def _data(files: list[Results]) -> dict[str, Any]:
    """What the program in the page works on."""
    rows = []
    for i, file in enumerate(files):
        for row in file.rows:
            known = {key: row[key] for key in (*KEYS, "family") if row[key] is not None}
            rows.append(known | {"device": row["device"], "file": i})
    last = (*NETS, MEMORY)  # kernels come first
    rows.sort(key=lambda row: row["suite"] in last and last.index(row["suite"]) + 1)
    every = [row for file in files for row in file.rows]
    return {
        "rows": rows,
        "roofs": [
            {"device": file.device, "date": file.date, "threads": threads, **roof}
            for file in files
            for threads, roof in file.roof.items()
        ],
        "files": [
            {"name": f.path.name, "isa": f.isa, "commit": f.commit, "date": f.date} for f in files
        ],
        "series": plots.families(every, len(LIGHT.series) - 1),
    }


def _json(value: Any) -> Any:
    """JSON that may stand inside a script element.

    Raises:
        ValueError: a number is not finite.
    """
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return Markup(re.sub(r"[<>&\u2028\u2029]", lambda m: f"\\u{ord(m[0]):04x}", text))
