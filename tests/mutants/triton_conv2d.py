"""Faults in the Triton convolutions."""

from __future__ import annotations

from .harness import Mutant

GEMM = "kernels/conv2d_implicit_gemm.py"
WGRAD = "kernels/conv2d_implicit_gemm_wgrad.py"
TRANSPOSED = "kernels/conv2d_transposed.py"
NAIVE = "kernels/conv2d_naive.py"

_FPROP = "triton.implicit_gemm and conv2d_fprop and float32 and exact and "
_DGRAD = "triton.implicit_gemm and conv2d_dgrad and float32 and exact and "
_WGRAD = "triton.implicit_gemm and conv2d_wgrad and float32 and exact and "
_PHASES = "triton.phases and float32 and exact and "
_SHUFFLE = "triton.pixel_shuffle and float32 and exact and "

MUTANTS = [
    Mutant(GEMM, "within(h + t * tap_h, height)", "within(h + t, height)",
           _FPROP + "taps_that_miss"),
    Mutant(GEMM, "within(w + t * tap_w, width)", "within(w + t * tap_w, width + 1)",
           _FPROP + "1x7"),
    Mutant(GEMM, "s = tl.where(c < channels, s, s + 1)", "s = tl.where(c <= channels, s, s + 1)",
           _FPROP + "deep and not both"),
    Mutant(GEMM, "d < depth)[None, :]", "d <= depth)[None, :]", _FPROP + "stem"),
    Mutant(GEMM, "rows_inside = lanes < rows - first", "rows_inside = lanes <= rows - first",
           _FPROP + "3x3_valid"),
    Mutant(GEMM, "origin=(-g.pad_top, -g.pad_left)", "origin=(-g.pad_left, -g.pad_top)",
           _FPROP + "asymmetric"),
    Mutant("kernels/conv2d_implicit_gemm_dgrad.py", "origin=(g.pad_top, g.pad_left)",
           "origin=(g.pad_left, g.pad_top)", _DGRAD + "1x7"),
    Mutant(WGRAD, "(tl.maximum(-offset, 0) + stride - 1) // stride",
           "tl.maximum(-offset, 0) // stride", _WGRAD + "stem"),
    Mutant(WGRAD, "at += elements", "at += elements - 1", _WGRAD + "depthwise"),
    Mutant(WGRAD, "p = tl.where(q < plane[1], p, p + LINES)",
           "p = tl.where(q <= plane[1], p, p + LINES)", _WGRAD + "filter_is_the_stride"),
    Mutant(TRANSPOSED, "residue // common * inverse % hop", "residue // common % hop",
           _PHASES + "dilation_over_stride"),
    Mutant(TRANSPOSED, "residue % common == 0", "residue % common >= 0",
           _PHASES + "dilation_over_stride"),
    Mutant(TRANSPOSED, "in_filter = (r < taps[0])", "in_filter = (r <= taps[0])",
           _SHUFFLE + "filter_under_the_stride"),
    Mutant(NAIVE, "read & (i % stride[0] == 0)", "read",
           "triton.naive and conv2d_dgrad and float32 and exact and pointwise_stride_2"),
]  # fmt: skip
