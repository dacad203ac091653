"""AlexNet as published, as retrained with Caffe, and as torchvision has it.

Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural
networks"; Krizhevsky 2014, arXiv:1404.5997, for torchvision's. The first two carry the names of
Caffe's net files, the third torchvision's.

The paper's two GPUs, which talk to each other in some layers only, are two groups of channels. Its
formula for local response normalisation does not divide alpha by the window, as PyTorch, Caffe and
this project do; like the implementations in circulation the networks here have its 1e-4 all the
same, and `net.norm.alpha = 5e-4` is the formula to the letter. The arithmetic of its 224 pixels
needs 227.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import IMAGENET, Reduced, named, register
from .width import check_arguments, scaled

# channels, kernel, stride, padding and groups of the convolutions of 2012
_CONVOLUTIONS = (
    (96, 11, 4, 0, 1), (256, 5, 1, 2, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 2), (256, 3, 1, 1, 2),
)  # fmt: skip
# name -> whether normalisation comes before the pooling, its alpha and k, the bias of the layers
# that the paper starts with an active ReLU
_VARIANTS_2012 = {
    "alexnet_2012": (True, 1e-4, 2.0, 1.0),
    "caffenet": (False, 1e-4, 1.0, 0.1),
}
_HIDDEN = 4096


class AlexNet2012(nn.Module):
    """(N, 3, 227, 227) images to (N, num_classes) logits; other sizes that leave 6 x 6 maps too."""

    def __init__(self, variant: str, num_classes: int, width: float) -> None:
        super().__init__()
        self.norm_first, alpha, k, active = _VARIANTS_2012[variant]
        channels = 3
        for i, (planes, kernel, stride, padding, groups) in enumerate(_CONVOLUTIONS, 1):
            outputs = scaled(planes, width)
            layer = nn.Conv2d(channels, outputs, kernel, stride, padding, groups=groups)
            setattr(self, f"conv{i}", layer)
            channels = outputs
        hidden = scaled(_HIDDEN, width)
        self.norm = nn.LocalResponseNorm(5, alpha=alpha, beta=0.75, k=k)
        self.pool = nn.MaxPool2d(3, 2)
        self.fc6 = nn.Linear(channels * 6 * 6, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(0.5)
        biased = (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7)
        for module in self.children():
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.constant_(module.bias, active if module in biased else 0.0)

    def layers_in_order(self) -> list[tuple[str, nn.Module]]:
        """Its layers in order, for `convolutionize`."""
        return five_convolutions_in_order(self, self.norm_first)

    def _shrink(self, x: Tensor) -> Tensor:
        return self.pool(self.norm(x)) if self.norm_first else self.norm(self.pool(x))

    def forward(self, x: Tensor) -> Tensor:
        x = self._shrink(self.conv1(x, activation="relu"))
        x = self._shrink(self.conv2(x, activation="relu"))
        x = self.conv4(self.conv3(x, activation="relu"), activation="relu")
        x = self.pool(self.conv5(x, activation="relu")).flatten(1)
        x = self.dropout(F.relu(self.fc6(x)))
        return self.fc8(self.dropout(F.relu(self.fc7(x))))


def five_convolutions_in_order(net: nn.Module, norm_first: bool) -> list[tuple[str, nn.Module]]:
    """The layers in order of conv1 to conv5, the first two and the last pooled, and fc6 to fc8."""
    relu = nn.ReLU()
    shrink = [("norm", net.norm), ("pool", net.pool)]
    shrink = shrink if norm_first else shrink[::-1]
    order: list[tuple[str, nn.Module]] = []
    for i in (1, 2, 3, 4, 5):
        order += [(f"conv{i}", getattr(net, f"conv{i}")), (f"relu{i}", relu)]
        order += [(f"{name}{i}", layer) for name, layer in shrink if i < 3]
    order += [("pool5", net.pool), ("flatten", nn.Flatten())]
    for i in (6, 7):
        order += [(f"fc{i}", getattr(net, f"fc{i}")), (f"relu{i}", relu)]
        order.append((f"dropout{i}", net.dropout))
    return [*order, ("fc8", net.fc8)]


class AlexNet(nn.Module):
    """(N, 3, H, W) images, H and W at least 63, to (N, num_classes) logits; torchvision's form."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (scaled(c, width) for c in (64, 192, 384, 256, 256))
        hidden = scaled(_HIDDEN, width)
        self.features = nn.Sequential(
            nn.Conv2d(3, c1, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(),
            nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU(),
            nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(c5 * 6 * 6, hidden), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )  # fmt: skip

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


@register(
    "Krizhevsky 2014", 61_100_840, 714_188_480, 16, reference="torchvision",
    checkpoints="torchvision", normalisation=IMAGENET, reduced=Reduced(0.125, 71),
)  # fmt: skip
def alexnet(num_classes: int = 1000, width: float = 1.0) -> AlexNet:
    """torchvision's AlexNet: 61,100,840 parameters, without groups and normalisation.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return AlexNet(num_classes, width).to(memory_format=array.channels_last)


def _of_2012(name: str, doc: str) -> Callable[..., AlexNet2012]:
    def make(num_classes: int = 1000, width: float = 1.0) -> AlexNet2012:
        check_arguments(num_classes, width)
        return AlexNet2012(name, num_classes, width).to(memory_format=array.channels_last)

    enter = register(
        "Krizhevsky et al. 2012", 60_965_224, 724_406_816, 16, size=227,
        reference="the paper" if name == "alexnet_2012" else "BVLC caffenet",
        reduced=Reduced(0.0625, 227),
    )  # fmt: skip
    errors = (
        "\n\n    Raises:\n        ValueError: `num_classes` below 1 or `width` not positive.\n    "
    )
    return enter(named(make, name, doc + errors))


alexnet_2012 = _of_2012(
    "alexnet_2012",
    "The network of the paper: 60,965,224 parameters; normalised, then pooled.",
)
caffenet = _of_2012(
    "caffenet",
    "Caffe's reference network: as many parameters; pooled, then normalised (alpha 1e-4, k 1).",
)

__all__ = ["AlexNet", "AlexNet2012", "alexnet", "alexnet_2012", "caffenet"]
