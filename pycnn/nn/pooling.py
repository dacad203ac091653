"""Pooling: maximum, mean, power mean and adaptive, in one and two dimensions."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..tensor import Tensor
from .arguments import at_least, ntuple, shown
from .module import Module


class _Window(Module):
    """A window's checked size, stride (by default the size) and padding.

    Padding may be at most half the window, so that no window lies in the padding alone."""

    _rank: int

    def __init__(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        at_least(kernel_size, 1, "kernel_size")
        at_least(stride, 1, "stride")
        at_least(padding, 0, "padding")
        sizes = ntuple(kernel_size, self._rank, "kernel_size")
        ntuple(stride, self._rank, "stride")
        for size, pad in zip(sizes, ntuple(padding, self._rank, "padding"), strict=True):
            if 2 * pad > size:
                raise RuntimeError(
                    f"padding must be at most half of kernel_size, but got {padding=} and "
                    f"{kernel_size=}"
                )
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding


class _MaxPool(_Window):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        at_least(dilation, 1, "dilation")
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _pool(self, function: Any, input: Tensor) -> Any:
        return function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return shown(self, "kernel_size", "stride", "padding", "dilation", "ceil_mode")


class MaxPool1d(_MaxPool):
    """Maximum over windows of (N, C, L); with `return_indices` also where each one was."""

    _rank = 1

    def forward(self, input: Tensor) -> Any:
        return self._pool(F.max_pool1d, input)


class MaxPool2d(_MaxPool):
    """Maximum over windows of (N, C, H, W); with `return_indices` also where each one was."""

    _rank = 2

    def forward(self, input: Tensor) -> Any:
        return self._pool(F.max_pool2d, input)


class MaxUnpool2d(_Window):
    """Puts maxima back where `indices` say they were, among zeros."""

    _rank = 2

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__(kernel_size, stride, padding)
        self.kernel_size = ntuple(kernel_size, 2, "kernel_size")
        self.stride = ntuple(self.stride, 2, "stride")
        self.padding = ntuple(padding, 2, "padding")

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return shown(self, "kernel_size", "stride", "padding")


class FixedUnpool2d(Module):
    """Puts every value into the top left corner of its own window, among zeros."""

    def __init__(self, kernel_size: Any) -> None:
        super().__init__()
        at_least(kernel_size, 1, "kernel_size")
        self.kernel_size = ntuple(kernel_size, 2, "kernel_size")

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return F.fixed_unpool2d(input, self.kernel_size, output_size)

    def extra_repr(self) -> str:
        return shown(self, "kernel_size")


class RoIPool(Module):
    """Maximum over `output_size` bins of each region of (N, C, H, W), as F.roi_pool."""

    def __init__(self, output_size: Any, spatial_scale: float) -> None:
        super().__init__()
        at_least(output_size, 1, "output_size")
        self.output_size = ntuple(output_size, 2, "output_size")
        self.spatial_scale = spatial_scale

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        return F.roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return shown(self, "output_size", "spatial_scale")


class AvgPool1d(_Window):
    """Mean over windows of (N, C, L)."""

    _rank = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.kernel_size = ntuple(kernel_size, 1, "kernel_size")
        self.stride = ntuple(self.stride, 1, "stride")
        self.padding = ntuple(padding, 1, "padding")
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return shown(self, "kernel_size", "stride", "padding")


class AvgPool2d(_Window):
    """Mean over windows of (N, C, H, W); `divisor_override` replaces the number of elements."""

    _rank = 2

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        if divisor_override == 0:
            raise ValueError("divisor_override must be not zero, but got 0")
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return shown(self, "kernel_size", "stride", "padding")


class _LPPool(Module):
    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        at_least(kernel_size, 1, "kernel_size")
        at_least(kernel_size if stride is None else stride, 1, "stride")
        if norm_type == 0:
            raise ValueError("norm_type must be not zero, but got 0")
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return shown(self, "norm_type", "kernel_size", "stride", "ceil_mode")


class LPPool1d(_LPPool):
    """The `norm_type`-norm of each window of (N, C, L)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool2d(_LPPool):
    """The `norm_type`-norm of each window of (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class _Adaptive(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        at_least(output_size, 0, "output_size")
        self.output_size = output_size

    def extra_repr(self) -> str:
        return shown(self, "output_size")


class AdaptiveAvgPool1d(_Adaptive):
    """Mean over as many windows as `output_size` says."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """Mean over as many windows as `output_size` says; None keeps an axis as it is."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maximum over as many windows as `output_size` says."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maximum over as many windows as `output_size` says; None keeps an axis as it is."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
