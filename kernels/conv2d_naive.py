"""Convolution and its gradients, one output element per lane: the formulas, and nothing else.

Computes   fprop  y[n,k,p,q] = sum_{r,s,c} x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
                                               * w[k,c,r,s], then the epilogue
           dgrad  dx[n,c,h,w] = sum_{r,s,k} dy[n, k, (h + top - r*Dh) / Sh, (w + left - s*Dw) / Sw]
                                               * w[k,c,r,s] where both divide, then the epilogue
           wgrad  dw[k,c,r,s] = sum_{p,q,n} dy[n,k,p,q]
                                               * x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
           k and c within one group
Arrays     x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q); f16/bf16/f32/f64, any strides
Grid       (output elements / BLOCK,): lanes walk the output in the order of its indices
Tiling     none: every lane reads both factors of every product itself
Traffic    2 reads for 2 FLOPs: 0.5 FLOP/byte in bf16 as asked of the caches
Numerics   f32 accumulator (f64: f64), terms in the order written above; one rounding at the store
Refuses    nothing
Source     LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..array import Array
from ..dispatch import Epilogue
from ..geometry import Conv2dGeometry
from .epilogue import activation, arguments, finish
from .launch import launch
from .numbers import accumulator
from .strided import strides

_BLOCK = 256


@triton.jit
def _element(BLOCK: tl.constexpr, shape):
    """(the four indices of every lane's output element, whether it has one)."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    d, rest = i % shape[3], i // shape[3]
    c, rest = rest % shape[2], rest // shape[2]
    b, a = rest % shape[1], rest // shape[1]
    return a, b, c, d, a < shape[0]


@triton.jit
def _store(
    acc, out, out_steps, a, b, c, d, inside, vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr,
):  # fmt: skip
    at = a * residual_steps[0] + b * residual_steps[1]
    at += c * residual_steps[2] + d * residual_steps[3]
    # one row of as many columns as lanes: every lane has its own channel
    acc = finish(
        acc[None, :], vectors, vector_steps, b, inside, residual, at[None, :], inside[None, :],
        ACTIVATION,
    )  # fmt: skip
    at = a * out_steps[0] + b * out_steps[1] + c * out_steps[2] + d * out_steps[3]
    tl.store(out + at[None, :], acc.to(out.dtype.element_ty), mask=inside[None, :])


@triton.jit
def _naive_fprop(
    x, w, y, x_steps, w_steps, y_steps, vectors, vector_steps, residual, residual_steps,
    y_shape, image, channels, filters, taps, stride, pad, dilation,
    ACTIVATION: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, k, p, q, inside = _element(BLOCK, y_shape)
    first = k // filters * channels
    acc = tl.zeros((BLOCK,), ACC)
    for r in range(taps[0]):
        for s in range(taps[1]):
            i, j = (
                p * stride[0] - pad[0] + r * dilation[0],
                q * stride[1] - pad[1] + s * dilation[1],
            )
            read = inside & (i >= 0) & (i < image[0]) & (j >= 0) & (j < image[1])
            x_at = n * x_steps[0] + first * x_steps[1] + i * x_steps[2] + j * x_steps[3]
            w_at = k * w_steps[0] + r * w_steps[2] + s * w_steps[3]
            for _ in range(channels):
                a = tl.load(x + x_at, mask=read, other=0.0).to(ACC)
                acc += a * tl.load(w + w_at, mask=read, other=0.0).to(ACC)
                x_at += x_steps[1]
                w_at += w_steps[1]
    _store(
        acc, y, y_steps, n, k, p, q, inside, vectors, vector_steps, residual, residual_steps,
        ACTIVATION,
    )  # fmt: skip


@triton.jit
def _naive_dgrad(
    dy, w, dx, dy_steps, w_steps, dx_steps, vectors, vector_steps, residual, residual_steps,
    dx_shape, plane, channels, filters, taps, stride, pad, dilation,
    ACTIVATION: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, c, h, v, inside = _element(BLOCK, dx_shape)
    first = c // channels * filters
    acc = tl.zeros((BLOCK,), ACC)
    for r in range(taps[0]):
        for s in range(taps[1]):
            i, j = h + pad[0] - r * dilation[0], v + pad[1] - s * dilation[1]
            p, q = i // stride[0], j // stride[1]
            read = inside & (i >= 0) & (p < plane[0]) & (j >= 0) & (q < plane[1])
            read = read & (i % stride[0] == 0) & (j % stride[1] == 0)
            dy_at = n * dy_steps[0] + first * dy_steps[1] + p * dy_steps[2] + q * dy_steps[3]
            w_at = first * w_steps[0] + c % channels * w_steps[1] + r * w_steps[2] + s * w_steps[3]
            for _ in range(filters):
                a = tl.load(dy + dy_at, mask=read, other=0.0).to(ACC)
                acc += a * tl.load(w + w_at, mask=read, other=0.0).to(ACC)
                dy_at += dy_steps[1]
                w_at += w_steps[0]
    _store(
        acc, dx, dx_steps, n, c, h, v, inside, vectors, vector_steps, residual, residual_steps,
        ACTIVATION,
    )  # fmt: skip


@triton.jit
def _naive_wgrad(
    x, dy, dw, x_steps, dy_steps, dw_steps,
    dw_shape, images, image, plane, filters, stride, pad, dilation,
    ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    k, c, r, s, inside = _element(BLOCK, dw_shape)
    channel = k // filters * dw_shape[1] + c
    acc = tl.zeros((BLOCK,), ACC)
    for p in range(plane[0]):
        for q in range(plane[1]):
            i, j = (
                p * stride[0] - pad[0] + r * dilation[0],
                q * stride[1] - pad[1] + s * dilation[1],
            )
            read = inside & (i >= 0) & (i < image[0]) & (j >= 0) & (j < image[1])
            x_at = channel * x_steps[1] + i * x_steps[2] + j * x_steps[3]
            dy_at = k * dy_steps[1] + (k * 0 + p) * dy_steps[2] + (k * 0 + q) * dy_steps[3]
            for _ in range(images):
                a = tl.load(x + x_at, mask=read, other=0.0).to(ACC)
                acc += a * tl.load(dy + dy_at, mask=read, other=0.0).to(ACC)
                x_at += x_steps[0]
                dy_at += dy_steps[0]
    at = k * dw_steps[0] + c * dw_steps[1] + r * dw_steps[2] + s * dw_steps[3]
    tl.store(dw + at, acc.to(dw.dtype.element_ty), mask=inside)


def conv2d_fprop_naive(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g = geometry
    launch(
        _naive_fprop, (triton.cdiv(out.size, _BLOCK),),
        x, w, out, strides(x), strides(w), strides(out), *arguments(epilogue),
        g.y_shape, (g.H, g.W), g.C // g.G, g.K // g.G, (g.R, g.S), g.stride,
        (g.pad_top, g.pad_left), g.dilation,
        ACTIVATION=activation(epilogue), ACC=accumulator(out.dtype), BLOCK=_BLOCK,
    )  # fmt: skip


def conv2d_dgrad_naive(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g = geometry
    launch(
        _naive_dgrad, (triton.cdiv(out.size, _BLOCK),),
        dy, w, out, strides(dy), strides(w), strides(out), *arguments(epilogue),
        g.x_shape, (g.P, g.Q), g.C // g.G, g.K // g.G, (g.R, g.S), g.stride,
        (g.pad_top, g.pad_left), g.dilation,
        ACTIVATION=activation(epilogue), ACC=accumulator(out.dtype), BLOCK=_BLOCK,
    )  # fmt: skip


def conv2d_wgrad_naive(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    launch(
        _naive_wgrad, (triton.cdiv(out.size, _BLOCK),),
        x, dy, out, strides(x), strides(dy), strides(out),
        g.w_shape, g.N, (g.H, g.W), (g.P, g.Q), g.K // g.G, g.stride,
        (g.pad_top, g.pad_left), g.dilation,
        ACC=accumulator(out.dtype), BLOCK=_BLOCK,
    )  # fmt: skip
