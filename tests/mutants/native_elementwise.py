"""Faults in the C++ element-wise ops and reductions."""

from __future__ import annotations

from .harness import Mutant

REDUCE = "csrc/cpu/reduce.cpp"
LOOP = "csrc/cpu/elementwise.cpp"

MUTANTS = [
    Mutant("csrc/cpu/reduce_kernels.h", "acc[u] = lane < static_cast<A>(m - u * kWidth)",
           "acc[u] = lane < static_cast<A>(m)", "reduce-",
           every_layout=True),
    Mutant(REDUCE, "std::min(fold, rows - row) * n", "fold * n", "reduce-sum_of_"),
    Mutant(REDUCE, "int64_t j = 1; j < fold", "int64_t j = 2; j < fold", "reduce-sum_over_"),
    Mutant(LOOP, "stage.kept != from || ", "", "elementwise-add"),
    Mutant(LOOP, "++piece == pieces_", "++piece > pieces_", "elementwise-add"),
    Mutant("csrc/cpu/elementwise_activation.h", "select(y <= 0, V{}, dy)",
           "select(y < 0, V{}, dy)", "elementwise-relu_dgrad"),
    Mutant("csrc/cpu/elementwise_integer.cpp", "(a < 0) != (b < 0)", "(a < 0) == (b < 0)",
           "elementwise-floor_divide_integers"),
    Mutant("csrc/cpu/math.h", "(k & 2) << 30", "(k & 1) << 30", "elementwise-cos"),
]  # fmt: skip
