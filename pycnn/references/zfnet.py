"""ZFNet from figure 3 of its paper, SPPNet from its own, in PyTorch."""

from __future__ import annotations

import math

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _Pyramid(nn.Module):
    """Spatial pyramid pooling, bin by bin."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        h, w = maps.shape[2:]
        found = []
        for n in (6, 3, 2, 1):
            rows = [slice(i * h // n, math.ceil((i + 1) * h / n)) for i in range(n)]
            columns = [slice(i * w // n, math.ceil((i + 1) * w / n)) for i in range(n)]
            bins = [maps[:, :, r, c].amax((2, 3)) for r in rows for c in columns]
            found.append(torch.stack(bins, 2).flatten(1))
        return torch.cat(found, 1)


class _Net(nn.Module):
    def __init__(self, num_classes: int, width: float, pool_first: bool, pyramid: bool) -> None:
        super().__init__()
        w = [3, *(scaled(c, width) for c in (96, 256, 384, 384, 256, 4096))]
        self.conv1 = nn.Conv2d(3, w[1], 7, 2, 1)
        self.conv2 = nn.Conv2d(w[1], w[2], 5, 2)
        self.conv3, self.conv4, self.conv5 = (nn.Conv2d(w[i], w[i + 1], 3, 1, 1) for i in (2, 3, 4))
        self.fc6 = nn.Linear(w[5] * (50 if pyramid else 36), w[6])
        self.fc7 = nn.Linear(w[6], w[6])
        self.fc8 = nn.Linear(w[6], num_classes)
        for parameter in self.parameters():
            parameter.data.normal_(0, 0.01) if parameter.ndim > 1 else parameter.data.zero_()
        pool, norm = nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5, 1e-4, 0.75, 2)
        shrink = [pool, norm] if pool_first else [norm, pool]
        last = [_Pyramid()] if pyramid else [pool, nn.Flatten()]
        self.drop = drop = nn.Dropout()
        self.steps = [
            self.conv1, torch.relu, *shrink, self.conv2, torch.relu, *shrink,
            self.conv3, torch.relu, self.conv4, torch.relu, self.conv5, torch.relu, *last,
            self.fc6, torch.relu, drop, self.fc7, torch.relu, drop, self.fc8,
        ]  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            x = step(x)
        return x


def zfnet(num_classes: int = 1000, width: float = 1.0, pool_first: bool = False) -> nn.Module:
    check_arguments(num_classes, width)
    return _Net(num_classes, width, pool_first, pyramid=False)


def sppnet(num_classes: int = 1000, width: float = 1.0, pool_first: bool = False) -> nn.Module:
    check_arguments(num_classes, width)
    return _Net(num_classes, width, pool_first, pyramid=True)
