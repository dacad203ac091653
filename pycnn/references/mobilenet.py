"""torchvision's MobileNetV2, which has the paper's width multiplier."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments
from pycnn.references.torchvision_import import torchvision_models


def mobilenet_v2(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    check_arguments(num_classes, width)
    net: nn.Module = torchvision_models().MobileNetV2(num_classes, width_mult=width)
    return net
