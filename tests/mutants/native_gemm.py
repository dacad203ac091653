"""Faults in the C++ matrix product."""

from __future__ import annotations

from .harness import Mutant

CORE = "csrc/cpu/gemm_core.cpp"

MUTANTS = [
    Mutant(CORE, "add || k > terms.begin;", "add;", "gemm-past_a_block_of_terms"),
    Mutant(CORE, "part = 1; part < parts", "part = 2; part < parts", "gemm-deep_and_small"),
    Mutant("csrc/cpu/gemm_pack.h", "load(from + lanes, rest)", "load(from, rest)", "gemm-primes"),
    Mutant("csrc/cpu/matrix.h", "before % runs * run_step", "before * run_step",
           "conv2d_fprop-pointwise"),
]  # fmt: skip
