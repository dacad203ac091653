"""ResNeXt for ImageNet. Xie, Girshick, Dollar, Tu, He 2017, arXiv:1611.05431, table 1 and table 3.
Parameter names follow torchvision.

"32x4d" names the cardinality, groups of the 3x3 convolution, and the width of each at the first
stage. Forms (a), (b) and (c) of figure 3 compute the same; this is (c), grouped convolution.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array
from .registry import IMAGENET, Reduced, named, register
from .residual import Bottleneck
from .resnet import ResNet, bottlenecks
from .width import check_arguments

# blocks per stage, cardinality, width of a group, parameters, multiply-adds, entries
_VARIANTS = {
    "resnext50_32x4d": ((3, 4, 6, 3), 32, 4, 25_028_904, 4_230_479_872, 320),
    "resnext101_32x4d": ((3, 4, 23, 3), 32, 4, 44_177_704, 7_969_996_800, 626),
    "resnext101_32x8d": ((3, 4, 23, 3), 32, 8, 88_791_336, 16_414_015_488, 626),
    "resnext101_64x4d": ((3, 4, 23, 3), 64, 4, 83_455_272, 15_460_270_080, 626),
}


def _constructor(name: str) -> Callable[..., ResNet]:
    counts, groups, base_width, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 1000, width: float = 1.0) -> ResNet:
        check_arguments(num_classes, width)
        block = bottlenecks(groups=groups, base_width=base_width)
        net = ResNet(block, Bottleneck.expansion, counts, num_classes, width)
        return net.to(memory_format=array.channels_last)

    doc = f"""{name}: {parameters:,} parameters, {groups} groups in every 3x3 convolution.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    torchvision = "torchvision" if name != "resnext101_32x4d" else ""
    return register(
        "Xie et al. 2017", parameters, macs, entries, reference=torchvision or "timm, pytorchcv",
        checkpoints=torchvision, normalisation=IMAGENET, reduced=Reduced(0.25, 40),
    )(named(make, name, doc))  # fmt: skip


resnext50_32x4d = _constructor("resnext50_32x4d")
resnext101_32x4d = _constructor("resnext101_32x4d")
resnext101_32x8d = _constructor("resnext101_32x8d")
resnext101_64x4d = _constructor("resnext101_64x4d")

__all__ = [*_VARIANTS]
