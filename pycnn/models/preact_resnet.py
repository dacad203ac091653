"""Pre-activation ResNets for ImageNet and CIFAR. He, Zhang, Ren, Sun 2016, "Identity Mappings in
Deep Residual Networks", arXiv:1603.05027, tables 2 to 5.

`unit=` names one of the five orders of figure 4, the full pre-activation being the paper's choice.
With it the first activation of the network is that of the first unit, and another follows the last.
Parameter names follow timm's resnetv2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .preact_unit import Unit, basic, bottleneck, order_of
from .registry import INCEPTION, Reduced, named, register
from .width import check_arguments, scaled

# name -> units of the stages, parameters, multiply-adds, entries of the state dict
_IMAGENET: dict[str, tuple[tuple[int, ...], int, int, int]] = {
    "preact_resnet18": ((2, 2, 2, 2), 11_687_720, 1_814_073_344, 107),
    "preact_resnet34": ((3, 4, 6, 3), 21_795_880, 3_663_761_408, 203),
    "preact_resnet50": ((3, 4, 6, 3), 25_549_352, 4_089_184_256, 300),
    "preact_resnet101": ((3, 4, 23, 3), 44_541_480, 7_801_405_440, 606),
    "preact_resnet152": ((3, 8, 36, 3), 60_185_128, 11_513_626_624, 912),
    "preact_resnet200": ((3, 24, 36, 3), 64_666_152, 15_007_481_856, 1_200),
}
# and the shortcuts: 110 layers have those of the first paper, the deeper ones projections
_CIFAR: dict[str, tuple[tuple[int, ...], str, int, int, int]] = {
    "preact_resnet110": ((18, 18, 18), "A", 1_727_962, 252_887_680, 656),
    "preact_resnet164": ((18, 18, 18), "B", 1_703_258, 247_646_720, 983),
    "preact_resnet1001": ((111, 111, 111), "B", 10_327_706, 1_490_995_712, 6_005),
}
_BASIC = ("preact_resnet18", "preact_resnet34", "preact_resnet110")
_PUBLISHED = ("preact_resnet18", "preact_resnet34", "preact_resnet50", "preact_resnet101")


class Plan(NamedTuple):
    """What the networks differ in, their stem's channels and the planes of their stages scaled."""

    pooled_stem: bool  # 7x7 with stride 2 and a pool, instead of 3x3
    stem: int
    stages: tuple[tuple[int, int], ...]  # planes, units
    bottleneck: bool
    unit: str = "full_pre"
    shortcut: str = "B"
    v1: bool = False
    shared: bool = False
    dropout: float = 0.0
    stem_norm: bool = False


