"""Faults in the CUDA C++ batch normalisation, softmax, cross entropy, concatenation and dropout."""

from __future__ import annotations

from .harness import Mutant

SUMS = "csrc/cuda/batch_norm_sums.cuh"
APPLY = "csrc/cuda/batch_norm.cuh"
WALK = "csrc/cuda/batch_norm_walk.cuh"
FOLD = "csrc/cuda/fold.cuh"
ROWS = "csrc/cuda/softmax_rows.cuh"
SOFTMAX = "csrc/cuda/softmax.cuh"
LOSS = "csrc/cuda/softmax_cross_entropy.cuh"

MUTANTS = [
    Mutant(SUMS, "m2[c] += q - s * moved", "m2[c] += q", "batch_norm_stats-blocks_of"),
    Mutant(SUMS, "both = count * weight", "both = weight", "batch_norm_stats-odd_planes"),
    Mutant(SUMS, "const int64_t left = p.pixels - slab * p.each;", "const int64_t left = p.each;",
           "batch_norm_stats-more_than_a_block"),
    Mutant(SUMS, "const A g = dead ? A(0)", "const A g = dead && c ? A(0)",
           "batch_norm_reduce-relu,_odd_planes"),
    Mutant(APPLY, "dx[j] = dx[j] - mean_dy[c] - d * slope[c]",
           "dx[j] = dx[j] - mean_dy[c] + d * slope[c]", "batch_norm_dgrad-odd_planes"),
    Mutant(APPLY, "const int c = Channels == 1 ? 0 : j;", "const int c = 0;",
           "batch_norm_apply-blocks_of_vectors", count=2),
    Mutant(WALK, "(columns + w.tiles - 1) / w.tiles", "columns / w.tiles",
           "batch_norm_apply-many_channels"),
    Mutant(FOLD, "half = (rows + 1) / 2", "half = rows / 2", "batch_norm_reduce-odd_planes"),
    Mutant(FOLD, "value = fold(value, room[warp])", "value = fold(value, room[0])",
           "softmax_fprop-a_long_row"),
    Mutant(ROWS, "total *= exp(top - from)", "total *= exp(from - top)",
           "softmax_fprop-a_long_row"),
    Mutant(ROWS, "total = total * exp(top - from) + other_total * exp(other_top - from)",
           "total = total * exp(top - from) + other_total", "softmax_fprop-a_long_column"),
    Mutant(SOFTMAX, "log ? dy - exp(y) * sum", "log ? dy - y * sum", "softmax_dgrad-log_columns"),
    Mutant(LOSS, "p.classes.share * (power * sum - p.classes.weight_of(c))",
           "p.classes.share * (power - p.classes.weight_of(c))",
           "softmax_cross_entropy_dgrad-smoothing"),
    Mutant(LOSS, "slopes[j] = Slopes<A>::of(p, at[2] + j * p.rows.beside[2]",
           "slopes[j] = Slopes<A>::of(p, at[2]", "softmax_cross_entropy_dgrad-pixels"),
    Mutant("csrc/cuda/concat.cuh", "first_block <= blockIdx.x", "first_block < blockIdx.x",
           "concat-channels"),
    Mutant("csrc/cuda/concat.cuh", "row * part.to_pitch + column",
           "row * part.from_pitch + column", "concat-channels"),
    Mutant("csrc/cuda/dropout.cuh", "static_cast<uint64_t>(at[2]) / 4 + i",
           "static_cast<uint64_t>(at[2]) / 4", "dropout-three_quarters"),
    Mutant("csrc/cuda/dropout.cuh", "word >= p.threshold", "word < p.threshold",
           "dropout-a_tenth"),
]  # fmt: skip
