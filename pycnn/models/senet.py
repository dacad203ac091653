"""Squeeze-and-excitation networks: SE-ResNet, SE-ResNeXt and SENet-154. Hu, Shen, Sun 2018,
arXiv:1709.01507, table 1, figure 3 and section 6.

A gate scales the channels of a block's branch, after its last batch norm and before the shortcut is
added. The published networks (Caffe) have a SE-ResNet's stride in the first 1x1 convolution of a
block and a pool in the stem that rounds up; ports to PyTorch have them elsewhere: `v1` and
`ceil_pool`. Parameters have the names of Cadene's pretrained-models, which hold the weights of the
paper, converted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .mobile import SqueezeExcitation
from .registry import IMAGENET, Reduced, named, register
from .width import check_arguments, scaled

# name -> kind of block, how many in conv2_x ... conv5_x, parameters, multiply-adds, entries
_VARIANTS: dict[str, tuple[str, tuple[int, ...], int, int, int]] = {
    "se_resnet18": ("basic", (2, 2, 2, 2), 11_778_592, 1_814_160_384, 154),
    "se_resnet34": ("basic", (3, 4, 6, 3), 21_958_868, 3_663_918_592, 282),
    "se_resnet50": ("bottleneck", (3, 4, 6, 3), 28_088_024, 3_860_488_192, 384),
    "se_resnet101": ("bottleneck", (3, 4, 23, 3), 49_326_872, 7_574_937_600, 758),
    "se_resnet152": ("bottleneck", (3, 8, 36, 3), 66_821_848, 11_288_993_792, 1_132),
    "se_resnext50": ("resnext", (3, 4, 6, 3), 27_559_896, 4_232_994_816, 384),
    "se_resnext101": ("resnext", (3, 4, 23, 3), 48_955_416, 7_974_739_968, 758),
    "senet154": ("senet", (3, 8, 36, 3), 115_088_984, 20_688_363_520, 1_144),
}
_PLANES = (64, 128, 256, 512)

# outputs, kernel, stride, groups of a convolution
Row = tuple[int, int, int, int]


def _basic(planes: int, stride: int, v1: bool) -> tuple[Row, ...]:
    return (planes, 3, stride, 1), (planes, 3, 1, 1)


def _bottleneck(planes: int, stride: int, v1: bool) -> tuple[Row, ...]:
    first, second = (stride, 1) if v1 else (1, stride)
    return (planes, 1, first, 1), (planes, 3, second, 1), (4 * planes, 1, 1, 1)


def _resnext(planes: int, stride: int, v1: bool) -> tuple[Row, ...]:
    inner = max(planes // 16, 1) * 32  # 32x4d
    return (inner, 1, 1, 1), (inner, 3, stride, 32), (4 * planes, 1, 1, 1)


def _senet(planes: int, stride: int, v1: bool) -> tuple[Row, ...]:
    half, inner = (max(n * planes // 64, 1) * 64 for n in (2, 4))
    return (half, 1, 1, 1), (inner, 3, stride, 64), (4 * planes, 1, 1, 1)


# the convolutions of a block from its planes, its stride and `v1`
_ROWS = {"basic": _basic, "bottleneck": _bottleneck, "resnext": _resnext, "senet": _senet}


def _convolution(inputs: int, row: Row) -> nn.Conv2d:
    outputs, kernel, stride, groups = row
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class SEBlock(nn.Module):
    """Convolutions, each with batch norm, a gate for every channel, and a shortcut beside them."""

    def __init__(
        self, inputs: int, rows: tuple[Row, ...], downsample: nn.Module | None, reduction: int
    ) -> None:
        super().__init__()
        self.count = len(rows)
        for i, row in enumerate(rows, 1):
            setattr(self, f"conv{i}", _convolution(inputs, row))
            inputs = row[0]
            setattr(self, f"bn{i}", nn.BatchNorm2d(inputs))
        self.se_module = SqueezeExcitation(inputs, max(inputs // reduction, 1))
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        added = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.count + 1):
            norm = getattr(self, f"bn{i}")
            x = norm(getattr(self, f"conv{i}")(x), activation="relu" if i < self.count else None)
        return F.relu(self.se_module(x) + added)


class SENet(nn.Module):
    """(N, 3, H, W) images, 224 x 224 in the paper, to (N, num_classes) logits."""

    def __init__(
        self, kind: str, counts: tuple[int, ...], num_classes: int, width: float,
        v1: bool, ceil_pool: bool, reduction: int,
    ) -> None:  # fmt: skip
        super().__init__()
        deep = kind == "senet"  # three 3x3 convolutions in the stem, 3x3 projections, dropout
        narrow, channels = scaled(64, width), scaled(128 if deep else 64, width)
        stem = ((narrow, 3, 2), (narrow, 3, 1), (channels, 3, 1)) if deep else ((channels, 7, 2),)
        self.layer0 = nn.Sequential()
        inputs = 3
        for i, (outputs, kernel, stride) in enumerate(stem, 1):
            row = (outputs, kernel, stride, 1)
            self.layer0.add_module(f"conv{i}", _convolution(inputs, row))
            self.layer0.add_module(f"bn{i}", nn.BatchNorm2d(outputs))
            self.layer0.add_module(f"relu{i}", nn.ReLU())
            inputs = outputs
        self.pool0 = nn.MaxPool2d(3, 2, padding=0 if ceil_pool else 1, ceil_mode=ceil_pool)
        for stage, (count, planes) in enumerate(zip(counts, _PLANES, strict=True), 1):
            layer = nn.Sequential()
            for i in range(count):
                stride = 2 if stage > 1 and i == 0 else 1
                rows = _ROWS[kind](scaled(planes, width), stride, v1)
                outputs, added = rows[-1][0], None
                if stride > 1 or channels != outputs:
                    row = (outputs, 3 if deep and stage > 1 else 1, stride, 1)
                    added = nn.Sequential(_convolution(channels, row), nn.BatchNorm2d(outputs))
                layer.append(SEBlock(channels, rows, added, reduction))
                channels = outputs
            setattr(self, f"layer{stage}", layer)
        self.dropout = nn.Dropout(0.2 if deep else 0.0)
        self.last_linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool0(self.layer0(x))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.last_linear(self.dropout(F.adaptive_avg_pool2d(x, 1).flatten(1)))


def _constructor(name: str) -> Callable[..., SENet]:
    kind, counts, parameters, macs, entries = _VARIANTS[name]

    def bottleneck(
        num_classes: int = 1000, width: float = 1.0, v1: bool = True, ceil_pool: bool = True,
        reduction: int = 16,
    ) -> SENet:  # fmt: skip
        check_arguments(num_classes, width)
        net = SENet(kind, counts, num_classes, width, v1, ceil_pool, reduction)
        return net.to(memory_format=array.channels_last)

    def other(
        num_classes: int = 1000, width: float = 1.0, ceil_pool: bool = True, reduction: int = 16
    ) -> SENet:
        return bottleneck(num_classes, width, False, ceil_pool, reduction)

    stride = "`v1`: the stride in a block's first 1x1 instead of its 3x3; "
    doc = f"""{name}: {parameters:,} parameters.

    {stride if kind == "bottleneck" else ""}`ceil_pool`: the stem's pool rounds up instead of
    padding; `reduction`: r of section 3.1, how many channels share a unit of a gate.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    reference = "pytorchcv" if kind == "basic" else "Cadene"
    more: dict[str, Any] = {"checkpoints": "Cadene"} if kind != "basic" else {}
    return register(
        "Hu et al. 2018", parameters, macs, entries, reference=reference, normalisation=IMAGENET,
        reduced=Reduced(0.125, 40, {"reduction": 2}), **more,
    )(named(bottleneck if kind == "bottleneck" else other, name, doc))  # fmt: skip


se_resnet18 = _constructor("se_resnet18")
se_resnet34 = _constructor("se_resnet34")
se_resnet50 = _constructor("se_resnet50")
se_resnet101 = _constructor("se_resnet101")
se_resnet152 = _constructor("se_resnet152")
se_resnext50 = _constructor("se_resnext50")
se_resnext101 = _constructor("se_resnext101")
senet154 = _constructor("senet154")

__all__ = ["SENet", *_VARIANTS]
