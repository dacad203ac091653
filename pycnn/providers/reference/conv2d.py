"""Two-dimensional convolution and its two gradients.

Computes   fprop  y[n,k,p,q] = sum_{c,r,s} x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
                                               * w[k,c,r,s]
           dgrad  dx, the adjoint of fprop in x;  wgrad  dw, the adjoint of fprop in w
           with groups, k sees only the C/G channels of its own group; fprop and dgrad end in an
           epilogue
Arrays     x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q); any strides
Traffic    direct: per tap, the image is read and the output read and written once
Numerics   sums in float32 for the halves, in the arrays' own dtype otherwise; one rounding at the
           store
Source     LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541; groups: Krizhevsky et al. 2012;
           depthwise: Chollet 2017, arXiv:1610.02357; im2col: Chellapilla, Puri and Simard 2006

Three algorithms. `naive` is the formula, element by element. `im2col` writes each patch as a column
and multiplies once. `direct` takes the filter tap by tap: for a fixed (r, s), all pixels it touches
form one matrix product with w[:,:,r,s], or, where a group has one channel, one elementwise product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...array import Array, channels_last, memory_format, xp
from ...dispatch import Epilogue, register
from ...dtypes import accumulation_dtype
from ...geometry import Conv2dGeometry
from .epilogue import store
from .im2col import columns_of, images_of

# --- direct ---------------------------------------------------------------------------------------
# Channels are split into (group, channel of the group). The arrays are pixel-major, (N,H,W,G,C/G),
# where the output is channels-last, else channel-major, (N,G,C/G,H,W): no product transposes them.


def _grouped(module: Any, a: Array, groups: int, pixel_major: bool, dtype: Any) -> Array:
    """`a` (N,C,H,W), dense in the order and dtype the taps work in."""
    n, c, h, w = a.shape
    if pixel_major:
        dense = module.ascontiguousarray(a.transpose(0, 2, 3, 1), dtype)
        return dense.reshape(n, h, w, groups, c // groups)
    return module.ascontiguousarray(a, dtype).reshape(n, groups, c // groups, h, w)


def _accumulator(
    module: Any, shape: tuple[int, ...], groups: int, pixel_major: bool, dtype: Any
) -> Array:
    """Zeros for an output of `shape` (N,C,H,W), in the order the taps work in."""
    n, c, h, w = shape
    split = (groups, c // groups)
    return module.zeros((n, h, w, *split) if pixel_major else (n, *split, h, w), dtype)


def _ungrouped(a: Array, pixel_major: bool) -> Array:
    """The inverse of `_grouped`, as a view (N,C,H,W)."""
    if pixel_major:
        n, h, w, groups, c = a.shape
        return a.reshape(n, h, w, groups * c).transpose(0, 3, 1, 2)
    n, groups, c, h, w = a.shape
    return a.reshape(n, groups * c, h, w)


def _pixels(a: Array, rows: slice, columns: slice, pixel_major: bool) -> Array:
    return a[:, rows, columns] if pixel_major else a[..., rows, columns]


def _filters(module: Any, w: Array, g: Conv2dGeometry, dtype: Any) -> Array:
    """The filter as one (G, C/G, K/G) matrix per tap: (R, S, G, C/G, K/G)."""
    split = w.reshape(g.G, g.K // g.G, g.C // g.G, g.R, g.S)
    return module.ascontiguousarray(split.transpose(3, 4, 0, 2, 1), dtype)


def _product(module: Any, a: Array, matrices: Array, pixel_major: bool) -> Array:
    """The channels of every pixel times its group's matrix (G, in, out)."""
    groups, _, outputs = matrices.shape
    if pixel_major:
        n, h, w, _, inputs = a.shape
        rows = a.reshape(n * h * w, groups, inputs).transpose(1, 0, 2)
        return module.matmul(rows, matrices).transpose(1, 0, 2).reshape(n, h, w, groups, outputs)
    n, _, inputs, h, w = a.shape
    columns = a.reshape(n, groups, inputs, h * w)
    transposed = matrices.transpose(0, 2, 1)
    return module.matmul(transposed, columns).reshape(n, groups, outputs, h, w)


def _depthwise_product(module: Any, a: Array, matrices: Array, pixel_major: bool) -> Array:
    """`_product` where a group has one channel, so that the matrices have one row or one column."""
    if not pixel_major:
        matrices = matrices[..., None, None]
    if matrices.shape[1] == 1:
        return a * matrices[:, 0]
    products = a * matrices[:, :, 0]
    return products.sum(axis=-1 if pixel_major else 2, keepdims=True)


def _outer(module: Any, x: Array, dy: Array, pixel_major: bool) -> Array:
    """sum over images and pixels of x (x) dy, per group: (G, C/G, K/G)."""
    if pixel_major:
        n, p, q, groups, c = x.shape
        k = dy.shape[-1]
        left = x.reshape(n * p * q, groups, c).transpose(1, 2, 0)
        right = dy.reshape(n * p * q, groups, k).transpose(1, 0, 2)
        return module.matmul(left, right)
    n, groups, c, p, q = x.shape
    k = dy.shape[2]
    left = x.reshape(n, groups, c, p * q)
    right = dy.reshape(n, groups, k, p * q).transpose(0, 1, 3, 2)
    return module.matmul(left, right).sum(axis=0)


