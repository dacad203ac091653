"""torchvision's ResNeXts; 101_32x4d, which it does not offer by name, by its class."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments
from pycnn.references.resnet import of_torchvision, scale
from pycnn.references.torchvision_import import torchvision_models


def _resnext(variant: str):
    return lambda num_classes=1000, width=1.0: of_torchvision(variant, num_classes, width)


resnext50_32x4d = _resnext("resnext50_32x4d")
resnext101_32x8d = _resnext("resnext101_32x8d")
resnext101_64x4d = _resnext("resnext101_64x4d")


def resnext101_32x4d(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    check_arguments(num_classes, width)
    resnet = torchvision_models().resnet
    net = resnet.ResNet(resnet.Bottleneck, [3, 4, 23, 3], num_classes, groups=32, width_per_group=4)
    return net if width == 1 else scale(net, num_classes, width)
