"""Geometries: the frozen facts of one call, and the only home of output-size formulas.

Letters are cuDNN's: N C H W in, K R S filter, P Q out, G groups. A geometry is hashable (its hash
is computed once), so that `dispatch.select` can be cached on it; the `..._geometry` functions
validate their arguments, raise torch's classes of error, and return the same object for the same
arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

LIMIT = (
    2**31 - 1
)  # every size, stride, padding and dilation stays below what a 32-bit kernel argument holds


class Geometry:
    """Base of the frozen classes below: fields as a dataclass's, equality by value, hash computed
    once."""

    _fields: tuple[str, ...] = ()
    _values: tuple[Any, ...]
    _hash: int

    def __init__(self, *values: Any, **named: Any) -> None:
        names, cls = self._fields, type(self)
        if len(values) > len(names):
            raise TypeError(f"{cls.__name__} has {len(names)} fields, got {len(values)} values")
        given = dict(zip(names, values))
        for name, value in named.items():
            if name not in names or name in given:
                raise TypeError(
                    f"{cls.__name__}: {name!r} is {'given twice' if name in given else 'no field'}"
                )
            given[name] = value
        missing = [name for name in names if name not in given and not hasattr(cls, name)]
        if missing:
            raise TypeError(f"{cls.__name__}: missing {', '.join(missing)}")
        for name in names:
            self.__dict__[name] = given[name] if name in given else getattr(cls, name)
        self.__dict__["_values"] = tuple([self.__dict__[name] for name in names])
        self.__dict__["_hash"] = hash((cls.__name__, self._values))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot set {name!r}")

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self._values == other._values)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{name}={value!r}" for name, value in zip(self._fields, self._values, strict=True)
        )
        return f"{type(self).__name__}({fields})"

    def flops(self, primitive: str) -> int:
        """Floating-point operations of a primitive on this geometry; a multiply-add counts two."""
        return 0


if TYPE_CHECKING:
    from dataclasses import dataclass

    frozen = dataclass(frozen=True)
else:

    def frozen(cls: type) -> type:
        """A frozen dataclass in what it does. The module `dataclasses` and the classes it generates
        would cost more than everything else `import pycnn` does."""
        cls._fields = tuple(cls.__annotations__)
        return cls


def tap_span(
    size: int, outputs: int, tap: int, stride: int, pad: int, dilation: int
) -> tuple[slice, slice]:
    """For one filter tap along one axis: which outputs it feeds, and from which inputs.

    Output p reads input p*stride - pad + tap*dilation; the slices hold the p whose input lies
    inside [0, size)."""
    offset = tap * dilation - pad
    first = max(0, -(offset // stride))  # ceil(-offset / stride)
    last = min(outputs - 1, (size - 1 - offset) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last + 1), slice(start, last * stride + offset + 1, stride)


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


@frozen
class BatchNormGeometry(Geometry):
    """Normalisation over every axis but the channels'.  x (N,C,*)  statistics (C,)."""

    N: int
    C: int
    size: int  # elements per image and channel

    def flops(self, primitive: str) -> int:
        per_element = {
            "batch_norm_stats": 3,
            "batch_norm_apply": 2,
            "batch_norm_reduce": 4,
            "batch_norm_dgrad": 5,
        }
        return per_element.get(primitive, 0) * self.N * self.C * self.size


@frozen
class GemmGeometry(Geometry):
    """out[b] = a[b] @ b[b].  a (B,M,K)  b (B,K,N)  out (B,M,N); B is 1 for a single product."""

    B: int
    M: int
    N: int
    K: int

    def flops(self, primitive: str) -> int:
        return 2 * self.B * self.M * self.N * self.K


@frozen
class ElementwiseGeometry(Geometry):
    """out = op(*inputs) after broadcasting; `parameters` are op's scalars, in order."""

    op: str
    parameters: tuple[float, ...] = ()


@frozen
class ReduceGeometry(Geometry):
    """out = op over `axes` of x, those axes dropped; `correction` is var's."""

    op: str
    axes: tuple[int, ...]
    correction: float = 0.0


