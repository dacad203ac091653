"""Inception v4 in PyTorch, figure by figure. Szegedy et al. 2017, arXiv:1602.07261.

Names of parameters are those of the checkpoints in circulation for PyTorch. The pieces that the
residual networks of the same paper share are here too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled


class ConvNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], stride: int, pad: bool):
        super().__init__()
        padding = tuple((side - 1) // 2 if pad else 0 for side in size)
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn(self.conv(x)))


class Beside(nn.ModuleDict):
    """All of them see the same maps; theirs are joined."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.values()], dim=1)


def same(i: int, o: int, rows: int, columns: int | None = None) -> ConvNorm:
    return ConvNorm(i, o, (rows, columns or rows), 1, True)


def valid(i: int, o: int) -> ConvNorm:
    return ConvNorm(i, o, (3, 3), 1, False)


def halve(i: int, o: int) -> ConvNorm:
    return ConvNorm(i, o, (3, 3), 2, False)


def beside(*branches: nn.Module) -> Beside:
    return Beside({f"branch{number}": branch for number, branch in enumerate(branches)})


def pooled(i: int, o: int, count_include_pad: bool) -> nn.Sequential:
    pool = nn.AvgPool2d(3, 1, 1, count_include_pad=count_include_pad)
    return nn.Sequential(pool, same(i, o, 1))


def stem(w: Callable[[int], int]) -> list[nn.Module]:
    """Figure 3, to 2 * 192 channels."""
    wide = w(64) + w(96)
    left = nn.Sequential(same(wide, w(64), 1), valid(w(64), w(96)))
    right = nn.Sequential(
        same(wide, w(64), 1),
        same(w(64), w(64), 1, 7),
        same(w(64), w(64), 7, 1),
        valid(w(64), w(96)),
    )
    last = Beside({"conv": halve(2 * w(96), w(192)), "maxpool": nn.MaxPool2d(3, 2)})
    return [
        halve(3, w(32)),
        valid(w(32), w(32)),
        same(w(32), w(64), 3),
        Beside({"maxpool": nn.MaxPool2d(3, 2), "conv": halve(w(64), w(96))}),
        beside(left, right),
        last,
    ]


class LastModule(nn.Module):
    """Figure 6. Two branches end in a 1x3 and a 3x1 that see the same maps."""

    def __init__(self, i: int, w: Callable[[int], int], count_include_pad: bool) -> None:
        super().__init__()
        self.branch0 = same(i, w(256), 1)
        self.branch1_0 = same(i, w(384), 1)
        self.branch1_1a = same(w(384), w(256), 1, 3)
        self.branch1_1b = same(w(384), w(256), 3, 1)
        self.branch2_0 = same(i, w(384), 1)
        self.branch2_1 = same(w(384), w(448), 3, 1)
        self.branch2_2 = same(w(448), w(512), 1, 3)
        self.branch2_3a = same(w(512), w(256), 1, 3)
        self.branch2_3b = same(w(512), w(256), 3, 1)
        self.branch3 = pooled(i, w(256), count_include_pad)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = self.branch1_0(x)
        long = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        a = torch.cat([self.branch1_1a(short), self.branch1_1b(short)], 1)
        b = torch.cat([self.branch2_3a(long), self.branch2_3b(long)], 1)
        return torch.cat([self.branch0(x), a, b, self.branch3(x)], 1)


class InceptionV4(nn.Module):
    def __init__(self, num_classes: int, width: float, count_include_pad: bool) -> None:
        super().__init__()
        w = lambda channels: scaled(channels, width)
        layers, c = stem(w), 2 * w(192)
        for _ in range(4):  # figure 4
            layers.append(
                beside(
                    same(c, w(96), 1),
                    nn.Sequential(same(c, w(64), 1), same(w(64), w(96), 3)),
                    nn.Sequential(same(c, w(64), 1), same(w(64), w(96), 3), same(w(96), w(96), 3)),
                    pooled(c, w(96), count_include_pad),
                )
            )
            c = 4 * w(96)
        down = nn.Sequential(same(c, w(192), 1), same(w(192), w(224), 3), halve(w(224), w(256)))
        layers.append(beside(halve(c, w(384)), down, nn.MaxPool2d(3, 2)))
        c = c + w(384) + w(256)
        for _ in range(7):  # figure 5
            n = [w(192), w(192), w(224), w(224), w(256)]
            layers.append(
                beside(
                    same(c, w(384), 1),
                    nn.Sequential(
                        same(c, w(192), 1),
                        same(w(192), w(224), 1, 7),
                        same(w(224), w(256), 7, 1),
                    ),
                    nn.Sequential(
                        same(c, n[0], 1),
                        same(n[0], n[1], 7, 1),
                        same(n[1], n[2], 1, 7),
                        same(n[2], n[3], 7, 1),
                        same(n[3], n[4], 1, 7),
                    ),
                    pooled(c, w(128), count_include_pad),
                )
            )
            c = w(384) + 2 * w(256) + w(128)
        long = nn.Sequential(
            same(c, w(256), 1),
            same(w(256), w(256), 1, 7),
            same(w(256), w(320), 7, 1),
            halve(w(320), w(320)),
        )
        short = nn.Sequential(same(c, w(192), 1), halve(w(192), w(192)))
        layers.append(beside(short, long, nn.MaxPool2d(3, 2)))
        c = c + w(192) + w(320)
        for _ in range(3):
            layers.append(LastModule(c, w, count_include_pad))
            c = 6 * w(256)
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.last_linear = nn.Linear(c, num_classes)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last_linear(self.dropout(self.features(x).mean(dim=(2, 3))))


def initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def inception_v4(
    num_classes: int = 1000, width: float = 1.0, count_include_pad: bool = False
) -> InceptionV4:
    check_arguments(num_classes, width)
    return InceptionV4(num_classes, width, count_include_pad)
