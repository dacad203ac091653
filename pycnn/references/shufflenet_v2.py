"""torchvision's ShuffleNetV2 class, at any width, and with pytorchcv's pool."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def _shufflenet(*widths: int):
    def make(num_classes: int = 1000, width: float = 1.0, ceil_pool: bool = False) -> nn.Module:
        check_arguments(num_classes, width)
        net: nn.Module = torchvision_models().ShuffleNetV2(
            [4, 8, 4], [scaled(c, width) for c in widths], num_classes
        )
        if ceil_pool:
            net.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        return net

    return make


shufflenet_v2_x0_5 = _shufflenet(24, 48, 96, 192, 1024)
shufflenet_v2_x1_0 = _shufflenet(24, 116, 232, 464, 1024)
shufflenet_v2_x1_5 = _shufflenet(24, 176, 352, 704, 1024)
shufflenet_v2_x2_0 = _shufflenet(24, 244, 488, 976, 2048)
