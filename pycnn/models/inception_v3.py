"""Inception v3. Szegedy et al. 2016, arXiv:1512.00567, table 1 and figures 5-8 and 10, in the form
that is published: torchvision's, whose names the parameters have.

In training mode the output is (logits, aux_logits): the head on the 17 x 17 maps, whose loss counts
0.4 in torchvision's recipe. torchvision's average pools count the padding as zeros;
`count_include_pad=False` is TensorFlow's average over the image alone.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import array, nn
from .. import functional as F
from ..creation import tensor
from ..tensor import Tensor
from .googlenet import BasicConv2d
from .inception import Form, Row, build
from .registry import IMAGENET, INCEPTION, Reduced, register
from .width import check_arguments, scaled


def _a(pool: int) -> dict[str, str]:
    """Figure 5, the first 5x5 kept."""
    return {
        "branch1x1": "1x1:64",
        "branch5x5": "1x1:48 5x5:64",
        "branch3x3dbl": "1x1:64 3x3:96 3x3:96",
        "branch_pool": f"avg 1x1:{pool}",
    }


def _c(c7: int) -> dict[str, str]:
    """Figure 6, n = 7."""
    return {
        "branch1x1": "1x1:192",
        "branch7x7": f"1x1:{c7} 1x7:{c7} 7x1:192",
        "branch7x7dbl": f"1x1:{c7} 7x1:{c7} 1x7:{c7} 7x1:{c7} 1x7:192",
        "branch_pool": "avg 1x1:192",
    }


# figure 10, the grid halved: B behind the modules A, D behind the modules C
_B = {"branch3x3": "3x3/2:384", "branch3x3dbl": "1x1:64 3x3:96 3x3/2:96", "branch_pool": "max/2"}
_D = {
    "branch3x3": "1x1:192 3x3/2:320",
    "branch7x7x3": "1x1:192 1x7:192 7x1:192 3x3/2:192",
    "branch_pool": "max/2",
}
# figure 7: the two last convolutions lie side by side
_E = {
    "branch1x1": "1x1:320",
    "branch3x3": "1x1:384 1x3:384+3x1:384",
    "branch3x3dbl": "1x1:448 3x3:384 1x3:384+3x1:384",
    "branch_pool": "avg 1x1:192",
}
_ROWS: dict[str, Row] = {
    "Conv2d_1a_3x3": "3x3/2:32",
    "Conv2d_2a_3x3": "3x3v:32",
    "Conv2d_2b_3x3": "3x3:64",
    "maxpool1": "max/2",
    "Conv2d_3b_1x1": "1x1:80",
    "Conv2d_4a_3x3": "3x3v:192",
    "maxpool2": "max/2",
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": _B,
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": _D,
    "Mixed_7b": _E,
    "Mixed_7c": _E,
}
_AUXILIARY = "Mixed_6e"  # the auxiliary head sits behind it


def _names(branch: str, steps: list[str], step: int, fork: str) -> str:
    """torchvision's: branch5x5_2, branch3x3_2a; a number only where there are two convolutions.
    What pools has no parameters, and so any name."""
    if steps[0] == "avg":
        return branch if step else f"{branch}_average"
    return branch if len(steps) == 1 else f"{branch}_{step + 1}{fork}"


class InceptionOutputs(NamedTuple):
    """What the network with its auxiliary head returns in training mode."""

    logits: Tensor
    aux_logits: Tensor


class _AuxiliaryHead(nn.Module):
    """5x5 average pooling with stride 3, a 1x1 and a 5x5 convolution, a linear layer."""

    def __init__(self, inputs: int, num_classes: int, width: float) -> None:
        super().__init__()
        maps, hidden = scaled(128, width), scaled(768, width)
        self.conv0 = BasicConv2d(inputs, maps, 1)
        self.conv1 = BasicConv2d(maps, hidden, 5)
        self.fc = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, 3)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class InceptionV3(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits, in training mode to InceptionOutputs.

    H and W are at least 75, for the auxiliary head 299."""

    def __init__(
        self,
        num_classes: int,
        width: float,
        aux_logits: bool,
        transform_input: bool,
        count_include_pad: bool,
    ) -> None:
        super().__init__()
        form = Form(width, count_include_pad, _names)
        last = list(_ROWS).index(_AUXILIARY) + 1
        rows = list(_ROWS.items())
        channels = build(self, rows[:last], 3, form)
        if aux_logits:
            self.AuxLogits = _AuxiliaryHead(channels, num_classes, width)
        channels = build(self, rows[last:], channels, form)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(channels, num_classes)
        self.aux_logits, self.transform_input = aux_logits, transform_input
        for name, module in self.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                std = {"AuxLogits.conv1.conv": 0.01, "AuxLogits.fc": 0.001}.get(name, 0.1)
                nn.init.trunc_normal_(module.weight, mean=0.0, std=std, a=-2, b=2)

    def forward(self, x: Tensor) -> Tensor | InceptionOutputs:
        if self.transform_input:
            x = _renormalised(x)
        aux = None
        for name in _ROWS:
            x = self.get_submodule(name)(x)
            if name == _AUXILIARY and self.training and self.aux_logits:
                aux = self.AuxLogits(x)
        x = self.fc(self.dropout(F.adaptive_avg_pool2d(x, 1)).flatten(1))
        return x if aux is None else InceptionOutputs(x, aux)


def _renormalised(x: Tensor) -> Tensor:
    """Images normalised with IMAGENET, as INCEPTION has them."""
    scale, shift = [], []
    for m, s, mean, std in zip(IMAGENET.mean, IMAGENET.std, INCEPTION.mean, INCEPTION.std):
        scale.append(s / std)
        shift.append((m - mean) / std)
    as_channels = lambda values: tensor(values, dtype=x.dtype, device=x.device).reshape(1, 3, 1, 1)
    return x * as_channels(scale) + as_channels(shift)


@register(
    "Szegedy et al. 2016", 27_161_264, 5_713_216_096, 580, size=299, reference="torchvision",
    checkpoints="torchvision", normalisation=INCEPTION, reduced=Reduced(0.0625, 299),
)  # fmt: skip
def inception_v3(
    num_classes: int = 1000,
    width: float = 1.0,
    aux_logits: bool = True,
    transform_input: bool = False,
    count_include_pad: bool = True,
) -> InceptionV3:
    """Inception v3: 27,161,264 parameters, 23,834,568 without its auxiliary head.

    `transform_input=True` is for images with ImageNet's mean and deviation, which it turns into
    those that the checkpoint was trained with.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    net = InceptionV3(num_classes, width, aux_logits, transform_input, count_include_pad)
    return net.to(memory_format=array.channels_last)


__all__ = ["InceptionOutputs", "InceptionV3", "inception_v3"]
