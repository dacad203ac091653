"""Faults in the Triton convolutions."""

from __future__ import annotations

from .harness import Mutant

GEMM = "kernels/conv2d_implicit_gemm.py"
WGRAD = "kernels/conv2d_implicit_gemm_wgrad.py"

_FPROP = "triton.implicit_gemm and conv2d_fprop and float32 and exact and "
_DGRAD = "triton.implicit_gemm and conv2d_dgrad and float32 and exact and "
_WGRAD = "triton.implicit_gemm and conv2d_wgrad and float32 and exact and "

MUTANTS = [
    Mutant(GEMM, "within(h + t * tap_h, height)", "within(h + t, height)",
           _FPROP + "dilated,_whole_blocks"),
    Mutant(GEMM, "within(w + t * tap_w, width)", "within(w + t * tap_w, width + 1)",
           _FPROP + "dilated,_whole_blocks"),
    Mutant(GEMM, "s = tl.where(c < channels, s, s + 1)", "s = tl.where(c <= channels, s, s + 1)",
           _FPROP + "dilated,_whole_blocks"),
    Mutant(GEMM, "rows_inside = lanes < rows - first", "rows_inside = lanes <= rows - first",
           _FPROP + "3x3_valid"),
    Mutant(GEMM, "origin=(-g.pad_top, -g.pad_left)", "origin=(-g.pad_left, -g.pad_top)",
           _FPROP + "asymmetric"),
    Mutant("kernels/conv2d_implicit_gemm_dgrad.py", "origin=(g.pad_top, g.pad_left)",
           "origin=(g.pad_left, g.pad_top)", _DGRAD + "1x7"),
    Mutant(WGRAD, "(tl.maximum(-offset, 0) + stride - 1) // stride",
           "tl.maximum(-offset, 0) // stride", _WGRAD + "stem"),
    Mutant(WGRAD, "at += elements", "at += elements - 1", _WGRAD + "depthwise"),
]  # fmt: skip
