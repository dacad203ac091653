"""ResNet, and the plain networks it is compared with. He, Zhang, Ren, Sun 2015, arXiv:1512.03385,
table 1. Parameter names follow torchvision.

A bottleneck downsamples in its 3x3 convolution ("v1.5", as in torchvision); with `v1=True` in its
first 1x1, as in the paper. The paper's own networks (Caffe) have a pool that rounds up, too:
`ceil_pool=True`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import array, nn
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, named, register
from .residual import BasicBlock, Bottleneck, shortcut
from .width import check_arguments, scaled

# the kind of block, how many of them in conv2_x ... conv5_x, parameters, multiply-adds, entries of
# the state dict
_VARIANTS: dict[str, tuple[str, tuple[int, ...], int, int, int]] = {
    "resnet18": ("basic", (2, 2, 2, 2), 11_689_512, 1_814_073_344, 122),
    "resnet34": ("basic", (3, 4, 6, 3), 21_797_672, 3_663_761_408, 218),
    "resnet50": ("bottleneck", (3, 4, 6, 3), 25_557_032, 4_089_184_256, 320),
    "resnet101": ("bottleneck", (3, 4, 23, 3), 44_549_160, 7_801_405_440, 626),
    "resnet152": ("bottleneck", (3, 8, 36, 3), 60_192_808, 11_513_626_624, 932),
    "plain18": ("plain", (2, 2, 2, 2), 11_515_688, 1_794_805_760, 104),
    "plain34": ("plain", (3, 4, 6, 3), 21_623_848, 3_644_493_824, 200),
}
_PLANES = (64, 128, 256, 512)

# makes a block from its inputs, its planes and its stride
Block = Callable[[int, int, int], nn.Module]


class ResNet(nn.Module):
    """(N, 3, H, W) images, 224 x 224 in the paper, to (N, num_classes) logits."""

    def __init__(
        self, block: Block, expansion: int, counts: tuple[int, ...], num_classes: int, width: float,
        ceil_pool: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, 2, 0 if ceil_pool else 1, ceil_mode=ceil_pool)
        for stage, (count, planes) in enumerate(zip(counts, _PLANES, strict=True), 1):
            planes = scaled(planes, width)
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

    def layers_in_order(self) -> list[tuple[str, nn.Module]]:
        """Its layers in order, for `convolutionize`."""
        names = ("layer1", "layer2", "layer3", "layer4", "avgpool")
        stem = [("conv1", self.conv1), ("bn1", self.bn1), ("relu", nn.ReLU())]
        middle = [("maxpool", self.maxpool), *((name, getattr(self, name)) for name in names)]
        return [*stem, *middle, ("flatten", nn.Flatten()), ("fc", self.fc)]

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x), activation="relu"))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def bottlenecks(option: str = "B", **arguments: Any) -> Block:
    """Bottlenecks with a kind of shortcut and further arguments of theirs."""

    def make(inputs: int, planes: int, stride: int) -> Bottleneck:
        outputs = planes * Bottleneck.expansion
        added = shortcut(option, inputs, outputs, stride)
        return Bottleneck(inputs, planes, stride, added, **arguments)

    return make


def basic_blocks(option: str = "B") -> Block:
    """Basic blocks with a kind of shortcut."""
    return lambda inputs, planes, stride: BasicBlock(
        inputs, planes, stride, shortcut(option, inputs, planes, stride)
    )


def plain_block(inputs: int, planes: int, stride: int) -> BasicBlock:
    """The two convolutions of a basic block, and nothing added to them."""
    return BasicBlock(inputs, planes, stride, None, residual=False)


def _constructor(name: str) -> Callable[..., ResNet]:
    kind, counts, parameters, macs, entries = _VARIANTS[name]

    def build(block: Block, num_classes: int, width: float, ceil_pool: bool = False) -> ResNet:
        check_arguments(num_classes, width)
        expansion = Bottleneck.expansion if kind == "bottleneck" else 1
        net = ResNet(block, expansion, counts, num_classes, width, ceil_pool)
        return net.to(memory_format=array.channels_last)

    def plain(num_classes: int = 1000, width: float = 1.0) -> ResNet:
        return build(plain_block, num_classes, width)

    def basic(
        num_classes: int = 1000, width: float = 1.0, shortcut: str = "B", ceil_pool: bool = False
    ) -> ResNet:
        return build(basic_blocks(shortcut), num_classes, width, ceil_pool)

    def bottleneck(
        num_classes: int = 1000, width: float = 1.0, shortcut: str = "B", v1: bool = False,
        ceil_pool: bool = False,
    ) -> ResNet:  # fmt: skip
        return build(bottlenecks(shortcut, v1=v1), num_classes, width, ceil_pool)

    words = {
        "plain": "without shortcuts",
        "basic": '`shortcut`: "A", "B" or "C" of section 4.1, "B" as in torchvision; `ceil_pool`: '
        "the stem's pool rounds up",
        "bottleneck": '`shortcut`: "A", "B" or "C", "B" as in torchvision; `v1`: the stride in the '
        "first 1x1; `ceil_pool`: the stem's pool rounds up",
    }
    doc = f"""{name}: {parameters:,} parameters; {words[kind]}.

    Raises:
        ValueError: `num_classes` below 1, `width` not positive, or an unknown `shortcut`.
    """
    torchvision = "" if kind == "plain" else "torchvision"
    make = {"plain": plain, "basic": basic, "bottleneck": bottleneck}[kind]
    return register(
        "He et al. 2015", parameters, macs, entries, reference=torchvision or "the paper",
        checkpoints=torchvision, normalisation=IMAGENET if torchvision else None,
        reduced=Reduced(0.125, 48),
    )(named(make, name, doc))  # fmt: skip


resnet18 = _constructor("resnet18")
resnet34 = _constructor("resnet34")
resnet50 = _constructor("resnet50")
resnet101 = _constructor("resnet101")
resnet152 = _constructor("resnet152")
plain18 = _constructor("plain18")
plain34 = _constructor("plain34")

__all__ = ["ResNet", *_VARIANTS]
