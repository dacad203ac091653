"""LeNet-5: as published, as it is built today, and as a PyTorch tutorial prints it.

LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition",
section II.B. Parameters carry the names of the paper's layers.

The network of today: average pooling without trained coefficients, C3 connected to all maps of S2,
tanh without the paper's scaling, a linear output in place of radial basis functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..creation import tensor
from ..tensor import Tensor
from .registry import Reduced, register
from .width import check_arguments, scaled

# maps of the 5x5 convolutions C1, C3 and C5, units of the linear layer F6
_C1, _C3, _C5, _F6 = 6, 16, 120, 84

# table I: the maps of S2 that each map of C3 is connected to
_CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# what the 84 units of F6 should draw for a digit, 7 wide and 12 high (figure 3)
_DIGITS = (
    (" ### ", "#   #", "#   #", "#   #", "#   #", "#   #", "#   #", " ### "),
    ("  #  ", " ##  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "),
    (" ### ", "#   #", "    #", "   # ", "  #  ", " #   ", "#    ", "#####"),
    ("#####", "    #", "   # ", "  ## ", "    #", "    #", "#   #", " ### "),
    ("   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # ", "   # "),
    ("#####", "#    ", "#    ", "#### ", "    #", "    #", "#   #", " ### "),
    (" ### ", "#    ", "#    ", "#### ", "#   #", "#   #", "#   #", " ### "),
    ("#####", "    #", "    #", "   # ", "   # ", "  #  ", "  #  ", "  #  "),
    (" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", "#   #", " ### "),
    (" ### ", "#   #", "#   #", "#   #", " ####", "    #", "    #", " ### "),
)


def _prototypes(num_classes: int, units: int) -> np.ndarray:
    """(num_classes, units) of -1 and 1: the digits, and distinct random codes for further classes
    or another count of units."""
    codes = np.random.default_rng(1998).choice([-1.0, 1.0], (num_classes, units))
    if units == _F6:
        for i, rows in enumerate(_DIGITS[:num_classes]):
            image = np.full((12, 7), -1.0)
            for y, row in enumerate(rows, 2):
                image[y, 1:6] = [1.0 if mark == "#" else -1.0 for mark in row]
            codes[i] = image.ravel()
    return codes.astype(np.float32)


def squash(x: Any) -> Any:
    """1.7159 tanh(2x / 3), appendix A: 1 at 1, -1 at -1."""
    return F.tanh(x * (2.0 / 3.0)) * 1.7159


class Subsampling(nn.Module):
    """The sum of every 2 x 2 pixels, times one coefficient per map, plus one bias per map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(tensor(np.full(maps, 0.25, np.float32)))
        self.bias = nn.Parameter(tensor(np.zeros(maps, np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        means: Any = F.avg_pool2d(x, 2)
        sums = means * 4.0
        return sums * self.weight.reshape(-1, 1, 1) + self.bias.reshape(-1, 1, 1)


class LeNet5Of1998(nn.Module):
    """(N, 1, 32, 32) images to (N, num_classes) squared distances: the class is the nearest one.

    Every layer up to F6 is squashed. The output has no parameters: `prototypes` is a buffer."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        c1, c5, f6 = (scaled(maps, width) for maps in (_C1, _C5, _F6))
        # with more maps in S2 the table is repeated: six maps at a time are connected as in it
        self.connections = [
            [j + 6 * i for i in range(-(-c1 // 6)) for j in row if j + 6 * i < c1]
            for row in _CONNECTIONS
        ]
        self.c1 = nn.Conv2d(1, c1, 5)
        self.s2 = Subsampling(c1)
        self.c3 = nn.ModuleList([nn.Conv2d(len(row), 1, 5) for row in self.connections])
        self.s4 = Subsampling(len(self.c3))
        self.c5 = nn.Conv2d(len(self.c3), c5, 5)
        self.f6 = nn.Linear(c5, f6)
        self.register_buffer("prototypes", tensor(_prototypes(num_classes, f6)))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                fan_in = module.weight.numel() // module.weight.shape[0]
                # appendix A: uniform between -2.4 / F and 2.4 / F, F the inputs of a unit
                nn.init.uniform_(module.weight, -2.4 / fan_in, 2.4 / fan_in)

    def forward(self, x: Any) -> Tensor:
        """ValueError for an image that is not 32 x 32 with one channel."""
        _check_image(x)
        x = squash(self.s2(squash(self.c1(x))))
        maps = [c(x[:, row]) for c, row in zip(self.c3, self.connections)]
        x = squash(self.s4(squash(F.cat(maps, 1))))
        x = squash(self.f6(squash(self.c5(x)).flatten(1)))
        away = x.unsqueeze(1) - self.prototypes
        return (away * away).sum(2)


def _check_image(x: Tensor) -> None:
    if x.ndim != 4 or x.shape[1:] != (1, 32, 32):
        raise ValueError(f"x: got shape {list(x.shape)}, expected (N, 1, 32, 32)")


class LeNet5(nn.Module):
    """(N, 1, 32, 32) images to (N, num_classes) logits."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        c1, c3, c5, f6 = (scaled(maps, width) for maps in (_C1, _C3, _C5, _F6))
        self.c1 = nn.Conv2d(1, c1, 5)  # 28 x 28
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(c1, c3, 5)  # 10 x 10
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(c3, c5, 5)  # 1 x 1
        self.f6 = nn.Linear(c5, f6)
        self.output = nn.Linear(f6, num_classes)

    def layers_in_order(self) -> list[tuple[str, nn.Module]]:
        """Its layers in order, for `convolutionize`."""
        tanh = nn.Tanh()
        return [
            ("c1", self.c1), ("tanh1", tanh), ("s2", self.s2),
            ("c3", self.c3), ("tanh3", tanh), ("s4", self.s4),
            ("c5", self.c5), ("tanh5", tanh), ("flatten", nn.Flatten()),
            ("f6", self.f6), ("tanh6", tanh), ("output", self.output),
        ]  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """ValueError for an image that is not 32 x 32 with one channel."""
        _check_image(x)
        x = self.s2(self.c1(x, activation="tanh"))
        x = self.s4(self.c3(x, activation="tanh"))
        x = self.c5(x, activation="tanh").flatten(1)
        return self.output(F.tanh(self.f6(x)))


class LeNetTutorial(nn.Module):
    """(N, 1, 32, 32) images to (N, num_classes) logits: 3x3 convolutions, ReLU and max pooling."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        c1, c2, f1, f2 = (scaled(units, width) for units in (6, 16, 120, 84))
        self.conv1 = nn.Conv2d(1, c1, 3)  # 30 x 30
        self.conv2 = nn.Conv2d(c1, c2, 3)  # 13 x 13, pooled to 6 x 6
        self.fc1 = nn.Linear(c2 * 6 * 6, f1)
        self.fc2 = nn.Linear(f1, f2)
        self.fc3 = nn.Linear(f2, num_classes)

    def layers_in_order(self) -> list[tuple[str, nn.Module]]:
        """Its layers in order, for `convolutionize`."""
        relu, pool = nn.ReLU(), nn.MaxPool2d(2)
        return [
            ("conv1", self.conv1), ("relu1", relu), ("pool1", pool),
            ("conv2", self.conv2), ("relu2", relu), ("pool2", pool), ("flatten", nn.Flatten()),
            ("fc1", self.fc1), ("relu3", relu), ("fc2", self.fc2), ("relu4", relu),
            ("fc3", self.fc3),
        ]  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """ValueError for an image that is not 32 x 32 with one channel."""
        _check_image(x)
        x = F.max_pool2d(self.conv1(x, activation="relu"), 2)
        x = F.max_pool2d(self.conv2(x, activation="relu"), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


_SMALL: dict[str, Any] = {"channels": 1, "size": 32, "num_classes": 10, "reduced": Reduced(1.0, 32)}


@register("LeCun et al. 1998", 61_706, 416_520, 10, **_SMALL)
def lenet5(num_classes: int = 10, width: float = 1.0) -> LeNet5:
    """LeNet-5: 61,706 parameters at ten classes.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return LeNet5(num_classes, width)


@register("LeCun et al. 1998", 60_000, 325_680, 43, **_SMALL)
def lenet5_1998(num_classes: int = 10, width: float = 1.0) -> LeNet5Of1998:
    """The network of the paper: exactly 60,000 parameters; its outputs are squared distances.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return LeNet5Of1998(num_classes, width)


@register("PyTorch tutorial", 81_194, 274_656, 10, reference="PyTorch tutorial", **_SMALL)
def lenet_tutorial(num_classes: int = 10, width: float = 1.0) -> LeNetTutorial:
    """The variant of PyTorch's early tutorials: 81,194 parameters.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return LeNetTutorial(num_classes, width)


__all__ = ["LeNet5", "LeNet5Of1998", "LeNetTutorial", "lenet5", "lenet5_1998", "lenet_tutorial"]
