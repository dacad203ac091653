"""torchvision's SqueezeNets, their layers replaced by narrower ones where `width` is not 1."""

from __future__ import annotations

from typing import Any

from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def _squeezenet(variant: str):
    def make(num_classes: int = 1000, width: float = 1.0, caffe: bool = False) -> nn.Module:
        net = of_width(num_classes, width)
        if caffe:  # "pad: 1" of conv10 in the published net file
            net.classifier[1].padding = (1, 1)
        return net

    def of_width(num_classes: int, width: float) -> Any:
        check_arguments(num_classes, width)
        models = torchvision_models()
        net = getattr(models, variant)(num_classes=num_classes)
        if width == 1:
            return net
        fire = models.squeezenet.Fire
        channels = 3
        for i, layer in enumerate(net.features):
            if isinstance(layer, nn.Conv2d):
                planes = scaled(layer.out_channels, width)
                net.features[i] = nn.Conv2d(channels, planes, layer.kernel_size, layer.stride)
                channels = planes
            elif isinstance(layer, fire):
                squeeze = scaled(layer.squeeze.out_channels, width)
                expand = scaled(layer.expand1x1.out_channels, width)
                net.features[i] = fire(channels, squeeze, expand, expand)
                channels = 2 * expand
        net.classifier[1] = nn.Conv2d(channels, num_classes, 1)
        return net

    return make


squeezenet1_0, squeezenet1_1 = _squeezenet("squeezenet1_0"), _squeezenet("squeezenet1_1")
