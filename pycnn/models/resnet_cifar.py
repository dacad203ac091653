"""ResNet and plain networks for CIFAR-10. He, Zhang, Ren, Sun 2015, arXiv:1512.03385, section 4.2.

6n + 2 layers: a 3x3 convolution, 2n of 16 channels on 32 x 32 maps, 2n of 32 on 16 x 16, 2n of 64
on 8 x 8, and a linear layer. Shortcuts are of option A, without parameters, so that a plain network
of the same depth has exactly as many: the degradation experiment compares the two. Parameters have
the names torchvision gives those of its ResNets.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from ..tensor import Tensor
from .registry import Reduced, named, register
from .residual import conv3x3
from .resnet import Block, basic_blocks, plain_block
from .width import check_arguments, scaled

# depth -> parameters, multiply-adds, entries of the state dict
_DEPTHS = {
    20: (269_722, 40_551_040, 116),
    32: (464_154, 68_862_592, 188),
    44: (658_586, 97_174_144, 260),
    56: (853_018, 125_485_696, 332),
    110: (1_727_962, 252_887_680, 656),
    1202: (19_421_274, 2_829_238_912, 7_208),
}


class CifarResNet(nn.Module):
    """(N, 3, H, W) images, 32 x 32 in the paper, to (N, num_classes) logits; `count` blocks in each
    of three stages, the first of `channels` planes."""

    def __init__(
        self, block: Block, expansion: int, count: int, channels: int, num_classes: int,
        width: float,
    ) -> None:  # fmt: skip
        super().__init__()
        stages = [scaled(channels * factor, width) for factor in (1, 2, 4)]
        channels = stages[0]
        self.conv1 = conv3x3(3, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        for stage, planes in enumerate(stages, 1):
            layer = nn.Sequential()
            for i in range(count):
                layer.append(block(channels, planes, 2 if stage > 1 and i == 0 else 1))
                channels = planes * expansion
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


def _constructor(name: str) -> Callable[..., CifarResNet]:
    residual = name.startswith("resnet")
    depth = int(name.removeprefix("resnet").removeprefix("plain"))
    parameters, macs, entries = _DEPTHS[depth]

    def build(block: Block, num_classes: int, width: float) -> CifarResNet:
        check_arguments(num_classes, width)
        net = CifarResNet(block, 1, (depth - 2) // 6, 16, num_classes, width)
        return net.to(memory_format=array.channels_last)

    def resnet(num_classes: int = 10, width: float = 1.0, shortcut: str = "A") -> CifarResNet:
        return build(basic_blocks(shortcut), num_classes, width)

    def plain(num_classes: int = 10, width: float = 1.0) -> CifarResNet:
        return build(plain_block, num_classes, width)

    doc = f"""{name} for CIFAR-10: {parameters:,} parameters.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "He et al. 2015", parameters, macs, entries, size=32, num_classes=10,
        reduced=Reduced(0.5, 20),
    )(named(resnet if residual else plain, name, doc))  # fmt: skip


resnet20 = _constructor("resnet20")
resnet32 = _constructor("resnet32")
resnet44 = _constructor("resnet44")
resnet56 = _constructor("resnet56")
resnet110 = _constructor("resnet110")
resnet1202 = _constructor("resnet1202")
plain20 = _constructor("plain20")
plain32 = _constructor("plain32")
plain44 = _constructor("plain44")
plain56 = _constructor("plain56")
plain110 = _constructor("plain110")

__all__ = [
    "CifarResNet", "plain20", "plain32", "plain44", "plain56", "plain110", "resnet20", "resnet32",
    "resnet44", "resnet56", "resnet110", "resnet1202",
]  # fmt: skip
