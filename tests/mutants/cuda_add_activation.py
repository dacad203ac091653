"""Faults in the CUDA sum and activation, and in what every CUDA kernel shares."""

from __future__ import annotations

from .harness import Mutant

KERNEL = "csrc/cuda/add_activation.cuh"
LAUNCH = "csrc/cuda/add_activation.cu"
WALK = "csrc/cuda/walk.cuh"
ACTIVATION = "csrc/cuda/activation.cuh"
SIZES = "add_activation-relu_odd_sizes"

MUTANTS = [
    Mutant(KERNEL, "if (i + N <= p.walk.count) {", "if (i < p.walk.count) {", SIZES,
           check="address"),
    Mutant(KERNEL, "for (int64_t j = i; j < p.walk.count; ++j)",
           "for (int64_t j = i; j <= p.walk.count; ++j)", SIZES, check="address"),
    Mutant(KERNEL, "if (i >= p.walk.count) return;", "if (i > p.walk.count) return;", SIZES,
           check="address"),
    Mutant(KERNEL, "convert<A>(a) + convert<A>(b)", "convert<A>(a) + convert<A>(a)", SIZES),
    Mutant(KERNEL, "p.out[at[0]]", "p.out[at[1]]", SIZES, every_layout=True),
    Mutant(KERNEL, "threadIdx.x) * N;", "threadIdx.x) * (N - 1);", SIZES),
    Mutant(LAUNCH, "kAddThreads * kWidth<T>)", "kAddThreads * kWidth<T> * 2)",
           "add_activation-relu_more_than_a_tile"),
    Mutant(LAUNCH, "p.walk.dense() && aligned", "aligned", SIZES, every_layout=True),
    Mutant(LAUNCH, " && aligned_to_vectors({p.a, p.b, p.out})", "", SIZES, every_layout=True,
           check="address"),
    Mutant(LAUNCH, "{out.strides, a.strides, b.strides}", "{out.strides, out.strides, b.strides}",
           SIZES, every_layout=True),
    Mutant(WALK, "== strides[a][axis] *", "!= strides[a][axis] *", SIZES, every_layout=True),
    Mutant(WALK, "axis > 0; --axis", "axis > 1; --axis", SIZES, every_layout=True),
    Mutant("csrc/cuda/division.cuh", "shift_) + divisor_ - 1)", "shift_))", SIZES,
           every_layout=True),
    Mutant(ACTIVATION, "v > 3 ? A(6)", "v > 3 ? A(3)", "add_activation-hardswish_odd_sizes"),
    Mutant(ACTIVATION, "x > 6 ? A(6)", "x > 6 ? A(5)", "add_activation-relu6_odd_sizes"),
]  # fmt: skip
