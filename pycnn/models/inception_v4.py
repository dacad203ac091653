"""Inception v4. Szegedy, Ioffe, Vanhoucke, Alemi 2017, arXiv:1602.07261, figures 3-9: modules
without shortcuts; the residual networks of the same paper are in inception_resnet.py.

Parameter names are timm's, which come from the TensorFlow checkpoint's port. Average pools leave
the padding out, as TensorFlow's do; `count_include_pad=True` counts it.
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .inception import Form, Row, build, kaiming_, timm_names
from .registry import INCEPTION, Reduced, register
from .width import check_arguments

# figure 3
STEM: tuple[Row, ...] = (
    "3x3/2:32",
    "3x3v:32",
    "3x3:64",
    {"maxpool": "max/2", "conv": "3x3/2:96"},
    "1x1:64 3x3v:96 | 1x1:64 1x7:64 7x1:64 3x3v:96",
    {"conv": "3x3/2:192", "maxpool": "max/2"},
)
# figures 4, 7, 5, 8 and 6
_A = "1x1:96 | 1x1:64 3x3:96 | 1x1:64 3x3:96 3x3:96 | avg 1x1:96"
_REDUCTION_A = "3x3/2:384 | 1x1:192 3x3:224 3x3/2:256 | max/2"
_B = (
    "1x1:384 | 1x1:192 1x7:224 7x1:256 |"
    "1x1:192 7x1:192 1x7:224 7x1:224 1x7:256 | avg 1x1:128"
)  # fmt: skip
_REDUCTION_B = "1x1:192 3x3/2:192 | 1x1:256 1x7:256 7x1:320 3x3/2:320 | max/2"
_C = (
    "1x1:256 | 1x1:384 1x3:256+3x1:256 |"
    "1x1:384 3x1:448 1x3:512 1x3:256+3x1:256 | avg 1x1:256"
)  # fmt: skip
# figure 9
_ROWS = (*STEM, *[_A] * 4, _REDUCTION_A, *[_B] * 7, _REDUCTION_B, *[_C] * 3)


class InceptionV4(nn.Module):
    """(N, 3, H, W) images, 299 x 299 in the paper and at least 75, to (N, num_classes) logits."""

    def __init__(self, num_classes: int, width: float, count_include_pad: bool) -> None:
        super().__init__()
        form = Form(width, count_include_pad, timm_names)
        rows = [(f"features.{i}", row) for i, row in enumerate(_ROWS)]
        channels = build(self, rows, 3, form)
        self.dropout = nn.Dropout(0.2)
        self.last_linear = nn.Linear(channels, num_classes)
        kaiming_(self)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), 1).flatten(1)
        return self.last_linear(self.dropout(x))


@register(
    "Szegedy et al. 2017", 42_679_816, 12_253_974_624, 896, size=299, reference="timm",
    checkpoints="timm", normalisation=INCEPTION, reduced=Reduced(0.0625, 128),
)  # fmt: skip
def inception_v4(
    num_classes: int = 1000, width: float = 1.0, count_include_pad: bool = False
) -> InceptionV4:
    """Inception v4: 42,679,816 parameters, 149 convolutions.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    net = InceptionV4(num_classes, width, count_include_pad)
    return net.to(memory_format=array.channels_last)


__all__ = ["InceptionV4", "inception_v4"]
