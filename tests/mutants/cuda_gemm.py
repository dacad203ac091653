"""Faults in the CUDA C++ matrix products and the convolutions that are made of them."""

from __future__ import annotations

from .harness import Mutant

AXES = "csrc/cuda/matrix_axes.cuh"
OUTPUT = "csrc/cuda/matrix_output.cuh"
TILES = "csrc/cuda/gemm_tiles.cuh"
MMA = "csrc/cuda/gemm_mma.cuh"
IMPLICIT = "csrc/cuda/conv2d_implicit_gemm.cuh"
SHUFFLE = "csrc/cuda/conv2d_pixel_shuffle.cuh"

MUTANTS = [
    Mutant(AXES, "return left > 0;", "return left >= 0;", "gemm-batched"),
    Mutant(AXES, "if (c.k >= sizes[2])", "if (c.k > sizes[2])", "conv2d_fprop-uneven_all"),
    Mutant(AXES, "carry_at[0] = steps[1] - sizes[2] * steps[2]", "carry_at[0] = steps[1]",
           "conv2d_fprop-past_a_tile"),
    Mutant(AXES, "c.w = shift(w_first, c.j, w_step)", "c.w = shift(w_first, c.j, h_step)",
           "conv2d_fprop-uneven_dilation"),
    Mutant(OUTPUT, "if constexpr (kImage) k %= channels;", "",
           "conv2d_dgrad-epilogue_filter_under_the_stride"),
    Mutant(OUTPUT, "c.inside = first < col_count;", "c.inside = first <= col_count;",
           "gemm-whole_vectors"),
    Mutant(TILES, "(step + 1) % 2 * Tile::kRight", "step % 2 * Tile::kRight", "gemm-deep"),
    Mutant(TILES, "int64_t{place.split} * p.split_steps", "0 * p.split_steps",
           "gemm-deep_and_small"),
    Mutant(TILES, "band * kTilesTogether + within % height", "within % height",
           "gemm-more_rows_than_a_task"),
    Mutant(MMA, "at(row_ + g * kBetween, chunk_)", "at(row_, chunk_)", "gemm-whole_vectors"),
    Mutant(MMA, "const int block = Right ? l / 16 : l / 8 % 2", "const int block = l / 16",
           "gemm-whole_vectors"),
    Mutant(IMPLICIT, "p.left.line.h_first = i.origin", "p.left.line.h_first = 0",
           "conv2d_dgrad-uneven_all"),
    Mutant(IMPLICIT, "return a.taps > 1 ? a.dilation / a.common : 0;", "return a.dilation;",
           "conv2d_dgrad-dilation_over_stride"),
    Mutant(IMPLICIT, "none ? 0 : i.taps", "i.taps", "conv2d_dgrad-stride_over_filter"),
    Mutant(SHUFFLE, "h % p.stride_h < p.R", "h % p.stride_h <= p.R",
           "conv2d_dgrad-filter_under_the_stride"),
]  # fmt: skip
