"""Xception. Chollet 2017, arXiv:1610.02357, figure 5: 36 convolutions in 14 modules.

Parameter names follow the checkpoints in circulation for PyTorch. Their conventions are the default
too: batch norm with epsilon 1e-5, pools padded evenly. `keras=True` is the original implementation:
epsilon 1e-3, momentum 0.01 (0.99 in Keras), and TensorFlow's "same" pools, which pad an even image
only below and to the right. (Keras also keeps running variances without Bessel's correction;
here they have it in either case.)
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import INCEPTION, Reduced, register
from .width import check_arguments, scaled

# module (input width, widths of its separable convolutions); modules 1-3 and 12 halve the image
_BLOCKS = {
    1: (64, (128, 128)),
    2: (128, (256, 256)),
    3: (256, (728, 728)),
    **{middle: (728, (728, 728, 728)) for middle in range(4, 12)},
    12: (728, (728, 1024)),
}
_HALVING = (1, 2, 3, 12)


class SeparableConv2d(nn.Module):
    """A 3x3 convolution in every channel, then 1x1 across channels; nothing in between."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.conv1(x))


class _SamePool2d(nn.Module):
    """3x3 max pooling with stride 2 and TensorFlow's "same" padding.

    An odd side is padded by 1 at both ends, an even one only at the far end: ceil_mode does that.
    """

    def forward(self, x: Tensor) -> Tensor:
        padding = (x.shape[2] % 2, x.shape[3] % 2)
        return F.max_pool2d(x, 3, stride=2, padding=padding, ceil_mode=True)


class Block(nn.Module):
    """Separable convolutions, a ReLU before and a batch norm after each, beside a shortcut.

    The shortcut takes the input from before the first ReLU (which module 1 does not have). In a
    halving block a pool ends the one branch, and a 1x1 convolution with stride 2 is the other.
    """

    def __init__(
        self, inputs: int, widths: list[int], halving: bool, opening_relu: bool, keras: bool
    ) -> None:
        super().__init__()
        self.opening_relu = opening_relu
        self.skip: nn.Module | None = None
        if halving:
            self.skip = nn.Conv2d(inputs, widths[-1], 1, stride=2, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])
            self.pool = _SamePool2d() if keras else nn.MaxPool2d(3, stride=2, padding=1)
        # Convolution and norm in turn, numbered as in the checkpoints, where a ReLU takes a place.
        self.rep = nn.Sequential()
        place = 1 if opening_relu else 0
        for outputs in widths:
            self.rep.add_module(str(place), SeparableConv2d(inputs, outputs))
            self.rep.add_module(str(place + 1), nn.BatchNorm2d(outputs))
            place, inputs = place + 3, outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(x) if self.opening_relu else x
        *inner, last, norm = self.rep
        for i in range(0, len(inner), 2):
            y = inner[i + 1](inner[i](y), activation="relu")
        y = last(y)
        if self.skip is None:
            return norm(y, residual=x)
        return self.skipbn(self.skip(x), residual=self.pool(norm(y)))


class Xception(nn.Module):
    """(N, 3, H, W) images, 299 x 299 in the paper, to (N, num_classes) logits."""

    def __init__(self, num_classes: int, width: float, keras: bool) -> None:
        super().__init__()
        c32, c64, c1024, c1536, c2048 = (scaled(c, width) for c in (32, 64, 1024, 1536, 2048))
        self.conv1 = nn.Conv2d(3, c32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(c32)
        self.conv2 = nn.Conv2d(c32, c64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(c64)
        for index, (inputs, widths) in _BLOCKS.items():
            outputs = [scaled(channels, width) for channels in widths]
            block = Block(scaled(inputs, width), outputs, index in _HALVING, index > 1, keras)
            setattr(self, f"block{index}", block)
        self.conv3 = SeparableConv2d(c1024, c1536)
        self.bn3 = nn.BatchNorm2d(c1536)
        self.conv4 = SeparableConv2d(c1536, c2048)
        self.bn4 = nn.BatchNorm2d(c2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(c2048, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d) and keras:
                module.eps, module.momentum = 1e-3, 0.01

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x), activation="relu")
        x = self.bn2(self.conv2(x), activation="relu")
        for index in _BLOCKS:
            x = getattr(self, f"block{index}")(x)
        x = self.bn3(self.conv3(x), activation="relu")
        x = self.bn4(self.conv4(x), activation="relu")
        return self.fc(self.avgpool(x).flatten(1))


@register(
    "Chollet 2017", 22_855_952, 8_357_403_496, 276, size=299, reference="timm legacy_xception",
    checkpoints="timm legacy_xception", normalisation=INCEPTION, reduced=Reduced(0.125, 80),
)  # fmt: skip
def xception(num_classes: int = 1000, width: float = 1.0, keras: bool = False) -> Xception:
    """Xception: 22,855,952 parameters. `keras=True`: the original implementation's numerics.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return Xception(num_classes, width, keras).to(memory_format=array.channels_last)


__all__ = ["Xception", "xception"]
