"""Fast R-CNN in PyTorch, from its net files: the layers in their order, and regions pooled bin by
bin in plain loops."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pycnn.models.width import check_arguments, scaled


def c_round(value: Any) -> int:
    """C's round(): halves go away from zero. `value` is a NumPy number."""
    down = math.floor(value)
    return int(down + (value - down > 0.5 or (value - down == 0.5 and value > 0)))


def roi_pool(maps: torch.Tensor, rois: torch.Tensor, bins: int, scale: float) -> torch.Tensor:
    """Every bin by itself, as ROIPoolingLayer does; arithmetic in the regions' own dtype."""
    _, _, height, width = maps.shape
    pooled = []
    for roi in rois.detach().numpy():
        real = roi.dtype.type
        image = maps[int(roi[0])]
        left, top, right, bottom = (c_round(edge * real(scale)) for edge in roi[1:])
        tall = real(max(bottom - top + 1, 1)) / real(bins)
        wide = real(max(right - left + 1, 1)) / real(bins)
        for p in range(bins):
            h0 = min(max(math.floor(real(p) * tall) + top, 0), height)
            h1 = min(max(math.ceil(real(p + 1) * tall) + top, 0), height)
            for q in range(bins):
                w0 = min(max(math.floor(real(q) * wide) + left, 0), width)
                w1 = min(max(math.ceil(real(q + 1) * wide) + left, 0), width)
                if h1 <= h0 or w1 <= w0:
                    pooled.append(torch.zeros_like(image[:, 0, 0]))
                else:
                    pooled.append(image[:, h0:h1, w0:w1].flatten(1).max(1).values)
    shape = (len(rois), bins, bins, maps.shape[1])
    return torch.stack(pooled).reshape(shape).permute(0, 3, 1, 2)


class FastRCNN(nn.Module):
    """`layers` up to the regions, whatever has parameters under its own name."""

    def __init__(
        self, layers: list[tuple[str, nn.Module]], bins: int, hidden: tuple[int, int], classes: int
    ) -> None:
        super().__init__()
        self.steps = []
        for name, layer in layers:
            if isinstance(layer, nn.Conv2d):
                self.add_module(name, layer)
                channels = layer.out_channels
            self.steps.append(name if isinstance(layer, nn.Conv2d) else layer)
        self.bins = bins
        self.fc6 = nn.Linear(channels * bins * bins, hidden[0])
        self.fc7 = nn.Linear(*hidden)
        self.cls_score = nn.Linear(hidden[1], classes)
        self.bbox_pred = nn.Linear(hidden[1], 4 * classes)
        for layer in self.children():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        self.Dropout = nn.Dropout(0.5)

    def forward(self, data: torch.Tensor, rois: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for step in self.steps:
            data = F.relu(getattr(self, step)(data)) if isinstance(step, str) else step(data)
        x = torch.flatten(roi_pool(data, rois, self.bins, 0.0625), 1)
        for layer in (self.fc6, self.fc7):
            x = self.Dropout(torch.relu(layer(x)))
        return self.cls_score(x), self.bbox_pred(x)


def _pool(kernel: int, pad: int) -> tuple[str, nn.Module]:
    return "pool", nn.MaxPool2d(kernel, stride=2, padding=pad, ceil_mode=True)


def fast_rcnn_caffenet(num_classes: int = 21, width: float = 1.0, fixed: bool = False) -> nn.Module:
    check_arguments(num_classes, width)
    c = [scaled(n, width) for n in (96, 256, 384, 384, 256, 4096)]
    lrn = ("norm", nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0))
    layers = [
        ("conv1", nn.Conv2d(3, c[0], 11, 4, 5)), _pool(3, 1), lrn,
        ("conv2", nn.Conv2d(c[0], c[1], 5, padding=2, groups=2)), _pool(3, 1), lrn,
        ("conv3", nn.Conv2d(c[1], c[2], 3, padding=1)),
        ("conv4", nn.Conv2d(c[2], c[3], 3, padding=1, groups=2)),
        ("conv5", nn.Conv2d(c[3], c[4], 3, padding=1, groups=2)),
    ]  # fmt: skip
    return _fix(FastRCNN(layers, 6, (c[5], c[5]), num_classes), ["conv1"] if fixed else [])


def fast_rcnn_vgg_cnn_m_1024(
    num_classes: int = 21, width: float = 1.0, fixed: bool = False
) -> nn.Module:
    check_arguments(num_classes, width)
    c = [scaled(n, width) for n in (96, 256, 512)]
    lrn = ("norm", nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0))
    layers = [("conv1", nn.Conv2d(3, c[0], 7, 2)), lrn, _pool(3, 0)]
    layers += [("conv2", nn.Conv2d(c[0], c[1], 5, 2, 1)), lrn, _pool(3, 0)]
    layers += [("conv3", nn.Conv2d(c[1], c[2], 3, 1, 1))]
    layers += [(f"conv{i}", nn.Conv2d(c[2], c[2], 3, 1, 1)) for i in (4, 5)]
    hidden = (scaled(4096, width), scaled(1024, width))
    return _fix(FastRCNN(layers, 6, hidden, num_classes), ["conv1"] if fixed else [])


def fast_rcnn_vgg16(num_classes: int = 21, width: float = 1.0, fixed: bool = False) -> nn.Module:
    check_arguments(num_classes, width)
    rows = "64 64 / 128 128 / 256 256 256 / 512 512 512 / 512 512 512"
    layers: list[tuple[str, nn.Module]] = []
    channels = 3
    for i, row in enumerate(rows.split("/")):
        if layers:
            layers.append(_pool(2, 0))
        for j, word in enumerate(row.split()):
            planes = scaled(int(word), width)
            layers.append((f"conv{i + 1}_{j + 1}", nn.Conv2d(channels, planes, 3, padding=1)))
            channels = planes
    hidden = scaled(4096, width)
    still = [name for name, _ in layers if name[:5] in ("conv1", "conv2")] if fixed else []
    return _fix(FastRCNN(layers, 7, (hidden, hidden), num_classes), still)


def _fix(net: nn.Module, names: list[str]) -> nn.Module:
    for name in names:
        net.get_submodule(name).requires_grad_(False)
    return net