def _depthwise_outer(module: Any, x: Array, dy: Array, pixel_major: bool) -> Array:
    """`_outer` where a group has one channel. Summing row by row keeps the rounding error small."""
    if pixel_major:
        return (x * dy).sum(axis=2).sum(axis=(0, 1))[:, None, :]
    return (x * dy).sum(axis=-1).sum(axis=(0, -1))[:, None, :]


@register("conv2d_fprop", "reference", "direct")
def fprop(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    """y += x at the tap's pixels times the tap's matrix, for every tap."""
    g, module, dtype = geometry, xp(x, w, out), accumulation_dtype(out.dtype)
    pixel_major = memory_format(out) == channels_last
    x = _grouped(module, x, g.G, pixel_major, dtype)
    filters = _filters(module, w, g, dtype)
    product = _depthwise_product if g.is_depthwise else _product
    y = _accumulator(module, g.y_shape, g.G, pixel_major, dtype)
    for r, s, outputs, inputs in g.taps():
        target = _pixels(y, *outputs, pixel_major)
        target += product(module, _pixels(x, *inputs, pixel_major), filters[r, s], pixel_major)
    store(module, _ungrouped(y, pixel_major), out, epilogue)


@register("conv2d_dgrad", "reference", "direct")
def dgrad(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    """dx at the tap's pixels += dy times the tap's transposed matrix, for every tap."""
    g, module, dtype = geometry, xp(dy, w, out), accumulation_dtype(out.dtype)
    pixel_major = memory_format(out) == channels_last
    dy = _grouped(module, dy, g.G, pixel_major, dtype)
    filters = _filters(module, w, g, dtype).swapaxes(-1, -2)
    product = _depthwise_product if g.is_depthwise else _product
    dx = _accumulator(module, g.x_shape, g.G, pixel_major, dtype)
    for r, s, outputs, inputs in g.taps():
        target = _pixels(dx, *inputs, pixel_major)
        target += product(module, _pixels(dy, *outputs, pixel_major), filters[r, s], pixel_major)
    store(module, _ungrouped(dx, pixel_major), out, epilogue)


@register("conv2d_wgrad", "reference", "direct")
def wgrad(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    """dw of a tap = x at the tap's pixels, transposed, times dy."""
    g, module, dtype = geometry, xp(x, dy, out), accumulation_dtype(out.dtype)
    pixel_major = memory_format(dy) == channels_last
    x = _grouped(module, x, g.G, pixel_major, dtype)
    dy = _grouped(module, dy, g.G, pixel_major, dtype)
    outer = _depthwise_outer if g.is_depthwise else _outer
    dw = module.empty((g.R, g.S, g.G, g.C // g.G, g.K // g.G), dtype)
    for r, s, outputs, inputs in g.taps():
        read, given = _pixels(x, *inputs, pixel_major), _pixels(dy, *outputs, pixel_major)
        dw[r, s] = outer(module, read, given, pixel_major)
    out[...] = dw.transpose(2, 4, 3, 0, 1).reshape(g.w_shape)


# --- im2col ---------------------------------------------------------------------------------------


def _images(n: int) -> Iterator[slice]:
    """One image at a time, so that the columns of one image are all that is ever in memory."""
    return (slice(i, i + 1) for i in range(n))


def _split(a: Array, axis: int, groups: int) -> Array:
    """`a` with its channels on `axis` split into (group, channel of the group)."""
    shape = (*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])
    return a.reshape(shape)


def _depth(g: Conv2dGeometry) -> int:
    return g.C // g.G * g.R * g.S


@register("conv2d_fprop", "reference", "im2col")
def fprop_im2col(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    """y = w as a (K/G, C/G*R*S) matrix per group, times the columns of x."""
    g, module, dtype = geometry, xp(x, w, out), accumulation_dtype(out.dtype)
    filters = w.astype(dtype).reshape(g.G, g.K // g.G, _depth(g))
    y = module.empty(g.y_shape, dtype)
    for image in _images(g.N):
        columns = _split(columns_of(module, x[image].astype(dtype), g), 1, g.G)
        y[image] = module.matmul(filters, columns).reshape(1, g.K, g.P, g.Q)
    store(module, y, out, epilogue)


@register("conv2d_dgrad", "reference", "im2col")
def dgrad_im2col(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    """The columns of dx = transposed w times dy; col2im sums them into dx."""
    g, module, dtype = geometry, xp(dy, w, out), accumulation_dtype(out.dtype)
    filters = w.astype(dtype).reshape(g.G, g.K // g.G, _depth(g)).transpose(0, 2, 1)
    dx = module.empty(g.x_shape, dtype)
    for image in _images(g.N):
        given = dy[image].astype(dtype).reshape(1, g.G, g.K // g.G, g.P * g.Q)
        columns = module.matmul(filters, given).reshape(1, g.C * g.R * g.S, g.P * g.Q)
        dx[image] = images_of(module, columns, g)
    store(module, dx, out, epilogue)


@register("conv2d_wgrad", "reference", "im2col")
def wgrad_im2col(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    """dw = sum over images of dy times the transposed columns of x."""
    g, module, dtype = geometry, xp(x, dy, out), accumulation_dtype(out.dtype)
    dw = module.zeros((1, g.G, g.K // g.G, _depth(g)), dtype)
    for image in _images(g.N):
        columns = _split(columns_of(module, x[image].astype(dtype), g), 1, g.G)
        given = dy[image].astype(dtype).reshape(1, g.G, g.K // g.G, g.P * g.Q)
        dw += module.matmul(given, columns.transpose(0, 1, 3, 2))
    out[...] = dw.reshape(g.w_shape)


# --- naive ----------------------------------------------------------------------------------------


def _padded(module: Any, x: Array, g: Conv2dGeometry, dtype: Any) -> Array:
    height, width = g.H + g.pad_top + g.pad_bottom, g.W + g.pad_left + g.pad_right
    padded = module.zeros((g.N, g.C, height, width), dtype)
    inside = padded[:, :, g.pad_top : g.pad_top + g.H, g.pad_left : g.pad_left + g.W]
    inside[...] = x[:, :, : inside.shape[2], : inside.shape[3]]  # negative padding cuts x off
    return padded


@register("conv2d_fprop", "reference", "naive")
def fprop_naive(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    """Every y[n,k,p,q]: its window of the zero-padded image times w[k], summed."""
    g, module, dtype = geometry, xp(x, w, out), accumulation_dtype(out.dtype)
    x, w = _padded(module, x, g, dtype), w.astype(dtype)
    y = module.empty(g.y_shape, dtype)
    for n in range(g.N):
        for k in range(g.K):
            first = k // (g.K // g.G) * (g.C // g.G)
            for p in range(g.P):
                for q in range(g.Q):
                    top, left = p * g.stride_h, q * g.stride_w
                    window = x[
                        n,
                        first : first + g.C // g.G,
                        top : top + (g.R - 1) * g.dilation_h + 1 : g.dilation_h,
                        left : left + (g.S - 1) * g.dilation_w + 1 : g.dilation_w,
                    ]
                    y[n, k, p, q] = (window * w[k]).sum()
    store(module, y, out, epilogue)


@register("conv2d_dgrad", "reference", "naive")
def dgrad_naive(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    """Every dx[n,c,h,w]: the sum over the taps (r, s) whose output pixel exists, that is, where
    h + top - r*Dh is a multiple p*Sh with 0 <= p < P, and likewise along w."""
    g, module, dtype = geometry, xp(dy, w, out), accumulation_dtype(out.dtype)
    dy, w = dy.astype(dtype), w.astype(dtype)
    dx = module.empty(g.x_shape, dtype)
    for n in range(g.N):
        for c in range(g.C):
            group, channel = divmod(c, g.C // g.G)
            filters = slice(group * (g.K // g.G), (group + 1) * (g.K // g.G))
            for h in range(g.H):
                for v in range(g.W):
                    total = module.zeros((), dtype)
                    for r in range(g.R):
                        p, uneven_p = divmod(h + g.pad_top - r * g.dilation_h, g.stride_h)
                        if uneven_p or not 0 <= p < g.P:
                            continue
                        for s in range(g.S):
                            q, uneven_q = divmod(v + g.pad_left - s * g.dilation_w, g.stride_w)
                            if uneven_q or not 0 <= q < g.Q:
                                continue
                            total = total + (dy[n, filters, p, q] * w[filters, channel, r, s]).sum()
                    dx[n, c, h, v] = total
    store(module, dx, out, epilogue)


@register("conv2d_wgrad", "reference", "naive")
def wgrad_naive(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    """Every dw[k,c,r,s]: dy of filter k times the pixels that tap (r, s) reads of channel c."""
    g, module, dtype = geometry, xp(x, dy, out), accumulation_dtype(out.dtype)
    x, dy = _padded(module, x, g, dtype), dy.astype(dtype)
    dw = module.empty(g.w_shape, dtype)
    for k in range(g.K):
        first = k // (g.K // g.G) * (g.C // g.G)
        for c in range(g.C // g.G):
            for r in range(g.R):
                for s in range(g.S):
                    top, left = r * g.dilation_h, s * g.dilation_w
                    read = x[
                        :,
                        first + c,
                        top : top + (g.P - 1) * g.stride_h + 1 : g.stride_h,
                        left : left + (g.Q - 1) * g.stride_w + 1 : g.stride_w,
                    ]
                    dw[k, c, r, s] = (read * dy[:, k]).sum()
    out[...] = dw
