"""Xception in PyTorch. Chollet 2017, arXiv:1610.02357, figure 5.

Module names are those of the weights in circulation for PyTorch. `keras=True` gives the
original implementation's numerics: batch norm with epsilon 1e-3 and momentum 0.01 (Keras writes
0.99), and TensorFlow's "same" padding for the pools, which pads an even image only right and below.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class SeparableConv2d(nn.Module):
    """A 3x3 convolution per channel, then a 1x1 convolution across channels; no biases."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.pointwise(self.conv1(x))
        return y


class TensorFlowPool(nn.Module):
    """3x3 max pooling with stride 2 and TensorFlow's "same" padding, spelt out side by side."""

    @staticmethod
    def _sides(size: int) -> tuple[int, int]:
        outputs = (size + 1) // 2
        total = max(0, (outputs - 1) * 2 + 3 - size)
        return total // 2, total - total // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sides = (*self._sides(x.shape[3]), *self._sides(x.shape[2]))
        return F.max_pool2d(F.pad(x, sides, value=float("-inf")), 3, 2)


class Block(nn.Module):
    """`units` separable convolutions beside a shortcut; with `stride` 2, a pool after them.

    The shortcut gets the input as it came, before the ReLU that opens the other branch.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        units: int,
        stride: int = 1,
        relu_first: bool = True,
        grow_first: bool = True,
        keras: bool = False,
    ) -> None:
        super().__init__()
        if inputs != outputs or stride != 1:
            self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(outputs)
        else:
            self.skip = None
        layers: list[nn.Module] = []
        for unit in range(units):
            grown = grow_first or unit == units - 1
            before = outputs if grow_first and unit > 0 else inputs
            after = outputs if grown else inputs
            if unit > 0 or relu_first:
                layers.append(nn.ReLU())
            layers += [SeparableConv2d(before, after), nn.BatchNorm2d(after)]
        if stride != 1:
            layers.append(TensorFlowPool() if keras else nn.MaxPool2d(3, stride, 1))
        self.rep = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.skip is None else self.skipbn(self.skip(x))
        y: torch.Tensor = self.rep(x) + shortcut
        return y


class Xception(nn.Module):
    """(N, 3, H, W) images, 299 x 299 in the paper, to (N, num_classes) logits."""

    def __init__(self, num_classes: int, width: float, keras: bool) -> None:
        super().__init__()
        c32, c64, c128, c256, c728, c1024, c1536, c2048 = (
            scaled(count, width) for count in (32, 64, 128, 256, 728, 1024, 1536, 2048)
        )
        # Entry flow
        self.conv1 = nn.Conv2d(3, c32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(c32)
        self.conv2 = nn.Conv2d(c32, c64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(c64)
        self.block1 = Block(c64, c128, 2, stride=2, relu_first=False, keras=keras)
        self.block2 = Block(c128, c256, 2, stride=2, keras=keras)
        self.block3 = Block(c256, c728, 2, stride=2, keras=keras)
        # Middle flow
        for index in range(4, 12):
            setattr(self, f"block{index}", Block(c728, c728, 3))
        # Exit flow
        self.block12 = Block(c728, c1024, 2, stride=2, grow_first=False, keras=keras)
        self.conv3 = SeparableConv2d(c1024, c1536)
        self.bn3 = nn.BatchNorm2d(c1536)
        self.conv4 = SeparableConv2d(c1536, c2048)
        self.bn4 = nn.BatchNorm2d(c2048)
        self.fc = nn.Linear(c2048, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d) and keras:
                module.eps, module.momentum = 1e-3, 0.01

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        for index in range(1, 13):
            x = getattr(self, f"block{index}")(x)
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.relu(self.bn4(self.conv4(x)))
        logits: torch.Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


def xception(num_classes: int = 1000, width: float = 1.0, keras: bool = False) -> Xception:
    """Xception with 22,855,952 parameters at width 1: (N, 3, 299, 299) to (N, num_classes)."""
    check_arguments(num_classes, width)
    return Xception(num_classes, width, keras)
