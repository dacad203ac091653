"""Pooling: max, average, adaptive, power-average, and max unpooling, in one and two dimensions.

Inputs are (N, C, H, W) or (C, H, W); in one dimension (N, C, L) or (C, L), run as an image of
height 1. Outputs keep the input's dtype and memory format. Padding is never larger than half the
window, and counts as -inf for a maximum, as 0 for an average.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run, run_array
from ..geometry import (
    Pool2dGeometry,
    adaptive_pool2d_geometry,
    integers,
    pair,
    pool2d_geometry,
)
from ..tensor import Tensor
from ._common import DimensionError, check_tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "fixed_unpool2d",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_unpool1d",
    "max_unpool2d",
]


class MaxPool2d(Function):
    """The maximum of every window; keeps a byte per output, the place of the maximum in its window.

    With `return_indices` also the flat positions h*W + w, which have no gradient."""

    materialize = False
    geometry: Pool2dGeometry
    return_indices = False

    def forward(self, x: Array) -> Any:
        g = self.geometry
        operands, device = (array.describe(x),), array.device_of(x)
        kept = array.format_for(operands, g.y_shape)
        y = array.empty(g.y_shape, x.dtype, kept, device)
        offsets = array.empty(g.y_shape, dtypes.as_dtype(g.offset_dtype), kept, device)
        run("max_pool2d_fprop", x, out=(y, offsets), geometry=g, operands=operands)
        if self.recording:
            self.memory_format = array.memory_format(x)
            self.retain(offsets)
        if not self.return_indices:
            return y
        return y, run_array("flat_indices", flat_indices, offsets, g)

    def backward(self, dy: Array, *indices: None) -> Array:
        (offsets,) = self.retained
        dx = _gradient(dy, self.geometry.x_shape, self.memory_format)
        return run("max_pool2d_dgrad", dy, offsets, out=dx, geometry=self.geometry)


def flat_indices(offsets: Array, geometry: Pool2dGeometry) -> Array:
    """h*W + w of each window offset r*S + s, int64."""
    g = geometry
    xp = array.xp(offsets)
    top, left = (
        xp.asarray([start for start, _ in g.windows(axis)], "int64").reshape(shape)
        for axis, shape in (("h", (-1, 1)), ("w", (1, -1)))
    )
    r, s = offsets.astype("int64") // g.S, offsets % g.S
    return (top + r * g.dilation_h) * g.W + (left + s * g.dilation_w)


class AvgPool2d(Function):
    """The average of every window."""

    geometry: Pool2dGeometry

    def forward(self, x: Array) -> Array:
        if self.recording:
            self.memory_format = array.memory_format(x)
        return run("avg_pool2d_fprop", x, out_shape=self.geometry.y_shape, geometry=self.geometry)

    def backward(self, dy: Array) -> Array:
        dx = _gradient(dy, self.geometry.x_shape, self.memory_format)
        return run("avg_pool2d_dgrad", dy, out=dx, geometry=self.geometry)


class MaxUnpool2d(Function):
    """`geometry` describes the pooling being undone: our input is its y, our output its x."""

    geometry: Pool2dGeometry

    def forward(self, y: Array, indices: Array) -> Array:
        if self.recording:
            self.memory_format = array.memory_format(y)
            self.retain(indices)
        shape = self.geometry.x_shape
        return run("max_unpool2d_fprop", y, indices, out_shape=shape, geometry=self.geometry)

    def backward(self, dx: Array) -> tuple[Array, None]:
        (indices,) = self.retained
        dy = _gradient(dx, self.geometry.y_shape, self.memory_format)
        return run("max_unpool2d_dgrad", dx, indices, out=dy, geometry=self.geometry), None


def _gradient(arriving: Array, shape: tuple[int, ...], memory_format: str) -> Array:
    """An uninitialised gradient in the layout its tensor has."""
    return array.empty(shape, arriving.dtype, memory_format, array.device_of(arriving))


# --- maximum --------------------------------------------------------------------------------------


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    provider: str | None = None,
    algorithm: str | None = None,
) -> Any:
    """y[n,c,p,q] = max_{r,s} x[n, c, p*stride - padding + r*dilation, ...]

    Of equal values the first is taken; NaN wins over every number. Integers are pooled too.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size, stride, padding, dilation: ints, or pairs for height and width; stride
            defaults to kernel_size, padding is at most half of kernel_size.
        ceil_mode: round the output size up; every window still starts inside the image or its
            left padding.
        return_indices: also return the flat position h*W + w of each maximum, int64, as
            max_unpool2d takes them.
        provider, algorithm: the kernel to run, or raise; by default dispatch chooses.
    Returns:
        (N, C, P, Q), P = floor or ceil of (H + 2*padding - dilation*(R-1) - 1) / stride, plus 1.
    Raises:
        TypeError: an argument of the wrong type.
        RuntimeError: sizes that do not fit; NotImplementedError for bool.
    """
    op = "max_pool2d"
    x, batched = _image(op, input, 2, dtypes.SUPPORTED - {dtypes.bool_})
    taps = pair(kernel_size, "kernel_size", 1, op)
    geometry = pool2d_geometry(
        x.shape,
        taps,
        taps if _omitted(stride) else pair(stride, "stride", 1, op),
        pair(padding, "padding", 0, op),
        pair(dilation, "dilation", 1, op),
        bool(ceil_mode),
        op=op,
    )
    function = MaxPool2d(
        geometry=geometry, return_indices=return_indices, provider=provider, algorithm=algorithm
    )
    return _restored(function(x), 2, batched)


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """max_pool2d along one dimension: input (N, C, L) or (C, L).

    Integers are pooled only with return_indices, as in torch."""
    op = "max_pool1d"
    known = dtypes.SUPPORTED - {dtypes.bool_} if return_indices else dtypes.FLOATING
    x, batched = _image(op, input, 1, known)
    taps = integers(kernel_size, 1, "kernel_size", 1, op)
    geometry = pool2d_geometry(
        x.shape,
        (1, *taps),
        (1, *(taps if _omitted(stride) else integers(stride, 1, "stride", 1, op))),
        (0, *integers(padding, 1, "padding", 0, op)),
        (1, *integers(dilation, 1, "dilation", 1, op)),
        bool(ceil_mode),
        op=op,
    )
    return _restored(MaxPool2d(geometry=geometry, return_indices=return_indices)(x), 1, batched)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maximum over windows chosen so that the output is `output_size`.

    Output p covers the rows floor(p*H/P) up to ceil((p+1)*H/P).

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        output_size: an int, or (P, Q); None keeps the input's size there.
        return_indices: also return the flat position h*W + w of each maximum, int64.
    Raises:
        TypeError: an argument of the wrong type.
        RuntimeError: a negative output_size, an input with nothing to pool.
    """
    op = "adaptive_max_pool2d"
    check_tensor(input, "input", op)
    sizes = _sizes(op, output_size, input.shape)
    x, batched = _image(op, input, 2, dtypes.FLOATING)
    geometry = _adaptive_geometry(op, x, sizes, channels=True)
    return _restored(MaxPool2d(geometry=geometry, return_indices=return_indices)(x), 2, batched)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """adaptive_max_pool2d along one dimension: input (N, C, L) or (C, L)."""
    op = "adaptive_max_pool1d"
    x, batched = _image(op, input, 1, dtypes.FLOATING)
    sizes = (1, *integers(output_size, 1, "output_size", 0, op))
    geometry = _adaptive_geometry(op, x, sizes, channels=True)
    return _restored(MaxPool2d(geometry=geometry, return_indices=return_indices)(x), 1, batched)


