"""EfficientNet. Tan, Le 2019, arXiv:1905.11946, table 1, scaled as in section 3.3. Parameter names
follow torchvision.

One coefficient scales depth, width and image size together; B1 to B7 are B0 with its channels,
layers and images multiplied. `width` multiplies the channels once more, rounded in the same way.

Published forms share weights and differ in numerics. torchvision, the default: padding alike at
both ends, batch norm with epsilon 1e-5, from B5 on 1e-3; timm and pytorchcv: 1e-5 throughout,
`eps=1e-5`; the authors' code, Keras and their ports: TensorFlow's "same" padding and 1e-3,
`keras=True`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .mobile import ConvNorm, SqueezeExcitation, StochasticDepth, divisible
from .registry import IMAGENET, Reduced, named, register
from .width import check_arguments

# table 1: expansion, kernel, stride of the first, inputs, outputs, layers
_ROWS = (
    (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1),
)  # fmt: skip

# name -> width, depth, dropout, image size, eps of batch norm, parameters, multiply-adds, entries
_VARIANTS = {
    "efficientnet_b0": (1.0, 1.0, 0.2, 224, 1e-5, 5_288_548, 385_814_752, 360),
    "efficientnet_b1": (1.0, 1.1, 0.2, 240, 1e-5, 7_794_184, 686_802_832, 508),
    "efficientnet_b2": (1.1, 1.2, 0.3, 260, 1e-5, 9_109_994, 993_561_872, 508),
    "efficientnet_b3": (1.2, 1.4, 0.3, 300, 1e-5, 12_233_232, 1_827_141_392, 574),
    "efficientnet_b4": (1.4, 1.8, 0.4, 380, 1e-5, 19_341_616, 4_393_771_024, 706),
    "efficientnet_b5": (1.6, 2.2, 0.4, 456, 1e-3, 30_389_784, 10_266_384_752, 854),
    "efficientnet_b6": (1.8, 2.6, 0.5, 528, 1e-3, 43_040_704, 19_067_593_536, 986),
    "efficientnet_b7": (2.0, 3.1, 0.5, 600, 1e-3, 66_347_960, 37_745_884_192, 1_200),
}
_DROP_PATH = 0.2  # of the last block; the first has 0


class MBConv(nn.Module):
    """1x1 up, depthwise convolution, squeeze and excitation, 1x1 down without activation; with
    stochastic depth beside the input where shapes agree."""

    def __init__(
        self, expansion: int, kernel: int, stride: int, inputs: int, outputs: int, p: float,
        same: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        hidden = divisible(inputs * expansion)
        self.block = nn.Sequential()
        if hidden != inputs:
            self.block.append(ConvNorm(inputs, hidden, 1, activation="silu"))
        self.block.append(ConvNorm(hidden, hidden, kernel, stride, hidden, "silu", same))
        self.block.append(SqueezeExcitation(hidden, max(1, inputs // 4), activation="silu"))
        self.block.append(ConvNorm(hidden, outputs, 1, activation=None))
        self.stochastic_depth = StochasticDepth(p)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        if not self.residual:
            return self.block(x)
        return self.stochastic_depth(self.block(x)) + x


class EfficientNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits."""

    def __init__(
        self, variant: str, num_classes: int, width: float, keras: bool, eps: float | None
    ) -> None:
        super().__init__()
        wider, deeper, dropout, _, default, *_ = _VARIANTS[variant]
        momentum = 0.01 if keras or default == 1e-3 else 0.1
        if eps is None:
            eps = 1e-3 if keras else default
        rows = [
            (expansion, kernel, stride, *(divisible(c * wider * width) for c in channels),
             math.ceil(layers * deeper))
            for expansion, kernel, stride, *channels, layers in _ROWS
        ]  # fmt: skip
        stem, last, total = rows[0][3], rows[-1][4], sum(row[5] for row in rows)
        self.features = nn.Sequential(ConvNorm(3, stem, 3, 2, 1, "silu", keras))
        done = 0
        for expansion, kernel, stride, inputs, outputs, layers in rows:
            stage = nn.Sequential()
            for i in range(layers):
                p = _DROP_PATH * done / total
                first = (stride, inputs) if i == 0 else (1, outputs)
                stage.append(MBConv(expansion, kernel, *first, outputs, p, keras))
                done += 1
            self.features.append(stage)
        self.features.append(ConvNorm(last, 4 * last, 1, activation="silu"))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * last, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = eps, momentum
            elif isinstance(module, nn.Linear):
                reach = 1 / math.sqrt(num_classes)
                nn.init.uniform_(module.weight, -reach, reach)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


def _constructor(name: str) -> Callable[..., EfficientNet]:
    *_, size, _, parameters, macs, entries = _VARIANTS[name]

    def make(
        num_classes: int = 1000, width: float = 1.0, keras: bool = False, eps: float | None = None
    ) -> EfficientNet:
        check_arguments(num_classes, width)
        if eps is not None and not eps > 0:
            raise ValueError(f"eps must be positive, got {eps!r}")
        net = EfficientNet(name, num_classes, width, keras, eps)
        return net.to(memory_format=array.channels_last)

    doc = f"""{name}: {parameters:,} parameters, images of {size} pixels.

    `keras`: TensorFlow's padding, batch norm with epsilon 1e-3; `eps`: another epsilon.

    Raises:
        ValueError: `num_classes` below 1, `width` or `eps` not positive.
    """
    return register(
        "Tan, Le 2019", parameters, macs, entries, size=size, reference="torchvision",
        checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.25, 64),
    )(named(make, name, doc))  # fmt: skip


efficientnet_b0 = _constructor("efficientnet_b0")
efficientnet_b1 = _constructor("efficientnet_b1")
efficientnet_b2 = _constructor("efficientnet_b2")
efficientnet_b3 = _constructor("efficientnet_b3")
efficientnet_b4 = _constructor("efficientnet_b4")
efficientnet_b5 = _constructor("efficientnet_b5")
efficientnet_b6 = _constructor("efficientnet_b6")
efficientnet_b7 = _constructor("efficientnet_b7")

__all__ = ["EfficientNet", *_VARIANTS]
