"""What each instantiation of the CUDA kernels may cost, one file per version of CUDA.

    python -m tests.kernels.budgets.cuda [stem ...]             what is worse than its budget
    python -m tests.kernels.budgets.cuda --update [stem ...]    the file again

compile them for every architecture (make cubins is the first). Whatever the budgets say, nothing
may spill or use a stack but the naive rungs, and a kernel has the instructions its name claims.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from pycnn.study import cubins

from . import FOLDER, Rows, over, write

KEPT = ("registers", "shared", "uses")
# a kernel with this in its name -> one of these instructions is in it
CLAIMS = {
    "tensor_core": ("HMMA", "HGMMA", "DMMA"),
    "vector": ("LDG.E.128", "STG.E.128"),
    "async": ("LDGSTS", "UTMALDG"),
}


def claims(name: str) -> list[str]:
    """The words of CLAIMS in a kernel's name; tensor cores may also be a policy among its template
    arguments, f<TensorCores<...>>."""
    kernel, _, arguments = name.partition(".")[2].partition("<")
    policies = re.sub("(?<=[a-z])(?=[A-Z])", "_", arguments).lower()
    return [w for w in CLAIMS if w in kernel or (w == "tensor_core" and w in policies)]


def file() -> Path:
    return FOLDER / f"cuda-{cubins.version()}.json"


def load() -> Rows:
    return json.loads(file().read_text()) if file().exists() else {}


def compiled(stems: list[str]) -> Rows:
    """The facts of every kernel in the files of `stems`, of all where none is named."""
    rows: Rows = {}
    for stem, arch, found in cubins.every_kernel(stems):
        if isinstance(found, Exception):
            rows[f"{stem} sm_{arch}"] = {"error": str(found)}
            continue
        for name, facts in found:
            rows[f"{name} sm_{arch}"] = facts.as_dict()
    return rows


def faults(rows: Rows, budgets: Rows) -> list[str]:
    """One line for each thing that is worse than its budget, or that no budget may allow."""
    found = []
    for name, row in rows.items():
        if "error" in row:
            found.append(f"{name}: does not compile:\n{row['error']}")
            continue
        # a naive rung divides 64-bit numbers by calls, which take stack; CUDA's own sine and cosine
        # reduce a large argument through a table on it
        if row["spills"] and "naive" not in name and "Periodic" not in name:
            found.append(f"{name}: spills {row['spills']} (stack and local memory)")
        for instructions in map(CLAIMS.__getitem__, claims(name)):
            if not set(instructions) & set(row["uses"]):
                found.append(f"{name}: none of {', '.join(instructions)}, which its name claims")
        budget = budgets.get(name)
        if budget is None:
            continue
        found += over(name, row, budget, ("registers", "shared"))
        found += [f"{name}: lost {use}" for use in budget["uses"] if use not in row["uses"]]
    return found


def unmatched(rows: Rows, budgets: Rows, stems: list[str]) -> list[str]:
    """One line for each kernel without a budget, and each budget without a kernel."""
    ours = {name for name in budgets if not stems or name.partition(".")[0] in stems}
    broken = {name.split(" sm_")[0] for name, row in rows.items() if "error" in row}
    gone = {n for n in ours - set(rows) if n.partition(".")[0] not in broken}
    new = {name for name, row in rows.items() if "error" not in row} - set(budgets)
    todo = "python -m tests.kernels.budgets --update"
    return [f"{name}: has no budget: {todo}" for name in sorted(new)] + [
        f"{name}: has a budget and is no longer there: {todo}" for name in sorted(gone)
    ]


def update(stems: list[str]) -> None:
    """Write the budgets of `stems`, of all where none is named, as they compile now; prints what
    no budget may allow."""
    rows = compiled(stems)
    for line in faults(rows, {}):
        print(line)
    kept = {n: row for n, row in load().items() if stems and n.partition(".")[0] not in stems}
    new = {n: {key: row[key] for key in KEPT} for n, row in rows.items() if "error" not in row}
    write(file(), kept | new)


def main(arguments: list[str]) -> int:
    stems = [a for a in arguments if a != "--update"]
    reason = cubins.why_not()
    if reason is not None:
        print(f"make cubins: nothing is compiled: {reason}")
        return 0
    if unknown := set(stems) - set(cubins.stems()):
        print(f"make cubins: no file of csrc/cuda is called {', '.join(sorted(unknown))}")
        return 2
    if stems != arguments:
        update(stems)
        return 0
    budgets = load()
    rows = compiled(stems)
    wrong = faults(rows, budgets)
    if file().exists():
        wrong += unmatched(rows, budgets, stems)
    else:
        print(f"make cubins: no budgets for CUDA {cubins.version()}: registers are not compared")
    for line in wrong:
        print(line)
    print(f"make cubins: {len(rows)} kernels compiled, {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
