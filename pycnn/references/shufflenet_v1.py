"""ShuffleNet in PyTorch, from table 1 and figure 2 of arXiv:1707.01083, in both published forms.

The shuffle is an index here: output channel i of G groups of n is channel (i % G) * n + i // G."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled

_STAGE2 = {"1": 144, "2": 200, "3": 240, "4": 272, "8": 384}


def _bottleneck(inputs: int, outputs: int, groups: int, grouped: bool, stride: int) -> nn.Module:
    new = outputs - inputs if stride == 2 else outputs
    middle = outputs / 4
    while middle != int(middle) or middle % groups:
        middle = int(middle) + 1
    middle = int(middle)
    unit = nn.Module()
    unit.branch_main_1 = nn.Sequential(
        nn.Conv2d(inputs, middle, 1, groups=groups if grouped else 1, bias=False),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
        nn.BatchNorm2d(middle),
    )
    unit.branch_main_2 = nn.Sequential(
        nn.Conv2d(middle, new, 1, groups=groups, bias=False), nn.BatchNorm2d(new)
    )
    return unit


class _ShuffleNet(nn.Module):
    def __init__(
        self, groups: int, widths: list[int], classes: int, bias: bool, megvii: bool
    ) -> None:
        super().__init__()
        self.groups, self.megvii = groups, megvii
        self.first_conv = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        units: list[nn.Module] = []
        for before, after, count in zip(widths, widths[1:], (4, 8, 4)):
            units.append(_bottleneck(before, after, groups, bool(units), 2))
            units += [_bottleneck(after, after, groups, True, 1) for _ in range(count - 1)]
        self.features = nn.Sequential(*units)
        self.classifier = nn.Sequential(nn.Linear(widths[-1], classes, bias=bias))

    def _shuffled(self, x: torch.Tensor) -> torch.Tensor:
        i = torch.arange(x.shape[1])
        each = x.shape[1] // self.groups
        source = i % self.groups * each + i // self.groups
        return x[:, torch.argsort(source) if self.megvii else source]

    def _unit(self, unit: nn.Module, x: torch.Tensor) -> torch.Tensor:
        reduce, depthwise = unit.branch_main_1[:3], unit.branch_main_1[3:]
        if self.megvii:
            y = self._shuffled(depthwise(reduce(x)))
        else:
            y = depthwise(self._shuffled(reduce(x)))
        y = unit.branch_main_2(y)
        if depthwise[0].stride == (1, 1):
            return F.relu(x + y)
        shrunk = F.avg_pool2d(x, 3, 2, 1)
        return F.relu(torch.cat([shrunk, y] if self.megvii else [y, shrunk], 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.first_conv(x), 3, 2, 1)
        for unit in self.features:
            x = self._unit(unit, x)
        return self.classifier(x.mean((2, 3)))


def __getattr__(name: str):
    """shufflenet_v1_g<groups>_x<multiplier>, as "g3_x0_5"."""
    if not name.startswith("shufflenet_v1_g"):
        raise AttributeError(name)
    number, multiplier = name.removeprefix("shufflenet_v1_g").split("_x")
    groups, times = int(number), float(multiplier.replace("_", "."))
    stem = {0.25: 6, 0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}[times]
    plain = [math.ceil(stem / groups) * groups]
    plain += [int(_STAGE2[number] * times) << i for i in range(3)]

    def make(num_classes: int = 1000, width: float = 1.0, megvii: bool = False) -> nn.Module:
        check_arguments(num_classes, width)
        widths = plain
        if width != 1:
            grain = math.lcm(8, 4 * groups)  # a bottleneck is a quarter, and has groups too
            widths = [math.ceil(scaled(c, width) / grain) * grain for c in plain]
            for i in (1, 2, 3):
                widths[i] = max(widths[i], widths[i - 1] + grain)
        return _ShuffleNet(groups, widths, num_classes, not megvii, megvii)

    return make
