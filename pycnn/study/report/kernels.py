"""What the report's page of a family of kernels shows, read from the sources.

An installation has the Triton kernels only; a source tree also the C++ and CUDA sources, the pages
of docs/kernels and the budgets of tests/kernels.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ... import kernels
from .results import FAMILIES, ROOT

# room of the sources -> where it is
PLACES = {
    "Triton": Path(kernels.__path__[0]),
    "CUDA C++": ROOT / "csrc" / "cuda",
    "C++ SIMD": ROOT / "csrc" / "cpu",
}
# files that belong to a family and are called otherwise
_OTHERS = {
    "conv2d_pixel_shuffle": "conv2d_transposed",
    "conv2d_phases": "conv2d_transposed",
    "conv2d_tensor_core": "conv2d_implicit_gemm",
    "conv2d_wgrad": "conv2d_direct",
    "winograd": "conv2d_winograd",
}
_SUFFIXES = {".py": "python", ".cpp": "cpp", ".h": "cpp", ".cu": "cuda", ".cuh": "cuda"}


class Source(NamedTuple):
    """One file of a family."""

    room: str  # "Triton", "CUDA C++" or "C++ SIMD"
    name: str  # from the root of the source tree: csrc/cpu/concat.cpp
    language: str  # as pygments calls it
    text: str


class Resources(NamedTuple):
    """What a compiler made of one kernel, for each architecture it was compiled for."""

    room: str
    name: str
    registers: dict[str, int]  # architecture -> registers of a thread
    shared: dict[str, int]  # architecture -> bytes of shared memory
    uses: str  # instructions that it is written for


class Family(NamedTuple):
    """Everything but measurements."""

    stem: str
    title: str
    docstring: str  # what the first of its files says of itself
    sources: list[Source]
    resources: list[Resources]
    figure: str  # how its data move, drawn in text; empty where no page draws it
    page: str  # docs/kernels/<stem>.md, in Markdown


def load(stem: str) -> Family:
    """A family of `FAMILIES`."""
    page = ROOT / "docs" / "kernels" / f"{stem}.md"
    text = _without_tables(page.read_text(encoding="utf-8")) if page.exists() else ""
    sources = list(_sources(stem))
    said = docstring(sources[0]) if sources else ""
    title = re.match(r"# (.*)", text)
    name = title[1] if title else said.partition("\n")[0].rstrip(".")
    return Family(stem, name, said, sources, _resources(stem), figure(text), text)


def owner(file_stem: str) -> str | None:
    """The family that a file of kernels belongs to, None for what many share."""
    begin = [s for s in (*FAMILIES, *_OTHERS) if file_stem == s or file_stem.startswith(f"{s}_")]
    longest = max(begin, key=len, default="")
    return _OTHERS.get(longest, longest) or None


def _sources(stem: str) -> Iterator[Source]:
    """The family's files, its own name first."""
    for room, place in PLACES.items():
        files = [
            path
            for path in (place.iterdir() if place.is_dir() else ())
            if path.suffix in _SUFFIXES and owner(path.stem) == stem
        ]
        # of one stem the kernels come before what instantiates them
        order = (".py", ".cuh", ".cpp", ".cu", ".h")
        for path in sorted(files, key=lambda p: (p.stem != stem, order.index(p.suffix), p.stem)):
            name = f"{'kernels' if room == 'Triton' else f'csrc/{place.name}'}/{path.name}"
            yield Source(room, name, _SUFFIXES[path.suffix], path.read_text(encoding="utf-8"))


def docstring(source: Source) -> str:
    """A module's docstring, or the comment at the head of a C++ file."""
    if source.language == "python":
        return ast.get_docstring(ast.parse(source.text)) or ""
    head = re.match(r"(?://.*\n)+", source.text)
    return re.sub(r"^// ?", "", head[0], flags=re.M).strip() if head else ""


def _without_tables(markdown: str) -> str:
    """A page without its generated tables: the report has the rows themselves."""
    return re.sub(r"(## Measured\n+)?<!-- table: .*?<!-- end -->\n?", "", markdown, flags=re.S)


def figure(markdown: str) -> str:
    """The drawing of a page: under a heading about data if it has one there, else its first."""
    from markdown_it import MarkdownIt

    heading, drawings = "", []
    previous = ""
    for token in MarkdownIt("commonmark").parse(markdown):
        if token.type == "inline" and previous == "heading_open":
            heading = token.content
        plain = token.type == "code_block" or (token.type == "fence" and not token.info)
        if plain and token.content.count("\n") > 2:
            drawings.append(("data" in heading.lower(), token.content.rstrip("\n")))
        previous = token.type
    return next((text for about, text in drawings if about), drawings[0][1] if drawings else "")


@cache
def _budgets() -> dict[str, list[tuple[str, str, str, dict[str, object]]]]:
    """Family -> (room, kernel, architecture, numbers) of the newest committed budgets."""
    found: dict[str, list[tuple[str, str, str, dict[str, object]]]] = {}
    folder = ROOT / "tests" / "kernels" / "budgets"
    for room, prefix in (("Triton", "triton"), ("CUDA C++", "cuda")):
        files = sorted(folder.glob(f"{prefix}-*.json"), key=lambda path: _release(path.stem))
        for path in files[-1:]:
            for name, numbers in json.loads(path.read_text(encoding="utf-8")).items():
                kernel, _, arch = name.rpartition(" ")
                stem = owner(kernel.partition(".")[0])
                if stem is not None:
                    found.setdefault(stem, []).append((room, kernel, arch, numbers))
    return found


def _release(name: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", name)]


def budget_files() -> list[str]:
    """The names of the files that resources are read from."""
    folder = ROOT / "tests" / "kernels" / "budgets"
    return [path.name for path in sorted(folder.glob("*-*.json"))]


def _resources(stem: str) -> list[Resources]:
    rows: dict[tuple[str, str], Resources] = {}
    for room, kernel, arch, numbers in _budgets().get(stem, []):
        row = rows.setdefault((room, kernel), Resources(room, kernel, {}, {}, ""))
        uses = " ".join(map(str, numbers.get("uses", []) or [])) or row.uses  # type: ignore[call-overload]
        if numbers.get("hgmma_columns"):
            uses = f"HGMMA N={numbers['hgmma_columns']}"
        row.registers[arch.removesuffix("a")] = int(str(numbers["registers"]))
        row.shared[arch.removesuffix("a")] = int(str(numbers["shared"]))
        rows[room, kernel] = row._replace(uses=uses)
    return list(rows.values())
