"""Convolutions and transposed convolutions, one- and two-dimensional.

Everything here is four primitives: conv2d_fprop, its adjoints conv2d_dgrad and conv2d_wgrad, and a
reduction for the bias. A transposed convolution is conv2d_dgrad run forwards; one-dimensional data
is an image of height 1. Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep
learning", arXiv:1603.07285, draws the arithmetic.
"""

from __future__ import annotations

from typing import Any

from .. import array
from ..array import Array
from ..autograd import Function, is_grad_enabled
from ..dispatch import Epilogue, run
from ..dtypes import bool_
from ..geometry import (
    Conv2dGeometry,
    conv2d_geometry,
    conv_transpose2d_geometry,
    elementwise_geometry,
    integers,
    pair,
)
from ..tensor import Tensor
from . import activation as activations
from ._common import check_same_dtype, check_tensor, sum_over

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]


def activation_gradient(dy: Array, y: Array, activation: str | None) -> Array:
    """dy before the fused activation, whose derivative is read off its output y."""
    if activation is None:
        return dy
    geometry = elementwise_geometry(activation + "_dgrad")
    return run("elementwise", dy, y, out=array.empty_like(dy), geometry=geometry)


class Conv2d(Function):
    """y = activation(conv(x, w) + bias + residual); the gradients are dgrad, wgrad and a sum."""

    geometry: Conv2dGeometry
    activation: str | None = None

    def forward(self, x: Array, w: Array, bias: Array | None, residual: Array | None) -> Array:
        g = self.geometry
        epilogue = None
        if bias is not None or residual is not None or self.activation is not None:
            epilogue = Epilogue(bias=bias, residual=residual, activation=self.activation)
        y = run("conv2d_fprop", x, w, out_shape=g.y_shape, geometry=g, epilogue=epilogue)
        if self.recording:
            self.weight_format = array.memory_format(w)
            self.retain(
                x if self.wants[1] else None,
                w if self.wants[0] else None,
                y if self.activation else None,
            )
        return y

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        x, w, y = self.retained
        g = self.geometry
        dx = dw = db = None
        if self.activation is not None:
            dy = activation_gradient(dy, y, self.activation)
        if self.wants[0]:
            dx = run("conv2d_dgrad", dy, w, out_shape=g.x_shape, geometry=g)
        if self.wants[1]:
            dw = weight_gradient(x, dy, g, self.weight_format)
        if self.wants[2]:
            db = sum_over(dy, (0, 2, 3), (g.K,))
        return dx, dw, db, dy if self.wants[3] else None


class ConvTranspose2d(Function):
    """The adjoint of Conv2d in x: its forward is conv2d_dgrad, so it needs no kernel of its own.

    `geometry` describes the Conv2d being transposed: our input is its y, our output its x."""

    geometry: Conv2dGeometry

    def forward(self, y: Array, w: Array, bias: Array | None) -> Array:
        g = self.geometry
        epilogue = None if bias is None else Epilogue(bias=bias)
        if self.recording:
            self.weight_format = array.memory_format(w)
            self.retain(y if self.wants[1] else None, w if self.wants[0] else None)
        return run("conv2d_dgrad", y, w, out_shape=g.x_shape, geometry=g, epilogue=epilogue)

    def backward(self, dx: Array) -> tuple[Array | None, ...]:
        y, w = self.retained
        g = self.geometry
        dy = dw = db = None
        if self.wants[0]:
            dy = run("conv2d_fprop", dx, w, out_shape=g.y_shape, geometry=g)
        if self.wants[1]:
            dw = weight_gradient(dx, y, g, self.weight_format)
        if self.wants[2]:
            db = sum_over(dx, (0, 2, 3), (g.C,))
        return dy, dw, db


