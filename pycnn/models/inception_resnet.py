"""Inception-ResNet v1 and v2. Szegedy, Ioffe, Vanhoucke, Alemi 2017, arXiv:1602.07261, figures
10-20.

A module adds its branches, scaled down by 0.1 to 0.2 (section 3.3), to its input. The networks in
circulation differ from the figures, and are the default; `paper=True` builds the figures:

                      v1                 v1, paper    v2                       v2, paper
    stem              figure 14          figure 14    v1's, and Mixed_5b       v4's, figure 3
    modules A, B, C   5, 10, 5 + 1       5, 10, 5     10, 20, 9 + 1            5, 10, 5
    before the pool                                   1x1 to 1536
    classifier        512, batch norm    linear       linear                   linear

"+ 1" is a last module C without scaling and without ReLU. Parameter names are pytorchcv's for v1
and timm's for v2.
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .inception import Form, Row, Scaled, build, kaiming_, timm_names
from .inception_v4 import STEM
from .registry import INCEPTION, Reduced, register
from .width import check_arguments, scaled

# figure 14, but for its last convolution, 3x3/2 to 256
_STEM = ("3x3/2:32", "3x3v:32", "3x3:64", "max/2", "1x1:80", "3x3v:192")
# A, reduction A, B, reduction B, C: figures 10, 7, 11, 12, 13 and 16, 7, 17, 18, 19
_V1 = (
    "1x1:32 | 1x1:32 3x3:32 | 1x1:32 3x3:32 3x3:32",
    "3x3/2:384 | 1x1:192 3x3:192 3x3/2:256 | max/2",
    "1x1:128 | 1x1:128 1x7:128 7x1:128",
    "1x1:256 3x3/2:384 | 1x1:256 3x3/2:256 | 1x1:256 3x3:256 3x3/2:256 | max/2",
    "1x1:192 | 1x1:192 1x3:192 3x1:192",
)
_V2 = (
    "1x1:32 | 1x1:32 3x3:32 | 1x1:32 3x3:48 3x3:64",
    "3x3/2:384 | 1x1:256 3x3:256 3x3/2:384 | max/2",
    "1x1:192 | 1x1:128 1x7:160 7x1:192",
    "1x1:256 3x3/2:384 | 1x1:256 3x3/2:288 | 1x1:256 3x3:288 3x3/2:320 | max/2",
    "1x1:192 | 1x1:192 1x3:224 3x1:256",
)
_MIXED_5B = "1x1:96 | 1x1:48 5x5:64 | 1x1:64 3x3:96 3x3:96 | avg 1x1:64"
_SCALES = (0.17, 0.10, 0.20)  # of A, B, C

Rows = list[tuple[str, Row]]


def _pytorchcv_names(branch: str, steps: list[str], step: int, fork: str) -> str:
    """branches.branch1.conv for a 1x1 alone, else branches.branch2.conv_list.conv1, ...: branches
    count from 1."""
    name = f"branches.branch{int(branch.removeprefix('branch')) + 1}"
    alone = len(steps) == 1 and steps[0].startswith("1x1")
    return f"{name}.conv" if alone else f"{name}.conv_list.conv{step + 1}"


def _rows_v1(paper: bool) -> Rows:
    a, reduction_a, b, reduction_b, c = _V1
    stem = [row for row in _STEM if row != "max/2"] + ["3x3/2:256"]
    named: Rows = [(f"features.init_block.conv{i}", row) for i, row in enumerate(stem, 1)]
    named.insert(_STEM.index("max/2"), ("features.init_block.pool", "max/2"))
    last: list[Row] = [] if paper else [Scaled(c, 1.0, None)]
    stages: list[list[Row]] = [
        [Scaled(a, _SCALES[0])] * 5,
        [reduction_a, *[Scaled(b, _SCALES[1])] * 10],
        [reduction_b, *[Scaled(c, _SCALES[2])] * 5, *last],
    ]
    for number, stage in enumerate(stages, 1):
        named += [(f"features.stage{number}.unit{i}", row) for i, row in enumerate(stage, 1)]
    return named


def _rows_v2(paper: bool) -> Rows:
    a, reduction_a, b, reduction_b, c = _V2
    counts = (5, 10, 5) if paper else (10, 20, 9)
    names = "conv2d_1a conv2d_2a conv2d_2b maxpool_3a conv2d_3b conv2d_4a maxpool_5a mixed_5b"
    rows: Rows = [*zip(names.split(), (*_STEM, "max/2", _MIXED_5B))]
    if paper:
        rows = [(f"stem.{i}", row) for i, row in enumerate(STEM)]
    stages = (("repeat", a, "mixed_6a", reduction_a), ("repeat_1", b, "mixed_7a", reduction_b))
    for i, (repeat, row, name, reduction) in enumerate(stages):
        rows += [(f"{repeat}.{j}", Scaled(row, _SCALES[i])) for j in range(counts[i])]
        rows.append((name, reduction))
    rows += [(f"repeat_2.{j}", Scaled(c, _SCALES[2])) for j in range(counts[2])]
    if not paper:
        rows += [("block8", Scaled(c, 1.0, None)), ("conv2d_7b", "1x1:1536")]
    return rows


class _Bottleneck(nn.Module):
    """Dropout, 512 features with batch norm and no ReLU, the classes: pytorchcv's head of v1."""

    def __init__(self, inputs: int, num_classes: int, width: float) -> None:
        super().__init__()
        features = scaled(512, width)
        self.dropout = nn.Dropout(0.6)
        self.fc1 = nn.Linear(inputs, features, bias=False)
        self.bn = nn.BatchNorm1d(features, eps=1e-3)
        self.fc2 = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.bn(self.fc1(self.dropout(x))))


