"""Faults in the C++ poolings."""

from __future__ import annotations

from .harness import Mutant

MAX = "csrc/cpu/max_pool2d_fprop.cpp"

MUTANTS = [
    Mutant(MAX, "M larger = value > best", "M larger = value >= best", "max_pool2d_fprop-2x2"),
    Mutant(MAX, " | (value != value)", "", "max_pool2d_fprop-NaN"),
    Mutant("csrc/cpu/pool2d_rows.h", "(a_.pad + 1) / 2", "a_.pad / 2",
           "avg_pool2d_dgrad-stride_2,_odd_pad"),
    Mutant("csrc/cpu/pool2d_windows.h", "std::min(end, a.size) - std::max<int64_t>(begin, 0)",
           "std::min(end, a.size) - begin", "avg_pool2d_fprop-pad_not_counted"),
]  # fmt: skip
