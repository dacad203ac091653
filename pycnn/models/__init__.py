"""Convolutional networks from the papers, one file each.

Every constructor takes `num_classes=` and `width=`, which scales the channel counts (rounded up to
a multiple of 8). Parameters carry torchvision's names, so that its checkpoints load. All but
LeNet-5 keep their convolution weights channels-last, and so run channels-last after the first
convolution.
"""

from __future__ import annotations

from .lenet import LeNet5, lenet5
from .registry import ModelEntry, get_model, list_models, model_entry
from .resnet import ResNet, resnet18, resnet50
from .vgg import VGG, vgg16
from .xception import Xception, xception

__all__ = [
    "LeNet5",
    "ModelEntry",
    "ResNet",
    "VGG",
    "Xception",
    "get_model",
    "lenet5",
    "list_models",
    "model_entry",
    "resnet18",
    "resnet50",
    "vgg16",
    "xception",
]
