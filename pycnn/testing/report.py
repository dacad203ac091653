"""What a comparison with PyTorch found: a row per tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One compared tensor. `bound` is what `error` is judged by; None where it is only shown."""

    dtype: str
    kind: str  # "output", "loss", "gradient", "buffer"
    name: str
    shape: tuple[int, ...]
    error: float
    bound: float | None
    torch_error: float | None = None  # PyTorch's own, in the worse of its layouts
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.bound is None or self.error <= self.bound

    def __str__(self) -> str:
        judged = "shown only" if self.bound is None else f"bound {self.bound:.2e}"
        torch_error = "" if self.torch_error is None else f"  torch {self.torch_error:.2e}"
        verdict = "" if self.bound is None else "  ok" if self.ok else "  FAILS"
        what = f"{self.dtype:9} {self.kind:9} {self.name:32} {str(list(self.shape)):20}"
        return (
            f"{what} error {self.error:.2e}  {judged}{torch_error}{verdict}  {self.note}".rstrip()
        )


@dataclass
class Report:
    """What a comparison found: a row per tensor, and failures that no number expresses."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    reproduce: str = ""

    @property
    def ok(self) -> bool:
        return not self.problems and all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def failures(self) -> list[Row]:
        return [row for row in self.rows if not row.ok]

    def worst(self, dtype: str, kind: str) -> Row | None:
        """The row of that dtype and kind with the largest error; None if there is none."""
        rows = [row for row in self.rows if row.dtype == dtype and row.kind == kind]
        return max(
            rows, key=lambda row: row.error if row.error == row.error else np.inf, default=None
        )

    def summary(self) -> list[Row]:
        """The worst row of every (dtype, kind), and every row that fails."""
        groups = dict.fromkeys((row.dtype, row.kind) for row in self.rows)
        worst = [self.worst(*group) for group in groups]
        return [row for row in self.rows if row in worst or not row.ok]

    def check(self) -> Report:
        """The report itself; AssertionError with everything that failed if it is not ok."""
        if not self.ok:
            raise AssertionError("\n".join(["pycnn differs from PyTorch", *self._failed_lines()]))
        return self

    def _failed_lines(self) -> list[str]:
        lines = self.problems + [str(row) for row in self.failures()[:12]]
        if len(self.failures()) > 12:
            lines.append(f"... and {len(self.failures()) - 12} more")
        return [*lines, self.reproduce] if self.reproduce else lines

    def __str__(self) -> str:
        lines = [*self.problems, *(str(row) for row in self.rows)]
        lines.append("equal" if self.ok else f"NOT EQUAL {self.reproduce}".rstrip())
        return "\n".join(lines)
