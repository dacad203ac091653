"""Network in network. Lin, Chen, Yan 2013, arXiv:1312.4400, with the layer sizes of its published
net files.

A spatial convolution is followed by two 1x1 convolutions, a small perceptron at every pixel
("mlpconv"); the last of them has a map per class, whose mean is the class's score. Pooling rounds
its sizes up, as in Caffe; with `padded_pools` it pads by 1 and rounds down, as in pytorchcv: the
same sizes, other values. Layers are named by their place: `features.0` is the first convolution.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, named, register
from .vgg import ConvReLU
from .width import check_arguments, scaled

# name -> image size, classes, parameters, multiply-adds, entries, rows: per mlpconv its (kernel,
# stride, padding) and its three widths, 0 for the classes, and what follows it
# fmt: off
_VARIANTS = {
    "nin_cifar10": (32, 10, 966_986, 222_486_528, 18, (
        ((5, 1, 2), (192, 160, 96), "max", "dropout"),
        ((5, 1, 2), (192, 192, 192), "average", "dropout"),
        ((3, 1, 1), (192, 192, 0)))),
    "nin_imagenet": (224, 1000, 7_595_176, 1_100_188_800, 24, (
        ((11, 4, 0), (96, 96, 96), "max"),
        ((5, 1, 2), (256, 256, 256), "max"),
        ((3, 1, 1), (384, 384, 384), "max", "dropout"),
        ((3, 1, 1), (1024, 1024, 0)))),
}
# fmt: on


class NIN(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits."""

    def __init__(self, variant: str, num_classes: int, width: float, padded_pools: bool) -> None:
        super().__init__()
        self.features = nn.Sequential()
        channels = 3
        *_, rows = _VARIANTS[variant]
        for (kernel, stride, padding), widths, *rest in rows:
            geometries = ((kernel, stride, padding), (1, 1, 0), (1, 1, 0))
            for planes, geometry in zip(widths, geometries, strict=True):
                outputs = scaled(planes, width) if planes else num_classes
                self.features.append(ConvReLU(channels, outputs, *geometry))
                channels = outputs
            for word in rest:
                if word == "dropout":
                    self.features.append(nn.Dropout(0.5))
                else:
                    pool = nn.MaxPool2d if word == "max" else nn.AvgPool2d
                    self.features.append(
                        pool(3, 2, padding=int(padded_pools), ceil_mode=not padded_pools)
                    )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.05)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.features(x), 1).flatten(1)


def _constructor(name: str) -> Callable[..., NIN]:
    size, classes, parameters, macs, entries, _ = _VARIANTS[name]

    def make(num_classes: int = classes, width: float = 1.0, padded_pools: bool = False) -> NIN:
        check_arguments(num_classes, width)
        net = NIN(name, num_classes, width, padded_pools)
        return net.to(memory_format=array.channels_last)

    doc = f"""{name}: {parameters:,} parameters. `padded_pools`: padded by 1, sizes rounded down.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Lin et al. 2013", parameters, macs, entries, size=size, num_classes=classes,
        reduced=Reduced(0.125, 17 if size == 32 else 75),
    )(named(make, name, doc))  # fmt: skip


nin_cifar10 = _constructor("nin_cifar10")
nin_imagenet = _constructor("nin_imagenet")

__all__ = ["NIN", *_VARIANTS]
