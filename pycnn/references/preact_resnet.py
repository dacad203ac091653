"""Pre-activation ResNets in PyTorch, from figure 4 and the appendix of "Identity Mappings in Deep
Residual Networks". A unit is read off the figure, from top to bottom. The names are timm's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled

# figure 4 for two layers; a bottleneck has the middle, "c b r", twice
_FIGURE_4 = {
    "original": "c b r c b + r",
    "bn_after_add": "c b r c + b r",
    "relu_before_add": "c b r c b r +",
    "relu_only_pre": "r c b r c b +",
    "full_pre": "b r c b r c +",
}


class _Scaled(nn.Sequential):
    """Option B, and the batch norm of the first paper where units end in one before adding."""

    def __init__(self, before: int, after: int, stride: int, bn: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 1, stride, bias=False)
        if bn:
            self.norm = nn.BatchNorm2d(after)


class _Unit(nn.Module):
    def __init__(
        self, figure: str, before: int, middle: list[int], stride: int, deep: bool, option: str,
        early: bool, v1: bool, p: float,
    ) -> None:  # fmt: skip
        super().__init__()
        kernels = (1, 3, 1) if deep else (3, 3)
        strides = [1] * len(kernels)
        strides[1 if deep and not v1 else 0] = stride
        if deep:
            at = figure.index("c")
            figure = figure[:at] + "c b r " + figure[at:]
        self.figure = figure.split()
        after = middle[-1]
        self.change = None if before == after and stride == 1 else (stride, after - before)
        self.early = early
        if self.change and option == "B":
            end = "".join(self.figure)
            self.downsample = _Scaled(before, after, stride, "cb+" in end or "cbr+" in end)
        c, seen = before, {"b": 0, "c": 0}
        for step in self.figure:
            if step in seen:
                n = seen[step] = seen[step] + 1
                if step == "b":
                    setattr(self, f"norm{n}", nn.BatchNorm2d(c))
                else:
                    k, o = kernels[n - 1], middle[n - 1]
                    conv = nn.Conv2d(c, o, k, strides[n - 1], k // 2, bias=False)
                    setattr(self, f"conv{n}", conv)
                    c = o
        self.drop = nn.Dropout(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, kept, seen = x, x, {"b": 0, "c": 0}
        last = self.figure.count("c")
        for step in self.figure:
            if step == "c":
                seen["c"] += 1
                if seen["c"] == 1 and (self.change or self.early):
                    kept = y  # both paths have the activation
                if seen["c"] == last:
                    y = self.drop(y)
                y = getattr(self, f"conv{seen['c']}")(y)
            elif step == "b":
                seen["b"] += 1
                y = getattr(self, f"norm{seen['b']}")(y)
            elif step == "r":
                y = F.relu(y)
            elif hasattr(self, "downsample"):
                y = y + self.downsample(kept)
            elif self.change:
                stride, missing = self.change
                y = y + F.pad(F.avg_pool2d(kept, 1, stride), (0, 0, 0, 0, 0, missing))
            else:
                y = y + kept
        return y


class _Net(nn.Module):
    def __init__(
        self, imagenet: bool, deep: bool, stem: int, planes: list[int], counts: list[int],
        num_classes: int, unit: str, shortcut: str, share_first: bool, v1: bool, p: float = 0.0,
        stem_norm: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        figure = _FIGURE_4[unit]
        self.first, self.last = figure.split("c")[0], unit
        c = stem
        self.stem = nn.Sequential()
        k = 7 if imagenet else 3
        self.stem.conv = nn.Conv2d(3, c, k, 2 if imagenet else 1, k // 2, bias=False)
        if stem_norm or "b" not in self.first:
            self.stem.norm = nn.BatchNorm2d(c)
        if stem_norm or "r" not in self.first:
            self.stem.act = nn.ReLU()
        if imagenet:
            self.stem.pool = nn.MaxPool2d(3, 2, 1)
        self.stages = nn.ModuleList()
        for s, (w, n) in enumerate(zip(planes, counts, strict=True)):
            stage = nn.Module()
            stage.blocks = nn.ModuleList()
            widths = [w, w, 4 * w] if deep else [w, w]
            for i in range(n):
                stride = 2 if s > 0 and i == 0 else 1
                early = share_first and s == 0 and i == 0
                stage.blocks.append(
                    _Unit(figure, c, widths, stride, deep, shortcut, early, v1, p)
                )  # fmt: skip
                c = widths[-1]
            self.stages.append(stage)
        self.norm = nn.BatchNorm2d(c) if "b" in self.first else nn.Identity()
        self.head = nn.Module()
        self.head.fc = nn.Conv2d(c, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            for unit in stage.blocks:
                x = unit(x)
        x = self.norm(x)
        x = F.relu(x) if "r" in self.first else x  # the extra activation of the appendix
        return F.linear(x.mean((2, 3)), self.head.fc.weight[:, :, 0, 0], self.head.fc.bias)


def _make(depth: int, counts: list[int], imagenet: bool = True, option: str = "B"):
    def make(
        num_classes: int = 1000 if imagenet else 10, width: float = 1.0, unit: str = "full_pre",
        shortcut: str = option, share_first: bool = False, v1: bool = False,
        stem_norm: bool = False,
    ) -> nn.Module:  # fmt: skip
        check_arguments(num_classes, width)
        planes = [scaled((64 if imagenet else 16) << i, width) for i in range(len(counts))]
        return _Net(
            imagenet, depth not in (18, 34, 110), planes[0], planes, counts, num_classes, unit,
            shortcut, share_first, v1, stem_norm=stem_norm,
        )  # fmt: skip

    return make


preact_resnet18, preact_resnet34 = _make(18, [2, 2, 2, 2]), _make(34, [3, 4, 6, 3])
preact_resnet50, preact_resnet101 = _make(50, [3, 4, 6, 3]), _make(101, [3, 4, 23, 3])
preact_resnet152, preact_resnet200 = _make(152, [3, 8, 36, 3]), _make(200, [3, 24, 36, 3])
preact_resnet110 = _make(110, [18] * 3, False, "A")
preact_resnet164, preact_resnet1001 = _make(164, [18] * 3, False), _make(1001, [111] * 3, False)
