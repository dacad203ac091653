"""Faults in the CUDA kernels of depthwise and grouped convolution, of columns, and in the naive
ones."""

from __future__ import annotations

from .harness import Mutant

NAIVE = "csrc/cuda/conv2d_naive.cuh"
AXIS = "csrc/cuda/conv2d_axis.cuh"
BLOCKS = "csrc/cuda/channel_blocks.cuh"
SUMS = "csrc/cuda/partial_sums.cuh"
COLUMNS = "csrc/cuda/im2col.cuh"
DEPTHWISE = "csrc/cuda/conv2d_depthwise.cuh"
STRIPS = "csrc/cuda/conv2d_depthwise_strips.cuh"
WGRAD = "csrc/cuda/conv2d_depthwise_wgrad.cuh"
GROUPED = "csrc/cuda/conv2d_grouped.cuh"
TENSOR_CORE = "csrc/cuda/conv2d_grouped_tensor_core.cuh"
IM2COL = "csrc/cuda/conv2d_im2col.cu"

MUTANTS = [
    Mutant(NAIVE, "y[2] * g.stride_h - g.top + r * g.dilation_h", "y[2] * g.stride_h - g.top + r",
           "conv2d_fprop-uneven_dilation"),
    Mutant(NAIVE, "across / g.stride_w >= g.Q", "across / g.stride_w > g.Q", "conv2d_dgrad-3x3"),
    Mutant(AXIS, "if (first < axis.taps) taps", "taps", "conv2d_dgrad-stride_over_filter"),
    Mutant(AXIS, "if (at % axis.common == 0)", "if (at % axis.tap_step == 0)",
           "conv2d_dgrad-depthwise_stride_2_dilation_2"),
    Mutant(COLUMNS, "if (++j == p.width.value) j = 0, ++i;", "++j;", "im2col-2x2"),
    Mutant(COLUMNS, "v < p.w.inputs", "v <= p.w.inputs", "im2col-3x3_padded"),
    Mutant(COLUMNS, "int64_t{a} * p.columns_width", "int64_t{a} * p.w.outputs",
           "col2im-uneven_all"),
    Mutant(DEPTHWISE, "b - i * Stride", "b - i", "conv2d_fprop-depthwise_stride_2"),
    Mutant(DEPTHWISE, "Adjoint ? -((Taps - 1) / Stride) : 0", "Adjoint ? -(Taps / Stride - 1) : 0",
           "conv2d_dgrad-depthwise_stride_2"),
    Mutant(DEPTHWISE, "p.flipped ? taps - 1 - tap : tap", "tap", "conv2d_dgrad-depthwise"),
    Mutant(DEPTHWISE, "input + i < p.along.inputs", "input + i <= p.along.inputs",
           "conv2d_fprop-depthwise_3x3_tails"),
    Mutant(DEPTHWISE, "if (at < 0 || at >= p.across.inputs) return;",
           "if (at < 0 || at > p.across.inputs) return;", "conv2d_fprop-depthwise_5x5"),
    Mutant(DEPTHWISE, "finish_row(std::integral_constant<int, 1>{}, row + 1, from)",
           "finish_row(std::integral_constant<int, 0>{}, row + 1, from)",
           "conv2d_dgrad-depthwise_stride_2"),
    Mutant(DEPTHWISE, "int64_t{channel / p.share} * p.each", "int64_t{channel} * p.each",
           "conv2d_fprop-depthwise_multiplier"),
    Mutant(STRIPS, "axis->taps - 1 - axis->before", "axis->before",
           "conv2d_dgrad-depthwise_valid"),
    Mutant(STRIPS, "Adjoint ? -(before % Stride) : 0", "0",
           "conv2d_dgrad-depthwise_3x3_stride_2_tails"),
    Mutant(WGRAD, "output + i < p.along.outputs", "output + i <= p.along.outputs",
           "conv2d_wgrad-depthwise_3x3_tails"),
    Mutant(WGRAD, "row * Stride + first_tap + r", "row * Stride + r",
           "conv2d_wgrad-depthwise_5x5"),
    Mutant(WGRAD, "tap / p.taps_across * p.dilation_h", "tap / p.taps_across",
           "conv2d_wgrad-depthwise_dilated"),
    Mutant(BLOCKS, "row < b.rows(); ++row", "row + 1 < b.rows(); ++row",
           "conv2d_wgrad-depthwise_3x3_tails"),
    Mutant(SUMS, "for (int i = 1; i < kSumRows; ++i)", "for (int i = 2; i < kSumRows; ++i)",
           "conv2d_wgrad-wide_depthwise"),
    Mutant(GROUPED, "place.column + o) * v.step", "place.column + o)",
           "conv2d_dgrad-grouped_stride_2"),
    Mutant(GROUPED, "column >= 0 && column < v.inputs", "column < v.inputs",
           "conv2d_fprop-4_per_group"),
    Mutant(GROUPED, "static_cast<int64_t>(group) * deep + d", "static_cast<int64_t>(group) + d",
           "conv2d_dgrad-grouped"),
    Mutant(GROUPED, "int64_t{group} * p.deep + c", "int64_t{group} + c", "conv2d_wgrad-grouped"),
    Mutant(TENSOR_CORE, "if (source_group == group && channel",
           "if (source_group >= group && channel",
           "conv2d_fprop-4_per_group,_16"),
    Mutant(TENSOR_CORE, "4 * (column >> 1) + 2 * (reg >> 1)", "4 * (column >> 1) + (reg >> 1)",
           "conv2d_fprop-8_per_group,_16"),
    Mutant(TENSOR_CORE, "from[o] + at + step * 16", "from[o] + at",
           "conv2d_fprop-32_per_group"),
    Mutant(IM2COL, "if (w.strides[axis] != step * count) return false;", "",
           "conv2d_wgrad-past_a_tile"),
]  # fmt: skip