class InceptionResNet(nn.Module):
    """(N, 3, H, W) images, 299 x 299 in the paper and at least 75, to (N, num_classes) logits."""

    def __init__(self, rows: Rows, num_classes: int, form: Form, head: str) -> None:
        super().__init__()
        self._head, self._paths = head, [path for path, _ in rows]
        channels = build(self, rows, 3, form)
        if head == "bottleneck":
            self.output: nn.Module = _Bottleneck(channels, num_classes, form.width)
        else:
            self.dropout = nn.Dropout(0.2)
            self.add_module(head, nn.Linear(channels, num_classes))
        kaiming_(self)

    def forward(self, x: Tensor) -> Tensor:
        for path in self._paths:
            x = self.get_submodule(path)(x)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        if self._head == "bottleneck":
            return self.output(x)
        return self.get_submodule(self._head)(self.dropout(x))


@register(
    "Szegedy et al. 2017", 23_995_624, 6_308_235_360, 716, size=299, reference="pytorchcv",
    reduced=Reduced(0.0625, 128),
)  # fmt: skip
def inception_resnet_v1(
    num_classes: int = 1000, width: float = 1.0, paper: bool = False
) -> InceptionResNet:
    """Inception-ResNet v1: 23,995,624 parameters. `paper=True`: the figures, see above.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    form = Form(width, False, _pytorchcv_names, up="conv")
    head = "output" if paper else "bottleneck"
    net = InceptionResNet(_rows_v1(paper), num_classes, form, head)
    return net.to(memory_format=array.channels_last)


@register(
    "Szegedy et al. 2017", 55_843_464, 13_155_794_016, 1306, size=299, reference="timm",
    checkpoints="timm", normalisation=INCEPTION, reduced=Reduced(0.0625, 128),
)  # fmt: skip
def inception_resnet_v2(
    num_classes: int = 1000,
    width: float = 1.0,
    paper: bool = False,
    count_include_pad: bool = False,
) -> InceptionResNet:
    """Inception-ResNet v2: 55,843,464 parameters. `paper=True`: the figures, see above.

    `count_include_pad=True` counts the padding in the average pool of Mixed_5b, the only one.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    form = Form(width, count_include_pad, timm_names)
    net = InceptionResNet(_rows_v2(paper), num_classes, form, "classif")
    return net.to(memory_format=array.channels_last)


__all__ = ["InceptionResNet", "inception_resnet_v1", "inception_resnet_v2"]
