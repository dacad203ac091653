"""Wide residual networks for CIFAR. Zagoruyko, Komodakis 2016, arXiv:1605.07146, table 1, and
figure 1 (c), (d) for the block.

WRN-d-k has d = 6n + 4 layers: three stages of n pre-activation units with k times the 16, 32 and 64
channels of a ResNet for CIFAR. Dropout, if any, stands between the two convolutions of a unit,
after the ReLU. Parameter names are those of the pre-activation ResNets.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array
from .preact_resnet import Plan, PreActResNet
from .registry import Reduced, named, register
from .width import check_arguments, scaled

# name -> depth, k, parameters, multiply-adds, entries of the state dict
_VARIANTS = {
    "wrn_16_4": (16, 4, 2_748_890, 392_612_352, 83),
    "wrn_16_8": (16, 8, 10_961_370, 1_548_145_664, 83),
    "wrn_16_10": (16, 10, 17_116_634, 2_412_173_568, 83),
    "wrn_22_8": (22, 8, 17_158_106, 2_454_115_328, 119),
    "wrn_28_10": (28, 10, 36_479_194, 5_243_328_768, 155),
    "wrn_28_12": (28, 12, 52_517_850, 7_543_905_792, 155),
    "wrn_40_1": (40, 1, 563_930, 83_280_512, 226),
    "wrn_40_2": (40, 2, 2_243_546, 327_599_360, 227),
    "wrn_40_4": (40, 4, 8_949_210, 1_298_582_016, 227),
    "wrn_40_8": (40, 8, 35_748_314, 5_172_024_320, 227),
}
_COMPARED = ("wrn_16_10", "wrn_28_10", "wrn_40_8")  # pytorchcv's


def _constructor(name: str) -> Callable[..., PreActResNet]:
    depth, k, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 10, width: float = 1.0, dropout: float = 0.0) -> PreActResNet:
        check_arguments(num_classes, width)
        count = (depth - 4) // 6
        stages = tuple((scaled(planes * k, width), count) for planes in (16, 32, 64))
        plan = Plan(False, scaled(16, width), stages, bottleneck=False, dropout=dropout)
        return PreActResNet(plan, num_classes).to(memory_format=array.channels_last)

    doc = f"""{name} for CIFAR-10: {parameters:,} parameters. `dropout`: 0.3 in the paper where any.

    Raises:
        ValueError: `num_classes` below 1, `width` not positive, or `dropout` no probability.
    """
    return register(
        "Zagoruyko, Komodakis 2016", parameters, macs, entries, size=32, num_classes=10,
        reference="pytorchcv" if name in _COMPARED else "the paper", reduced=Reduced(0.125, 20),
    )(named(make, name, doc))  # fmt: skip


wrn_16_4 = _constructor("wrn_16_4")
wrn_16_8 = _constructor("wrn_16_8")
wrn_16_10 = _constructor("wrn_16_10")
wrn_22_8 = _constructor("wrn_22_8")
wrn_28_10 = _constructor("wrn_28_10")
wrn_28_12 = _constructor("wrn_28_12")
wrn_40_1 = _constructor("wrn_40_1")
wrn_40_2 = _constructor("wrn_40_2")
wrn_40_4 = _constructor("wrn_40_4")
wrn_40_8 = _constructor("wrn_40_8")

__all__ = [*_VARIANTS]
