"""Convolutions and transposed convolutions in one and two dimensions."""

from __future__ import annotations

import math
from typing import Any

from .. import functional as F
from ..tensor import Tensor
from . import init
from .arguments import at_least, ntuple, same_padding
from .module import Module
from .parameter import Parameter, uninitialised

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """Checked arguments, weight and bias of every convolution; `_rank` spatial dimensions.

    The weight is (out, in / groups, *kernel), a transposed one's (in, out / groups, *kernel).
    Both start uniform in +-1 / sqrt(fan_in)."""

    _rank: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        at_least(in_channels, 1, "in_channels")
        at_least(out_channels, 1, "out_channels")
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {_PADDING_MODES}, but got {padding_mode=}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = self._checked(kernel_size, 1, "kernel_size")
        self.stride = self._checked(stride, 1, "stride")
        self.dilation = self._checked(dilation, 1, "dilation")
        self.output_padding = self._checked(output_padding, 0, "output_padding")
        self.groups = groups
        self.padding_mode = padding_mode
        self.padding = self._checked_padding(padding)
        ends = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (ends[0], ends[1] // groups, *self.kernel_size)
        self.weight = uninitialised(shape, device, dtype)
        self.bias: Parameter | None
        if bias:
            self.bias = uninitialised((out_channels,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _checked(self, value: Any, least: int, name: str) -> tuple[int, ...]:
        entries = ntuple(value, self._rank, name)
        at_least(entries, least, name)
        return entries

    def _checked_padding(self, padding: Any) -> tuple[int, ...] | str:
        if not isinstance(padding, str):
            return self._checked(padding, 0, "padding")
        if padding not in ("same", "valid") or self.transposed:
            accepted = "a number or a tuple of numbers" if self.transposed else "'same', 'valid'"
            raise ValueError(f"Invalid padding string {padding!r}, should be one of: {accepted}")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        return padding

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in +-1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        init.uniform_bias_(self.bias, self.weight)

    def _padded(self, input: Tensor) -> Tensor:
        """`input` extended by what a padding mode other than zeros puts around it."""
        if self.padding == "valid":
            return input
        if self.padding == "same":
            sides = same_padding(self.kernel_size, self.dilation)
        else:
            sides = [p for p in reversed(self.padding) for _ in range(2)]  # type: ignore[misc]
        return F.pad(input, sides, mode=self.padding_mode)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self._rank, (1,) * self._rank
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _ConvForward(_Conv):
    _function: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _convolve(self, function: Any, input: Tensor, **fused: Any) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), 0
        return function(
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            **fused,
        )


class Conv1d(_ConvForward):
    """Convolution of (N, C, L) or (C, L); `padding` may be "same" or "valid"."""

    _rank = 1

    def forward(self, input: Tensor) -> Tensor:
        return self._convolve(F.conv1d, input)


class Conv2d(_ConvForward):
    """Convolution of (N, C, H, W) or (C, H, W); `padding` may be "same" or "valid".

    forward takes `activation` (a name such as "relu") and `residual` (a tensor of the output's
    shape, added before the activation), which run inside the convolution's kernel."""

    _rank = 2

    def forward(
        self, input: Tensor, *, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        return self._convolve(F.conv2d, input, activation=activation, residual=residual)


class _ConvTranspose(_Conv):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for {type(self).__name__}, '
                f"but got {padding_mode=}"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _transpose(self, function: Any, input: Tensor, output_size: Any) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding(input.shape, tuple(output_size))
        return function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _output_padding(
        self, shape: tuple[int, ...], output_size: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The output padding that gives `output_size`, which may include the leading axes."""
        rank, lead = self._rank, len(shape) - self._rank
        if len(output_size) == len(shape):
            output_size = output_size[lead:]
        if len(output_size) != rank:
            raise ValueError(
                f"ConvTranspose{rank}D: for {len(shape)}D input, output_size must have {rank} "
                f"or {len(shape)} elements (got {len(output_size)})"
            )
        padding: Any = self.padding
        axes = zip(shape[lead:], self.stride, padding, self.dilation, self.kernel_size, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in axes]
        most = [size + s - 1 for size, s in zip(least, self.stride, strict=True)]
        for size, low, high in zip(output_size, least, most, strict=True):
            if not low <= size <= high:
                raise ValueError(
                    f"requested an output size of {output_size}, but valid sizes range "
                    f"from {least} to {most} (for an input of {shape[lead:]})"
                )
        return tuple(size - low for size, low in zip(output_size, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of Conv1d in its input; `output_size` picks a size that stride leaves open."""

    _rank = 1

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return self._transpose(F.conv_transpose1d, input, output_size)


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of Conv2d in its input; `output_size` picks a size that stride leaves open."""

    _rank = 2

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return self._transpose(F.conv_transpose2d, input, output_size)
