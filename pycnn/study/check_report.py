"""What a check of a user's kernel found: a row per case, and what the failures have in common."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# the verdicts of a case; the first three are no failures
OK, REFUSED, NOT_RUN, WRONG, RAISED, DIED, SLOW = (
    "ok", "refused", "not run", "wrong", "raised", "died", "too slow",
)  # fmt: skip
_FAILURES = (WRONG, RAISED, DIED, SLOW)


@dataclass
class CaseRow:
    """One case: how often the kernel ran on it and how that went."""

    case: str
    geometry: str
    verdict: str
    runs: int = 0
    refused: int = 0  # of the runs
    errors: dict[str, float] = field(default_factory=dict)  # dtype -> share of what it may be
    where: str = ""  # of the run that failed: dtype, layouts, kind of numbers
    line: str = ""  # what was wrong, or why it was refused
    traits: list[str] = field(default_factory=list)  # what the geometry has beyond the plain one

    @property
    def failed(self) -> bool:
        return self.verdict in _FAILURES


@dataclass
class CheckReport:
    """What `pycnn.study.check` found; true where nothing failed and something ran."""

    name: str
    primitive: str
    language: str
    device: str
    seed: int
    source: str = ""  # the file, where it came from one
    every: bool = False
    dtypes: list[str] | None = None  # those asked for
    rows: list[CaseRow] = field(default_factory=list)
    times: list[dict[str, Any]] = field(default_factory=list)  # of `bench`, a row per layer
    problem: str = ""  # what kept the check from running

    def failures(self) -> list[CaseRow]:
        return [row for row in self.rows if row.failed]

    @property
    def passed(self) -> int:
        return sum(row.verdict == OK for row in self.rows)

    @property
    def ok(self) -> bool:
        return not self.problem and not self.failures() and self.passed > 0

    def __bool__(self) -> bool:
        return self.ok

    def counts(self) -> str:
        """ "60 ok, 9 refused, 1 wrong"."""
        verdicts = (OK, REFUSED, *_FAILURES, NOT_RUN)
        found = [(sum(row.verdict == v for row in self.rows), v) for v in verdicts]
        return ", ".join(f"{count} {verdict}" for count, verdict in found if count)

    def again(self, row: CaseRow) -> str:
        """The line that repeats a case on the same numbers."""
        if not self.source:
            return f"pycnn.study.check(..., cases={row.case!r}, seed={self.seed})"
        words = ["python", "-m", "pycnn", "study", "check", self.source]
        words += ["--primitive", self.primitive, "--kernel", self.name]
        words += ["--case", row.case, "--seed", str(self.seed)]
        for dtype in self.dtypes or ():
            words += ["--dtype", dtype]
        if self.language != "Python":
            words += ["--device", self.device]
        return shlex.join([*words, *(["--all"] if self.every else [])])

    def message(self) -> str:
        """What came of it, in a few lines; a failure names its geometry and how to repeat it."""
        what = f"{self.name} ({self.language} on {self.device})"
        if self.problem:
            return self.problem
        if not self.rows:
            return f"{what}: no case of {self.primitive} was asked for"
        failures = self.failures()
        if not failures:
            if self.passed == 0:
                reasons = dict.fromkeys(row.line for row in self.rows)
                return f"{what} refuses every case of {self.primitive}: {'; '.join(reasons)}"
            return f"{what} computes {self.primitive}: {self.counts()}"
        first = failures[0]
        lines = [
            f"{what} does not compute {self.primitive}: {self.counts()}",
            f"  the first that fails: {first.case}",
            f"  geometry: {first.geometry}",
            f"  {first.where}: {first.line}" if first.where else f"  {first.line}",
        ]
        shared = in_common(self.rows)
        if shared:
            lines.append(f"  in common: {shared}")
        return "\n".join([*lines, f"  again: {self.again(first)}"])

    def check(self) -> CheckReport:
        """The report itself; AssertionError with `message()` if it is not ok."""
        if not self.ok:
            raise AssertionError(self.message())
        return self

    def __str__(self) -> str:
        lines = []
        for row in self.rows:
            errors = ", ".join(f"{dtype} {share:.3f}" for dtype, share in row.errors.items())
            lines.append(f"{row.case:40} {row.verdict:8} {row.runs:4}  {errors:32} {row.line}")
        return "\n".join([*lines, self.message()])


def traits(geometry: Any, epilogue: Any) -> list[str]:
    """What a geometry of windows has that the plainest one has not, in its fields' names."""

    def value(name: str) -> int | None:
        found = getattr(geometry, name, None)
        return found if isinstance(found, int) else None

    found = []
    for name in ("stride_h", "stride_w", "dilation_h", "dilation_w", "G", "N"):
        if (value(name) or 1) > 1:
            found.append(f"{name} > 1")
    for name in ("pad_top", "pad_bottom", "pad_left", "pad_right"):
        if (value(name) or 0) != 0:
            found.append(f"{name} != 0")
    unequal: list[tuple[str, str]] = [
        ("H", "W"), ("R", "S"), ("stride_h", "stride_w"), ("dilation_h", "dilation_w"),
        ("pad_top", "pad_bottom"), ("pad_left", "pad_right"),
    ]  # fmt: skip
    found += [f"{a} != {b}" for a, b in unequal if value(a) != value(b)]
    found += [f"{name} odd" for name in ("H", "W", "P", "Q") if (value(name) or 0) % 2]
    if epilogue is not None:
        found.append("an epilogue")
    return found


def in_common(rows: list[CaseRow]) -> str:
    """What every failing case has and few of those that passed; empty where nothing tells them
    apart, or one case is all there is."""
    failed = [row for row in rows if row.failed]
    passed = [row for row in rows if row.verdict == OK]
    if len(failed) < 2 or not passed:
        return ""
    halves = ("float16", "bfloat16")
    if all(row.where.startswith(halves) for row in failed):
        return "only halves fail (float16, bfloat16)"
    shared = set.intersection(*(set(row.traits) for row in failed))
    rare: Callable[[str], int] = lambda trait: sum(trait in row.traits for row in passed)
    best = sorted(shared, key=lambda trait: (rare(trait), trait))
    if not best or rare(best[0]) > len(passed) // 10:
        return ""
    others = rare(best[0])
    rest = f"{others} of the {len(passed)} that passed" if others else "none that passed"
    return f"{best[0]} in all {len(failed)} that fail, and in {rest}"
