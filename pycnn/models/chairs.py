"""The network that generates chairs. Dosovitskiy, Springenberg, Brox 2015, arXiv:1411.5928,
figure 2: a classifier upside down.

Three descriptions of an object go through two layers each, then together through two more. Two
streams turn what they make into 8 x 8 maps, and those into the picture and the object's mask, in
four steps that unpool and convolve ("up-convolutions"). Unpooling puts each value into the top left
corner of a 2 x 2 block of zeros: without an encoder there are no switches to go by.

The text gives the widths of the linear layers, kernels, and sizes of maps. Widths of the picture's
maps are those of reimplementations; of the mask's half of them, as neither has any. The inputs are
as long as those of the published network: 843 styles, sine and cosine of azimuth and elevation, 28
parameters of a transformation (the paper trains on 809 styles).
"""

from __future__ import annotations

import numpy as np

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, register
from .width import check_arguments, scaled

_VIEW, _TRANSFORMATION = 4, 28
_BRANCH, _SHARED = 512, 1024
_SIDE = 8  # height and width of the first maps: the fourth step leaves 128
# stream -> channels of the 8 x 8 maps, of what three steps make, and of the result
_STREAMS = {"rgb": (256, (256, 92, 92), 3), "segm": (128, (128, 48, 48), 1)}


class UpConvolution(nn.Module):
    """Unpooling to twice the size, then a 5x5 convolution."""

    def __init__(self, inputs: int, outputs: int, activation: str | None = "relu") -> None:
        super().__init__()
        self.unpool = nn.FixedUnpool2d(2)
        self.conv = nn.Conv2d(inputs, outputs, 5, padding=2)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.unpool(x), activation=self.activation)


class Stream(nn.Module):
    """Shared features to maps of 128 x 128."""

    def __init__(self, features: int, stream: str, width: float) -> None:
        super().__init__()
        first, steps, result = _STREAMS[stream]
        self.channels = scaled(first, width)
        self.fc5 = nn.Linear(features, self.channels * _SIDE**2)
        channels = self.channels
        for i, planes in enumerate(steps, 1):
            setattr(self, f"uconv{i}", UpConvolution(channels, scaled(planes, width)))
            channels = scaled(planes, width)
        self.uconv4 = UpConvolution(channels, result, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc5(x)).reshape(-1, self.channels, _SIDE, _SIDE)
        return self.uconv4(self.uconv3(self.uconv2(self.uconv1(x))))


class ChairsDecoder(nn.Module):
    """(N, num_classes) styles, one-hot or mixtures, (N, 4) views and (N, 28) transformations to
    (N, 3, 128, 128) pictures and (N, 1, 128, 128) masks."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        branch, shared = scaled(_BRANCH, width), scaled(_SHARED, width)
        for name, size in (("c", num_classes), ("v", _VIEW), ("theta", _TRANSFORMATION)):
            setattr(self, f"fc1_{name}", nn.Linear(size, branch))
            setattr(self, f"fc2_{name}", nn.Linear(branch, branch))
        self.fc3 = nn.Linear(3 * branch, shared)
        self.fc4 = nn.Linear(shared, shared)
        self.rgb = Stream(shared, "rgb", width)
        self.segm = Stream(shared, "segm", width)
        for module in self.modules():  # section 3.3: He et al.'s
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, style: Tensor, view: Tensor, transformation: Tensor) -> tuple[Tensor, Tensor]:
        c = F.relu(self.fc2_c(F.relu(self.fc1_c(style))))
        v = F.relu(self.fc2_v(F.relu(self.fc1_v(view))))
        theta = F.relu(self.fc2_theta(F.relu(self.fc1_theta(transformation))))
        x = F.relu(self.fc4(F.relu(self.fc3(F.cat([c, v, theta], 1)))))
        return self.rgb(x), self.segm(x)


def generation_loss(
    picture: Tensor, mask: Tensor, true_picture: Tensor, true_mask: Tensor, weight: float = 10.0
) -> Tensor:
    """Squared distance of the pictures, `weight` times, plus that of the masks, a mean over the
    batch (section 3.2: 10 for 128 x 128)."""
    pixels = F.mse_loss(picture, true_picture, reduction="sum").mul(weight)
    return (pixels + F.mse_loss(mask, true_mask, reduction="sum")) / len(picture)


def example_inputs(
    rng: np.random.Generator, batch: int, size: int, num_classes: int
) -> tuple[np.ndarray, ...]:
    """Styles drawn at random, views on a circle, transformations near the identity."""
    style = np.eye(num_classes, dtype=np.float32)[rng.integers(0, num_classes, batch)]
    angles = rng.uniform(0, 2 * np.pi, (batch, 2))
    view = np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)
    return style, view, rng.standard_normal((batch, _TRANSFORMATION)).astype(np.float32)


@register(
    "Dosovitskiy et al. 2015", 32_119_760, 2_548_880_896, 36, size=128, num_classes=843,
    inputs=example_inputs, reduced=Reduced(0.0625, 128),
)  # fmt: skip
def chairs_decoder(num_classes: int = 843, width: float = 1.0) -> ChairsDecoder:
    """The up-convolutional network of figure 2; `num_classes` counts the styles.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return ChairsDecoder(num_classes, width).to(memory_format=array.channels_last)


__all__ = ["ChairsDecoder", "chairs_decoder", "generation_loss"]
