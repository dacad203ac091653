"""Inception-ResNet v1 and v2 in PyTorch: the networks in circulation, with their names, and with
`paper=True` those of the figures. Szegedy et al. 2017, arXiv:1602.07261."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.inception_v4 import (
    Beside,
    ConvNorm,
    beside,
    halve,
    initialise,
    pooled,
    same,
    stem,
    valid,
)

W = Callable[[int], int]


class BlockV1(nn.Module):
    """Figures 10, 12 and 13: `branches`, then `conv` back to as many channels."""

    def __init__(self, channels: int, branches: Beside, joined: int, scale: float, end: bool):
        super().__init__()
        self.branches, self.conv = branches, nn.Conv2d(joined, channels, 1)
        self.scale, self.end = scale, end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.add(x, self.conv(self.branches(x)), alpha=self.scale)
        return x if self.end else x.relu()


class BlockV2(Beside):
    """Figures 16, 17 and 19: branch0, ..., and `conv2d` back to as many channels."""

    def __init__(self, channels: int, branches: Beside, joined: int, scale: float, end: bool):
        super().__init__(dict(branches.items()))
        self["conv2d"] = nn.Conv2d(joined, channels, 1)
        self.scale, self.end = scale, end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = self["conv2d"]
        parts = [branch(x) for branch in self.values() if branch is not up]
        x = torch.add(x, up(torch.cat(parts, 1)), alpha=self.scale)
        return x if self.end else x.relu()


def _v1(*branches: list[nn.Module]) -> Beside:
    """pytorchcv: a 1x1 alone is branchN.conv, everything else branchN.conv_list.convM."""
    found = {}
    for n, layers in enumerate(branches, 1):
        first = layers[0]
        found[f"branch{n}"] = first
        if isinstance(first, ConvNorm):
            inner = nn.Sequential(OrderedDict((f"conv{i}", c) for i, c in enumerate(layers, 1)))
            alone = len(layers) == 1 and first.conv.kernel_size == (1, 1)
            named = ("conv", first) if alone else ("conv_list", inner)
            found[f"branch{n}"] = nn.Sequential(OrderedDict([named]))
    return Beside(found)


def _v2(*branches: list[nn.Module]) -> Beside:
    """timm: one convolution is branchN, several are branchN.M."""
    return beside(*(b[0] if len(b) == 1 else nn.Sequential(*b) for b in branches))


def _parts(c: list[int], w: W, second: bool) -> dict[str, list[list[nn.Module]]]:
    """Branches by the place of the module; `c` are the channels that come into A, B and C."""
    pool = lambda: [nn.MaxPool2d(3, 2)]
    a1, a2 = (48, 64) if second else (32, 32)
    k, l, m = (256, 256, 384) if second else (192, 192, 256)
    b0, b1, b2 = (192, 160, 192) if second else (128, 128, 128)
    r1, r2, r3 = (288, 288, 320) if second else (256, 256, 256)
    c1, c2 = (224, 256) if second else (192, 192)
    return {
        "A": [
            [same(c[0], w(32), 1)],
            [same(c[0], w(32), 1), same(w(32), w(32), 3)],
            [same(c[0], w(32), 1), same(w(32), w(a1), 3), same(w(a1), w(a2), 3)],
        ],
        "reduce A": [
            [halve(c[0], w(384))],
            [same(c[0], w(k), 1), same(w(k), w(l), 3), halve(w(l), w(m))],
            pool(),
        ],
        "B": [
            [same(c[1], w(b0), 1)],
            [same(c[1], w(128), 1), same(w(128), w(b1), 1, 7), same(w(b1), w(b2), 7, 1)],
        ],
        "reduce B": [
            [same(c[1], w(256), 1), halve(w(256), w(384))],
            [same(c[1], w(256), 1), halve(w(256), w(r1))],
            [same(c[1], w(256), 1), same(w(256), w(r2), 3), halve(w(r2), w(r3))],
            pool(),
        ],
        "C": [
            [same(c[2], w(192), 1)],
            [same(c[2], w(192), 1), same(w(192), w(c1), 1, 3), same(w(c1), w(c2), 3, 1)],
        ],
    }


def _stages(
    inputs: int, w: W, second: bool, counts: tuple[int, int, int], extra: bool
) -> tuple[list[list[nn.Module]], list[int]]:
    """The residual modules A, B and C, each stage but the first behind its reduction."""
    grown = inputs + w(384) + w(384 if second else 256)
    tail = (384, 288, 320) if second else (384, 256, 256)
    c = [inputs, grown, grown + sum(w(n) for n in tail)]
    joined = [
        2 * w(32) + w(64 if second else 32),
        2 * w(192) if second else 2 * w(128),
        w(192) + w(256) if second else 2 * w(192),
    ]
    names, block = (_v2, BlockV2) if second else (_v1, BlockV1)
    stages: list[list[nn.Module]] = []
    for i, (letter, scale) in enumerate(zip("ABC", (0.17, 0.1, 0.2))):
        stage: list[nn.Module] = []
        if i > 0:
            reduction = names(*_parts(c, w, second)["reduce " + "ABC"[i - 1]])
            within = nn.Sequential(OrderedDict(branches=reduction))
            stage.append(reduction if second else within)
        for _ in range(counts[i]):
            branches = names(*_parts(c, w, second)[letter])
            stage.append(block(c[i], branches, joined[i], scale, False))
        stages.append(stage)
    if extra:
        branches = names(*_parts(c, w, second)["C"])
        stages[-1].append(block(c[2], branches, joined[2], 1.0, True))
    return stages, c


class InceptionResNetV1(nn.Module):
    def __init__(self, num_classes: int, width: float, paper: bool) -> None:
        super().__init__()
        w = lambda channels: scaled(channels, width)
        init = OrderedDict(
            conv1=halve(3, w(32)),
            conv2=valid(w(32), w(32)),
            conv3=same(w(32), w(64), 3),
            pool=nn.MaxPool2d(3, 2),
            conv4=same(w(64), w(80), 1),
            conv5=valid(w(80), w(192)),
            conv6=halve(w(192), w(256)),
        )
        stages, channels = _stages(w(256), w, False, (5, 10, 5), not paper)
        parts: OrderedDict[str, nn.Module] = OrderedDict(init_block=nn.Sequential(init))
        for i, stage in enumerate(stages, 1):
            units = OrderedDict((f"unit{j}", unit) for j, unit in enumerate(stage, 1))
            parts[f"stage{i}"] = nn.Sequential(units)
        self.features = nn.Sequential(parts)
        self.output: nn.Module = nn.Linear(channels[2], num_classes)
        self.dropout = nn.Dropout(0.2 if paper else 0.6)
        if not paper:
            self.output = nn.Sequential(
                OrderedDict(
                    fc1=nn.Linear(channels[2], w(512), bias=False),
                    bn=nn.BatchNorm1d(w(512), eps=0.001),
                    fc2=nn.Linear(w(512), num_classes),
                )
            )
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.dropout(self.features(x).mean(dim=(2, 3))))


class InceptionResNetV2(nn.Module):
    def __init__(self, num_classes: int, width: float, paper: bool, count_include_pad: bool):
        super().__init__()
        w = lambda channels: scaled(channels, width)
        if paper:
            self.stem = nn.Sequential(*stem(w))
            inputs = 2 * w(192)
        else:
            self.conv2d_1a = halve(3, w(32))
            self.conv2d_2a = valid(w(32), w(32))
            self.conv2d_2b = same(w(32), w(64), 3)
            self.maxpool_3a = nn.MaxPool2d(3, 2)
            self.conv2d_3b = same(w(64), w(80), 1)
            self.conv2d_4a = valid(w(80), w(192))
            self.maxpool_5a = nn.MaxPool2d(3, 2)
            c = w(192)
            self.mixed_5b = beside(
                same(c, w(96), 1),
                nn.Sequential(same(c, w(48), 1), same(w(48), w(64), 5)),
                nn.Sequential(same(c, w(64), 1), same(w(64), w(96), 3), same(w(96), w(96), 3)),
                pooled(c, w(64), count_include_pad),
            )
            inputs = 2 * w(96) + 2 * w(64)
        counts = (5, 10, 5) if paper else (10, 20, 9)
        (a, (reduce_a, *b), (reduce_b, *c_)), channels = _stages(inputs, w, True, counts, not paper)
        self.repeat, self.mixed_6a = nn.Sequential(*a), reduce_a
        self.repeat_1, self.mixed_7a = nn.Sequential(*b), reduce_b
        if not paper:
            self.block8 = c_.pop()
            self.conv2d_7b = same(channels[2], w(1536), 1)
        self.repeat_2 = nn.Sequential(*c_)
        self.dropout = nn.Dropout(0.2)
        self.classif = nn.Linear(channels[2] if paper else w(1536), num_classes)
        order = (
            "stem conv2d_1a conv2d_2a conv2d_2b maxpool_3a conv2d_3b conv2d_4a maxpool_5a mixed_5b "
            "repeat mixed_6a repeat_1 mixed_7a repeat_2 block8 conv2d_7b"
        )
        self.order = [name for name in order.split() if hasattr(self, name)]
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.order:
            x = getattr(self, name)(x)
        return self.classif(self.dropout(x.mean(dim=(2, 3))))


def inception_resnet_v1(
    num_classes: int = 1000, width: float = 1.0, paper: bool = False
) -> InceptionResNetV1:
    check_arguments(num_classes, width)
    return InceptionResNetV1(num_classes, width, paper)


def inception_resnet_v2(
    num_classes: int = 1000,
    width: float = 1.0,
    paper: bool = False,
    count_include_pad: bool = False,
) -> InceptionResNetV2:
    check_arguments(num_classes, width)
    return InceptionResNetV2(num_classes, width, paper, count_include_pad)
