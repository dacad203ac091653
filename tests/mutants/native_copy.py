"""Faults in the C++ copies, joins and resampling."""

from __future__ import annotations

from .harness import Mutant

CONCAT = "csrc/cpu/concat.cpp"

MUTANTS = [
    Mutant("csrc/cpu/copy.cpp", "sizeof...(L) + L - Distance", "sizeof...(L) + L",
           "concat-rows_of_channels"),
    Mutant(CONCAT, "begin += part.shape[axis];", "begin += 1;", "concat-", count=2),
    Mutant("csrc/cpu/resize2d.cpp", "h) != h) make(row)", "h) == -1) make(row)",
           "resize2d_fprop-bilinear"),
]  # fmt: skip
