"""torchvision's VGG, and the same networks with scaled channels; configurations A-LRN and C, which
torchvision has not, from table 1 of the paper."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models

_TORCHVISION = {"11": "A", "13": "B", "16": "D", "19": "E"}


def _initialise(net: nn.Module) -> nn.Module:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)
    return net


def _scale_classifier(net: nn.Module, width: float, num_classes: int) -> nn.Module:
    hidden = scaled(4096, width)
    net.classifier[0] = nn.Linear(scaled(512, width) * 7 * 7, hidden)
    net.classifier[3] = nn.Linear(hidden, hidden)
    net.classifier[6] = nn.Linear(hidden, num_classes)
    return net


def _of_torchvision(name: str):
    depth, _, normed = name.removeprefix("vgg").partition("_")

    def make(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
        check_arguments(num_classes, width)
        vgg = torchvision_models().vgg
        if width == 1:
            net: nn.Module = getattr(vgg, name)(num_classes=num_classes)
            return net
        table = [e if e == "M" else scaled(e, width) for e in vgg.cfgs[_TORCHVISION[depth]]]
        layers = vgg.make_layers(table, batch_norm=normed == "bn")
        net = vgg.VGG(layers, num_classes=num_classes, init_weights=False)
        return _initialise(_scale_classifier(net, width, num_classes))

    return make


vgg11, vgg13, vgg16, vgg19 = (_of_torchvision(f"vgg{depth}") for depth in _TORCHVISION)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (_of_torchvision(f"vgg{d}_bn") for d in _TORCHVISION)


def _of_the_paper(columns: list[list[str]], num_classes: int, width: float) -> nn.Module:
    """A column of table 1: the layers of each of its five parts, as the table words them."""
    check_arguments(num_classes, width)
    layers: list[nn.Module] = []
    channels = 3
    for part in columns:
        for word in part:
            if word == "LRN":
                layers.append(nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0))
                continue
            kernel, planes = word.removeprefix("conv").split("-")
            outputs = scaled(int(planes), width)
            same = int(kernel) // 2
            layers += [nn.Conv2d(channels, outputs, int(kernel), padding=same), nn.ReLU()]
            channels = outputs
        layers.append(nn.MaxPool2d(2, 2))
    net = torchvision_models().vgg.VGG(nn.Sequential(*layers), num_classes, init_weights=False)
    return _initialise(_scale_classifier(net, width, num_classes))


def vgg11_lrn(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    """Configuration A-LRN."""
    wide = ["conv3-512", "conv3-512"]
    columns = [["conv3-64", "LRN"], ["conv3-128"], ["conv3-256", "conv3-256"], wide, wide]
    return _of_the_paper(columns, num_classes, width)


def vgg16_c(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    """Configuration C: the third convolutions of the last three parts are 1x1."""
    columns = [[f"conv3-{n}"] * 2 for n in (64, 128)]
    columns += [[f"conv3-{n}", f"conv3-{n}", f"conv1-{n}"] for n in (256, 512, 512)]
    return _of_the_paper(columns, num_classes, width)
