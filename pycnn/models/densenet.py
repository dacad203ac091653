"""DenseNet for ImageNet. Huang, Liu, van der Maaten, Weinberger 2017, arXiv:1608.06993, table 1.
Parameter names follow torchvision.

A layer reads everything before it in its block, joined along the channels. Joining for every layer
copies what was there again and again: memory and traffic grow with the square of the depth. With
`memory_efficient=True` a block has one buffer, into which each layer writes its own channels; what
a layer reads is a slice of it, and outputs and gradients are the same.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..array import Array
from ..autograd import Function
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, named, register
from .width import check_arguments, scaled

# name -> growth rate, layers per block, channels of the stem, parameters, multiply-adds, entries
_VARIANTS = {
    "densenet121": (32, (6, 12, 24, 16), 64, 7_978_856, 2_834_161_664, 727),
    "densenet161": (48, (6, 12, 36, 24), 96, 28_681_000, 7_727_907_072, 967),
    "densenet169": (32, (6, 12, 32, 32), 64, 14_149_480, 3_359_843_328, 1_015),
    "densenet201": (32, (6, 12, 48, 32), 64, 20_013_928, 4_291_365_888, 1_207),
    "densenet264": (32, (6, 12, 64, 48), 64, 33_337_704, 5_751_653_376, 1_591),
}


class _Write(Function):
    """`new` written behind the channels that a buffer holds so far: a view of what is there now.

    Channels once written stay as they are: views of fewer channels remain what they were."""

    buffer: Array

    def forward(self, held: Array, new: Array | None) -> Array:
        start = 0 if new is None else held.shape[1]
        part = held if new is None else new
        stop = start + part.shape[1]
        self.start = start
        self.buffer[:, start:stop] = part
        return self.buffer[:, :stop]

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        if not self.start:
            return dy, None
        held, new = dy[:, : self.start], dy[:, self.start :]
        return held if self.wants[0] else None, new if self.wants[1] else None


class DenseLayer(nn.Module):
    """BN, ReLU, 1x1 convolution to `bottleneck` channels, BN, ReLU, 3x3 to `growth` channels."""

    def __init__(self, inputs: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, bottleneck, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck)
        self.conv2 = nn.Conv2d(bottleneck, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.norm1(x, activation="relu"))
        return self.conv2(self.norm2(x, activation="relu"))


class PlainDenseLayer(nn.Module):
    """BN, ReLU, 3x3 convolution: a layer without a bottleneck."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(self.norm1(x, activation="relu"))


class DenseBlock(nn.Module):
    """`layer(inputs)` makes each layer; every one adds `growth` channels to what the next reads."""

    def __init__(
        self, count: int, inputs: int, growth: int, layer: Callable[[int], nn.Module],
        memory_efficient: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.outputs = inputs + count * growth
        self.memory_efficient = memory_efficient
        for i in range(count):
            self.add_module(f"denselayer{i + 1}", layer(inputs + i * growth))

    def forward(self, x: Tensor) -> Tensor:
        if not self.memory_efficient:
            features = [x]
            for layer in self.children():
                features.append(layer(F.cat(features, 1)))
            return F.cat(features, 1)
        n, _, h, w = x.shape
        buffer = array.empty((n, self.outputs, h, w), x.dtype, array.channels_last, x.device)
        x = _Write(buffer=buffer)(x, None)
        for layer in self.children():
            x = _Write(buffer=buffer)(x, layer(x))
        return x


class Transition(nn.Module):
    """BN, ReLU, 1x1 convolution, 2x2 average pool."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(self.norm(x, activation="relu")))


class _Stem(nn.BatchNorm2d):
    """The first batch norm and its ReLU in one kernel."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, activation="relu")


class DenseNet(nn.Module):
    """(N, 3, H, W) images, H and W at least 32, to (N, num_classes) logits."""

    def __init__(
        self, growth: int, counts: tuple[int, ...], stem: int, num_classes: int,
        memory_efficient: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features = nn.Sequential()
        add = self.features.add_module
        add("conv0", nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False))
        add("norm0", _Stem(stem))
        add("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        channels = stem
        for i, count in enumerate(counts, 1):
            layer = lambda inputs: DenseLayer(inputs, growth, 4 * growth)
            block = DenseBlock(count, channels, growth, layer, memory_efficient)
            add(f"denseblock{i}", block)
            channels = block.outputs
            if i < len(counts):
                add(f"transition{i}", Transition(channels, channels // 2))
                channels //= 2
        add("norm5", _Stem(channels))
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


def _constructor(name: str) -> Callable[..., DenseNet]:
    growth, counts, stem, parameters, macs, entries = _VARIANTS[name]

    def make(
        num_classes: int = 1000, width: float = 1.0, memory_efficient: bool = False
    ) -> DenseNet:
        check_arguments(num_classes, width)
        net = DenseNet(
            scaled(growth, width), counts, scaled(stem, width), num_classes, memory_efficient
        )
        return net.to(memory_format=array.channels_last)

    doc = f"""{name}: {parameters:,} parameters, growth rate {growth}. `memory_efficient`: layers
    write into one buffer per block.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    published = "" if name == "densenet264" else "torchvision"
    return register(
        "Huang et al. 2017", parameters, macs, entries, reference="torchvision",
        checkpoints=published, normalisation=IMAGENET if published else None,
        reduced=Reduced(0.25, 64),
    )(named(make, name, doc))  # fmt: skip


densenet121 = _constructor("densenet121")
densenet161 = _constructor("densenet161")
densenet169 = _constructor("densenet169")
densenet201 = _constructor("densenet201")
densenet264 = _constructor("densenet264")

__all__ = ["DenseNet", *_VARIANTS]
