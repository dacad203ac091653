"""Convolution by columns: unfold the image, then one matrix product.

Computes   the three passes of a convolution with any filter, as passes of a pointwise one on the
           image's columns, (N, C*R*S, P, Q): y = columns * w, dcolumns = dy * w transposed and
           dx = their fold, dw = dy * columns transposed
Arrays     x (N,C,H,W)  w (K,C/G,R,S)  y (N,K,P,Q); f16/bf16/f32/f64; any strides
Grid       that of kernels/im2col.py, then that of kernels/conv2d_pointwise.py
Tiling     theirs
Traffic    the columns are written and read once more than an implicit product needs: 2 b N C R S P Q
           bytes. VGG's 56x56 256 -> 256 3x3, N=32, bf16: 925 MB of them beside 103 MB of images;
           unmeasured. They are made for some images at a time, COLUMNS bytes of them or fewer
Numerics   those of the products: f32 sums (f64 for f64), one rounding at the store. The columns of
           dx are f32 (f64 for f64), so that they are not rounded on the way
Refuses    a plane of 2**30 pixels or more
Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
           Document Processing; Chetlur et al. 2014, arXiv:1410.0759
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import array
from ..array import Array, channels_last
from ..dispatch import Epilogue
from ..dtypes import accumulation_dtype
from ..geometry import Conv2dGeometry
from .conv2d_pointwise import multiply_channels, multiply_pixels, split, sum_parts
from .im2col import fold, unfold
from .strided import strides

COLUMNS = 2**28  # bytes of columns in memory at a time
POINT = (1, 1)


def _depth(g: Conv2dGeometry) -> int:
    return g.C // g.G * g.R * g.S if g.G else 0
