"""Convolution by columns: unfold the image, then one matrix product.

Computes   the three passes of a convolution with any filter, as passes of a pointwise one on the
           image's columns, (N, C*R*S, P, Q): y = columns * w, dcolumns = dy * w transposed and
           dx = their fold, dw = dy * columns transposed
Arrays     x (N,C,H,W)  w (K,C/G,R,S)  y (N,K,P,Q); f16/bf16/f32/f64; any strides
Grid       that of kernels/im2col.py, then that of kernels/conv2d_pointwise.py
Tiling     theirs
Traffic    the columns are written and read, 2 b N C R S P Q bytes beside what an implicit product
           moves. VGG's 56x56 256 -> 256 3x3, N=32, bf16: 925 MB of columns, 103 MB of images;
           unmeasured. They are made for some images at a time, COLUMNS bytes or fewer
Numerics   those of the products: f32 sums (f64 for f64), one rounding at the store. The columns of
           dx are f32 (f64 for f64), so that they are not rounded on the way. Columns hold zeros for
           padding: an infinite or NaN filter makes NaN there
Refuses    a plane of 2**30 pixels or more
Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
           Document Processing; Chetlur et al. 2014, arXiv:1410.0759
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import array
from ..array import Array, channels_last, contiguous_format
from ..dispatch import Epilogue
from ..dtypes import accumulation_dtype
from ..geometry import Conv2dGeometry
from .conv2d_pointwise import multiply_channels, multiply_pixels, split, sum_parts
from .im2col import fold, unfold
from .strided import collapse, strides, units

COLUMNS = 2**28  # bytes of columns in memory at a time
_PIXELS = 2**30  # and how many pixels a product counts


def _channels_first(image: Array, g: Conv2dGeometry) -> bool:
    """Whether rows of columns come in the order c, r, s. In the order r, s, c whole pixels of a
    channels-last image are copied, but the rows of a group would not lie together."""
    return g.G != 1 or array.memory_format(image) != channels_last


def _rows(g: Conv2dGeometry) -> int:
    return g.C * g.R * g.S


def _images(g: Conv2dGeometry, itemsize: int) -> Iterator[slice]:
    """Slices of the batch, of as many images each as COLUMNS allows."""
    n = max(min(COLUMNS // max(_rows(g) * g.P * g.Q * itemsize, 1), _PIXELS // (g.P * g.Q)), 1)
    return (slice(i, min(i + n, g.N)) for i in range(0, g.N, n))


def _columns(images: Array, g: Conv2dGeometry, dtype: np.dtype) -> tuple[Array, Array]:
    """An empty array of columns, as (N, rows, P*Q) and as an image (N, rows, P, Q), in the images'
    layout."""
    n = images.shape[0]
    layout = channels_last if array.memory_format(images) == channels_last else contiguous_format
    columns = array.empty((n, _rows(g), g.P, g.Q), dtype, layout, array.device_of(images))
    return columns.reshape(n, _rows(g), g.P * g.Q), columns


def _ordered(w: Array, channels_first: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(sizes, strides) of the axes of a filter's terms, in the order of the columns' rows."""
    (_, c, r, s), (_, c_step, r_step, s_step) = w.shape, strides(w)
    if channels_first:
        return (c, r, s), (c_step, r_step, s_step)
    return (r, s, c), (r_step, s_step, c_step)


def _matrix(
    w: Array, g: Conv2dGeometry, channels_first: bool
) -> tuple[Array, tuple[int, int, int]]:
    """The filters and their strides along (group, k, row of the columns); a dense copy of them if
    their terms are not a constant step apart."""
    sizes, steps = _ordered(w, channels_first)
    axes, (_, term) = collapse(sizes, array.contiguous_strides(sizes), steps)
    if len(axes) > 1:  # the columns of filters under a 1x1 filter are the filters themselves
        k, c, taps = g.K, sizes[0] if channels_first else sizes[2], g.R * g.S
        shape = (k, c, taps) if channels_first else (k, taps, c)
        dense = array.empty(shape, w.dtype, device=array.device_of(w))
        unfold(
            w,
            dense if channels_first else dense.transpose(0, 2, 1),
            Conv2dGeometry(k, c, g.R, g.S, 1, 1, 1),
        )
        return dense, (g.K // g.G * c * taps, c * taps, 1)
    return w, (g.K // g.G * strides(w)[0], strides(w)[0], term[0])


def _part(epilogue: Epilogue | None, images: slice) -> Epilogue | None:
    """The epilogue of some images."""
    if epilogue is None or epilogue.residual is None:
        return epilogue
    return epilogue._replace(residual=epilogue.residual[images])


def conv2d_fprop_im2col(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g, channels_first = geometry, _channels_first(x, geometry)
    w, steps = _matrix(w, g, channels_first)
    for images in _images(g, x.itemsize):
        columns, image = _columns(x[images], g, x.dtype)
        unfold(x[images], columns, g, channels_first)
        multiply_pixels(image, w, steps, out[images], g.G, epilogue=_part(epilogue, images))


def conv2d_dgrad_im2col(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g, channels_first = geometry, _channels_first(out, geometry)
    w, (group, k, term) = _matrix(w, g, channels_first)
    dtype = accumulation_dtype(dy.dtype)
    for images in _images(g, dtype.itemsize):
        columns, image = _columns(out[images], g, dtype)
        multiply_pixels(dy[images], w, (group, term, k), image, g.G)
        fold(columns, out[images], g, channels_first, _part(epilogue, images))


def conv2d_wgrad_im2col(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    g, channels_first = geometry, _channels_first(x, geometry)
    rows, cols = g.K // g.G, _rows(g) // g.G
    slices = list(_images(g, x.itemsize))
    pixels = max((s.stop - s.start for s in slices), default=0) * g.P * g.Q
    layout = ("columns", channels_first, units(strides(dy)))
    how = split(x.dtype, g.G, rows, cols, pixels, layout)
    shape = (len(slices) * how.count, g.K, cols)
    parts = array.empty(shape, accumulation_dtype(x.dtype), device=array.device_of(x))
    for i, images in enumerate(slices):
        columns, image = _columns(x[images], g, x.dtype)
        unfold(x[images], columns, g, channels_first)
        part = parts[i * how.count : (i + 1) * how.count]
        multiply_channels(dy[images], image, part, (g.K * cols, rows * cols, cols, 1), g.G, how)
    sizes, steps = _ordered(out, channels_first)
    sum_parts(parts, out, (g.K, *sizes), (strides(out)[0], *steps))