@frozen
class ConcatGeometry(Geometry):
    """out = the inputs joined along `axis`, or one input split there into parts of `sizes`."""

    axis: int
    sizes: tuple[int, ...]


@frozen
class LocalResponseNormGeometry(Geometry):
    """y = x / (k + alpha/size * sum of x^2 over `size` neighbouring channels)^beta.  x (N,C,*)"""

    size: int
    alpha: float
    beta: float
    k: float


@frozen
class Resize2dGeometry(Geometry):
    """Resampling (N,C,H,W) to (N,C,P,Q). Positions step by 1 / scale, or by the ratio of sizes
    where it is None."""

    N: int
    C: int
    H: int
    W: int
    P: int
    Q: int
    mode: str  # nearest, nearest-exact, bilinear, bicubic
    align_corners: bool = False
    scale_h: float | None = None
    scale_w: float | None = None
    antialias: bool = False

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.N, self.C, self.H, self.W)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return (self.N, self.C, self.P, self.Q)


@frozen
class SoftmaxGeometry(Geometry):
    """Softmax, or its logarithm, along `axis`."""

    axis: int
    log: bool = False


@frozen
class CrossEntropyGeometry(Geometry):
    """Softmax cross entropy of logits (N,C,*) with class indices (N,*): per-element losses."""

    ignore_index: int
    label_smoothing: float
    weighted: bool


# --- validated construction -----------------------------------------------------------------------


def conv_output_size(padded: int, taps: int, stride: int, dilation: int) -> int:
    """floor((padded - dilation*(taps-1) - 1) / stride) + 1"""
    return (padded - dilation * (taps - 1) - 1) // stride + 1


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


def integers(value: Any, count: int, name: str, minimum: int, op: str) -> tuple[int, ...]:
    """`value` as `count` ints (one int is repeated), each in [minimum, 2**31 - 1].

    TypeError for anything but integers, RuntimeError for a wrong count or a value out of range."""
    items = value if isinstance(value, (tuple, list)) else (value,) * count
    if len(items) == 1:
        items = tuple(items) * count
    out = []
    for item in items:
        if isinstance(item, (bool, float, str)) or not hasattr(item, "__index__"):
            raise TypeError(
                f"{op}(): argument '{name}' must be int or tuple of ints, got {value!r}"
            )
        out.append(int(item.__index__()))
    if len(out) != count:
        raise RuntimeError(f"{op}(): {name}: got {value!r}, expected one int or {count} ints")
    for number in out:
        if not minimum <= number <= LIMIT:
            raise RuntimeError(
                f"{op}(): {name}: got {value!r}, expected integers from {minimum} to {LIMIT}"
            )
    return tuple(out)


def pair(value: Any, name: str, minimum: int, op: str) -> tuple[int, int]:
    """`integers` for two dimensions, quick for the usual int and pair of ints."""
    kind = type(value)
    if kind is int and minimum <= value <= LIMIT:
        return (value, value)
    if kind is tuple and len(value) == 2:
        first, second = value
        if (
            type(first) is type(second) is int
            and minimum <= first <= LIMIT
            and minimum <= second <= LIMIT
        ):
            return value
    return integers(value, 2, name, minimum, op)  # type: ignore[return-value]


