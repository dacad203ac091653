"""DenseNet for CIFAR. Huang, Liu, van der Maaten, Weinberger 2017, arXiv:1608.06993, section 3,
"Implementation details", and table 2. Parameter names are those of the networks for ImageNet.

Three blocks of equal depth on 32 x 32, 16 x 16 and 8 x 8 maps. "BC" has bottlenecks and halves the
channels between blocks; without, layers are one 3x3 convolution and transitions keep the channels.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .densenet import DenseBlock, DenseLayer, PlainDenseLayer, Transition
from .registry import Reduced, named, register
from .width import check_arguments, scaled

# name -> depth, growth rate, BC, parameters, multiply-adds, entries of the state dict
_VARIANTS = {
    "densenet40_k12": (40, 12, False, 1_019_722, 264_812_928, 236),
    "densenet100_k12": (100, 12, False, 6_979_642, 1_769_516_448, 596),
    "densenet100_k24": (100, 24, False, 27_249_082, 6_889_347_744, 596),
    "densenet100_k12_bc": (100, 12, True, 769_162, 287_929_692, 596),
    "densenet250_k24_bc": (250, 24, True, 15_324_406, 5_418_785_724, 1_496),
    "densenet190_k40_bc": (190, 40, True, 25_624_430, 9_301_945_740, 1_136),
}


class CifarDenseNet(nn.Module):
    """(N, 3, H, W) images, 32 x 32 in the paper, to (N, num_classes) logits."""

    def __init__(
        self, depth: int, growth: int, bc: bool, stem: int, num_classes: int,
        memory_efficient: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        count = (depth - 4) // (6 if bc else 3)

        def layer(inputs: int) -> nn.Module:
            if bc:
                return DenseLayer(inputs, growth, 4 * growth)
            return PlainDenseLayer(inputs, growth)

        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, stem, 3, padding=1, bias=False))
        channels = stem
        for i in (1, 2, 3):
            block = DenseBlock(count, channels, growth, layer, memory_efficient)
            self.features.add_module(f"denseblock{i}", block)
            channels = block.outputs
            if i < 3:
                outputs = channels // 2 if bc else channels
                self.features.add_module(f"transition{i}", Transition(channels, outputs))
                channels = outputs
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.features(x), activation="relu")
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _constructor(name: str) -> Callable[..., CifarDenseNet]:
    depth, growth, bc, parameters, macs, entries = _VARIANTS[name]

    def make(
        num_classes: int = 10, width: float = 1.0, memory_efficient: bool = False
    ) -> CifarDenseNet:
        check_arguments(num_classes, width)
        rate = scaled(growth, width)
        stem = 2 * rate if bc else scaled(16, width)
        net = CifarDenseNet(depth, rate, bc, stem, num_classes, memory_efficient)
        return net.to(memory_format=array.channels_last)

    kind = "with bottlenecks and compression" if bc else "without bottlenecks"
    doc = f"""{name} for CIFAR-10: {parameters:,} parameters, {kind}.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Huang et al. 2017", parameters, macs, entries, size=32, num_classes=10,
        reference="pytorchcv" if bc else "the paper", reduced=Reduced(0.25, 16),
    )(named(make, name, doc))  # fmt: skip


densenet40_k12 = _constructor("densenet40_k12")
densenet100_k12 = _constructor("densenet100_k12")
densenet100_k24 = _constructor("densenet100_k24")
densenet100_k12_bc = _constructor("densenet100_k12_bc")
densenet250_k24_bc = _constructor("densenet250_k24_bc")
densenet190_k40_bc = _constructor("densenet190_k40_bc")

__all__ = ["CifarDenseNet", *_VARIANTS]
