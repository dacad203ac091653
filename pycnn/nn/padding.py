"""Padding with zeros, a constant, a reflection, the edge, or the other side."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..tensor import Tensor
from .arguments import ntuple, shown
from .module import Module


class _Pad(Module):
    """`padding` is one number or (left, right) or (left, right, top, bottom); below 0 crops."""

    _rank: int
    _mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self._rank, "padding")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, mode=self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, mode="constant", value=self.value)

    def extra_repr(self) -> str:
        return shown(self, "padding", "value")


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """Puts `value` around the last axis."""

    _rank = 1


class ConstantPad2d(_ConstantPad):
    """Puts `value` around the last two axes."""

    _rank = 2


class ZeroPad1d(_ZeroPad):
    """Puts zeros around the last axis."""

    _rank = 1


class ZeroPad2d(_ZeroPad):
    """Puts zeros around the last two axes."""

    _rank = 2


class ReflectionPad1d(_Pad):
    """Mirrors the last axis at its end elements, which are not repeated."""

    _rank, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirrors the last two axes at their end elements, which are not repeated."""

    _rank, _mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the end elements of the last axis."""

    _rank, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the end elements of the last two axes."""

    _rank, _mode = 2, "replicate"


class _CircularPad(_Pad):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        low, high = self._rank + 1, self._rank + 2
        if input.ndim not in (low, high):
            raise ValueError(f"expected {low}D or {high}D input (got {input.ndim}D input)")
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """Continues the last axis from its other side."""

    _rank = 1


class CircularPad2d(_CircularPad):
    """Continues the last two axes from their other sides."""

    _rank = 2
