"""torchvision's EfficientNets, with their channels multiplied once more where `width` is not 1, and
with Keras' numerics or another epsilon."""

from __future__ import annotations

import importlib
from functools import partial

from torch import nn

from pycnn.models.width import check_arguments
from pycnn.references.same_padding import as_in_keras
from pycnn.references.torchvision_import import torchvision_models


def _efficientnet(variant: str, wider: float, deeper: float, dropout: float):
    def make(
        num_classes: int = 1000, width: float = 1.0, keras: bool = False, eps: float | None = None
    ) -> nn.Module:
        net = of_width(num_classes, width)
        if keras:
            as_in_keras(net, momentum=0.01)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = eps or module.eps
        return net

    def of_width(num_classes: int, width: float) -> nn.Module:
        check_arguments(num_classes, width)
        models = torchvision_models()
        if width == 1:
            net: nn.Module = getattr(models, variant)(num_classes=num_classes)
            return net
        module = importlib.import_module("torchvision.models.efficientnet")
        conf = module._efficientnet_conf(variant, width_mult=wider * width, depth_mult=deeper)
        norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01) if variant[-1] in "567" else None
        narrow: nn.Module = module.EfficientNet(
            conf[0], dropout, num_classes=num_classes, norm_layer=norm
        )
        return narrow

    return make


efficientnet_b0 = _efficientnet("efficientnet_b0", 1.0, 1.0, 0.2)
efficientnet_b1 = _efficientnet("efficientnet_b1", 1.0, 1.1, 0.2)
efficientnet_b2 = _efficientnet("efficientnet_b2", 1.1, 1.2, 0.3)
efficientnet_b3 = _efficientnet("efficientnet_b3", 1.2, 1.4, 0.3)
efficientnet_b4 = _efficientnet("efficientnet_b4", 1.4, 1.8, 0.4)
efficientnet_b5 = _efficientnet("efficientnet_b5", 1.6, 2.2, 0.4)
efficientnet_b6 = _efficientnet("efficientnet_b6", 1.8, 2.6, 0.5)
efficientnet_b7 = _efficientnet("efficientnet_b7", 2.0, 3.1, 0.5)
