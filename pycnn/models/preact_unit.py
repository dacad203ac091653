"""The residual units of "Identity Mappings": five orders of batch norm, ReLU and addition.

He, Zhang, Ren, Sun 2016, arXiv:1603.05027, figure 4 and table 2; figure 4 (e), the full
pre-activation, is also the block of the wide residual networks of Zagoruyko, Komodakis 2016,
arXiv:1605.07146, figure 1. Parameter names follow timm's resnetv2.

  (a) original         conv BN ReLU conv BN  + ReLU
  (b) bn_after_add     conv BN ReLU conv     + BN ReLU
  (c) relu_before_add  conv BN ReLU conv BN ReLU +
  (d) relu_only_pre    ReLU conv BN ReLU conv BN +
  (e) full_pre         BN ReLU conv BN ReLU conv +

What the paper calls activation after the addition is, in (d) and (e), the activation before the
next unit: where a unit changes the shape, its shortcut starts after it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .. import functional as F
from .. import nn
from ..tensor import Tensor
from .residual import ZeroPadShortcut

# a unit's last convolution and batch norm, what goes into them, and what the shortcut adds
Ending = Callable[[nn.Conv2d, nn.BatchNorm2d, Tensor, Tensor], Tensor]


class Order(NamedTuple):
    """Where a unit has its batch norms and ReLUs."""

    pre: bool  # the convolutions' input is activated in the unit, not after the one before
    norm_first: bool  # batch norms stand before their convolutions
    projected_norm: bool  # a projecting shortcut has one too, as the branch ends in one
    end: Ending


ORDERS = {
    "original": Order(
        False, False, True,
        lambda conv, norm, y, added: norm(conv(y), activation="relu", residual=added),
    ),
    "bn_after_add": Order(
        False, False, False,
        lambda conv, norm, y, added: norm(conv(y, residual=added), activation="relu"),
    ),
    "relu_before_add": Order(
        False, False, True, lambda conv, norm, y, added: norm(conv(y), activation="relu") + added
    ),
    "relu_only_pre": Order(
        True, False, True, lambda conv, norm, y, added: norm(conv(y), residual=added)
    ),
    "full_pre": Order(True, True, False, lambda conv, norm, y, added: conv(y, residual=added)),
}  # fmt: skip


def order_of(unit: str) -> Order:
    """The order called `unit`.

    Raises:
        ValueError: there is none.
    """
    if unit not in ORDERS:
        raise ValueError(f"unit must be one of {', '.join(ORDERS)}, got {unit!r}")
    return ORDERS[unit]


class Projection(nn.Module):
    """Option B: a 1x1 convolution, with batch norm where the branch ends in one."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


def _shortcut(option: str, inputs: int, outputs: int, stride: int, norm: bool) -> nn.Module | None:
    """What the input is added through where the shape changes; None where it does not.

    Raises:
        ValueError: `option` is neither "A" nor "B".
    """
    if option not in ("A", "B"):
        raise ValueError(f"shortcut must be A or B, got {option!r}")
    if stride == 1 and inputs == outputs:
        return None
    if option == "A":
        return ZeroPadShortcut(inputs, outputs, stride)
    return Projection(inputs, outputs, stride, norm)


class Unit(nn.Module):
    """(inputs, H, W) to (outputs, H / stride, W / stride); `rows` has the outputs, kernel and
    stride of each convolution. `shared` begins the shortcut after the activation even where the
    shape stays. Before the last convolution, after its activation, is a dropout of `p`."""

    def __init__(
        self, inputs: int, rows: tuple[tuple[int, int, int], ...], unit: str, option: str,
        shared: bool = False, p: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.order = order_of(unit)
        self.count = len(rows)
        outputs, stride = rows[-1][0], max(row[2] for row in rows)
        norm = self.order.projected_norm
        self.downsample = _shortcut(option, inputs, outputs, stride, norm)
        self.shared = shared or self.downsample is not None
        for i, (channels, kernel, step) in enumerate(rows, 1):
            normed = inputs if self.order.norm_first else channels
            setattr(self, f"norm{i}", nn.BatchNorm2d(normed))
            conv = nn.Conv2d(inputs, channels, kernel, step, kernel // 2, bias=False)
            setattr(self, f"conv{i}", conv)
            inputs = channels
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        convs = [getattr(self, f"conv{i}") for i in range(1, self.count + 1)]
        norms = [getattr(self, f"norm{i}") for i in range(1, self.count + 1)]
        y = x
        if self.order.norm_first:
            y = norms[0](x, activation="relu")
        elif self.order.pre:
            y = F.relu(x)
        added = y if self.shared else x
        if self.downsample is not None:
            added = self.downsample(added)
        between = norms[1:] if self.order.norm_first else norms[:-1]
        for conv, norm in zip(convs[:-1], between, strict=True):
            y = norm(conv(y), activation="relu")
        return self.order.end(convs[-1], norms[-1], self.dropout(y), added)


def basic(channels: int, stride: int, v1: bool = False) -> tuple[tuple[int, int, int], ...]:
    """The two 3x3 convolutions of a unit."""
    return (channels, 3, stride), (channels, 3, 1)


def bottleneck(channels: int, stride: int, v1: bool = False) -> tuple[tuple[int, int, int], ...]:
    """1x1 down to `channels`, 3x3, 1x1 up to four times as many; with `v1` the first has the
    stride, as in the paper's code, otherwise the second."""
    first, second = (stride, 1) if v1 else (1, stride)
    return (channels, 1, first), (channels, 3, second), (4 * channels, 1, 1)
