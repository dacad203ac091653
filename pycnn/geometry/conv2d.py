"""Convolutions: their geometry, and the checks that make one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

from .base import LIMIT, Geometry, frozen, shape_words, tap_span


def conv_output_size(padded: int, taps: int, stride: int, dilation: int) -> int:
    """floor((padded - dilation*(taps-1) - 1) / stride) + 1"""
    return (padded - dilation * (taps - 1) - 1) // stride + 1


@frozen
class Conv2dGeometry(Geometry):
    """One two-dimensional convolution: y = conv(x, w).  x (N,C,H,W)  w (K,C/G,R,S)  y (N,K,P,Q).

    pad_bottom and pad_right may be negative: the last rows or columns are then never read, as in a
    transposed convolution whose output padding passes its stride."""

    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    G: int = 1

    @cached_property
    def P(self) -> int:
        return conv_output_size(
            self.H + self.pad_top + self.pad_bottom, self.R, self.stride_h, self.dilation_h
        )

    @cached_property
    def Q(self) -> int:
        return conv_output_size(
            self.W + self.pad_left + self.pad_right, self.S, self.stride_w, self.dilation_w
        )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.N, self.C, self.H, self.W)

    @property
    def w_shape(self) -> tuple[int, ...]:
        return (self.K, self.C // self.G, self.R, self.S)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return (self.N, self.K, self.P, self.Q)

    @property
    def stride(self) -> tuple[int, int]:
        return (self.stride_h, self.stride_w)

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """(top, bottom, left, right)"""
        return (self.pad_top, self.pad_bottom, self.pad_left, self.pad_right)

    @property
    def dilation(self) -> tuple[int, int]:
        return (self.dilation_h, self.dilation_w)

    @property
    def is_depthwise(self) -> bool:
        """Every group reads one channel."""
        return self.G == self.C and self.G > 1

    @property
    def is_pointwise(self) -> bool:
        """1x1 without padding: a matrix product over the (strided) pixels."""
        return self.R == self.S == 1 and not any(self.padding)

    def taps(self) -> Iterator[tuple[int, int, tuple[slice, slice], tuple[slice, slice]]]:
        """Every filter tap (r, s) with the output pixels it feeds and the input pixels it reads."""
        for r in range(self.R):
            p, h = tap_span(self.H, self.P, r, self.stride_h, self.pad_top, self.dilation_h)
            for s in range(self.S):
                q, w = tap_span(self.W, self.Q, s, self.stride_w, self.pad_left, self.dilation_w)
                yield r, s, (p, q), (h, w)

    def flops(self, primitive: str) -> int:
        if primitive in ("im2col", "col2im"):
            return 0
        return (
            2
            * self.N
            * self.K
            * self.P
            * self.Q
            * (self.C // self.G if self.G else 0)
            * self.R
            * self.S
        )

    def __str__(self) -> str:
        groups = f" groups {self.G}" if self.G != 1 else ""
        dilation = (
            f" dilation {self.dilation_h}x{self.dilation_w}" if self.dilation != (1, 1) else ""
        )
        pads = f" pad {self.padding}" if any(self.padding) else ""
        return (
            f"{self.N}x{self.C}x{self.H}x{self.W} -> {self.K}, {self.R}x{self.S} "
            f"stride {self.stride_h}x{self.stride_w}{pads}{dilation}{groups}"
        )


def _check_not_empty(op: str, image: tuple[int, ...], weight: tuple[int, ...]) -> None:
    """RuntimeError for filters without taps or outputs, and for images without pixels: only N and C
    may be 0."""
    if weight[0] < 1 or weight[2] < 1 or weight[3] < 1:
        raise RuntimeError(
            f"{op}(): weight: got size {shape_words(weight)}, expected filters with at least one "
            "tap"
        )
    if min(image[2:]) < 1 <= min(image[:2]):
        raise RuntimeError(
            f"{op}(): Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{shape_words(image)}"
        )


@lru_cache(maxsize=4096)
def conv2d_geometry(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
    op: str = "conv2d",
) -> Conv2dGeometry:
    """The geometry of conv(x, w); padding is (top, bottom, left, right). RuntimeError where shapes
    do not fit."""
    n, c, h, w = x_shape
    k, c_per_group, r, s = w_shape
    if groups < 1 or groups > LIMIT:
        raise RuntimeError(f"{op}(): groups: got {groups}, expected a positive integer")
    if c != c_per_group * groups:
        raise RuntimeError(
            f"{op}(): Given groups={groups}, weight of size {shape_words(w_shape)}, expected "
            f"input{shape_words(x_shape)} to have {c_per_group * groups} channels, but got {c} "
            "channels instead"
        )
    if k % groups:
        raise RuntimeError(
            f"{op}(): Given groups={groups}, expected weight to be divisible by {groups} at "
            f"dimension 0, but got weight of size {shape_words(w_shape)}"
        )
    _check_not_empty(op, x_shape, w_shape)
    padded = (h + padding[0] + padding[1], w + padding[2] + padding[3])
    extent = (dilation[0] * (r - 1) + 1, dilation[1] * (s - 1) + 1)
    if padded[0] < extent[0] or padded[1] < extent[1]:
        raise RuntimeError(
            f"{op}(): Calculated padded input size per channel: ({padded[0]} x {padded[1]}). "
            f"Kernel size: ({extent[0]} x {extent[1]}). Kernel size can't be greater than actual "
            "input size"
        )
    if max(*padded, *x_shape, *w_shape) > LIMIT:
        raise RuntimeError(f"{op}(): padding: got {padding}, padded input {padded} passes {LIMIT}")
    return Conv2dGeometry(n, c, h, w, k, r, s, *stride, *padding, *dilation, groups)


@lru_cache(maxsize=4096)
def conv_transpose2d_geometry(
    y_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
    output_padding: tuple[int, int],
    groups: int,
    dilation: tuple[int, int],
    op: str = "conv_transpose2d",
) -> Conv2dGeometry:
    """The geometry of the convolution whose adjoint maps y_shape to the transposed convolution's
    output."""
    n, k, p, q = y_shape
    k_w, c_per_group, r, s = w_shape
    if groups < 1 or groups > LIMIT:
        raise RuntimeError(f"{op}(): groups: got {groups}, expected a positive integer")
    if k != k_w or k % groups:
        raise RuntimeError(
            f"{op}(): Given transposed=True, groups={groups}, weight of size "
            f"{shape_words(w_shape)}, expected input{shape_words(y_shape)} to have {k_w} "
            f"channels (a multiple of groups), but got {k} channels instead"
        )
    _check_not_empty(op, y_shape, (min(k_w, c_per_group), c_per_group, r, s))
    sizes = []
    for axis, (outputs, taps) in enumerate(((p, r), (q, s))):
        if output_padding[axis] >= max(stride[axis], dilation[axis]):
            raise RuntimeError(
                f"{op}(): output_padding: got {output_padding}, "
                f"must be smaller than either stride {stride} or dilation {dilation}"
            )
        size = (outputs - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (taps - 1) + 1
        sizes.append(size + output_padding[axis])
    h, w = sizes
    if h < 1 or w < 1:
        raise RuntimeError(
            f"{op}(): Given input size per channel: ({p} x {q}). Calculated output size per "
            f"channel: ({h} x {w}). Output size is too small"
        )
    if max(h, w) > LIMIT:
        raise RuntimeError(f"{op}(): output size ({h} x {w}) passes {LIMIT}")
    pads: list[int] = []
    for axis, (size, outputs, taps) in enumerate(((h, p, r), (w, q, s))):
        pad = padding[axis]
        matches = conv_output_size(size + 2 * pad, taps, stride[axis], dilation[axis]) == outputs
        pads += (pad, pad if matches else pad - output_padding[axis])
    return Conv2dGeometry(n, c_per_group * groups, h, w, k, r, s, *stride, *pads, *dilation, groups)
