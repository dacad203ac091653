"""LeNet-5. LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document
recognition", section II.B. Parameters carry the names of the paper's layers.

The network as it is built today: average pooling without trained coefficients, C3 connected to all
maps of S2, tanh without the paper's scaling, a linear output in place of radial basis functions.
"""

from __future__ import annotations

from .. import functional as F
from .. import nn
from ..tensor import Tensor
from .registry import Reduced, register
from .width import check_arguments, scaled

# maps of the 5x5 convolutions C1, C3 and C5, units of the linear layer F6
_C1, _C3, _C5, _F6 = 6, 16, 120, 84


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

    def forward(self, x: Tensor) -> Tensor:
        """ValueError for an image that is not 32 x 32 with one channel."""
        if x.ndim != 4 or x.shape[1:] != (1, 32, 32):
            raise ValueError(f"x: got shape {list(x.shape)}, expected (N, 1, 32, 32)")
        x = self.s2(self.c1(x, activation="tanh"))
        x = self.s4(self.c3(x, activation="tanh"))
        x = self.c5(x, activation="tanh").flatten(1)
        return self.output(F.tanh(self.f6(x)))


@register(
    "LeCun et al. 1998", 61_706, 416_520, 10, channels=1, size=32, num_classes=10,
    reduced=Reduced(1.0, 32),
)  # fmt: skip
def lenet5(num_classes: int = 10, width: float = 1.0) -> LeNet5:
    """LeNet-5: 61,706 parameters at ten classes.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return LeNet5(num_classes, width)


__all__ = ["LeNet5", "lenet5"]
