"""SqueezeNet 1.0 and 1.1. Iandola et al. 2016, arXiv:1602.07360, table 1. Parameter names follow
torchvision.

Version 1.1, published with the code, has a smaller stem and pools earlier: 2.4 times fewer
multiplications. torchvision's last convolution has no padding; Caffe's of version 1.0 pads by 1:
`caffe=True`.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, named, register
from .width import check_arguments, scaled

# name -> parameters, multiply-adds, then the layers: the stem (width, kernel), "pool", and per fire
# module (squeeze, each half of expand)
# fmt: off
_VARIANTS = {
    "squeezenet1_0": (1_248_424, 818_924_576, (
        (96, 7), "pool", (16, 64), (16, 64), (32, 128), "pool",
        (32, 128), (48, 192), (48, 192), (64, 256), "pool", (64, 256))),
    "squeezenet1_1": (1_235_496, 349_151_936, (
        (64, 3), "pool", (16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool",
        (48, 192), (48, 192), (64, 256), (64, 256))),
}
# fmt: on


class Fire(nn.Module):
    """1x1 convolutions that squeeze, then 1x1 and 3x3 that expand, side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x, activation="relu")
        halves = [self.expand1x1(x, activation="relu"), self.expand3x3(x, activation="relu")]
        return F.cat(halves, 1)


class SqueezeNet(nn.Module):
    """(N, 3, H, W) images, H and W at least 21, to (N, num_classes) logits."""

    def __init__(self, variant: str, num_classes: int, width: float, last_padding: int) -> None:
        super().__init__()
        _, _, ((stem, kernel), *rows) = _VARIANTS[variant]
        channels = scaled(stem, width)
        self.features = nn.Sequential(nn.Conv2d(3, channels, kernel, stride=2), nn.ReLU())
        for row in rows:
            if row == "pool":
                self.features.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
                continue
            squeeze, expand = (scaled(c, width) for c in row)  # type: ignore[arg-type]
            self.features.append(Fire(channels, squeeze, expand))
            channels = 2 * expand
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(channels, num_classes, 1, padding=last_padding), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        last = self.classifier[1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, 0.0, 0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


def _constructor(name: str) -> Callable[..., SqueezeNet]:
    parameters, macs, _ = _VARIANTS[name]

    def build(num_classes: int, width: float, last_padding: int) -> SqueezeNet:
        check_arguments(num_classes, width)
        net = SqueezeNet(name, num_classes, width, last_padding)
        return net.to(memory_format=array.channels_last)

    def make(num_classes: int = 1000, width: float = 1.0) -> SqueezeNet:
        return build(num_classes, width, 0)

    def make_1_0(num_classes: int = 1000, width: float = 1.0, caffe: bool = False) -> SqueezeNet:
        return build(num_classes, width, int(caffe))

    first = name == "squeezenet1_0"
    words = " `caffe`: its last convolution is padded." if first else ""
    doc = f"""{name}: {parameters:,} parameters.{words}

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Iandola et al. 2016", parameters, macs, 52, reference="torchvision",
        checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.25, 47),
    )(named(make_1_0 if first else make, name, doc))  # fmt: skip


squeezenet1_0 = _constructor("squeezenet1_0")
squeezenet1_1 = _constructor("squeezenet1_1")

__all__ = ["SqueezeNet", *_VARIANTS]
