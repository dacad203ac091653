"""LeNet-5 in PyTorch. LeCun, Bottou, Bengio, Haffner 1998, section II.B and figure 2.

The variant in use today: average pooling without a trained coefficient, a full C3, plain tanh
and a linear output layer in place of the radial basis functions.
"""

from __future__ import annotations

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled


class LeNet5(nn.Module):
    """(N, 1, 32, 32) images to (N, num_classes) logits."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        maps1, maps3, maps5, units6 = (scaled(count, width) for count in (6, 16, 120, 84))
        self.c1 = nn.Conv2d(1, maps1, kernel_size=5)
        self.s2 = nn.AvgPool2d(kernel_size=2, stride=2)
        self.c3 = nn.Conv2d(maps1, maps3, kernel_size=5)
        self.s4 = nn.AvgPool2d(kernel_size=2, stride=2)
        self.c5 = nn.Conv2d(maps3, maps5, kernel_size=5)
        self.f6 = nn.Linear(maps5, units6)
        self.output = nn.Linear(units6, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.s2(torch.tanh(self.c1(x)))
        x = self.s4(torch.tanh(self.c3(x)))
        x = torch.tanh(self.c5(x)).flatten(1)
        x = torch.tanh(self.f6(x))
        logits: torch.Tensor = self.output(x)
        return logits


def lenet5(num_classes: int = 10, width: float = 1.0) -> LeNet5:
    """LeNet-5 with 61,706 parameters at ten classes: (N, 1, 32, 32) to (N, num_classes)."""
    check_arguments(num_classes, width)
    return LeNet5(num_classes, width)