def weight_gradient(x: Array, dy: Array, geometry: Conv2dGeometry, memory_format: str) -> Array:
    """conv2d_wgrad in the weight's own layout, so that the optimiser walks both in one order."""
    out = array.empty(geometry.w_shape, dy.dtype, memory_format, array.device_of(dy))
    return run("conv2d_wgrad", x, dy, out=out, geometry=geometry)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    residual: Tensor | None = None,
    provider: str | None = None,
    algorithm: str | None = None,
) -> Tensor:
    """y[n,k,p,q] = act(sum_{c,r,s} x[n, c, p*stride + r*dilation - padding, ...] * w[k,c,r,s] +
    bias[k] + residual).

    Args:
        input: (N, C, H, W), or (C, H, W) unbatched; any dtype but bool.
        weight: (K, C / groups, R, S), of input's dtype.
        bias: (K,) or None.
        stride, dilation: positive ints, or pairs for height and width.
        padding: non-negative int or pair, "valid" (none) or "same" (P = H, Q = W; the odd pixel
            goes right and below).
        groups: channel groups; C and K are multiples of it.
        activation: applied last, inside the kernel; a name of dispatch.ACTIVATIONS.
        residual: added before the activation; of the output's shape.
        provider, algorithm: the kernel to run, or raise; by default dispatch chooses.
    Returns:
        (N, K, P, Q) with P = floor((H + 2*padding - dilation*(R-1) - 1) / stride) + 1;
        channels-last iff input or weight is.
    Raises:
        TypeError: an argument of the wrong type.
        RuntimeError: shapes, dtypes or sizes that do not fit; NoKernel where the provider asked for
        has none. ValueError: an unknown activation, provider or algorithm.
    """
    op = "conv2d"
    batched = _check_operands(op, input, weight, bias, 2)
    if not batched:
        input = input.unsqueeze(0)
        residual = None if residual is None else residual.unsqueeze(0)
    strides = pair(stride, "stride", 1, op)
    gaps = pair(dilation, "dilation", 1, op)
    pads: tuple[int, ...]
    if type(padding) is int and padding >= 0:
        pads = (padding, padding, padding, padding)
    else:
        pads = _padding(padding, weight._data.shape[2:], strides, gaps, op)
    if type(groups) is not int:
        groups = integers(groups, 1, "groups", 1, op)[0]
    geometry = conv2d_geometry(input._data.shape, weight._data.shape, strides, pads, gaps, groups)
    if bias is not None:
        _check_bias(bias, geometry.K, weight, op)
    after = None
    if activation is not None:
        activations.check_activation(activation)
        recording = is_grad_enabled() and any(
            t is not None and t.requires_grad for t in (input, weight, bias, residual)
        )
        if recording and activations.SAVES[activation] != "y":
            activation, after = (
                None,
                activation,
            )  # its derivative needs what the fused kernel does not store
    if residual is not None:
        _check_residual(residual, geometry.y_shape, input, op)
    function = Conv2d(geometry=geometry)
    if activation is not None:
        function.activation = activation
    if provider is not None or algorithm is not None:
        function.provider, function.algorithm = provider, algorithm
    y = function(input, weight, bias, residual)
    if after is not None:
        y = activations.apply_activation(after, y)
    return y if batched else y.squeeze(0)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """conv2d along one dimension: input (N, C, L) or (C, L), weight (K, C / groups, S), output (N,
    K, Q)."""
    op = "conv1d"
    batched = _check_operands(op, input, weight, bias, 1)
    if not batched:
        input = input.unsqueeze(0)
    strides = (1, *integers(stride, 1, "stride", 1, op))
    gaps = (1, *integers(dilation, 1, "dilation", 1, op))
    left, right = _padding(padding, weight.shape[2:], strides[1:], gaps[1:], op)
    groups = integers(groups, 1, "groups", 1, op)[0]
    image, filters = input.unsqueeze(2), weight.unsqueeze(2)
    geometry = conv2d_geometry(
        image.shape, filters.shape, strides, (0, 0, left, right), gaps, groups, op
    )
    if bias is not None:
        _check_bias(bias, geometry.K, weight, op)
    y = Conv2d(geometry=geometry)(image, filters, bias, None).squeeze(2)
    return y if batched else y.squeeze(0)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    provider: str | None = None,
    algorithm: str | None = None,
) -> Tensor:
    """The adjoint of conv2d in its input ("deconvolution"), plus bias.

    Args:
        input: (N, K, P, Q) or (K, P, Q).
        weight: (K, C / groups, R, S): the weight of the convolution being transposed.
        bias: (C,) or None.
        stride, padding, dilation: of the convolution being transposed.
        output_padding: rows and columns added below and right; smaller than stride or dilation.
    Returns:
        (N, C, H, W) with H = (P-1)*stride - 2*padding + dilation*(R-1) + output_padding + 1.
    Raises:
        TypeError, RuntimeError: as conv2d.
    """
    op = "conv_transpose2d"
    batched = _check_operands(op, input, weight, bias, 2)
    if not batched:
        input = input.unsqueeze(0)
    geometry = conv_transpose2d_geometry(
        input.shape,
        weight.shape,
        pair(stride, "stride", 1, op),
        pair(padding, "padding", 0, op),
        pair(output_padding, "output_padding", 0, op),
        integers(groups, 1, "groups", 1, op)[0],
        pair(dilation, "dilation", 1, op),
    )
    if bias is not None:
        _check_bias(bias, geometry.C, weight, op)
    x = ConvTranspose2d(geometry=geometry, provider=provider, algorithm=algorithm)(
        input, weight, bias
    )
    return x if batched else x.squeeze(0)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """conv_transpose2d along one dimension: input (N, K, Q) or (K, Q), weight (K, C / groups,
    S)."""
    op = "conv_transpose1d"
    batched = _check_operands(op, input, weight, bias, 1)
    if not batched:
        input = input.unsqueeze(0)
    image, filters = input.unsqueeze(2), weight.unsqueeze(2)
    geometry = conv_transpose2d_geometry(
        image.shape,
        filters.shape,
        (1, *integers(stride, 1, "stride", 1, op)),
        (0, *integers(padding, 1, "padding", 0, op)),
        (0, *integers(output_padding, 1, "output_padding", 0, op)),
        integers(groups, 1, "groups", 1, op)[0],
        (1, *integers(dilation, 1, "dilation", 1, op)),
        op,
    )
    if bias is not None:
        _check_bias(bias, geometry.C, weight, op)
    x = ConvTranspose2d(geometry=geometry)(image, filters, bias).squeeze(2)
    return x if batched else x.squeeze(0)


