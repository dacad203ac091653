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


# table I of the paper, a row per map of S2, a column per map of C3
_TABLE = """
X   XXX  XXXX XX
XX   XXX  XXXX X
XXX   XXX  X XXX
 XXX  XXXX  X XX
  XXX  XXXX XX X
   XXX  XXXX XXX
"""


class LeNet5Of1998(nn.Module):
    """The network of section II.B: trained subsampling, partly connected C3, distances."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        maps1, maps5, units6 = (scaled(count, width) for count in (6, 120, 84))
        rows = [line.ljust(16) for line in _TABLE.split("\n")[1:7]]
        self.inputs = [[s2 for s2 in range(maps1) if rows[s2 % 6][c3] == "X"] for c3 in range(16)]
        for inputs in self.inputs:  # as the network orders them: by sixes
            inputs.sort(key=lambda s2: (s2 // 6, s2))
        self.c1 = nn.Conv2d(1, maps1, 5)
        self.s2 = _Sub(maps1)
        self.c3 = nn.ModuleList(nn.Conv2d(len(inputs), 1, 5) for inputs in self.inputs)
        self.s4 = _Sub(16)
        self.c5 = nn.Conv2d(16, maps5, 5)
        self.f6 = nn.Linear(maps5, units6)
        self.register_buffer("prototypes", torch.zeros(num_classes, units6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f = lambda a: 1.7159 * torch.tanh(2 * a / 3)
        x = f(self.s2(f(self.c1(x))))
        full = x.new_zeros(16, x.shape[1], 5, 5)
        for i, (layer, inputs) in enumerate(zip(self.c3, self.inputs)):
            full = full.index_put(
                (torch.full((len(inputs),), i), torch.tensor(inputs)), layer.weight[0]
            )
        x = f(nn.functional.conv2d(x, full, torch.cat([layer.bias for layer in self.c3])))
        x = f(self.s4(x))
        x = f(self.f6(f(self.c5(x)).flatten(1)))
        return (
            torch.cdist(x, self.prototypes.to(x.dtype), compute_mode="donot_use_mm_for_euclid_dist")
            ** 2
        )


class _Sub(nn.Module):
    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((maps,), 0.25))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2], x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
        return (a + b) * self.weight[:, None, None] + self.bias[:, None, None]


def lenet5_1998(num_classes: int = 10, width: float = 1.0) -> LeNet5Of1998:
    """The network of 1998 with 60,000 parameters; its prototypes come with a state dict."""
    check_arguments(num_classes, width)
    net = LeNet5Of1998(num_classes, width)
    net.prototypes.copy_(torch.randint(0, 2, net.prototypes.shape) * 2.0 - 1.0)
    return net


class LeNetTutorial(nn.Module):
    """The class that PyTorch's "Neural Networks" tutorial printed."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        a, b, c, d = (scaled(n, width) for n in (6, 16, 120, 84))
        self.conv1 = nn.Conv2d(1, a, 3)
        self.conv2 = nn.Conv2d(a, b, 3)
        self.fc1 = nn.Linear(b * 6 * 6, c)
        self.fc2 = nn.Linear(c, d)
        self.fc3 = nn.Linear(d, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(nn.functional.relu(self.conv1(x)), (2, 2))
        x = nn.functional.max_pool2d(nn.functional.relu(self.conv2(x)), 2)
        x = x.reshape(x.shape[0], -1)
        x = nn.functional.relu(self.fc2(nn.functional.relu(self.fc1(x))))
        return self.fc3(x)


def lenet_tutorial(num_classes: int = 10, width: float = 1.0) -> LeNetTutorial:
    """81,194 parameters at ten classes."""
    check_arguments(num_classes, width)
    return LeNetTutorial(num_classes, width)
