"""Wide ResNet for ImageNet. Zagoruyko, Komodakis 2016, arXiv:1605.07146, section 3.5. Parameters
have torchvision's names.

Bottlenecks whose 3x3 convolution alone is twice as wide as ResNet's.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array
from .registry import IMAGENET, Reduced, named, register
from .residual import Bottleneck
from .resnet import ResNet, bottlenecks
from .width import check_arguments

# blocks per stage, parameters, multiply-adds, entries
_VARIANTS = {
    "wide_resnet50_2": ((3, 4, 6, 3), 68_883_240, 11_398_021_120, 320),
    "wide_resnet101_2": ((3, 4, 23, 3), 126_886_696, 22_753_050_624, 626),
}


def _constructor(name: str) -> Callable[..., ResNet]:
    counts, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 1000, width: float = 1.0) -> ResNet:
        check_arguments(num_classes, width)
        block = bottlenecks(base_width=128)
        net = ResNet(block, Bottleneck.expansion, counts, num_classes, width)
        return net.to(memory_format=array.channels_last)

    doc = f"""{name}: {parameters:,} parameters. `width` scales all channels alike.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Zagoruyko, Komodakis 2016", parameters, macs, entries, reference="torchvision",
        checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.125, 40),
    )(named(make, name, doc))  # fmt: skip


wide_resnet50_2 = _constructor("wide_resnet50_2")
wide_resnet101_2 = _constructor("wide_resnet101_2")

__all__ = [*_VARIANTS]
