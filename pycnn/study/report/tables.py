"""The tables of README.md and docs/, made from the committed results.

Each stands between a line `<!-- table: NAME -->` and a line `<!-- end -->`; the tables are called
"readme", "native", and after the families of kernels, each on its own page of docs/kernels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ...files import replacing
from . import results
from .results import MEMORY, NETS, ROOT, Results, Row, geometric_mean, varying

_ALIGNED = {
    "ratio", "ms", "pycnn", "PyTorch", "opponent", "batch", "image", "threads", "GFLOP/s", "GB/s",
    "rows", "geometric mean", "least", "greatest",
}  # fmt: skip


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---:" if name.split(",")[0] in _ALIGNED else "---" for name in header]
    every = (header, rule, *lines)
    return ["|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in every]


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits without an exponent; empty for None."""
    if value is None:
        return ""
    decimals = max(0, digits - len(str(int(abs(value)))) if abs(value) >= 1 else digits)
    return f"{value:,.{decimals}f}".replace(",", "")


def milliseconds(row: Row, key: str = "seconds") -> float | None:
    return None if row[key] is None else row[key]["least"] * 1e3


def where(file: Results) -> str:
    """What the rows of a file were measured against, and on what."""
    torch = file.versions.get("torch")
    isa = f" ({file.isa})" if file.isa else ""
    return f"PyTorch{f' {torch}' if torch else ''} on {file.device}{isa}"


def _by_place(files: Iterable[Results], wanted: Callable[[Row], bool]) -> dict[str, list[Row]]:
    """The rows that are wanted and have a ratio, by where they were measured."""
    found: dict[str, list[Row]] = {}
    for file in files:
        rows = [row for row in file.rows if row["ratio"] is not None and wanted(row)]
        if rows:
            found.setdefault(where(file), []).extend(rows)
    return found


def _is_kernel(row: Row) -> bool:
    return row["suite"] not in (*NETS, MEMORY)


def _most_threads(rows: list[Row]) -> list[Row]:
    most = max((row["threads"] or 0) for row in rows)
    return [row for row in rows if (row["threads"] or 0) == most]


def _shared(rows: list[Row]) -> str:
    """What all rows have in common of dtype and threads: "float32, 2 threads"."""
    words = []
    dtypes, threads = {row["dtype"] for row in rows}, {row["threads"] for row in rows}
    if len(dtypes) == 1 and None not in dtypes:
        words.append(str(*dtypes))
    if len(threads) == 1 and None not in threads:
        count = next(iter(threads))
        words.append(f"{count} thread{'s' if count != 1 else ''}")
    return ", ".join(words)


def nets_table(files: list[Results]) -> str:
    """Whole networks: milliseconds, and the ratio to the fastest opponent."""
    lines: list[str] = []
    for place, found in _by_place(files, lambda row: row["suite"] in NETS).items():
        extra = varying(found, ("dtype", "cache", "provider"))
        dtype = "" if "dtype" in extra else f"{found[0]['dtype']}, "
        lines += [f"Against {place}, {dtype}milliseconds; above 1, pycnn is faster:", ""]
        header = (
            "", "batch", "image", "threads", *extra, "pycnn", "PyTorch, its fastest", "ratio"
        )  # fmt: skip
        lines += _markdown(
            header,
            (
                (
                    f"{row['name']}, {row['suite']}", _word(row["batch"]), _word(row["size"]),
                    _word(row["threads"]), *(_word(row[key]) for key in extra),
                    f"{milliseconds(row):.1f}", f"{milliseconds(row, 'opponent_seconds'):.1f}",
                    f"{row['ratio']:.2f}",
                )
                for row in found
            ),
        )  # fmt: skip
        lines.append("")
    return "\n".join(lines)


def ops_table(files: list[Results]) -> str:
    """Kernels on named layers: the spread of the ratios of each suite and pass, losses included."""
    lines: list[str] = []
    for place, found in _by_place(files, _is_kernel).items():
        extra = varying(found, ("dtype", "cache", "provider"))
        ours = "" if "dtype" in extra else f", {found[0]['dtype']}"
        batches, threads = (
            " and ".join(str(v) for v in sorted({row[key] for row in found if row[key]}))
            for key in ("batch", "threads")
        )
        lines += [
            f"Ratio to {place}{ours}, named layers, batches of {batches}"
            + (f", {threads} threads:" if threads else ":"),
            "",
        ]
        header = (
            "operation", "rows", "geometric mean", "least", "at", "greatest", "at"
        )  # fmt: skip
        kinds: dict[tuple[str, ...], list[Row]] = {}
        for row in found:
            words = [row[key] for key in ("suite", "pass", *extra)]
            kinds.setdefault(tuple(map(_word, words)), []).append(row)
        lines += _markdown(header, (_spread(" ".join(k), rows) for k, rows in kinds.items()))
        lines.append("")
    return "\n".join(lines)


