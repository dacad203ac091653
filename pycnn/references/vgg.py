"""torchvision's VGG-16, and the same network with scaled channels."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def vgg16(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    """VGG-16 (configuration D): (N, 3, H, W) images to (N, num_classes) logits."""
    check_arguments(num_classes, width)
    vgg = torchvision_models().vgg
    if width == 1:
        net: nn.Module = vgg.vgg16(num_classes=num_classes)
        return net
    table = [entry if entry == "M" else scaled(entry, width) for entry in vgg.cfgs["D"]]
    net = vgg.VGG(vgg.make_layers(table), num_classes=num_classes, init_weights=False)
    hidden = scaled(4096, width)
    net.classifier[0] = nn.Linear(scaled(512, width) * 7 * 7, hidden)
    net.classifier[3] = nn.Linear(hidden, hidden)
    net.classifier[6] = nn.Linear(hidden, num_classes)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)
    return net
