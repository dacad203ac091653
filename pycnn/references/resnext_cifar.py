"""ResNeXt for CIFAR from section 5.3 of its paper, in PyTorch. The names are those torchvision
gives the parameters of its ResNeXts."""

from __future__ import annotations

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _Block(nn.Module):
    """Figure 3 (c) of the paper: d is the whole 3x3's width."""

    def __init__(self, i: int, d: int, o: int, stride: int, cardinality: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, d, 1, bias=False), nn.BatchNorm2d(d)
        self.conv2 = nn.Conv2d(d, d, 3, stride, 1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm2d(d)
        self.conv3, self.bn3 = nn.Conv2d(d, o, 1, bias=False), nn.BatchNorm2d(o)
        self.downsample = nn.Sequential()
        if i != o or stride > 1:
            self.downsample.append(nn.Conv2d(i, o, 1, stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(o))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


class _Net(nn.Module):
    def __init__(self, cardinality: int, d: int, num_classes: int, width: float) -> None:
        super().__init__()
        stem = scaled(64, width)
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        before = stem
        for s in range(3):
            planes = scaled(64 * 2**s, width)
            inner = cardinality * max(1, d * planes // 64)
            after = 4 * planes
            blocks = [_Block(before, inner, after, 2 if s else 1, cardinality)]
            blocks += [_Block(after, inner, after, 1, cardinality) for _ in range(2)]
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
            before = after
        self.fc = nn.Linear(before, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((-2, -1)))


def _resnext29(cardinality: int, d: int):
    def make(num_classes: int = 10, width: float = 1.0) -> nn.Module:
        check_arguments(num_classes, width)
        return _Net(cardinality, d, num_classes, width)

    return make


resnext29_32x4d, resnext29_8x64d = _resnext29(32, 4), _resnext29(8, 64)
resnext29_16x64d = _resnext29(16, 64)
