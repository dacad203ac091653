"""torchvision's ResNet-18 and ResNet-50, and the same networks with scaled channels."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def _resnet(variant: str, num_classes: int, width: float) -> nn.Module:
    check_arguments(num_classes, width)
    models = torchvision_models()
    net: nn.Module = getattr(models, variant)(num_classes=num_classes)
    if width == 1:
        return net
    # torchvision fixes the stage widths in the constructor: build its stages again, narrower.
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


def resnet18(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    """ResNet-18: (N, 3, H, W) images to (N, num_classes) logits."""
    return _resnet("resnet18", num_classes, width)


def resnet50(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    """ResNet-50 with the stride on the 3x3 convolution: (N, 3, H, W) to (N, num_classes)."""
    return _resnet("resnet50", num_classes, width)