# --- average --------------------------------------------------------------------------------------


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    provider: str | None = None,
    algorithm: str | None = None,
) -> Tensor:
    """y[n,c,p,q] = sum of x over the window / divisor.

    The divisor is the number of pixels the window covers in the padded image (a window of ceil_mode
    that reaches beyond it is cut there), or in the image itself without count_include_pad, or
    divisor_override.

    Args:
        input: (N, C, H, W) or (C, H, W); floating point, or int64, whose averages are truncated.
        kernel_size, stride, padding, ceil_mode, provider, algorithm: as max_pool2d's.
        count_include_pad: whether padding counts.
        divisor_override: a non-zero int.
    Raises:
        TypeError: an argument of the wrong type.
        RuntimeError: sizes that do not fit, a divisor of 0; NotImplementedError for other integers.
    """
    op = "avg_pool2d"
    x, batched = _image(op, input, 2, dtypes.FLOATING | {dtypes.int64})
    taps = pair(kernel_size, "kernel_size", 1, op)
    geometry = pool2d_geometry(
        x.shape,
        taps,
        taps if _omitted(stride) else pair(stride, "stride", 1, op),
        pair(padding, "padding", 0, op),
        (1, 1),
        bool(ceil_mode),
        bool(count_include_pad),
        _divisor(op, divisor_override),
        op,
    )
    function = AvgPool2d(geometry=geometry, provider=provider, algorithm=algorithm)
    return _restored(function(x), 2, batched)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """avg_pool2d along one dimension: input (N, C, L) or (C, L)."""
    op = "avg_pool1d"
    x, batched = _image(op, input, 1, dtypes.FLOATING | {dtypes.int64})
    taps = integers(kernel_size, 1, "kernel_size", 1, op)
    geometry = pool2d_geometry(
        x.shape,
        (1, *taps),
        (1, *(taps if _omitted(stride) else integers(stride, 1, "stride", 1, op))),
        (0, *integers(padding, 1, "padding", 0, op)),
        (1, 1),
        bool(ceil_mode),
        bool(count_include_pad),
        op=op,
    )
    return _restored(AvgPool2d(geometry=geometry)(x), 1, batched)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The average over the windows of adaptive_max_pool2d.

    An output_size of 1 is global average pooling: Lin, Chen and Yan 2013, arXiv:1312.4400.

    Args:
        input: (N, C, H, W) or (C, H, W), floating point; C may be 0.
        output_size: an int, or (P, Q); None keeps the input's size there.
    Raises:
        TypeError: an argument of the wrong type.
        RuntimeError: a negative output_size, an image without pixels.
    """
    op = "adaptive_avg_pool2d"
    check_tensor(input, "input", op)
    sizes = _sizes(op, output_size, input.shape)
    x, batched = _image(op, input, 2, dtypes.FLOATING)
    geometry = _adaptive_geometry(op, x, sizes)
    return _restored(AvgPool2d(geometry=geometry)(x), 2, batched)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """adaptive_avg_pool2d along one dimension: input (N, C, L) or (C, L)."""
    op = "adaptive_avg_pool1d"
    x, batched = _image(op, input, 1, dtypes.FLOATING)
    sizes = (1, *integers(output_size, 1, "output_size", 0, op))
    return _restored(AvgPool2d(geometry=_adaptive_geometry(op, x, sizes))(x), 1, batched)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """y = (sum of x^norm_type over the window)^(1/norm_type), with gradient 0 where the sum is 0.

    Args:
        input: (N, C, H, W) or (C, H, W).
        norm_type: the power; inf takes the largest magnitude, -inf the smallest.
        kernel_size, stride, ceil_mode: as max_pool2d's.
    """
    taps = pair(kernel_size, "kernel_size", 1, "lp_pool2d")
    if abs(norm_type) == float("inf"):
        return _extreme_pool(max_pool2d, input, norm_type, kernel_size, stride, ceil_mode)
    mean = avg_pool2d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_sum(mean, taps[0] * taps[1], norm_type)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """lp_pool2d along one dimension: input (N, C, L) or (C, L)."""
    (taps,) = integers(kernel_size, 1, "kernel_size", 1, "lp_pool1d")
    if abs(norm_type) == float("inf"):
        return _extreme_pool(max_pool1d, input, norm_type, kernel_size, stride, ceil_mode)
    mean = avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_sum(mean, taps, norm_type)


def _extreme_pool(
    pool: Any, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    """The largest magnitude of each window, or the smallest for a norm_type of -inf."""
    if norm_type > 0:
        return pool(input.abs(), kernel_size, stride, 0, 1, ceil_mode)
    return -pool(-input.abs(), kernel_size, stride, 0, 1, ceil_mode)


def _root_of_sum(mean: Tensor, taps: int, norm_type: float) -> Tensor:
    # through relu, whose derivative stops the infinite one of the root at 0
    return (mean.sign() * mean.abs().relu()).mul(taps).pow(1.0 / norm_type)


# --- unpooling ------------------------------------------------------------------------------------


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """A partial inverse of max_pool2d: each value at the position its index names, zeros elsewhere.

    Args:
        input: (N, C, P, Q) or (C, P, Q), floating point.
        indices: of input's shape, int64: max_pool2d's. Of equal ones in a plane the last is stored.
        kernel_size, stride, padding: of the pooling undone.
        output_size: (H, W) or (N, C, H, W), less than a stride from the default
            (P-1)*stride - 2*padding + kernel_size.
    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an output_size that does not fit.
        RuntimeError: indices of another shape or dtype, or outside the output.
    """
    op = "max_unpool2d"
    taps = pair(kernel_size, "kernel_size", 1, op)
    strides = taps if _omitted(stride) else pair(stride, "stride", 1, op)
    pads = pair(padding, "padding", 0, op)
    _check_unpool(op, input, indices, 2)
    sizes = _unpooled_sizes(input.shape[-2:], taps, strides, pads, output_size)
    return _unpool(op, input, indices, 2, sizes, (taps, strides, pads))


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """max_unpool2d along one dimension: input (N, C, Q) or (C, Q)."""
    op = "max_unpool1d"
    taps = integers(kernel_size, 1, "kernel_size", 1, op)
    strides = taps if _omitted(stride) else integers(stride, 1, "stride", 1, op)
    pads = integers(padding, 1, "padding", 0, op)
    _check_unpool(op, input, indices, 1)
    sizes = _unpooled_sizes(input.shape[-1:], taps, strides, pads, output_size)
    window = ((1, *taps), (1, *strides), (0, *pads))
    return _unpool(op, input, indices, 1, (1, *sizes), window)


def fixed_unpool2d(
    input: Tensor, kernel_size: Any, output_size: Sequence[int] | None = None
) -> Tensor:
    """y[n,c,p*R,q*S] = x[n,c,p,q], zeros elsewhere: max_unpool2d of windows that all had their
    maximum in the top left corner.

    Args:
        input: (N, C, P, Q) or (C, P, Q), floating point.
        kernel_size: an int, or (R, S).
        output_size: as max_unpool2d's; (P*R, Q*S) by default.
    Raises: as max_unpool2d.
    Source: Dosovitskiy et al. 2015, arXiv:1411.5928, figure 3.
    """
    op = "fixed_unpool2d"
    taps = pair(kernel_size, "kernel_size", 1, op)
    check_tensor(input, "input", op)
    if input.ndim not in (3, 4):
        raise RuntimeError(
            f"Input to {op} should be a 3d or 4d Tensor, "
            f"but got a tensor with {input.ndim} dimensions."
        )
    P, Q = input.shape[-2:]
    width = _unpooled_sizes((P, Q), taps, taps, (0, 0), output_size)[1]
    xp = array.xp(input._data)
    corners = xp.arange(P)[:, None] * (taps[0] * width) + xp.arange(Q) * taps[1]
    places = xp.ascontiguousarray(xp.broadcast_to(corners.astype("int64"), input.shape))
    return max_unpool2d(input, Tensor._wrap(places), taps, output_size=output_size)


def _check_unpool(op: str, input: Tensor, indices: Tensor, spatial: int) -> None:
    check_tensor(input, "input", op)
    check_tensor(indices, "indices", op)
    if indices.dtype != dtypes.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if input.ndim not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Input to {op} should be a {spatial + 1}d or {spatial + 2}d Tensor, "
            f"but got a tensor with {input.ndim} dimensions."
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    if 0 in input.shape[-1 - spatial :]:
        raise RuntimeError(
            f"{op}(): Expected input to have non-zero size for non-batch dimensions, "
            f"but got {list(input.shape)}"
        )


def _unpooled_sizes(
    pooled: Sequence[int],
    taps: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    output_size: Any,
) -> tuple[int, ...]:
    """The spatial size of the output: the default, or output_size checked against it."""
    defaults = tuple(
        (size - 1) * stride + count - 2 * pad
        for size, stride, count, pad in zip(pooled, strides, taps, pads, strict=True)
    )
    sizes = defaults if output_size is None else tuple(output_size)
    if len(sizes) == len(defaults) + 2:
        sizes = sizes[2:]
    if len(sizes) != len(defaults):
        raise ValueError(
            f"output_size should be a sequence containing {len(defaults)} or {len(defaults) + 2} "
            f"elements, but it has a length of '{len(sizes)}'"
        )
    for dim, (size, default, stride) in enumerate(zip(sizes, defaults, strides, strict=True)):
        if not default - stride < size < default + stride:
            raise ValueError(
                f'invalid output_size "{output_size}" '
                f"(dim {dim} must be between {default - stride} and {default + stride})"
            )
        if size < 0:
            raise ValueError(
                "max_unpooling: output_size must contain non-negative spatial dimensions, "
                f"but got output_size[{dim}]={size}"
            )
    return sizes


def _unpool(
    op: str,
    input: Tensor,
    indices: Tensor,
    spatial: int,
    sizes: tuple[int, ...],
    window: tuple[Any, Any, Any],
) -> Tensor:
    y, batched = _image(op, input, spatial, dtypes.FLOATING)
    places, _ = _image(op, indices, spatial, dtypes.INTEGRAL)
    lowest, highest = run_array("index_range", _index_range, indices._data)
    volume = sizes[0] * sizes[1]
    if lowest < 0 or highest >= volume:
        wrong = lowest if lowest < 0 else highest
        raise RuntimeError(
            f"Found an invalid max index: {wrong} "
            f"(output volumes are of size {sizes[0]}x{sizes[1]})"
        )
    (taps, strides, pads), (n, c, p, q) = window, y.shape
    geometry = Pool2dGeometry(n, c, *sizes, *taps, p, q, *strides, *pads)
    return _restored(MaxUnpool2d(geometry=geometry)(y, places), spatial, batched)


def _index_range(indices: Array) -> tuple[int, int]:
    """(smallest, largest); (0, -1) of none."""
    return (int(indices.min()), int(indices.max())) if indices.size else (0, -1)


# --- argument checks ------------------------------------------------------------------------------


def _image(op: str, input: Tensor, spatial: int, known: Set[Any]) -> tuple[Tensor, bool]:
    """The input as (N, C, H, W), and whether it had a batch dimension."""
    check_tensor(input, "input", op)
    ndim = input._data.ndim
    if ndim not in (spatial + 1, spatial + 2):
        raise DimensionError(
            f"{op}(): Expected {spatial + 1}D or {spatial + 2}D (batch mode) tensor for input, "
            f"but got: {list(input.shape)}"
        )
    if input.dtype not in known:
        raise NotImplementedError(f'"{op}" not implemented for {input.dtype}')
    batched = ndim == spatial + 2
    if not batched:
        input = input.unsqueeze(0)
    return (input if spatial == 2 else input.unsqueeze(2)), batched


def _restored(results: Any, spatial: int, batched: bool) -> Any:
    """Results with the dimensions that _image added taken off again."""
    if isinstance(results, tuple):
        return tuple(_restored(result, spatial, batched) for result in results)
    if spatial == 1:
        results = results.squeeze(2)
    return results if batched else results.squeeze(0)


def _omitted(stride: Any) -> bool:
    """torch takes an empty stride for none."""
    return stride is None or (isinstance(stride, (tuple, list)) and not stride)


def _divisor(op: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, (bool, float)) or not hasattr(value, "__index__"):
        kind = type(value).__name__
        raise TypeError(f"{op}(): argument 'divisor_override' must be int, not {kind}")
    if int(value) == 0:
        raise RuntimeError(f"{op}(): divisor_override: got 0, divisor must be not zero")
    return int(value)


def _sizes(op: str, output_size: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """(P, Q) of an adaptive pooling; None stands for the input's own size."""
    if isinstance(output_size, (tuple, list)):
        if len(shape) <= len(output_size):
            raise ValueError(
                f"{op}(): Input dimension should be at least {len(output_size) + 1}, "
                f"got size {list(shape)}"
            )
        if len(output_size) != 2:
            raise RuntimeError(f"{op}(): output_size: got {output_size!r}, expected 2 elements")
        output_size = tuple(
            own if size is None else size for size, own in zip(output_size, shape[-2:], strict=True)
        )
    return pair(output_size, "output_size", 0, op)


def _adaptive_geometry(
    op: str, x: Tensor, sizes: tuple[int, ...], channels: bool = False
) -> Pool2dGeometry:
    if channels and not x.shape[1]:
        raise RuntimeError(
            f"{op}(): Expected input to have non-zero size for non-batch dimensions, "
            f"but input has sizes {list(x.shape)} with dimension 1 being empty"
        )
    return adaptive_pool2d_geometry(x.shape, sizes, op)  # type: ignore[arg-type]
