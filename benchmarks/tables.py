"""The tables of README.md and docs/native.md, from the committed results.

Each stands between a line `<!-- table: NAME -->` and a line `<!-- end -->`."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"


def results(kind: str) -> list[dict[str, Any]]:
    """The files of results of a kind ("ops", "nets", "memory"), one for each machine."""
    return [
        json.loads(p.read_text(encoding="utf-8")) for p in sorted(RESULTS.glob(f"*/{kind}.json"))
    ]


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def nets_table() -> str:
    lines = []
    for found in results("nets"):
        lines += [
            f"Against PyTorch {found['versions']['torch']} on {found['device']} ({found['isa']}), "
            "float32, milliseconds; above 1, pycnn is faster:",
            "",
            "| | batch | image | threads | pycnn | PyTorch, its faster layout | ratio |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in found["rows"]:
            ours, theirs = row["seconds"]["least"], row["opponent_seconds"]["least"]
            lines.append(
                f"| {row['name']}, {row['suite']} | {row['batch']} | {row['size']} | "
                f"{row['threads']} | {ours * 1e3:.1f} | {theirs * 1e3:.1f} | {row['ratio']:.2f} |"
            )
        lines.append("")
    return "\n".join(lines)


def ops_table() -> str:
    lines = []
    for found in results("ops"):
        lines += [
            f"Ratio to PyTorch {found['versions']['torch']} on {found['device']} ({found['isa']}), "
            "float32, the layers of `pycnn/study/layers.py`, batches of 1 and 8, 1 and 2 threads:",
            "",
            "| operation | geometric mean | least | at | greatest | at |",
            "| --- | ---: | ---: | --- | ---: | --- |",
        ]
        kinds = dict.fromkeys((row["suite"], row["pass"]) for row in found["rows"])
        for kind in kinds:
            rows = [row for row in found["rows"] if (row["suite"], row["pass"]) == kind]
            rows.sort(key=lambda row: row["ratio"])
            mean = geometric_mean([row["ratio"] for row in rows])
            least, most = rows[0], rows[-1]
            lines.append(
                f"| {' '.join(kind)} | {mean:.2f} | {least['ratio']:.2f} | {_where(least)} | "
                f"{most['ratio']:.2f} | {_where(most)} |"
            )
        lines.append("")
    return "\n".join(lines)


def _where(row: dict[str, Any]) -> str:
    return f"{row['name']}, N={row['batch']}, {row['threads']}T"


TABLES = {
    "readme": (ROOT / "README.md", nets_table),
    "native": (ROOT / "docs" / "native.md", lambda: nets_table() + "\n" + ops_table()),
}


def filled(name: str) -> tuple[Path, str]:
    """(the file, its text with the table made anew)"""
    path, make = TABLES[name]
    text = path.read_text(encoding="utf-8")
    pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
    return path, re.sub(pattern, lambda m: f"{m[1]}\n{make()}\n{m[2]}", text, flags=re.S)


def write() -> None:
    for name in TABLES:
        path, text = filled(name)
        path.write_text(text, encoding="utf-8")
