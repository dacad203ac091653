"""torchvision's MobileNetV2, which has the paper's width multiplier; or with Keras' numerics."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments
from pycnn.references.same_padding import as_in_keras
from pycnn.references.torchvision_import import torchvision_models


def mobilenet_v2(num_classes: int = 1000, width: float = 1.0, keras: bool = False) -> nn.Module:
    check_arguments(num_classes, width)
    net: nn.Module = torchvision_models().MobileNetV2(num_classes, width_mult=width)
    if keras:
        as_in_keras(net, momentum=0.001)
    return net
