"""Faults in the CUDA C++ element-wise ops and reductions."""

from __future__ import annotations

from .harness import Mutant

KERNEL = "csrc/cuda/elementwise.cuh"
LAUNCH = "csrc/cuda/elementwise_launch.cuh"
STORED = "csrc/cuda/stored.cuh"
REDUCE = "csrc/cuda/reduce.cuh"
STEPS = "csrc/cuda/reduce_steps.cuh"
PLAN = "csrc/cuda/reduce_launch.cuh"

MUTANTS = [
    # a vector written past the last element
    Mutant(KERNEL, "left < N ? static_cast<int>(left) : N", "N",
           "tests/kernels/test_kernels.py -m slow -k "
           "'test_canary_in_every_layout and cuda and elementwise-add and float32'"),
    Mutant(STORED, "repeated ? v.v[0] : v.v[j]", "v.v[j]", "elementwise-mul"),
    Mutant(STORED, "return Bool{x != 0}", "return Bool{x > 1}", "elementwise-eq"),
    Mutant(LAUNCH, "steps[k + 1][last] == 0;", "steps[k + 1][last] == 1;", "elementwise-add"),
    Mutant(LAUNCH, "a.shape[axis] == 1 ? 0", "a.shape[axis] == 0 ? 0", "elementwise-"),
    Mutant("csrc/cuda/elementwise_arithmetic.cuh", "y <= 0 ? A(0) : dy", "y < 0 ? A(0) : dy",
           "elementwise-relu_dgrad"),
    Mutant("csrc/cuda/elementwise_whole.cuh", "(a < 0) != (b < 0) &&", "(a < 0) == (b < 0) &&",
           "elementwise-floor_divide_integers"),
    Mutant(REDUCE, "distance < static_cast<int>(team)", "distance <= static_cast<int>(team)",
           "reduce-sum"),
    Mutant(REDUCE, "int warp = 1; warp <", "int warp = 2; warp <", "reduce-sum_of_a_long_row"),
    Mutant(REDUCE, "part = static_cast<int>(lane()); part < p.parts; part += 32",
           "part = static_cast<int>(lane()); part + 1 < p.parts; part += 32", "reduce-sum_of_a_"),
    Mutant(REDUCE, "half = rows / 2; half > 0;", "half = rows / 4; half > 0;", "reduce-sum"),
    Mutant(STEPS, "b.place < a.place", "b.place > a.place", "reduce-argmax"),
    Mutant(STEPS, "|| (b != b && a == a)", "", "reduce-amax_of_"),
    Mutant(PLAN, "plan.count *= plan.reduced.shape[i]", "plan.count *= plan.reduced.shape[0]",
           "reduce-argmax"),
    Mutant(PLAN, "steps[last] *= n", "steps[last] += n", "reduce-sum"),
]  # fmt: skip
