"""Wide residual networks for CIFAR in PyTorch: table 1 of their paper, the block of figure 1 (c),
or (d) with dropout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


def _conv(i: int, o: int, k: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, stride, k // 2, bias=False)


class _Wide(nn.Module):
    def __init__(self, i: int, o: int, stride: int, p: float) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(i), _conv(i, o, 3, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(o), _conv(o, o, 3)
        self.p = nn.Dropout(p)
        if i != o or stride != 1:
            self.downsample = nn.ModuleDict({"conv": _conv(i, o, 1, stride)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.norm1(x).relu()
        if hasattr(self, "downsample"):
            x = self.downsample["conv"](a)
        return x + self.conv2(self.p(self.norm2(self.conv1(a)).relu()))


class _Net(nn.Module):
    def __init__(self, n: int, widths: list[int], num_classes: int, p: float) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv": _conv(3, widths[0], 3)})
        self.stages = nn.ModuleList()
        for group in range(3):
            i, o = widths[group : group + 2]
            units = [_Wide(i, o, 2 if group else 1, p)] + [_Wide(o, o, 1, p) for _ in range(n - 1)]
            self.stages.append(nn.ModuleDict({"blocks": nn.Sequential(*units)}))
        self.norm = nn.BatchNorm2d(widths[3])
        self.head = nn.ModuleDict({"fc": nn.Conv2d(widths[3], num_classes, 1)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem["conv"](x)
        for group in self.stages:
            x = group["blocks"](x)
        x = F.relu(self.norm(x)).mean((2, 3), keepdim=True)
        return self.head["fc"](x).flatten(1)


def _wrn(depth: int, k: int):
    def make(num_classes: int = 10, width: float = 1.0, dropout: float = 0.0) -> nn.Module:
        check_arguments(num_classes, width)
        widths = [scaled(w, width) for w in (16, 16 * k, 32 * k, 64 * k)]
        return _Net((depth - 4) // 6, widths, num_classes, dropout)

    return make


wrn_16_4, wrn_16_8, wrn_16_10 = _wrn(16, 4), _wrn(16, 8), _wrn(16, 10)
wrn_22_8, wrn_28_10, wrn_28_12 = _wrn(22, 8), _wrn(28, 10), _wrn(28, 12)
wrn_40_1, wrn_40_2, wrn_40_4, wrn_40_8 = _wrn(40, 1), _wrn(40, 2), _wrn(40, 4), _wrn(40, 8)
