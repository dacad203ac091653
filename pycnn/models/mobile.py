"""What MobileNet, ShuffleNet and EfficientNet are made of. Parameters have torchvision's names."""

from __future__ import annotations

import math

from .. import functional as F
from .. import nn
from ..creation import ones
from ..tensor import Tensor


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple of `by`, one further where that would lose more than a tenth: how the
    papers' published networks round what a width multiplier makes of their channels."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * channels else nearest


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: with stride 2 an even side gets one pixel
    less in front than behind, where a padding in PyTorch is alike at both ends."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        padding: list[int] = []
        for size, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            padding = [total // 2, total - total // 2, *padding]
        x = F.pad(x, padding)
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class ConvNorm(nn.Sequential):
    """Convolution without bias, keeping the size at stride 1, batch norm, an activation or none.

    `same`: padded as in TensorFlow, which differs with a stride."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
        activation: str | None = "relu", same: bool = False,
    ) -> None:  # fmt: skip
        kind, padding = (SameConv2d, 0) if same and stride > 1 else (nn.Conv2d, kernel // 2)
        convolution = kind(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs))
        self.activation = activation

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:  # type: ignore[override]
        return self[1](self[0](x), activation=self.activation, residual=residual)


class StochasticDepth(nn.Module):
    """In training each sample is zero with probability p, and the others are divided by 1 - p;
    otherwise nothing. Huang et al. 2016, arXiv:1603.09382, as torchvision scales it.

    Raises:
        ValueError: p outside [0, 1].
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be between 0 and 1, got {p!r}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = F.dropout(ones(x.shape[0], *(1,) * (x.ndim - 1), dtype=x.dtype), self.p)
        return x * kept.to(x.device)


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate that sees their means. Hu, Shen, Sun 2018, arXiv:1709.01507."""

    def __init__(self, channels: int, squeezed: int, activation: str = "relu") -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc1(F.adaptive_avg_pool2d(x, 1), activation=self.activation)
        return x * self.fc2(gate, activation="sigmoid")
