"""VGG-16. Simonyan, Zisserman 2014, arXiv:1409.1556, table 1. Parameter names follow torchvision.

As in torchvision an adaptive average pool to 7 x 7 precedes the classifier: at the paper's
224 x 224 it does nothing, and other sizes work.
"""

from __future__ import annotations

from collections import OrderedDict

from .. import array, nn
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, register
from .width import check_arguments, scaled

# table 1: the width of every 3x3 convolution of a configuration, "M" a 2x2 max pool
_CONFIGURATIONS: dict[str, tuple[int | str, ...]] = {
    "D": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
}
_HIDDEN = 4096


class _ConvReLU(nn.Conv2d):
    """A 3x3 convolution and its ReLU in one kernel."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, activation="relu")


class VGG(nn.Module):
    """(N, 3, H, W) images, H and W at least 32, to (N, num_classes) logits."""

    def __init__(self, configuration: str, num_classes: int, width: float) -> None:
        super().__init__()
        # Places are numbered as in torchvision, where a ReLU takes one of its own.
        features: OrderedDict[str, nn.Module] = OrderedDict()
        place, channels = 0, 3
        for entry in _CONFIGURATIONS[configuration]:
            if isinstance(entry, str):
                features[str(place)] = nn.MaxPool2d(2)
                place += 1
            else:
                outputs = scaled(entry, width)
                features[str(place)] = _ConvReLU(channels, outputs, 3, padding=1)
                place, channels = place + 2, outputs
        self.features = nn.Sequential(features)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        hidden = scaled(_HIDDEN, width)
        self.classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@register(
    "Simonyan, Zisserman 2014", 138_357_544, 15_470_264_320, 32, reference="torchvision",
    checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.125, 40),
)  # fmt: skip
def vgg16(num_classes: int = 1000, width: float = 1.0) -> VGG:
    """VGG-16, configuration D: 138,357,544 parameters. `width` scales the hidden layers too.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return VGG("D", num_classes, width).to(memory_format=array.channels_last)
