"""The input gradient of a convolution as an implicit GEMM: a convolution again, of dy.

Computes   dx[n,c,h,w] = sum_{r,s,k} dy[n, k, (h + top - r*Dh) / Sh, (w + left - s*Dw) / Sw]
                                     * w[k,c,r,s]
           where the divisions are exact, then the epilogue. With stride 1 they always are: dx is
           the convolution of dy with the flipped taps and padding (top, left) the other way round,
           and the kernel is that of conv2d_implicit_gemm.py: rows (n,h,w), columns a group's
           channels c, depth its filters k per tap. Other strides are conv2d_transposed.py's phases
Arrays     dy (N,K,P,Q)  w (K,C/G,R,S)  dx (N,C,H,W); f16/bf16/f32/f64, any strides. The columns of
           the filter are contiguous where it is channels-last, and read 16 bytes at a time
Grid, Tiling, Numerics   as conv2d_implicit_gemm.py, with the depth in the order (r,s,k)
Traffic    as forward: the same products, dy read R*S times from L2 and dx written once
Refuses    nothing
Source     Dumoulin and Visin 2016, arXiv:1603.07285, chapter 4
"""

from __future__ import annotations

from ..array import Array
from ..dispatch import Epilogue
from ..geometry import Conv2dGeometry
from .conv2d_implicit_gemm import convolve
from .conv2d_transposed import conv2d_dgrad_phases
from .strided import strides


def conv2d_dgrad_implicit_gemm(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g = geometry
    if g.stride != (1, 1):
        conv2d_dgrad_phases(dy, w, out=out, geometry=g, epilogue=epilogue)
        return
    k, c, r, s = strides(w)
    convolve(
        dy, w, out, ("dgrad", g), epilogue,
        (g.K // g.G * k, c, k, r, s), g.G, g.K // g.G, g.C // g.G, (g.R, g.S),
        step=(1, 1), origin=(g.pad_top, g.pad_left), tap=(-g.dilation_h, -g.dilation_w),
    )  # fmt: skip
