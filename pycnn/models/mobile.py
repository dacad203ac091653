"""What MobileNet, ShuffleNet and EfficientNet are made of. Parameters have torchvision's names."""

from __future__ import annotations

from .. import functional as F
from .. import nn
from ..creation import ones
from ..tensor import Tensor


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple of `by`, one further where that would lose more than a tenth: how the
    papers' published networks round what a width multiplier makes of their channels."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * channels else nearest


class ConvNorm(nn.Sequential):
    """Convolution without bias, keeping the size at stride 1, batch norm, an activation or none."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
        activation: str | None = "relu",
    ) -> None:  # fmt: skip
        convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
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
