"""Pooling, fixed and adaptive: its geometry, and the checks that make one."""

from __future__ import annotations

from functools import lru_cache

from .base import LIMIT, Geometry, frozen, shape_words


def pool_output_size(
    size: int, taps: int, stride: int, pad: int, dilation: int, ceil_mode: bool
) -> int:
    """As a convolution's, rounded up in ceil_mode unless the last window would start in the right
    padding."""
    span = size + 2 * pad - dilation * (taps - 1) - 1
    outputs = (span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (outputs - 1) * stride >= size + pad:
        outputs -= 1
    return outputs


@frozen
class Pool2dGeometry(Geometry):
    """One two-dimensional pooling.  x (N,C,H,W)  y (N,C,P,Q).

    Output p pools the inputs start_p, start_p + dilation, ... below end_p that lie inside the
    image. An adaptive pooling has start_p = floor(p*H/P), end_p = ceil((p+1)*H/P); R and S are then
    its largest window."""

    N: int
    C: int
    H: int
    W: int
    R: int
    S: int
    P: int
    Q: int
    stride_h: int = 1
    stride_w: int = 1
    pad_h: int = 0
    pad_w: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    adaptive: bool = False
    count_include_pad: bool = True  # average pooling only
    divisor_override: int | None = None  # average pooling only

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.N, self.C, self.H, self.W)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return (self.N, self.C, self.P, self.Q)

    @property
    def taps(self) -> int:
        return self.R * self.S

    @property
    def offset_dtype(self) -> str:
        """The dtype of max pooling's window offsets r*S + s."""
        return "uint8" if self.taps <= 256 else "int32"

    def windows(self, axis: str) -> list[tuple[int, int]]:
        """(start, end) of each output's window along "h" or "w"; start may be negative, end pass
        the image.

        The end of a regular window is clipped to the padded image, which is what average pooling
        divides by."""
        size, outputs, taps, stride, pad, dilation = (
            (self.H, self.P, self.R, self.stride_h, self.pad_h, self.dilation_h)
            if axis == "h"
            else (self.W, self.Q, self.S, self.stride_w, self.pad_w, self.dilation_w)
        )
        if self.adaptive:
            return [(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)]
        starts = [i * stride - pad for i in range(outputs)]
        return [(start, min(start + (taps - 1) * dilation + 1, size + pad)) for start in starts]

    def flops(self, primitive: str) -> int:
        return self.N * self.C * self.P * self.Q * self.taps

    def __str__(self) -> str:
        kind = "adaptive " if self.adaptive else ""
        return (
            f"{kind}{self.N}x{self.C}x{self.H}x{self.W} -> {self.P}x{self.Q}, {self.R}x{self.S} "
            f"stride {self.stride_h}x{self.stride_w} pad {self.pad_h}x{self.pad_w}"
        )


@lru_cache(maxsize=4096)
def pool2d_geometry(
    x_shape: tuple[int, ...],
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    op: str = "max_pool2d",
) -> Pool2dGeometry:
    """The geometry of a pooling; RuntimeError where the padding or the output size is
    impossible."""
    n, c, h, w = x_shape
    if min(c, h, w) < 1:
        raise RuntimeError(
            f"{op}(): Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got: {shape_words(x_shape)}"
        )
    for pad, taps in zip(padding, kernel_size, strict=True):
        if pad > taps // 2:
            raise RuntimeError(
                f"{op}(): pad should be smaller than or equal to half of kernel size, "
                f"but got padding={padding} and kernel_size={kernel_size}"
            )
    if kernel_size[0] * kernel_size[1] > LIMIT:
        raise RuntimeError(f"{op}(): kernel_size: got {kernel_size}, a window passes {LIMIT} taps")
    p = pool_output_size(h, kernel_size[0], stride[0], padding[0], dilation[0], ceil_mode)
    q = pool_output_size(w, kernel_size[1], stride[1], padding[1], dilation[1], ceil_mode)
    if p < 1 or q < 1:
        raise RuntimeError(
            f"{op}(): Given input size: ({c}x{h}x{w}). Calculated output size: ({c}x{p}x{q}). "
            "Output size is too small"
        )
    return Pool2dGeometry(
        n,
        c,
        h,
        w,
        *kernel_size,
        p,
        q,
        *stride,
        *padding,
        *dilation,
        False,
        count_include_pad,
        divisor_override,
    )


@lru_cache(maxsize=4096)
def adaptive_pool2d_geometry(
    x_shape: tuple[int, ...], output_size: tuple[int, int], op: str = "adaptive_avg_pool2d"
) -> Pool2dGeometry:
    """The geometry of an adaptive pooling to `output_size`; RuntimeError for an image without
    pixels."""
    n, c, h, w = x_shape
    if min(h, w) < 1:
        raise RuntimeError(
            f"{op}(): Expected input to have non-zero size for non-batch dimensions, "
            f"but input has sizes {shape_words(x_shape)}"
        )
    p, q = output_size
    r, s = _largest_window(h, p), _largest_window(w, q)
    return Pool2dGeometry(n, c, h, w, r, s, p, q, adaptive=True)


def _largest_window(size: int, outputs: int) -> int:
    """The largest of an adaptive pooling's windows along one axis."""
    if outputs > size:
        return 1 if outputs % size == 0 else 2
    return max(
        (-(-(i + 1) * size // outputs) - i * size // outputs for i in range(outputs)), default=1
    )
