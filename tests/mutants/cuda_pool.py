"""Faults in the CUDA kernels of pooling, max unpooling, resampling and local response
normalisation."""

from __future__ import annotations

from .harness import Mutant

MAX = "csrc/cuda/max_pool2d.cuh"
AVG = "csrc/cuda/avg_pool2d.cuh"
WINDOWS = "csrc/cuda/pool2d_windows.cuh"
UNPOOL = "csrc/cuda/max_unpool2d.cuh"
RESIZE = "csrc/cuda/resize2d.cuh"
NORM = "csrc/cuda/local_response_norm.cuh"

MUTANTS = [
    Mutant(MAX, "value > best ||", "value >= best ||", "max_pool2d_fprop-2x2_stride_2"),
    Mutant(MAX, "value > best || value != value", "value > best", "max_pool2d_fprop-NaN"),
    Mutant(MAX, "-top, p.rows.size - 1 - top", "0, p.rows.size - 1 - top",
           "max_pool2d_fprop-3x3_stride_2_pad_1"),
    Mutant(MAX, "p.columns.size - 1 - left);", "K - 1);", "max_pool2d_fprop-NaN"),
    Mutant(MAX, "tap == r * K + s", "tap == r + s * K", "max_pool2d_dgrad-3x3_stride_2_pad_1"),
    Mutant(MAX, "exists ? taken[j][k].v[v] : 255", "taken[j][k].v[v]",
           "max_pool2d_dgrad-3x3_stride_2_and_16_channels"),
    Mutant(MAX, "down = p.rows.dilation * p.x_steps.h", "down = p.x_steps.h",
           "max_pool2d_fprop-uneven_dilated"),
    Mutant(WINDOWS, "if (tap * a.dilation == reach) function", "function",
           "max_pool2d_dgrad-uneven_dilated"),
    Mutant(WINDOWS, "output * a.stride - a.pad", "output * a.stride",
           "avg_pool2d_fprop-2x3_and_8_channels"),
    Mutant(WINDOWS, "- (begin > 0 ? begin : 0)", "- begin", "avg_pool2d_fprop-pad_not_counted"),
    Mutant(WINDOWS, "pixel >= window.start + window.count", "pixel > window.start + window.count",
           "avg_pool2d_dgrad-adaptive_uneven"),
    Mutant(AVG, "if (column >= width)", "if (column > width)", "avg_pool2d_fprop-many_taps"),
    Mutant(AVG, "int64_t{part} * p.images + at.n", "part + at.n",
           "avg_pool2d_fprop-adaptive_global,_many"),
    Mutant(AVG, "part * kSlices + slice,", "slice,", "avg_pool2d_fprop-adaptive_global,_72"),
    Mutant(AVG, "(b - k) * STRIDE - p.columns.pad", "(b - k) * STRIDE",
           "avg_pool2d_dgrad-16_channels,_pad_not_counted"),
    Mutant(UNPOOL, "(n * pixels + i) * channels + c", "(n * channels + c) * pixels + i",
           "max_unpool2d_fprop-33_channels"),
    Mutant(UNPOOL, "map[i] > 0", "map[i] > 1", "max_unpool2d_fprop-2x2"),
    Mutant(RESIZE, "totals[g] += sums[g] * h.weight", "totals[g] += sums[g]",
           "resize2d_fprop-bilinear_up"),
    Mutant(RESIZE, "(c < channels ? c : channels - 1) * step", "c * step",
           "resize2d_fprop-bilinear_corners"),
    Mutant(RESIZE, "if (first + g * apart < channels) to", "to", "resize2d_fprop-nearest_up"),
    Mutant("csrc/cuda/resize2d.cu", "a->strides[0] != a->shape[1] * a->strides[1]", "false",
           "resize2d_fprop-nearest_uneven"),
    Mutant(NORM, "c > norm.before ? c - norm.before", "c > norm.after ? c - norm.after",
           "local_response_norm_fprop-even_window"),
    Mutant(NORM, "(first < 0 || first >= channels ? c : first)", "first",
           "local_response_norm_fprop-whole_vectors_of_channels"),
    Mutant(NORM, "through += ratio[r + j]", "through += ratio[r]",
           "local_response_norm_dgrad-AlexNet"),
]  # fmt: skip
