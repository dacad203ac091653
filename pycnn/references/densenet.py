"""torchvision's DenseNet class, at any width; it has no 264 by name."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def _densenet(growth: int, counts: tuple[int, ...], stem: int):
    def make(
        num_classes: int = 1000, width: float = 1.0, memory_efficient: bool = False
    ) -> nn.Module:
        check_arguments(num_classes, width)
        net: nn.Module = torchvision_models().DenseNet(
            scaled(growth, width), counts, scaled(stem, width), num_classes=num_classes
        )
        return net

    return make


densenet121 = _densenet(32, (6, 12, 24, 16), 64)
densenet161 = _densenet(48, (6, 12, 36, 24), 96)
densenet169 = _densenet(32, (6, 12, 32, 32), 64)
densenet201 = _densenet(32, (6, 12, 48, 32), 64)
densenet264 = _densenet(32, (6, 12, 64, 48), 64)
