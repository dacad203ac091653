"""torchvision's ResNets, also with scaled channels, the paper's stride, its other shortcuts, and
without any."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def of_torchvision(variant: str, num_classes: int, width: float) -> Any:
    """torchvision's network of that name, its stages built again where `width` is not 1."""
    check_arguments(num_classes, width)
    net: Any = getattr(torchvision_models(), variant)(num_classes=num_classes)
    return net if width == 1 else scale(net, num_classes, width)


def scale(net: Any, num_classes: int, width: float) -> Any:
    """A ResNet of torchvision's class with its stages built again, narrower."""
    stages = [net.layer1, net.layer2, net.layer3, net.layer4]
    block = type(net.layer1[0])
    net.inplanes = scaled(64, width)
    net.conv1 = nn.Conv2d(3, net.inplanes, 7, stride=2, padding=3, bias=False)
    net.bn1 = nn.BatchNorm2d(net.inplanes)
    for i, stage in enumerate(stages):
        planes, stride = scaled(64 << i, width), 1 if i == 0 else 2
        setattr(net, f"layer{i + 1}", net._make_layer(block, planes, len(stage), stride))
    net.fc = nn.Linear(net.inplanes, num_classes)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


class _Option(nn.Module):
    """Section 3.3, option A: an identity with zero entries for the increased dimensions."""

    def __init__(self, planes: int, stride: int, middle: bool) -> None:
        super().__init__()
        self.planes, self.stride, self.middle = planes, stride, middle

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        taken = nn.functional.avg_pool2d(x, 1, self.stride)
        zeros = taken.new_zeros(x.shape[0], self.planes - x.shape[1], *taken.shape[2:])
        if not self.middle:
            return torch.cat([taken, zeros], 1)
        front = zeros.shape[1] // 2
        return torch.cat([zeros[:, :front], taken, zeros[:, front:]], 1)


def _change_shortcuts(net: Any, option: str) -> None:
    for i in range(1, 5):
        for block in getattr(net, f"layer{i}"):
            convolutions = [m for m in block.children() if isinstance(m, nn.Conv2d)]
            inputs, outputs = convolutions[0].in_channels, convolutions[-1].out_channels
            stride = max(c.stride[0] for c in convolutions)
            if option in ("A", "A-middle") and block.downsample is not None:
                block.downsample = _Option(outputs, stride, option == "A-middle")
            if option == "C" and block.downsample is None:
                projection = nn.Conv2d(inputs, outputs, 1, bias=False)
                block.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))


def _resnet(variant: str):
    def make(
        num_classes: int = 1000, width: float = 1.0, shortcut: str = "B", v1: bool = False,
        ceil_pool: bool = False,
    ) -> nn.Module:  # fmt: skip
        net = of_torchvision(variant, num_classes, width)
        if ceil_pool:
            net.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        _change_shortcuts(net, shortcut)
        for block in net.modules() if v1 else ():
            if hasattr(block, "conv3"):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
        return net

    return make


resnet18, resnet34 = _resnet("resnet18"), _resnet("resnet34")
resnet50, resnet101, resnet152 = (_resnet(f"resnet{depth}") for depth in (50, 101, 152))


class _Zero(nn.Module):
    def forward(self, x: torch.Tensor) -> float:
        return 0.0


def _plain(variant: str):
    def make(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
        net = of_torchvision(variant, num_classes, width)
        for block in net.modules():
            if hasattr(block, "conv2"):
                block.downsample = _Zero()  # nothing is added
        return net

    return make


plain18, plain34 = _plain("resnet18"), _plain("resnet34")
