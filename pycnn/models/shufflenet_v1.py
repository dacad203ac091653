"""ShuffleNet. Zhang, Zhou, Lin, Sun 2018, arXiv:1707.01083, table 1 and figure 2. Parameter names
follow megvii-model/ShuffleNet-Series.

Both 1x1 convolutions of a bottleneck have groups; a shuffle in between lets every group of the
second see all groups of the first. More groups afford more channels at the same cost.

Published forms differ in what the paper leaves open. The default has a bias in the classifier, the
shuffle where figure 2 has it, and joins the bottleneck before the pooled input, as pytorchcv; with
`megvii=True` there is no such bias, the shuffle follows the depthwise convolution and is the
inverse permutation, and the pooled input comes first. The weights fit both, the outputs differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, named, register
from .width import GRANULE, check_arguments, scaled

# table 1: groups -> channels of the first stage; the others have twice and four times as many
_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
_REPEATS = (4, 8, 4)
# multiplier -> channels of the stem, which go up to a multiple of the groups
_STEM = {0.25: 6, 0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}

# name -> groups, multiplier, parameters, multiply-adds
_VARIANTS = {
    "shufflenet_v1_g3_x1_0": (3, 1.0, 1_865_728, 137_460_672),
    "shufflenet_v1_g1_x0_25": (1, 0.25, 209_746, 11_003_184),
    "shufflenet_v1_g1_x0_5": (1, 0.5, 534_484, 38_517_408),
    "shufflenet_v1_g1_x1_0": (1, 1.0, 1_531_936, 143_078_976),
    "shufflenet_v1_g2_x0_25": (2, 0.25, 267_486, 11_520_372),
    "shufflenet_v1_g2_x0_5": (2, 0.5, 643_932, 38_570_608),
    "shufflenet_v1_g2_x1_0": (2, 1.0, 1_733_848, 140_836_512),
    "shufflenet_v1_g3_x0_25": (3, 0.25, 305_902, 11_009_808),
    "shufflenet_v1_g3_x0_5": (3, 0.5, 718_324, 37_589_856),
    "shufflenet_v1_g3_x1_5": (3, 1.5, 3_442_168, 292_443_552),
    "shufflenet_v1_g3_x2_0": (3, 2.0, 5_450_776, 524_045_184),
    "shufflenet_v1_g4_x0_25": (4, 0.25, 339_252, 12_394_600),
    "shufflenet_v1_g4_x0_5": (4, 0.5, 778_040, 37_468_832),
    "shufflenet_v1_g4_x1_0": (4, 1.0, 1_968_344, 134_339_776),
    "shufflenet_v1_g8_x0_25": (8, 0.25, 454_504, 12_426_240),
    "shufflenet_v1_g8_x0_5": (8, 0.5, 1_011_448, 40_469_760),
    "shufflenet_v1_g8_x1_0": (8, 1.0, 2_434_768, 138_365_952),
    "shufflenet_v1_g8_x1_5": (8, 1.5, 4_269_952, 290_188_800),
    "shufflenet_v1_g8_x2_0": (8, 2.0, 6_522_232, 521_942_016),
}


class ShuffleUnit(nn.Module):
    """Figure 2(b), and with stride 2 figure 2(c), whose other half is the pooled input.

    `first` is the network's first unit, whose input has too few channels for groups. A bottleneck
    has a quarter of the outputs, up to a multiple of the groups."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, groups: int, first: bool, megvii: bool
    ) -> None:
        super().__init__()
        middle = _up(math.ceil(outputs / 4), groups)
        if stride == 2:
            outputs -= inputs
        before = 1 if first else groups
        # Places 2 and 5 belong to ReLUs, which the batch norms have taken in.
        self.branch_main_1 = nn.Sequential()
        self.branch_main_1.add_module("0", nn.Conv2d(inputs, middle, 1, groups=before, bias=False))
        self.branch_main_1.add_module("1", nn.BatchNorm2d(middle))
        depthwise = nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False)
        self.branch_main_1.add_module("3", depthwise)
        self.branch_main_1.add_module("4", nn.BatchNorm2d(middle))
        self.branch_main_2 = nn.Sequential(
            nn.Conv2d(middle, outputs, 1, groups=groups, bias=False), nn.BatchNorm2d(outputs)
        )
        self.stride, self.groups, self.megvii = stride, groups, megvii

    def forward(self, x: Tensor) -> Tensor:
        reduce, norm1, depthwise, norm2 = self.branch_main_1.children()
        expand, norm3 = self.branch_main_2.children()
        y = norm1(reduce(x), activation="relu")
        if self.megvii:
            y = F.channel_shuffle(norm2(depthwise(y)), y.shape[1] // self.groups)
        else:
            y = norm2(depthwise(F.channel_shuffle(y, self.groups)))
        if self.stride == 1:
            return norm3(expand(y), activation="relu", residual=x)
        # The pooled input is not negative: a ReLU behind the join would leave it as it is.
        halves = [norm3(expand(y), activation="relu"), F.avg_pool2d(x, 3, 2, 1)]
        return F.cat(halves[::-1] if self.megvii else halves, 1)


class ShuffleNetV1(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits."""

    def __init__(
        self, groups: int, multiplier: float, num_classes: int, width: float, megvii: bool
    ) -> None:
        super().__init__()
        channels, *stages = _widths(groups, multiplier, width)
        self.first_conv = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels)
        )
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.features = nn.Sequential()
        for stage, (outputs, count) in enumerate(zip(stages, _REPEATS, strict=True)):
            for i in range(count):
                first = stage == i == 0
                stride = 2 if i == 0 else 1
                self.features.append(ShuffleUnit(channels, outputs, stride, groups, first, megvii))
                channels = outputs
        self.classifier = nn.Sequential(nn.Linear(channels, num_classes, bias=not megvii))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self.first_conv.children()
        x = self.features(self.maxpool(norm(conv(x), activation="relu")))
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _up(channels: int, multiple: int) -> int:
    return -(-channels // multiple) * multiple


def _widths(groups: int, multiplier: float, width: float) -> tuple[int, ...]:
    """Channels of the stem and of the three stages. Other widths than 1 round to whole groups of
    multiples of 8, in bottlenecks too; stages grow, as half of a stride-2 unit is its input."""
    first = round(_CHANNELS[groups] * multiplier)
    widths = [_up(_STEM[multiplier], groups), first, 2 * first, 4 * first]
    if width != 1:
        whole = math.lcm(GRANULE, 4 * groups)
        widths = [_up(scaled(c, width), whole) for c in widths]
        for i in range(1, 4):
            widths[i] = max(widths[i], widths[i - 1] + whole)
    return tuple(widths)


def _constructor(name: str) -> Callable[..., ShuffleNetV1]:
    groups, multiplier, parameters, macs = _VARIANTS[name]

    def make(num_classes: int = 1000, width: float = 1.0, megvii: bool = False) -> ShuffleNetV1:
        check_arguments(num_classes, width)
        net = ShuffleNetV1(groups, multiplier, num_classes, width, megvii)
        return net.to(memory_format=array.channels_last)

    public = {
        "megvii": groups in (3, 8) and multiplier >= 0.5,
        "pytorchcv": multiplier == 1 or (groups in (1, 3) and multiplier < 1),
    }
    doc = f"""ShuffleNet {multiplier:g}x with {groups} groups: {parameters:,} parameters.

    `width` scales all channels further; `megvii` selects the form of the authors' repository.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Zhang et al. 2018", parameters, macs, 296,
        reference=", ".join(n for n, has in public.items() if has) or "the paper",
        normalisation=IMAGENET, reduced=Reduced(0.25, 64),
    )(named(make, name, doc))  # fmt: skip


shufflenet_v1_g3_x1_0 = _constructor("shufflenet_v1_g3_x1_0")
shufflenet_v1_g1_x0_25 = _constructor("shufflenet_v1_g1_x0_25")
shufflenet_v1_g1_x0_5 = _constructor("shufflenet_v1_g1_x0_5")
shufflenet_v1_g1_x1_0 = _constructor("shufflenet_v1_g1_x1_0")
shufflenet_v1_g2_x0_25 = _constructor("shufflenet_v1_g2_x0_25")
shufflenet_v1_g2_x0_5 = _constructor("shufflenet_v1_g2_x0_5")
shufflenet_v1_g2_x1_0 = _constructor("shufflenet_v1_g2_x1_0")
shufflenet_v1_g3_x0_25 = _constructor("shufflenet_v1_g3_x0_25")
shufflenet_v1_g3_x0_5 = _constructor("shufflenet_v1_g3_x0_5")
shufflenet_v1_g3_x1_5 = _constructor("shufflenet_v1_g3_x1_5")
shufflenet_v1_g3_x2_0 = _constructor("shufflenet_v1_g3_x2_0")
shufflenet_v1_g4_x0_25 = _constructor("shufflenet_v1_g4_x0_25")
shufflenet_v1_g4_x0_5 = _constructor("shufflenet_v1_g4_x0_5")
shufflenet_v1_g4_x1_0 = _constructor("shufflenet_v1_g4_x1_0")
shufflenet_v1_g8_x0_25 = _constructor("shufflenet_v1_g8_x0_25")
shufflenet_v1_g8_x0_5 = _constructor("shufflenet_v1_g8_x0_5")
shufflenet_v1_g8_x1_0 = _constructor("shufflenet_v1_g8_x1_0")
shufflenet_v1_g8_x1_5 = _constructor("shufflenet_v1_g8_x1_5")
shufflenet_v1_g8_x2_0 = _constructor("shufflenet_v1_g8_x2_0")

__all__ = ["ShuffleNetV1", *_VARIANTS]
