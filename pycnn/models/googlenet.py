"""GoogLeNet: the network of the paper, and torchvision's.

Szegedy et al. 2015, arXiv:1409.4842, table 1 and section 5. torchvision's form has batch norm in
place of biases and normalisation, 3x3 convolutions where the paper has 5x5, a 2x2 pool before the
last stage and adaptive pooling in its auxiliary heads; it comes from TF-slim. Names of parameters
are torchvision's in both.

In training mode the output is (logits, aux2, aux1), in torchvision's order: the heads behind 4d and
4a, whose losses count 0.3 each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, register
from .vgg import ConvReLU
from .width import check_arguments, scaled

# table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; "pool" halves the maps
_ROWS: dict[str, tuple[int, ...]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "pool3": (),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "pool4": (),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNetOutputs(NamedTuple):
    """What the network returns in training mode; None where it has no auxiliary heads."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int | tuple[int, int], **keywords: Any
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, bias=False, **keywords)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x), activation="relu")


Conv = Callable[..., nn.Module]


class Inception(nn.Module):
    """Figure 2(b): 1x1, 3x3 and 5x5 convolutions and a pool side by side, cheap 1x1 before them."""

    def __init__(self, inputs: int, row: tuple[int, ...], conv: Conv, large: int) -> None:
        super().__init__()
        c1, reduce3, c3, reduce5, c5, pool = row
        self.branch1 = conv(inputs, c1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv(inputs, reduce3, kernel_size=1), conv(reduce3, c3, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            conv(inputs, reduce5, kernel_size=1),
            conv(reduce5, c5, kernel_size=large, padding=large // 2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), conv(inputs, pool, kernel_size=1)
        )
        self.outputs = c1 + c3 + c5 + pool

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class NaiveInception(nn.Module):
    """Figure 2(a): the same without reductions. Its pool passes all channels on, so that modules in
    a row only grow.

    Raises:
        ValueError: a count of channels below 1.
    """

    def __init__(self, inputs: int, c1: int, c3: int, c5: int) -> None:
        super().__init__()
        for name, count in [("inputs", inputs), ("c1", c1), ("c3", c3), ("c5", c5)]:
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        self.branch1 = ConvReLU(inputs, c1, 1)
        self.branch2 = ConvReLU(inputs, c3, 3, padding=1)
        self.branch3 = ConvReLU(inputs, c5, 5, padding=2)
        self.branch4 = nn.MaxPool2d(3, 1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class _AuxiliaryHead(nn.Module):
    """Section 5: average pooling to 4 x 4, a 1x1 convolution, two linear layers."""

    def __init__(
        self, inputs: int, num_classes: int, width: float, conv: Conv, pool: nn.Module
    ) -> None:
        super().__init__()
        maps, hidden = scaled(128, width), scaled(1024, width)
        self.pool = pool
        self.conv = conv(inputs, maps, kernel_size=1)
        self.fc1 = nn.Linear(maps * 4 * 4, hidden)
        self.fc2 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc1(self.conv(self.pool(x)).flatten(1)))
        return self.fc2(self.dropout(x))


class GoogLeNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits, in training mode to GoogLeNetOutputs.

    H and W are at least 15; the paper's auxiliary heads fit maps of 14 x 14, images of 224."""

    def __init__(self, num_classes: int, width: float, paper: bool, aux_logits: bool) -> None:
        super().__init__()
        conv: Conv = ConvReLU if paper else BasicConv2d
        c1, c2, channels = (scaled(c, width) for c in (64, 64, 192))
        pool = lambda size: nn.MaxPool2d(size, 2, ceil_mode=True)
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0) if paper else None
        self.conv1 = conv(3, c1, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = pool(3)
        self.conv2 = conv(c1, c2, kernel_size=1)
        self.conv3 = conv(c2, channels, kernel_size=3, padding=1)
        self.maxpool2 = pool(3)
        heads = {}
        for name, row in _ROWS.items():
            if not row:
                last = name == "pool4" and not paper
                self.add_module("max" + name, pool(2 if last else 3))
                continue
            widths = tuple(scaled(c, width) for c in row)
            block = Inception(channels, widths, conv, 5 if paper else 3)
            self.add_module(f"inception{name}", block)
            channels = block.outputs
            if name in ("4a", "4d"):
                heads[name] = channels
        for i, inputs in enumerate(heads.values(), 1):
            if aux_logits:
                shrink = nn.AvgPool2d(5, 3) if paper else nn.AdaptiveAvgPool2d(4)
                head = _AuxiliaryHead(inputs, num_classes, width, conv, shrink)
                self.add_module(f"aux{i}", head)
        self.aux_logits = aux_logits
        self.dropout = nn.Dropout(0.4 if paper else 0.2)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)) and paper:
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0.2 if isinstance(module, nn.Conv2d) else 0.0)
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, mean=0.0, std=0.01, a=-2, b=2)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        normalise = self.norm or (lambda x: x)
        x = normalise(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(normalise(self.conv3(self.conv2(x))))
        aux: list[Tensor | None] = []
        for name in _ROWS:
            x = getattr(self, f"max{name}" if name.startswith("pool") else f"inception{name}")(x)
            if name in ("4a", "4d"):
                head = self.training and self.aux_logits
                aux.append(getattr(self, f"aux{len(aux) + 1}")(x) if head else None)
        x = self.fc(self.dropout(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        return GoogLeNetOutputs(x, aux[1], aux[0]) if self.training and self.aux_logits else x


@register(
    "Szegedy et al. 2015", 13_004_888, 1_498_376_192, 364, reference="torchvision",
    checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.125, 64),
)  # fmt: skip
def googlenet(num_classes: int = 1000, width: float = 1.0, aux_logits: bool = True) -> GoogLeNet:
    """torchvision's GoogLeNet: 13,004,888 parameters, 6,624,904 without its auxiliary heads.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return GoogLeNet(num_classes, width, False, aux_logits).to(memory_format=array.channels_last)


@register(
    "Szegedy et al. 2015", 13_378_280, 1_582_671_872, 128, reference="BVLC googlenet",
    reduced=Reduced(0.125, 224),
)  # fmt: skip
def googlenet_2014(
    num_classes: int = 1000, width: float = 1.0, aux_logits: bool = True
) -> GoogLeNet:
    """The network of the paper: 13,378,280 parameters, 6,998,552 without its auxiliary heads.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return GoogLeNet(num_classes, width, True, aux_logits).to(memory_format=array.channels_last)


__all__ = [
    "GoogLeNet", "GoogLeNetOutputs", "Inception", "NaiveInception", "googlenet", "googlenet_2014",
]  # fmt: skip
