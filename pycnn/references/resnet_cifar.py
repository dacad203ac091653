"""The networks of section 4.2 of the ResNet paper, for CIFAR-10, in PyTorch.

The names of their parameters are those torchvision gives its ResNets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _Unit(nn.Module):
    def __init__(self, before: int, after: int, plain: bool, option: str) -> None:
        super().__init__()
        self.plain, self.middle = plain, option == "A-middle"
        self.step = 1 if before == after else 2  # maps are halved where filters double
        self.conv1 = nn.Conv2d(before, after, 3, self.step, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        if not plain and (option == "C" or (option == "B" and before != after)):
            projection = nn.Conv2d(before, after, 1, self.step, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.plain:
            return F.relu(y)
        if hasattr(self, "downsample"):
            return F.relu(y + self.downsample(x))
        if self.step == 2:
            behind = y.shape[1] - x.shape[1]
            front = behind // 2 if self.middle else 0
            x = F.pad(F.max_pool2d(x, 1, 2), (0, 0, 0, 0, front, behind - front))
        return F.relu(y + x)


class _Net(nn.Module):
    def __init__(self, n: int, plain: bool, option: str, num_classes: int, width: float) -> None:
        super().__init__()
        w1, w2, w3 = (scaled(w, width) for w in (16, 32, 64))
        self.conv1 = nn.Conv2d(3, w1, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(w1)

        def maps(before: int, after: int) -> nn.Sequential:
            widths = [before] + [after] * n
            return nn.Sequential(*(_Unit(*pair, plain, option) for pair in zip(widths, widths[1:])))

        self.layer1, self.layer2, self.layer3 = (
            maps(w1, w1),
            _halving(maps(w1, w2)),
            _halving(maps(w2, w3)),
        )
        self.fc = nn.Linear(w3, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def _halving(layer: nn.Sequential) -> nn.Sequential:
    """A stage's first unit halves the maps even where scaling left its widths equal."""
    first = layer[0]
    if first.step == 1:
        first.step, first.conv1.stride = 2, (2, 2)
    return layer


def _network(depth: int, plain: bool):
    def make(num_classes: int = 10, width: float = 1.0, shortcut: str = "A") -> nn.Module:
        check_arguments(num_classes, width)
        return _Net((depth - 2) // 6, plain, shortcut, num_classes, width)

    return make


_DEPTHS = (20, 32, 44, 56, 110)
resnet20, resnet32, resnet44, resnet56, resnet110 = (_network(d, False) for d in _DEPTHS)
resnet1202 = _network(1202, False)
plain20, plain32, plain44, plain56, plain110 = (_network(d, True) for d in _DEPTHS)