class _Stage(nn.Module):
    def __init__(self, units: list[Unit]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*units)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class _Head(nn.Module):
    """The mean of every channel, and a linear layer in the form of a 1x1 convolution."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool2d(x, 1)).flatten(1)


class PreActResNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits."""

    def __init__(self, plan: Plan, num_classes: int) -> None:
        super().__init__()
        order = order_of(plan.unit)
        channels = plan.stem
        kernel, stride = (7, 2) if plan.pooled_stem else (3, 1)
        self.stem = nn.Sequential()
        stem = nn.Conv2d(3, channels, kernel, stride, padding=kernel // 2, bias=False)
        self.stem.add_module("conv", stem)
        if plan.stem_norm or not order.norm_first:
            self.stem.add_module("norm", nn.BatchNorm2d(channels))
        if plan.stem_norm or not order.pre:
            self.stem.add_module("act", nn.ReLU())
        if plan.pooled_stem:
            self.stem.add_module("pool", nn.MaxPool2d(3, 2, padding=1))
        self.stages = nn.Sequential()
        rows = bottleneck if plan.bottleneck else basic
        for number, (planes, count) in enumerate(plan.stages):
            units = []
            for i in range(count):
                convolutions = rows(planes, 2 if number and i == 0 else 1, plan.v1)
                shared = plan.shared and order.pre and number == i == 0
                units.append(
                    Unit(channels, convolutions, plan.unit, plan.shortcut, shared, plan.dropout)
                )
                channels = convolutions[-1][0]
            self.stages.append(_Stage(units))
        self.pre = order.pre
        self.norm = nn.BatchNorm2d(channels) if order.norm_first else None
        self.head = _Head(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.fc.weight, std=0.01)
        if self.head.fc.bias is not None:
            nn.init.zeros_(self.head.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        if self.norm is not None:
            x = self.norm(x, activation="relu")
        elif self.pre:
            x = F.relu(x)
        return self.head(x)


_RAISES = """

    Raises:
        ValueError: `num_classes` below 1, `width` not positive, or an unknown `unit` or `shortcut`.
    """
_WORDS = """`unit`: "original", "bn_after_add", "relu_before_add", "relu_only_pre" or "full_pre";
    `shortcut`: "A" pads with zeros where shapes change, "B" projects; `share_first`: the first
    unit's shortcut starts after its activation even where no shape changes, as in the appendix;
    `stem_norm`: batch norm and ReLU behind the first convolution too."""
_WORDS_V1 = """
    `v1`: a bottleneck's stride in its first 1x1."""


def _constructor(name: str) -> Callable[..., PreActResNet]:
    deep = name not in _BASIC
    imagenet = name in _IMAGENET
    option = "B"
    if imagenet:
        counts, parameters, macs, entries = _IMAGENET[name]
    else:
        counts, option, parameters, macs, entries = _CIFAR[name]
    stem = 64 if imagenet else 16

    def build(
        num_classes: int, width: float, unit: str, shortcut: str, share_first: bool, v1: bool,
        stem_norm: bool,
    ) -> PreActResNet:  # fmt: skip
        check_arguments(num_classes, width)
        stages = tuple((scaled(stem << i, width), count) for i, count in enumerate(counts))
        plan = Plan(
            imagenet, scaled(stem, width), stages, deep, unit, shortcut, v1, share_first,
            stem_norm=stem_norm,
        )  # fmt: skip
        return PreActResNet(plan, num_classes).to(memory_format=array.channels_last)

    def bottleneck(
        num_classes: int = 1000 if imagenet else 10, width: float = 1.0, unit: str = "full_pre",
        shortcut: str = option, share_first: bool = False, v1: bool = False,
        stem_norm: bool = False,
    ) -> PreActResNet:  # fmt: skip
        return build(num_classes, width, unit, shortcut, share_first, v1, stem_norm)

    def basic(
        num_classes: int = 1000 if imagenet else 10, width: float = 1.0, unit: str = "full_pre",
        shortcut: str = option, share_first: bool = False, stem_norm: bool = False,
    ) -> PreActResNet:  # fmt: skip
        return build(num_classes, width, unit, shortcut, share_first, False, stem_norm)

    data = "ImageNet" if imagenet else "CIFAR-10"
    doc = f"""{name} for {data}: {parameters:,} parameters.

    {_WORDS}{_WORDS_V1 if deep else ""}{_RAISES}"""
    published = name in _PUBLISHED
    return register(
        "He et al. 2016", parameters, macs, entries, size=224 if imagenet else 32,
        num_classes=1000 if imagenet else 10,
        reference="timm resnetv2" if imagenet else "pytorchcv",
        checkpoints="timm resnetv2" if published else "",
        normalisation=INCEPTION if published else None,
        reduced=Reduced(0.125, 48) if imagenet else Reduced(0.5, 16),
    )(named(bottleneck if deep else basic, name, doc))  # fmt: skip


preact_resnet18 = _constructor("preact_resnet18")
preact_resnet34 = _constructor("preact_resnet34")
preact_resnet50 = _constructor("preact_resnet50")
preact_resnet101 = _constructor("preact_resnet101")
preact_resnet152 = _constructor("preact_resnet152")
preact_resnet200 = _constructor("preact_resnet200")
preact_resnet110 = _constructor("preact_resnet110")
preact_resnet164 = _constructor("preact_resnet164")
preact_resnet1001 = _constructor("preact_resnet1001")

__all__ = ["PreActResNet", *_IMAGENET, *_CIFAR]
