"""Faults in the C++ normalisations, softmax and cross entropy."""

from __future__ import annotations

from .harness import Mutant

SUMS = "csrc/cpu/batch_norm_sums.cpp"
LAYOUT = "csrc/cpu/batch_norm_layout.h"
APPLY = "csrc/cpu/batch_norm_apply.cpp"
LRN = "csrc/cpu/local_response_norm.cpp"
SOFTMAX = "csrc/cpu/softmax_rows.h"
LOSS = "csrc/cpu/softmax_cross_entropy.cpp"

MUTANTS = [
    Mutant(SUMS, "delta * delta * both", "delta * delta * share",
           "batch_norm_stats-more_than_a_block", every_layout=True),
    Mutant(SUMS, "end = count * (part + 1) / parts", "end = count * part / parts",
           "batch_norm_stats-"),
    Mutant(LAYOUT, "rows % times * C", "rows % times", "batch_norm_apply-"),
    Mutant(APPLY, "p.slope[c] / static_cast<A>(count) * invstd[c]",
           "p.slope[c] / static_cast<A>(count)", "batch_norm_dgrad-odd_planes"),
    Mutant(LRN, "window_sum(ratios.data() + at, g.after, g.before",
           "window_sum(ratios.data() + at, g.before, g.after",
           "local_response_norm_dgrad-even_window"),
    Mutant(LRN, "broadcast<A>(g.k) + sum * broadcast<A>(g.share)",
           "broadcast<A>(g.k) + sum", "local_response_norm_", count=2),
    Mutant(SOFTMAX, "broadcast<A>(-std::numeric_limits<A>::infinity()))",
           "broadcast<A>(A(0)))", "softmax_fprop-"),
    Mutant(LOSS, "(q - 1) * g.target", "q * g.target", "softmax_cross_entropy_dgrad-plain"),
]  # fmt: skip