# --- argument checks ------------------------------------------------------------------------------


def _check_operands(
    op: str, input: Tensor, weight: Tensor, bias: Tensor | None, spatial: int
) -> bool:
    """Whether input is batched; TypeError or RuntimeError where tensors, dimensions or dtypes do
    not fit."""
    check_tensor(input, "input", op)
    check_tensor(weight, "weight", op)
    if bias is not None:
        check_tensor(bias, "bias", op)
    ndim = input._data.ndim
    if ndim not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input to {op}, "
            f"but got input of size: {list(input.shape)}"
        )
    if weight._data.ndim != spatial + 2:
        raise RuntimeError(
            f"{op}(): weight: expected {spatial + 2} dimensions, got size {list(weight.shape)}"
        )
    dtype = input._data.dtype
    if dtype is not weight._data.dtype or (bias is not None and dtype is not bias._data.dtype):
        check_same_dtype(op, input=input, weight=weight, bias=bias)
    if dtype == bool_:
        raise NotImplementedError(f"{op}(): not implemented for dtype bool; expected numbers")
    return ndim == spatial + 2


def _check_bias(bias: Tensor, channels: int, weight: Tensor, op: str) -> None:
    if bias._data.shape != (channels,):
        raise RuntimeError(
            f"{op}(): Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional "
            f"with {channels} elements, but got bias of size {list(bias.shape)} instead"
        )


def _check_residual(residual: Tensor, shape: tuple[int, ...], input: Tensor, op: str) -> None:
    check_tensor(residual, "residual", op)
    check_same_dtype(op, input=input, residual=residual)
    if residual._data.shape != shape:
        raise RuntimeError(
            f"{op}(): residual: got size {list(residual.shape)}, expected the output's "
            f"{list(shape)}"
        )


def _padding(
    padding: Any, taps: tuple[int, ...], strides: tuple[int, ...], gaps: tuple[int, ...], op: str
) -> tuple[int, ...]:
    """(before, after) of each dimension in turn, from an int, one int per dimension, "valid" or
    "same"."""
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0) * len(taps)
        if padding != "same":
            raise RuntimeError(
                f"{op}(): Invalid padding string: '{padding}'; expected 'valid' or 'same'"
            )
        if any(stride != 1 for stride in strides):
            raise RuntimeError(f"{op}(): padding='same' is not supported for strided convolutions")
        totals = [gap * (count - 1) for count, gap in zip(taps, gaps, strict=True)]
        return tuple(side for total in totals for side in (total // 2, total - total // 2))
    return tuple(
        side for pad in integers(padding, len(taps), "padding", 0, op) for side in (pad, pad)
    )
