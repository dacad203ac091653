"""The blocks of ResNet and the three kinds of shortcut: what ResNeXt and wide ResNet build on too.

He, Zhang, Ren, Sun 2015, arXiv:1512.03385, figure 5 and section 3.3; Xie et al. 2017,
arXiv:1611.05431, figure 3(c); Zagoruyko, Komodakis 2016, arXiv:1605.07146. Parameter names follow
torchvision.
"""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..tensor import Tensor

SHORTCUTS = ("A", "A-middle", "B", "C")


def conv3x3(inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, groups=groups, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class ZeroPadShortcut(nn.Module):
    """Option A: every `stride`-th pixel, and zeros for the channels that are missing: behind the
    others, or with `middle` half of them in front."""

    def __init__(self, inputs: int, outputs: int, stride: int, middle: bool = False) -> None:
        super().__init__()
        self.missing = outputs - inputs
        self.before = self.missing // 2 if middle else 0
        self.stride = stride

    def forward(self, x: Any) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        if not self.missing:
            return x
        return F.pad(x, (0, 0, 0, 0, self.before, self.missing - self.before))


def shortcut(option: str, inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """What a block adds its input through; None where it is the input itself.

    "A" pads with zeros and has no parameters ("A-middle" pads at both ends of the channels), "B"
    projects where the shapes differ, "C" everywhere.

    Raises:
        ValueError: another option.
    """
    if option not in SHORTCUTS:
        raise ValueError(f"shortcut must be one of {', '.join(SHORTCUTS)}, got {option!r}")
    same = stride == 1 and inputs == outputs
    if option.startswith("A") and not same:
        return ZeroPadShortcut(inputs, outputs, stride, option == "A-middle")
    if option == "C" or not same:
        return nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    return None


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (figure 5, left); without `residual` beside none."""

    expansion = 1

    def __init__(
        self, inputs: int, planes: int, stride: int, downsample: nn.Module | None,
        residual: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv1 = conv3x3(inputs, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x), activation="relu")
        if not self.residual:
            return self.bn2(self.conv2(y), activation="relu")
        added = x if self.downsample is None else self.downsample(x)
        return self.bn2(self.conv2(y), activation="relu", residual=added)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the planes, beside a shortcut (figure 5, right).

    The 3x3 has floor(planes * base_width / 64) * groups channels. It has the stride too, as in
    torchvision ("v1.5"); with `v1` the first 1x1 has it, as in the paper."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, stride: int, downsample: nn.Module | None,
        v1: bool = False, groups: int = 1, base_width: int = 64,
    ) -> None:  # fmt: skip
        super().__init__()
        width = max(planes * base_width // 64, 1) * groups
        self.conv1 = conv1x1(inputs, width, stride if v1 else 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, 1 if v1 else stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        added = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x), activation="relu")
        y = self.bn2(self.conv2(y), activation="relu")
        return self.bn3(self.conv3(y), activation="relu", residual=added)
