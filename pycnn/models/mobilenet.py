"""MobileNetV2. Sandler, Howard, Zhu, Zhmoginov, Chen 2018, arXiv:1801.04381, table 2. Parameters
have torchvision's names.

`width` is the paper's multiplier: channels are rounded as in the published networks, and the last
layer keeps its 1280 below 1. `keras=True` has the numerics of Keras: TensorFlow's "same" padding,
epsilon 1e-3 and momentum 0.001 (0.999 there) in batch norm. The weights fit both.
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .mobile import ConvNorm, divisible
from .registry import IMAGENET, Reduced, register
from .width import check_arguments

# table 2: expansion, channels, repeats, stride of the first
_ROWS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class InvertedResidual(nn.Module):
    """1x1 up, depthwise 3x3, 1x1 down without activation; added to the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, same: bool) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv = nn.Sequential()
        if expansion != 1:
            self.conv.append(ConvNorm(inputs, hidden, 1, activation="relu6"))
        self.conv.append(ConvNorm(hidden, hidden, 3, stride, hidden, "relu6", same))
        self.conv.append(nn.Conv2d(hidden, outputs, 1, bias=False))
        self.conv.append(nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x
        *layers, norm = self.conv
        for layer in layers:
            y = layer(y)
        return norm(y, residual=x if self.residual else None)


class MobileNetV2(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits."""

    def __init__(self, num_classes: int, width: float, keras: bool) -> None:
        super().__init__()
        channels, last = divisible(32 * width), divisible(1280 * max(1.0, width))
        self.features = nn.Sequential(ConvNorm(3, channels, 3, 2, 1, "relu6", keras))
        for expansion, planes, count, stride in _ROWS:
            outputs = divisible(planes * width)
            for i in range(count):
                step = stride if i == 0 else 1
                self.features.append(InvertedResidual(channels, outputs, step, expansion, keras))
                channels = outputs
        self.features.append(ConvNorm(channels, last, 1, activation="relu6"))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.BatchNorm2d) and keras:
                module.eps, module.momentum = 1e-3, 0.001
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


@register(
    "Sandler et al. 2018", 3_504_872, 300_774_272, 314, reference="torchvision",
    checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.25, 64),
)  # fmt: skip
def mobilenet_v2(num_classes: int = 1000, width: float = 1.0, keras: bool = False) -> MobileNetV2:
    """MobileNetV2: 3,504,872 parameters. `keras`: with Keras' numerics.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return MobileNetV2(num_classes, width, keras).to(memory_format=array.channels_last)


__all__ = ["MobileNetV2", "mobilenet_v2"]
