"""ResNet-18 and ResNet-50. He, Zhang, Ren, Sun 2015, arXiv:1512.03385, table 1.

Parameter names follow torchvision. ResNet-50 downsamples in the 3x3 convolution of a block ("v1.5",
as torchvision does); the paper does it in the first 1x1.
"""

from __future__ import annotations

from .. import array, nn
from ..tensor import Tensor
from .registry import IMAGENET, register
from .width import check_arguments, scaled

# the kind of block, and how many of them in conv2_x ... conv5_x
_VARIANTS = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
}
_PLANES = (64, 128, 256, 512)


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (figure 5, left)."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x), activation="relu")
        return self.bn2(self.conv2(y), activation="relu", residual=shortcut)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the planes, beside a shortcut (figure 5, right)."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv1x1(inputs, planes)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv1x1(planes, planes * self.expansion)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x), activation="relu")
        y = self.bn2(self.conv2(y), activation="relu")
        return self.bn3(self.conv3(y), activation="relu", residual=shortcut)


_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


class ResNet(nn.Module):
    """(N, 3, H, W) images, 224 x 224 in the paper, to (N, num_classes) logits."""

    def __init__(self, variant: str, num_classes: int, width: float) -> None:
        super().__init__()
        kind, counts = _VARIANTS[variant]
        block = _BLOCKS[kind]
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for stage, (count, planes) in enumerate(zip(counts, _PLANES, strict=True), 1):
            planes = scaled(planes, width)
            layer = nn.Sequential()
            for i in range(count):
                stride = 2 if stage > 1 and i == 0 else 1
                layer.append(_block(block, channels, planes, stride))
                channels = planes * block.expansion
            setattr(self, f"layer{stage}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x), activation="relu"))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _block(
    block: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, stride: int
) -> nn.Module:
    """A block, with a projection shortcut (option B) where the shapes differ."""
    outputs = planes * block.expansion
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(_conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    return block(inputs, planes, stride, downsample)


def _resnet(variant: str, num_classes: int, width: float) -> ResNet:
    check_arguments(num_classes, width)
    return ResNet(variant, num_classes, width).to(memory_format=array.channels_last)


@register(
    "He et al. 2015", 11_689_512, 1_814_073_344, 122, reference="torchvision",
    checkpoints="torchvision", normalisation=IMAGENET,
)  # fmt: skip
def resnet18(num_classes: int = 1000, width: float = 1.0) -> ResNet:
    """ResNet-18: 11,689,512 parameters.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return _resnet("resnet18", num_classes, width)


@register(
    "He et al. 2015", 25_557_032, 4_089_184_256, 320, reference="torchvision",
    checkpoints="torchvision", normalisation=IMAGENET,
)  # fmt: skip
def resnet50(num_classes: int = 1000, width: float = 1.0) -> ResNet:
    """ResNet-50: 25,557,032 parameters.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return _resnet("resnet50", num_classes, width)


__all__ = ["ResNet", "resnet18", "resnet50"]
