"""ResNet-110 with stochastic depth in PyTorch, from arXiv:1603.09382, equations 1 to 5, with the
convolution biases and pooled shortcuts of the authors' Torch code.

A gate `held` at True, False or an array of one value per sample is not drawn."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class StochasticDepthBranch(nn.Module):
    """b * branch(x), with P(b = 1) = p."""

    def __init__(self, p: float, inverted: bool, per_sample: bool) -> None:
        super().__init__()
        self.p, self.inverted, self.per_sample = p, inverted, per_sample
        self.held: object = None

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        if self.held is not None:
            b = torch.as_tensor(np.array(self.held), dtype=y.dtype).reshape(-1, 1, 1, 1)
        elif self.training:
            count = len(y) if self.per_sample else 1
            b = torch.bernoulli(torch.full((count, 1, 1, 1), self.p, dtype=y.dtype))
        else:
            return y if self.inverted else self.p * y
        return b * y / self.p if self.inverted and self.p else b * y


class _Block(nn.Module):
    def __init__(
        self, n_in: int, n_out: int, halve: bool, bias: bool, option: str, gate: nn.Module
    ) -> None:
        super().__init__()
        self.halve, self.option = halve, option
        self.conv1 = nn.Conv2d(n_in, n_out, 3, 1 + halve, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=bias)
        self.bn2 = nn.BatchNorm2d(n_out)
        if option == "C" or (option == "B" and (halve or n_in != n_out)):
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, 1 + halve, bias=False), nn.BatchNorm2d(n_out)
            )
        self.gate = gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "downsample"):
            identity = self.downsample(x)
        else:
            identity = x
            if self.halve and self.option == "average":
                identity = F.avg_pool2d(x, 2, 2)
            elif self.halve:
                identity = x[:, :, ::2, ::2]
            zeros = identity.new_zeros(
                len(x), self.conv2.out_channels - x.shape[1], *identity.shape[2:]
            )
            front = zeros.shape[1] // 2 if self.option == "A-middle" else 0
            identity = torch.cat([zeros[:, :front], identity, zeros[:, front:]], 1)
        dead = self.gate.held is not None and not np.any(self.gate.held)
        if dead:  # the paper does not compute it, and its statistics do not move
            return F.relu(identity)
        branch = nn.Sequential(self.conv1, self.bn1, nn.ReLU(), self.conv2, self.bn2)
        return F.relu(identity + self.gate(branch(x)))


class _Net(nn.Module):
    def __init__(self, classes: int, widths: list[int], blocks: list[_Block], bias: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = nn.Sequential(*blocks[:18])
        self.layer2 = nn.Sequential(*blocks[18:36])
        self.layer3 = nn.Sequential(*blocks[36:])
        self.fc = nn.Linear(widths[2], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
        return self.fc(x.flatten(2).mean(2))


def resnet110_stochastic_depth(
    num_classes: int = 10,
    width: float = 1.0,
    death_rate: float = 0.5,
    decay: str = "linear",
    scaling: str = "test",
    mode: str = "batch",
    bias: bool = True,
    shortcut: str = "average",
) -> nn.Module:
    check_arguments(num_classes, width)
    widths = [scaled(w, width) for w in (16, 32, 64)]
    each = [widths[0]] + [w for w in widths for _ in range(18)]
    blocks = []
    for i in range(54):
        survival = 1 - (i + 1) / 54 * death_rate if decay == "linear" else 1 - death_rate
        gate = StochasticDepthBranch(survival, scaling == "train", mode == "row")
        blocks.append(_Block(each[i], each[i + 1], i in (18, 36), bias, shortcut, gate))
    return _Net(num_classes, widths, blocks, bias)
