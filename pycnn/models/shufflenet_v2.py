"""ShuffleNet V2. Ma, Zhang, Zheng, Sun 2018, arXiv:1807.11164, table 5. Parameter names follow
torchvision.

Half of the channels pass a unit untouched; a shuffle mixes them with the other half. Groups of
convolutions, as version 1 has them, cost memory accesses that multiply-adds do not show. With
`ceil_pool` the stem's pool rounds up and does not pad, as pytorchcv's.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, named, register
from .width import check_arguments, scaled

# name -> channels of the stem, the three stages and the last convolution, parameters, multiply-adds
_VARIANTS = {
    "shufflenet_v2_x0_5": ((24, 48, 96, 192, 1024), 1_366_792, 40_476_448),
    "shufflenet_v2_x1_0": ((24, 116, 232, 464, 1024), 2_278_604, 144_907_992),
    "shufflenet_v2_x1_5": ((24, 176, 352, 704, 1024), 3_503_624, 295_759_392),
    "shufflenet_v2_x2_0": ((24, 244, 488, 976, 2048), 7_393_996, 583_253_464),
}
_REPEATS = (4, 8, 4)


class _ReLUNorm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, activation="relu")


def _branch(inputs: int, outputs: int, stride: int, first: bool) -> nn.Sequential:
    """[1x1, BN, ReLU,] depthwise 3x3, BN, 1x1, BN, ReLU; places are numbered as in torchvision,
    where a ReLU takes one of its own."""
    branch, place = nn.Sequential(), 0
    if first:
        branch.add_module("0", nn.Conv2d(inputs, outputs, 1, bias=False))
        branch.add_module("1", _ReLUNorm(outputs))
        inputs, place = outputs, 3
    depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
    branch.add_module(str(place), depthwise)
    branch.add_module(str(place + 1), nn.BatchNorm2d(inputs))
    branch.add_module(str(place + 2), nn.Conv2d(inputs, outputs, 1, bias=False))
    branch.add_module(str(place + 3), _ReLUNorm(outputs))
    return branch


class ShuffleUnit(nn.Module):
    """Figure 3(c), and with stride 2 figure 3(d), where both halves are computed from all of x."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.branch1 = _branch(inputs, half, stride, False) if stride > 1 else nn.Sequential()
        self.branch2 = _branch(inputs if stride > 1 else half, half, stride, True)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            halves = [self.branch1(x), self.branch2(x)]
        else:
            kept, x = x.chunk(2, 1)
            halves = [kept, self.branch2(x)]
        return F.channel_shuffle(F.cat(halves, 1), 2)


class ShuffleNetV2(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits."""

    def __init__(self, widths: tuple[int, ...], num_classes: int, ceil_pool: bool) -> None:
        super().__init__()
        channels, *stages, last = widths
        self.conv1 = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), _ReLUNorm(channels))
        self.maxpool = nn.MaxPool2d(3, 2, 0 if ceil_pool else 1, ceil_mode=ceil_pool)
        for i, (outputs, count) in enumerate(zip(stages, _REPEATS, strict=True), 2):
            stage = nn.Sequential(ShuffleUnit(channels, outputs, 2))
            for _ in range(count - 1):
                stage.append(ShuffleUnit(outputs, outputs, 1))
            self.add_module(f"stage{i}", stage)
            channels = outputs
        self.conv5 = nn.Sequential(nn.Conv2d(channels, last, 1, bias=False), _ReLUNorm(last))
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _constructor(name: str) -> Callable[..., ShuffleNetV2]:
    widths, parameters, macs = _VARIANTS[name]

    def make(num_classes: int = 1000, width: float = 1.0, ceil_pool: bool = False) -> ShuffleNetV2:
        check_arguments(num_classes, width)
        net = ShuffleNetV2(tuple(scaled(c, width) for c in widths), num_classes, ceil_pool)
        return net.to(memory_format=array.channels_last)

    doc = f"""{name}: {parameters:,} parameters. `width` scales all channels further;
    `ceil_pool`: the stem's pool rounds up.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Ma et al. 2018", parameters, macs, 338, reference="torchvision",
        checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.25, 64),
    )(named(make, name, doc))  # fmt: skip


shufflenet_v2_x0_5 = _constructor("shufflenet_v2_x0_5")
shufflenet_v2_x1_0 = _constructor("shufflenet_v2_x1_0")
shufflenet_v2_x1_5 = _constructor("shufflenet_v2_x1_5")
shufflenet_v2_x2_0 = _constructor("shufflenet_v2_x2_0")

__all__ = ["ShuffleNetV2", *_VARIANTS]