def _shape_words(shape: Sequence[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _check_not_empty(op: str, image: tuple[int, ...], weight: tuple[int, ...]) -> None:
    """RuntimeError for filters without taps or outputs, and for images without pixels: only N and C
    may be 0."""
    if weight[0] < 1 or weight[2] < 1 or weight[3] < 1:
        raise RuntimeError(
            f"{op}(): weight: got size {_shape_words(weight)}, expected filters with at least one "
            "tap"
        )
    if min(image[2:]) < 1 <= min(image[:2]):
        raise RuntimeError(
            f"{op}(): Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{_shape_words(image)}"
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
            f"{op}(): Given groups={groups}, weight of size {_shape_words(w_shape)}, expected "
            f"input{_shape_words(x_shape)} to have {c_per_group * groups} channels, but got {c} "
            "channels instead"
        )
    if k % groups:
        raise RuntimeError(
            f"{op}(): Given groups={groups}, expected weight to be divisible by {groups} at "
            f"dimension 0, but got weight of size {_shape_words(w_shape)}"
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
            f"{_shape_words(w_shape)}, expected input{_shape_words(y_shape)} to have {k_w} "
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
            f"input, but got: {_shape_words(x_shape)}"
        )
    for pad, taps in zip(padding, kernel_size, strict=True):
        if pad > taps // 2:
            raise RuntimeError(
                f"{op}(): pad should be smaller than or equal to half of kernel size, "
                f"but got padding={padding} and kernel_size={kernel_size}"
            )
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
            f"but input has sizes {_shape_words(x_shape)}"
        )
    p, q = output_size
    r = max((-(-(i + 1) * h // p) - i * h // p for i in range(p)), default=1)
    s = max((-(-(i + 1) * w // q) - i * w // q for i in range(q)), default=1)
    return Pool2dGeometry(n, c, h, w, r, s, p, q, adaptive=True)


@lru_cache(maxsize=4096)
def resize2d_geometry(
    x_shape: tuple[int, ...],
    size: tuple[int, int] | None,
    scale: tuple[float | None, float | None],
    mode: str,
    align_corners: bool = False,
    antialias: bool = False,
    signal: bool = False,
    op: str = "interpolate",
) -> Resize2dGeometry:
    """The geometry of a resampling to `size`, or by `scale` where size is None.

    A scale that PyTorch does not look at is None: with corners aligned, where an axis keeps its
    size, and where it doubles in mode "nearest". `signal` says that x is one-dimensional: there
    "nearest" always looks. RuntimeError where the sizes are impossible."""
    n, c, h, w = x_shape
    if size is None:
        size = (resized(h, scale[0], op), resized(w, scale[1], op))
    p, q = size
    if min(h, w, p, q) < 1:
        raise RuntimeError(
            f"{op}(): Input and output sizes should be greater than 0, "
            f"but got input (H: {h}, W: {w}) output (H: {p}, W: {q})"
        )
    if c < 1:
        raise RuntimeError(
            f"{op}(): Non-empty data tensor expected but got a tensor with sizes "
            f"{_shape_words(x_shape)}"
        )
    if max(p, q) > LIMIT:
        raise RuntimeError(
            f"{op}(): size: got an output of {p} x {q}, expected sizes up to {LIMIT}"
        )
    scale_h, scale_w = (
        None if _scale_unused(before, after, mode, align_corners, antialias, signal) else factor
        for before, after, factor in ((h, p, scale[0]), (w, q, scale[1]))
    )
    return Resize2dGeometry(n, c, h, w, p, q, mode, align_corners, scale_h, scale_w, antialias)


def _scale_unused(
    size: int, outputs: int, mode: str, align_corners: bool, antialias: bool, signal: bool
) -> bool:
    if mode == "nearest":
        return outputs in (size, 2 * size) and not signal
    return align_corners or (outputs == size and (mode == "bilinear" or antialias))


def resized(size: int, scale: float | None, op: str = "interpolate") -> int:
    """floor(size * scale); a scale of None keeps the size."""
    if scale is None:
        return size
    product = size * scale
    if not math.isfinite(product):
        raise RuntimeError(f"{op}(): scale_factor: got {scale}, expected a finite number")
    return int(product)


@lru_cache(maxsize=4096)
def batch_norm_geometry(x_shape: tuple[int, ...]) -> BatchNormGeometry:
    return BatchNormGeometry(x_shape[0], x_shape[1], math.prod(x_shape[2:]))


elementwise_geometry = lru_cache(maxsize=4096)(ElementwiseGeometry)
reduce_geometry = lru_cache(maxsize=4096)(ReduceGeometry)
gemm_geometry = lru_cache(maxsize=4096)(GemmGeometry)
softmax_geometry = lru_cache(maxsize=4096)(SoftmaxGeometry)
cross_entropy_geometry = lru_cache(maxsize=4096)(CrossEntropyGeometry)
