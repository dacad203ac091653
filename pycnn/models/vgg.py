"""VGG, all configurations. Simonyan, Zisserman 2014, arXiv:1409.1556, table 1. Parameters have
torchvision's names.

As in torchvision an adaptive average pool to 7 x 7 precedes the classifier: at the paper's
224 x 224 it does nothing, and other sizes work. The forms with batch norm are torchvision's: the
convolutions keep their biases.
"""

from __future__ import annotations

from collections import OrderedDict

from .. import array, nn
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, named, register
from .width import check_arguments, scaled

# table 1: the width of every 3x3 convolution, (width, 1) a 1x1 convolution, "M" a 2x2 max pool,
# "LRN" local response normalisation
# fmt: off
_CONFIGURATIONS: dict[str, tuple[int | tuple[int, int] | str, ...]] = {
    "A": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "A-LRN": (64, "LRN", "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "B": (64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "C": (64, 64, "M", 128, 128, "M", 256, 256, (256, 1), "M", 512, 512, (512, 1), "M",
          512, 512, (512, 1), "M"),
    "D": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
    "E": (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M",
          512, 512, 512, 512, "M"),
}
# name -> configuration, batch norm, parameters, multiply-adds, entries of the state dict
_VARIANTS = {
    "vgg11": ("A", False, 132_863_336, 7_609_090_048, 22),
    "vgg11_lrn": ("A-LRN", False, 132_863_336, 7_609_090_048, 22),
    "vgg13": ("B", False, 133_047_848, 11_308_466_176, 26),
    "vgg16_c": ("C", False, 133_638_952, 11_770_888_192, 32),
    "vgg16": ("D", False, 138_357_544, 15_470_264_320, 32),
    "vgg19": ("E", False, 143_667_240, 19_632_062_464, 38),
    "vgg11_bn": ("A", True, 132_868_840, 7_609_090_048, 62),
    "vgg13_bn": ("B", True, 133_053_736, 11_308_466_176, 76),
    "vgg16_bn": ("D", True, 138_365_992, 15_470_264_320, 97),
    "vgg19_bn": ("E", True, 143_678_248, 19_632_062_464, 118),
}
# fmt: on
_HIDDEN = 4096
STAGES_16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # D: width, how many convolutions


class ConvReLU(nn.Conv2d):
    """A convolution and its ReLU in one kernel."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, activation="relu")


class _BatchNormReLU(nn.BatchNorm2d):
    """Batch norm and its ReLU in one kernel."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, activation="relu")


def vgg_block(convolutions: int, inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolutions of `outputs` channels, each with its ReLU, and a 2x2 max pool.

    n of them see 2n + 1 pixels across: two replace a 5x5, three a 7x7, which takes 49 / 27 of their
    weights (section 2.3).

    Raises:
        ValueError: a count below 1.
    """
    for name, count in [("convolutions", convolutions), ("inputs", inputs), ("outputs", outputs)]:
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    block = nn.Sequential()
    for _ in range(convolutions):
        block.append(ConvReLU(inputs, outputs, 3, padding=1))
        inputs = outputs
    block.append(nn.MaxPool2d(2))
    return block


class VGG(nn.Module):
    """(N, 3, H, W) images, H and W at least 32, to (N, num_classes) logits."""

    def __init__(
        self, configuration: str, num_classes: int, width: float, batch_norm: bool = False
    ) -> None:
        super().__init__()
        # Places are numbered as in torchvision, where a ReLU takes one of its own.
        features: OrderedDict[str, nn.Module] = OrderedDict()
        place, channels = 0, 3
        for entry in _CONFIGURATIONS[configuration]:
            if entry == "M":
                features[str(place)] = nn.MaxPool2d(2)
                place += 1
                continue
            if entry == "LRN":  # section 2.1, with the constants of AlexNet
                features[str(place)] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
                place += 1
                continue
            planes, kernel = entry if isinstance(entry, tuple) else (int(entry), 3)
            outputs = scaled(planes, width)
            convolution = nn.Conv2d if batch_norm else ConvReLU
            features[str(place)] = convolution(channels, outputs, kernel, padding=kernel // 2)
            if batch_norm:
                place += 1
                features[str(place)] = _BatchNormReLU(outputs)
            place, channels = place + 2, outputs
        self.features = nn.Sequential(features)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        hidden = scaled(_HIDDEN, width)
        self.classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def layers_in_order(self) -> list[tuple[str, nn.Module]]:
        """Its layers in order, for `convolutionize`."""
        return [
            ("features", self.features),
            ("avgpool", self.avgpool),
            ("flatten", nn.Flatten()),
            ("classifier", self.classifier),
        ]

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _constructor(name: str):  # type: ignore[no-untyped-def]
    configuration, batch_norm, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 1000, width: float = 1.0) -> VGG:
        check_arguments(num_classes, width)
        net = VGG(configuration, num_classes, width, batch_norm)
        return net.to(memory_format=array.channels_last)

    normed = " with batch norm" if batch_norm else ""
    doc = f"""VGG, configuration {configuration}{normed}: {parameters:,} parameters. `width` scales
    the hidden layers too.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    torchvision = "" if configuration in ("A-LRN", "C") else "torchvision"
    enter = register(
        "Simonyan, Zisserman 2014", parameters, macs, entries,
        reference=torchvision or "the paper", checkpoints=torchvision,
        normalisation=IMAGENET if torchvision else None, reduced=Reduced(0.125, 40),
    )  # fmt: skip
    return enter(named(make, name, doc))


vgg11 = _constructor("vgg11")
vgg11_lrn = _constructor("vgg11_lrn")
vgg13 = _constructor("vgg13")
vgg16_c = _constructor("vgg16_c")
vgg16 = _constructor("vgg16")
vgg19 = _constructor("vgg19")
vgg11_bn = _constructor("vgg11_bn")
vgg13_bn = _constructor("vgg13_bn")
vgg16_bn = _constructor("vgg16_bn")
vgg19_bn = _constructor("vgg19_bn")

__all__ = ["VGG", "vgg_block", *_VARIANTS]
