"""ZFNet and SPPNet.

Zeiler, Fergus 2013, arXiv:1311.2901, figure 3; He, Zhang, Ren, Sun 2014, arXiv:1406.4729, with
ZF-5 below its pyramid. Layers have the names of the figure and of SPPNet's net files.
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .alexnet import five_convolutions_in_order
from .registry import Reduced, register
from .width import check_arguments, scaled

_PLANES = (96, 256, 384, 384, 256)
_HIDDEN = 4096
_PYRAMID = (6, 3, 2, 1)  # bins along each axis: 50 in all


class _Trunk(nn.Module):
    """The five convolutions. Pooling rounds its sizes up: 224, 110, 55, 26, 13."""

    def __init__(self, width: float, pool_first: bool) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (scaled(c, width) for c in _PLANES)
        self.pool_first = pool_first
        self.conv1 = nn.Conv2d(3, c1, 7, stride=2, padding=1)
        self.conv2 = nn.Conv2d(c1, c2, 5, stride=2)
        self.conv3 = nn.Conv2d(c2, c3, 3, padding=1)
        self.conv4 = nn.Conv2d(c3, c4, 3, padding=1)
        self.conv5 = nn.Conv2d(c4, c5, 3, padding=1)
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def _shrink(self, x: Tensor) -> Tensor:
        return self.norm(self.pool(x)) if self.pool_first else self.pool(self.norm(x))

    def maps(self, x: Tensor) -> Tensor:
        """What the fifth convolution makes of images."""
        x = self._shrink(self.conv1(x, activation="relu"))
        x = self._shrink(self.conv2(x, activation="relu"))
        x = self.conv4(self.conv3(x, activation="relu"), activation="relu")
        return self.conv5(x, activation="relu")

    def _add_head(self, features: int, num_classes: int, width: float) -> None:
        hidden = scaled(_HIDDEN, width)
        self.fc6 = nn.Linear(features, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(0.5)
        for layer in self.children():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(layer.weight, 0, 0.01)  # section 3.1: 10^-2, biases 0
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def head(self, features: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.fc6(features)))
        return self.fc8(self.dropout(F.relu(self.fc7(x))))


class ZFNet(_Trunk):
    """(N, 3, 224, 224) images to (N, num_classes) logits; other sizes that leave 6 x 6 maps too."""

    def __init__(self, num_classes: int, width: float, pool_first: bool) -> None:
        super().__init__(width, pool_first)
        self._add_head(scaled(_PLANES[-1], width) * 6 * 6, num_classes, width)

    def layers_in_order(self) -> list[tuple[str, nn.Module]]:
        """Its layers in order, for `convolutionize`."""
        return five_convolutions_in_order(self, not self.pool_first)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.maps(x)).flatten(1))


class SPPNet(_Trunk):
    """(N, 3, H, W) images of any size from 35 on to (N, num_classes) logits.

    Every level of the pyramid divides the maps into n x n bins and takes their maxima; bin i of n
    goes from floor(i h / n) up to ceil((i + 1) h / n) (appendix A)."""

    def __init__(self, num_classes: int, width: float, pool_first: bool) -> None:
        super().__init__(width, pool_first)
        bins = sum(n * n for n in _PYRAMID)
        self._add_head(scaled(_PLANES[-1], width) * bins, num_classes, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(x)
        levels = [F.adaptive_max_pool2d(x, n).flatten(1) for n in _PYRAMID]
        return self.head(F.cat(levels, 1))


@register(
    "Zeiler, Fergus 2013", 62_357_608, 1_168_032_896, 16, reference="pytorchcv",
    reduced=Reduced(0.0625, 224),
)  # fmt: skip
def zfnet(num_classes: int = 1000, width: float = 1.0, pool_first: bool = False) -> ZFNet:
    """ZFNet: 62,357,608 parameters. Maps are normalised, then pooled, as in the implementations in
    circulation; with `pool_first` pooled, then normalised, as in figure 3.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return ZFNet(num_classes, width, pool_first).to(memory_format=array.channels_last)


@register(
    "He et al. 2014", 77_037_672, 1_182_712_960, 16, reference="ShaoqingRen/SPP_net",
    reduced=Reduced(0.0625, 131),
)  # fmt: skip
def sppnet(num_classes: int = 1000, width: float = 1.0, pool_first: bool = False) -> SPPNet:
    """SPPNet on ZF-5, its pyramid of 50 bins: 77,037,672 parameters, whatever the images' size.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return SPPNet(num_classes, width, pool_first).to(memory_format=array.channels_last)


__all__ = ["SPPNet", "ZFNet", "sppnet", "zfnet"]
