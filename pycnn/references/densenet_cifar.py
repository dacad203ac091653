"""DenseNet for CIFAR from section 3 of its paper, in PyTorch."""

from __future__ import annotations

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _H(nn.Module):
    """H_l: BN-ReLU-Conv(3x3), or BN-ReLU-Conv(1x1)-BN-ReLU-Conv(3x3); returns its input with it."""

    def __init__(self, inputs: int, k: int, bottleneck: bool) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        if bottleneck:
            self.conv1 = nn.Conv2d(inputs, 4 * k, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(4 * k)
            self.conv2 = nn.Conv2d(4 * k, k, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(inputs, k, 3, 1, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(self.norm1(x).relu())
        if hasattr(self, "conv2"):
            y = self.conv2(self.norm2(y).relu())
        return torch.cat((x, y), 1)


def _cifar(depth: int, growth: int, bc: bool):
    def make(
        num_classes: int = 10, width: float = 1.0, memory_efficient: bool = False
    ) -> nn.Module:
        check_arguments(num_classes, width)
        k = scaled(growth, width)
        channels = 2 * k if bc else scaled(16, width)
        net = nn.Module()
        net.features = nn.Sequential()
        net.features.conv0 = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        for block in range(1, 4):
            layers = nn.Sequential()
            for i in range((depth - 4) // 3 // (2 if bc else 1)):
                setattr(layers, f"denselayer{i + 1}", _H(channels, k, bc))
                channels += k
            setattr(net.features, f"denseblock{block}", layers)
            if block == 3:
                break
            shrink = nn.Sequential()
            shrink.norm = nn.BatchNorm2d(channels)
            shrink.relu = nn.ReLU()
            shrink.conv = nn.Conv2d(channels, channels // (2 if bc else 1), 1, bias=False)
            shrink.pool = nn.AvgPool2d(2, 2)
            channels = shrink.conv.out_channels
            setattr(net.features, f"transition{block}", shrink)
        net.norm = nn.BatchNorm2d(channels)
        net.classifier = nn.Linear(channels, num_classes)
        net.forward = lambda x: net.classifier(net.norm(net.features(x)).relu().mean((2, 3)))
        return net

    return make


densenet40_k12, densenet100_k12 = _cifar(40, 12, False), _cifar(100, 12, False)
densenet100_k24 = _cifar(100, 24, False)
densenet100_k12_bc, densenet250_k24_bc = _cifar(100, 12, True), _cifar(250, 24, True)
densenet190_k40_bc = _cifar(190, 40, True)
