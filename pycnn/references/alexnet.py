"""torchvision's AlexNet, also with scaled channels; the network of 2012 and CaffeNet from the paper
and Caffe's net files."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def alexnet(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    """torchvision's, its layers replaced by narrower ones where `width` is not 1."""
    check_arguments(num_classes, width)
    net: nn.Module = torchvision_models().alexnet(num_classes=num_classes)
    if width == 1:
        return net
    channels = 3
    for i, layer in enumerate(net.features):
        if isinstance(layer, nn.Conv2d):
            planes = scaled(layer.out_channels, width)
            net.features[i] = nn.Conv2d(
                channels, planes, layer.kernel_size, layer.stride, layer.padding
            )
            channels = planes
    hidden = scaled(4096, width)
    net.classifier[1] = nn.Linear(channels * 36, hidden)
    net.classifier[4] = nn.Linear(hidden, hidden)
    net.classifier[6] = nn.Linear(hidden, num_classes)
    return net


def _of_2012(num_classes: int, width: float, caffenet: bool) -> nn.Module:
    """The layers one after the other, under the names of the net files."""
    check_arguments(num_classes, width)
    w = lambda planes: scaled(planes, width)

    def shrink(i: int) -> list[tuple[str, nn.Module]]:
        pool = (f"pool{i}", nn.MaxPool2d(kernel_size=3, stride=2))
        if caffenet:
            return [pool, (f"norm{i}", nn.LocalResponseNorm(5, 0.0001, 0.75, 1))]
        return [(f"norm{i}", nn.LocalResponseNorm(5, 0.0001, 0.75, 2)), pool]

    layers = [("conv1", nn.Conv2d(3, w(96), 11, stride=4)), ("relu1", nn.ReLU()), *shrink(1)]
    layers += [("conv2", nn.Conv2d(w(96), w(256), 5, padding=2, groups=2)), ("relu2", nn.ReLU())]
    layers += [*shrink(2), ("conv3", nn.Conv2d(w(256), w(384), 3, padding=1)), ("relu3", nn.ReLU())]
    layers += [("conv4", nn.Conv2d(w(384), w(384), 3, padding=1, groups=2)), ("relu4", nn.ReLU())]
    layers += [("conv5", nn.Conv2d(w(384), w(256), 3, padding=1, groups=2)), ("relu5", nn.ReLU())]
    layers += [("pool5", nn.MaxPool2d(kernel_size=3, stride=2)), ("flat", nn.Flatten())]
    layers += [("fc6", nn.Linear(w(256) * 6 * 6, w(4096))), ("relu6", nn.ReLU())]
    layers += [("drop6", nn.Dropout(0.5)), ("fc7", nn.Linear(w(4096), w(4096)))]
    layers += [("relu7", nn.ReLU()), ("drop7", nn.Dropout(0.5))]
    layers += [("fc8", nn.Linear(w(4096), num_classes))]
    net = nn.Sequential(OrderedDict(layers))
    with torch.no_grad():
        for name, layer in layers:
            if not hasattr(layer, "weight"):
                continue
            layer.weight.normal_(0, 0.01)
            ones = name in ("conv2", "conv4", "conv5", "fc6", "fc7")
            layer.bias.fill_((0.1 if caffenet else 1.0) if ones else 0.0)
    return net


def alexnet_2012(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    return _of_2012(num_classes, width, caffenet=False)


def caffenet(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    return _of_2012(num_classes, width, caffenet=True)
