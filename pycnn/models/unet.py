"""U-Net. Ronneberger, Fischer, Brox 2015, arXiv:1505.04597, figure 1: 572 x 572 pixels to a
388 x 388 map. And the padded forms in circulation, whose maps are as large as their images.

Parameters have the names of milesial/Pytorch-UNet, whose networks `unet_padded` and `unet_bilinear`
are. Nobody's library has the one of the paper.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, named, register
from .width import check_arguments, scaled

_PLANES = (64, 128, 256, 512, 1024)  # figure 1, from the top level down
_DROPPED = (3, 4)  # levels whose maps drop out: "at the end of the contracting path"
_LEAST, _STEP = 188, 16  # unpadded: 188, 204 ... 572 pixels are even before every pooling

# name -> channels of the images, options, parameters, multiply-adds, entries, small image
_VARIANTS: dict[str, tuple[int, dict[str, Any], int, int, int, int]] = {
    "unet": (1, {}, 31_030_658, 150_428_424_448, 46, 188),
    "unet_padded": (
        3, {"padded": True, "batch_norm": True, "dropout": 0.0},
        31_037_698, 238_837_101_568, 118, 37,
    ),
    "unet_bilinear": (
        3, {"padded": True, "batch_norm": True, "dropout": 0.0, "bilinear": True},
        17_263_042, 198_696_104_960, 110, 37,
    ),
}  # fmt: skip


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with its ReLU, or with batch norm in place of biases and ReLU."""

    def __init__(self, inputs: int, middle: int, outputs: int, padded: bool, normed: bool) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        step = 3 if normed else 2  # a ReLU takes a place too
        for place, (c, k) in zip((0, step), ((inputs, middle), (middle, outputs))):
            layers[str(place)] = nn.Conv2d(c, k, 3, padding=int(padded), bias=not normed)
            if normed:
                layers[str(place + 1)] = nn.BatchNorm2d(k)
        self.double_conv = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        layers: Any = list(self.double_conv)
        if len(layers) == 2:
            return layers[1](layers[0](x, activation="relu"), activation="relu")
        x = layers[1](layers[0](x), activation="relu")
        return layers[3](layers[2](x), activation="relu")


class Down(nn.Module):
    """2x2 max pooling and two convolutions."""

    def __init__(self, convolutions: DoubleConv) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), convolutions)

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles the maps from below, sets the encoder's maps of that level, cropped, before them, and
    convolves twice. A padded net that pooled an odd size adds zeros around the doubled maps."""

    def __init__(self, up: nn.Module, convolutions: DoubleConv, relu: bool) -> None:
        super().__init__()
        self.up = up
        self.conv = convolutions
        self.relu = relu

    def forward(self, below: Tensor, skip: Any) -> Tensor:
        x = self.up(below)
        if self.relu:
            x = F.relu(x)
        dy, dx = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        if self.conv.double_conv[0].padding == (0, 0):
            top, left = dy // 2, dx // 2
            skip = skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        elif dy or dx:
            x = F.pad(x, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))
        return self.conv(F.cat([skip, x], 1))


class _OutConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class UNet(nn.Module):
    """(N, channels, H, W) images to (N, num_classes, H - 184, W - 184) logits, H and W one of 188,
    204, 220 ... 572 ...; padded to (N, num_classes, H, W), H and W at least 16."""

    def __init__(
        self, num_classes: int, width: float, channels: int, padded: bool, batch_norm: bool,
        bilinear: bool, up_relu: bool, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.channels, self.padded = channels, padded
        w = [scaled(c, width) for c in _PLANES]
        bottom = w[3] if bilinear else w[4]
        make = lambda k, m, n: DoubleConv(k, m, n, padded, batch_norm)
        self.inc = make(channels, w[0], w[0])
        for i in range(1, 5):
            planes = bottom if i == 4 else w[i]
            self.add_module(f"down{i}", Down(make(w[i - 1], planes, planes)))
        below = bottom
        for i in (3, 2, 1, 0):
            if bilinear:  # the second convolution halves the channels for the next level
                up: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
                outputs, from_below = w[max(i - 1, 0)], below
            else:
                up = nn.ConvTranspose2d(below, w[i], 2, 2)
                outputs = from_below = w[i]
            block = Up(up, make(w[i] + from_below, w[i], outputs), up_relu)
            self.add_module(f"up{4 - i}", block)
            below = outputs
        self.outc = _OutConv(below, num_classes)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            # section 3: standard deviation sqrt(2 / N), N the inputs of a unit
            if isinstance(module, nn.ConvTranspose2d):  # 2x2, stride 2: a unit sees one pixel
                nn.init.normal_(module.weight, 0, math.sqrt(2 / module.in_channels))
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """ValueError for another shape, or a size that a pooling would halve unevenly."""
        self._check(x)
        maps = [self.inc(x)]
        for i in range(1, 5):
            y = getattr(self, f"down{i}")(maps[-1])
            maps.append(self.dropout(y) if i in _DROPPED else y)
        y = maps.pop()
        for i in range(1, 5):
            y = getattr(self, f"up{i}")(y, maps.pop())
        return self.outc(y)

    def _check(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"x: got shape {list(x.shape)}, expected (N, {self.channels}, H, W)")
        for size in x.shape[2:]:
            if self.padded and size < 16:
                raise ValueError(f"x: got {size} pixels, expected at least 16")
            if not self.padded and (size < _LEAST or (size - _LEAST) % _STEP):
                above = _LEAST + max(0, math.ceil((size - _LEAST) / _STEP)) * _STEP
                near = f"{above - _STEP} or {above}" if above > _LEAST else f"{above}"
                raise ValueError(
                    f"x: got {size} pixels, which are not even before every pooling: "
                    f"expected {_LEAST} + {_STEP} n, such as {near}"
                )


def _constructor(name: str) -> Callable[..., UNet]:
    own, options, parameters, macs, entries, small = _VARIANTS[name]
    rest = {"padded": False, "batch_norm": False, "bilinear": False, "dropout": 0.5, **options}

    def make(
        num_classes: int = 2,
        width: float = 1.0,
        channels: int = own,
        padded: bool = rest["padded"],
        batch_norm: bool = rest["batch_norm"],
        bilinear: bool = rest["bilinear"],
        up_relu: bool = False,
        dropout: float = rest["dropout"],
    ) -> UNet:
        check_arguments(num_classes, width)
        net = UNet(
            num_classes, width, channels, padded, batch_norm, bilinear, up_relu, dropout
        )  # fmt: skip
        return net.to(memory_format=array.channels_last)

    doc = f"""U-Net{", " if options else ""}{", ".join(o for o, v in options.items() if v)}:
    {parameters:,} parameters.

    Args:
        channels: of the images.
        padded: convolutions keep the size.
        batch_norm: behind every 3x3 convolution, in place of its bias.
        bilinear: interpolation, corners aligned, in place of 2x2 transposed convolutions.
        up_relu: a ReLU behind these, as in the net file that the authors released; the paper names
            none.
        dropout: of the maps of the two lowest levels of the contracting path.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Ronneberger et al. 2015", parameters, macs, entries, channels=own, size=572,
        num_classes=2, reduced=Reduced(0.0625, small),
        reference="milesial/Pytorch-UNet" if options else "the paper",
    )(named(make, name, doc))  # fmt: skip


unet = _constructor("unet")
unet_padded = _constructor("unet_padded")
unet_bilinear = _constructor("unet_bilinear")

__all__ = ["UNet", *_VARIANTS]
