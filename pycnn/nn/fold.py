"""Unfold and Fold: patches of an image as columns, and columns summed back into an image."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..tensor import Tensor
from .arguments import at_least, shown
from .module import Module


class Unfold(Module):
    """(N, C, H, W) -> (N, C * R * S, number of patches)."""

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        _check(kernel_size, dilation, padding, stride)
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return shown(self, "kernel_size", "dilation", "padding", "stride")


class Fold(Module):
    """(N, C * R * S, number of patches) -> (N, C, H, W), overlapping patches summed."""

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        at_least(output_size, 1, "output_size")
        _check(kernel_size, dilation, padding, stride)
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return shown(self, "output_size", "kernel_size", "dilation", "padding", "stride")


def _check(kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> None:
    at_least(kernel_size, 1, "kernel_size")
    at_least(dilation, 1, "dilation")
    at_least(padding, 0, "padding")
    at_least(stride, 1, "stride")