def _spread(kind: str, rows: list[Row]) -> tuple[str, ...]:
    rows = sorted(rows, key=lambda row: row["ratio"])
    mean = geometric_mean(row["ratio"] for row in rows)
    ends = (cell for row in (rows[0], rows[-1]) for cell in (f"{row['ratio']:.2f}", _at(row)))
    return kind, str(len(rows)), f"{mean:.2f}", *ends


def _at(row: Row) -> str:
    threads = f", {row['threads']}T" if row["threads"] else ""
    return f"{row['name']}, N={row['batch']}{threads}"


def _word(value: object) -> str:
    return "" if value is None else str(value)


def family_table(files: list[Results], stem: str) -> str:
    """What is committed of one family of kernels: its named layers with all of a CPU's threads."""
    of_family = [
        file._replace(rows=[row for row in file.rows if row["family"] == stem]) for file in files
    ]
    lines = []
    if not any(file.rows for file in of_family if file.kind == "gpu"):
        lines += ["Not measured on a GPU.", ""]
    if not any(file.rows for file in of_family):
        lines += ["No committed result on a CPU runs this family by itself.", ""]
    for place, found in _by_place(of_family, lambda row: True).items():
        rows = _most_threads(found)
        extra = varying(rows, ("dtype", "cache", "provider", "algorithm"))
        rate = "gflops" if any(row["gflops"] for row in rows) else "gbytes_per_second"
        shared = _shared(rows)
        lines += [
            f"Against {place}{f', {shared}' if shared else ''}; above 1, pycnn is faster:",
            "",
        ]
        unit = {"gflops": "GFLOP/s", "gbytes_per_second": "GB/s"}[rate]
        header = ("layer", "pass", "batch", *extra, "ms", unit, "opponent, ms", "ratio")
        lines += _markdown(
            header,
            (
                (
                    row["name"], _word(row["pass"]), _word(row["batch"]),
                    *(_word(row[key]) for key in extra), number(milliseconds(row)),
                    number(row[rate]), number(milliseconds(row, "opponent_seconds")),
                    f"{row['ratio']:.2f}",
                )
                for row in rows
            ),
        )  # fmt: skip
        lines.append("")
    return "\n".join(lines)


def _pages() -> dict[str, Path]:
    """The files of documentation with a table, by the table's name."""
    pages = {"readme": ROOT / "README.md", "native": ROOT / "docs" / "native.md"}
    for stem in results.FAMILIES:
        page = ROOT / "docs" / "kernels" / f"{stem}.md"
        if page.exists():
            pages[stem] = page
    return pages


def names() -> list[str]:
    """The tables there are; none outside a source tree."""
    return list(_pages()) if (ROOT / "docs").is_dir() else []


def filled(name: str, files: list[Results] | None = None) -> tuple[Path, str]:
    """(the file of documentation, its text with the table made anew)

    Raises:
        ValueError: the file has no lines `<!-- table: NAME -->` and `<!-- end -->`.
    """
    if files is None:
        files = results.read_all(results.committed())
    path = _pages()[name]
    if name == "readme":
        table = nets_table(files)
    elif name == "native":
        table = nets_table(files) + "\n" + ops_table(files)
    else:
        table = family_table(files, name)
    text, count = re.subn(
        rf"(<!-- table: {name} -->\n).*?(<!-- end -->)",
        lambda m: f"{m[1]}\n{table.rstrip()}\n\n{m[2]}",
        path.read_text(encoding="utf-8"),
        flags=re.S,
    )
    if count != 1:
        raise ValueError(
            f"{path} holds {count} tables called {name!r}; expected one, "
            f"between '<!-- table: {name} -->' and '<!-- end -->'"
        )
    return path, text


def write() -> list[Path]:
    """Make every table anew; the files that changed."""
    files = results.read_all(results.committed())
    changed = []
    for name in names():
        path, text = filled(name, files)
        if path.read_text(encoding="utf-8") != text:
            with replacing(path) as unfinished:
                unfinished.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
