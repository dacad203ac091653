"""ResNeXt for CIFAR. Xie, Girshick, Dollar, Tu, He 2017, arXiv:1611.05431, section 5.3 and table 7.
Parameters have the names torchvision gives those of its ResNeXts.

29 layers: a 3x3 convolution of 64 channels, three stages of three bottlenecks with 256, 512 and
1024 channels, and a linear layer. "8x64d" names the groups of the 3x3 convolutions, and how wide
each is in the first stage.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array
from .registry import Reduced, named, register
from .residual import Bottleneck
from .resnet import bottlenecks
from .resnet_cifar import CifarResNet
from .width import check_arguments

# name -> groups, width of a group, parameters, multiply-adds, entries of the state dict
_VARIANTS = {
    "resnext29_32x4d": (32, 4, 4_775_754, 774_055_936, 188),
    "resnext29_8x64d": (8, 64, 34_426_698, 5_387_266_048, 188),
    "resnext29_16x64d": (16, 64, 68_155_210, 10_688_866_304, 188),
}


def _constructor(name: str) -> Callable[..., CifarResNet]:
    groups, base_width, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 10, width: float = 1.0) -> CifarResNet:
        check_arguments(num_classes, width)
        block = bottlenecks(groups=groups, base_width=base_width)
        net = CifarResNet(block, Bottleneck.expansion, 3, 64, num_classes, width)
        return net.to(memory_format=array.channels_last)

    doc = f"""{name} for CIFAR-10: {parameters:,} parameters.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Xie et al. 2017", parameters, macs, entries, size=32, num_classes=10,
        reference="the paper" if name == "resnext29_8x64d" else "pytorchcv",
        reduced=Reduced(0.25 if base_width == 4 else 0.125, 16),
    )(named(make, name, doc))  # fmt: skip


resnext29_32x4d = _constructor("resnext29_32x4d")
resnext29_8x64d = _constructor("resnext29_8x64d")
resnext29_16x64d = _constructor("resnext29_16x64d")

__all__ = [*_VARIANTS]
