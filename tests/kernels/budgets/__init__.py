"""What each configuration of the Triton kernels may cost, one file per version of Triton. cuda.py
is the same for the CUDA kernels, one file per version of CUDA.

    python -m tests.kernels.budgets --update [stem ...]

compiles them again and writes the files; a person reads the difference before committing it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SLACK = 1.05
DTYPES = ("float16",)  # those with budgets; the others have to compile without spills
KEPT = ("registers", "shared", "loop", "issue_ratio", "wide_accesses", "hgmma_columns")

Rows = dict[str, dict[str, Any]]  # "<name> sm_<arch>" -> facts


def file() -> Path:
    from importlib.metadata import version

    return FOLDER / f"triton-{version('triton')}.json"


def load() -> Rows:
    return json.loads(file().read_text()) if file().exists() else {}


def compiled(*options: str) -> Rows:
    """The facts of what `python -m pycnn.study.aot` compiles with these options."""
    command = [sys.executable, "-m", "pycnn.study.aot", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    rows: Rows = {}
    for row in map(json.loads, result.stdout.splitlines()):
        name = f"{row['name']} sm_{row['arch']}"
        rows[name] = _worse(rows[name], row) if name in rows else row
    return rows


def _worse(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Two launches of one name, whose arrays differ in alignment: the worse of each fact."""
    if "error" in a or "error" in b:
        return a if "error" in a else b
    most = {key: max(a[key], b[key]) for key in ("registers", "shared", "loop", "issue_ratio")}
    least = {key: min(a[key], b[key]) for key in ("wide_accesses", "hgmma_columns")}
    return a | most | least | {"spills": max(a["spills"], b["spills"])}


def faults(rows: Rows, budgets: Rows) -> list[str]:
    """One line for each thing that is worse than its budget, or missing from it."""
    found = []
    for name, row in rows.items():
        if "error" in row:
            found.append(f"{name}: does not compile: {row['error'].splitlines()[-1]}")
            continue
        # a naive rung divides 64-bit numbers by calls, which take stack
        if row["spills"] and ".naive" not in name:
            found.append(f"{name}: spills {row['spills']} (on {row['layer']})")
        budget = budgets.get(name)
        if budget is None and not any(f" {dtype} " in name for dtype in DTYPES):
            continue
        if budget is None:
            found.append(f"{name}: has no budget: python -m tests.kernels.budgets --update")
            continue
        found += over(name, row, budget, ("registers", "shared", "loop", "issue_ratio"))
        for key in ("wide_accesses", "hgmma_columns"):
            if row[key] < budget[key] / SLACK:
                found.append(f"{name}: {key} {row[key]}, budget at least {budget[key]}")
    return found


def over(name: str, row: dict[str, Any], budget: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """One line for each fact that is larger than its budget."""
    return [
        f"{name}: {key} {row[key]}, budget {budget[key]}"
        for key in keys
        if row[key] > budget[key] * SLACK
    ]


def write(to: Path, budgets: Rows) -> None:
    """A row a line, in the order of their names."""
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(budgets.items())]
    temporary = to.with_suffix(".new")
    temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    temporary.replace(to)
    print(f"{len(budgets)} rows in {to}")


def update(stems: list[str]) -> None:
    """Compile all of `stems`, every kernel where none is named, and write what they became."""
    options = [option for dtype in DTYPES for option in ("--dtype", dtype)]
    options += [option for stem in stems for option in ("--kernel", stem)]
    with ThreadPoolExecutor() as pool:
        halves = pool.map(lambda arch: compiled("--arch", arch, *options), ("80", "90"))
        rows = {name: row for half in halves for name, row in half.items()}
    files = {name.partition(".")[0] for name in rows}
    kept = load() if stems else {}
    budgets = {name: row for name, row in kept.items() if name.partition(".")[0] not in files}
    for name, row in sorted(rows.items()):
        if "error" in row or (row["spills"] and ".naive" not in name):
            print(f"{name}: {row.get('error', 'spills')}")
            continue
        budgets[name] = {key: row[key] for key in KEPT}
    write(file(), budgets)
