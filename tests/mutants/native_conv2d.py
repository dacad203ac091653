"""Faults in the C++ convolutions and what they share: epilogue, copies, bindings."""

from __future__ import annotations

from .harness import Mutant

NAIVE = "csrc/cpu/conv2d_naive.cpp"
EPILOGUE = "csrc/cpu/epilogue.h"
COPY = "csrc/cpu/copy.cpp"

MUTANTS = [
    Mutant(NAIVE, "p * g.stride_h - g.top + r * g.dilation_h", "p * g.stride_h - g.top + r",
           "conv2d_fprop-uneven_dilation and naive", count=2),
    Mutant(NAIVE, "right / g.stride_w >= g.Q", "right / g.stride_w >= g.P",
           "conv2d_dgrad and naive"),
]  # fmt: skip
