"""ResNeXt for CIFAR. Xie, Girshick, Dollar, Tu, He 2017, arXiv:1611.05431, section 5.3 and table 7.
Parameters have the names torchvision gives those of its ResNeXts.

29 layers: a 3x3 convolution of 64 channels, three stages of three bottlenecks with 256, 512 and
1024 channels, and a linear layer. "8x64d" names the groups of the 3x3 convolutions, and how wide
each is in the first stage.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from ..tensor import Tensor
from .registry import Reduced, named, register
from .residual import Bottleneck, conv3x3
from .resnet import bottlenecks
from .width import check_arguments, scaled

# name -> groups, width of a group, parameters, multiply-adds, entries of the state dict
_VARIANTS = {
    "resnext29_32x4d": (32, 4, 4_775_754, 774_055_936, 188),
    "resnext29_8x64d": (8, 64, 34_426_698, 5_387_266_048, 188),
    "resnext29_16x64d": (16, 64, 68_155_210, 10_688_866_304, 188),
}
_PLANES = (64, 128, 256)
_COUNT = 3


class CifarResNeXt(nn.Module):
    """(N, 3, H, W) images, 32 x 32 in the paper, to (N, num_classes) logits."""

    def __init__(self, groups: int, base_width: int, num_classes: int, width: float) -> None:
        super().__init__()
        channels = scaled(64, width)
        self.conv1 = conv3x3(3, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        block = bottlenecks(groups=groups, base_width=base_width)
        for stage, planes in enumerate(_PLANES, 1):
            planes = scaled(planes, width)
            layer = nn.Sequential()
            for i in range(_COUNT):
                layer.append(block(channels, planes, 2 if stage > 1 and i == 0 else 1))
                channels = planes * Bottleneck.expansion
            setattr(self, f"layer{stage}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x), activation="relu")
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


def _constructor(name: str) -> Callable[..., CifarResNeXt]:
    groups, base_width, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 10, width: float = 1.0) -> CifarResNeXt:
        check_arguments(num_classes, width)
        net = CifarResNeXt(groups, base_width, num_classes, width)
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

__all__ = ["CifarResNeXt", *_VARIANTS]
