"""Faults in the Triton matrix product, its columns, and the convolutions made of the two."""

from __future__ import annotations

from .harness import Mutant

GEMM = "kernels/gemm.py"
IM2COL = "kernels/im2col.py"
POINTWISE = "kernels/conv2d_pointwise.py"
CONV2D = "kernels/conv2d_im2col.py"

MUTANTS = [
    Mutant(GEMM, "k_inside = k < depth - start", "k_inside = k <= depth - start", "gemm-primes"),
    Mutant(GEMM, "b_at += b_advance", "b_at += a_advance", "gemm-past_a_block_of_terms"),
    Mutant(GEMM, "band * GROUP + within % height", "within % height", "gemm-more_rows_than_a_task"),
    Mutant(IM2COL, "(h >= 0) & (h < H)", "(h >= 0) & (h <= H)", "im2col-3x3_padded"),
    Mutant(IM2COL, "tap % S * dilation_w", "tap % S * dilation_h", "im2col-uneven_all"),
    Mutant(IM2COL, "(p * stride_h == down) & ", "", "col2im-uneven_all"),
    Mutant(POINTWISE, "steps[3] * stride[1]", "steps[3] * stride[0]",
           "conv2d_fprop-pointwise_stride_2x3"),
    Mutant(POINTWISE, "(v == q.to(tl.int64) * stride_w)", "True",
           "conv2d_dgrad-pointwise_stride_2x3"),
    Mutant(POINTWISE, "range(split * part,", "range(0,", "conv2d_wgrad-pointwise,_deep_wgrad"),
    Mutant(CONV2D, "if len(axes) > 1:", "if False:", "conv2d_fprop-uneven_all"),
]  # fmt: skip
