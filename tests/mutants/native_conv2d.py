"""Faults in the C++ convolutions."""

from __future__ import annotations

from .harness import Mutant

NAIVE = "csrc/cpu/conv2d_naive.cpp"
WINOGRAD = "csrc/cpu/conv2d_winograd.cpp"
DIRECT = "csrc/cpu/conv2d_direct.cpp"
DIRECT_TILES = "csrc/cpu/conv2d_direct_tiles.h"
PHASES = "csrc/cpu/conv2d_phases.h"
WGRAD = "csrc/cpu/conv2d_wgrad.cpp"
WGRAD_PACK = "csrc/cpu/conv2d_wgrad_pack.h"

MUTANTS = [
    Mutant(NAIVE, "p * g.stride_h - g.top + r * g.dilation_h", "p * g.stride_h - g.top + r",
           "conv2d_fprop-uneven_dilation", count=2),
    Mutant(NAIVE, "right / g.stride_w >= g.Q", "right / g.stride_w >= g.P",
           "conv2d_dgrad-3x3_u"),
    Mutant(WINOGRAD, "tile.q - g.left + j", "tile.q - g.top + j",
           "conv2d_fprop-3x3_uneven_padding"),
    Mutant(WINOGRAD, "add || d > 0", "add", "conv2d_fprop-3x3_"),
    Mutant(WINOGRAD, "i >= down", "i > down", "conv2d_fprop-3x3_one_past_a_tile"),
    Mutant(WINOGRAD, "kTaps - 1 - p.left", "kTaps - 1 - p.top",
           "conv2d_dgrad-3x3_uneven_padding"),
    Mutant(DIRECT_TILES, "input(from) < 0) ++from", "input(from) <= 0) ++from",
           "conv2d_fprop-3x3"),
    Mutant(DIRECT, "c > 0, complete", "c > 1, complete", "conv2d_fprop-deep"),
    Mutant(DIRECT_TILES, "(n * down.slots + i * down.step)", "(i * down.step)",
           "conv2d_fprop-blocks_of_images"),
    Mutant(PHASES, "{r, r * dilation - before}", "{r, r - before}",
           "conv2d_fprop-uneven_dilation"),
    Mutant(PHASES, "if (from % stride == 0) phase", "phase", "conv2d_dgrad-4x4_stride_2"),
    Mutant(WGRAD_PACK, "j % taps * dilation - before", "j % taps - before",
           "conv2d_wgrad-"),
    Mutant(WGRAD_PACK, "(g.W - 1 - start) / run_stride", "(g.W - start) / run_stride",
           "conv2d_wgrad-"),
    Mutant(WGRAD, "packed += vertical.size(count)", "packed += count", "conv2d_wgrad-3x3"),
    Mutant("csrc/cpu/columns.h", "tap * dilation - pad", "tap - pad", "im2col-"),
    Mutant("csrc/cpu/conv2d_pixel_shuffle.cpp", "i % stride < taps", "i % stride <= taps",
           "conv2d_dgrad-filter_under_the_stride"),
    Mutant("csrc/cpu/conv2d_pointwise.cpp", "view_.strides[2] *= p.stride_h",
           "view_.strides[2] *= p.stride_w", "conv2d_fprop-pointwise_stride_2x3"),
    Mutant("csrc/cpu/conv2d_grouped.h", "(lane ^ distance)) % per_group", "lane) % per_group",
           "conv2d_fprop-4_per_group"),
    Mutant("csrc/cpu/conv2d_gather.h", "dilation / common,", "dilation,",
           "conv2d_dgrad-depthwise_stride_2_dilation_2"),
]  # fmt: skip
