"""Normalisation: batch, instance, group, layer and local response."""

from __future__ import annotations

import warnings
from typing import Any

from .. import functional as F
from ..creation import empty, tensor
from ..tensor import Tensor
from . import init
from .arguments import at_least, shown
from .module import Module
from .parameter import uninitialised


def _add_affine(
    module: Module, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any
) -> None:
    """Register `weight` and `bias` of the given shape, each a Parameter or None."""
    for name, wanted in (("weight", weight), ("bias", bias)):
        parameter = uninitialised(shape, device, dtype) if wanted else None
        module.register_parameter(name, parameter)


def _reset_affine(module: Module) -> None:
    """Weight 1, bias 0."""
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)


class _Norm(Module):
    """Arguments, parameters and running statistics of the batch and instance norms."""

    _optional_state = frozenset({"num_batches_tracked"})
    _dims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        at_least(num_features, 0, "num_features")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        _add_affine(self, (num_features,), affine, affine and bias, device, dtype)
        statistics: dict[str, Tensor | None] = dict.fromkeys(
            ("running_mean", "running_var", "num_batches_tracked")
        )
        if track_running_stats:
            device = "cpu" if device is None else device
            for name in ("running_mean", "running_var"):
                statistics[name] = empty((num_features,), dtype=dtype, device=device)
            statistics["num_batches_tracked"] = tensor(0, dtype="int64", device=device)
        for name, value in statistics.items():
            self.register_buffer(name, value)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and running statistics as new."""
        self.reset_running_stats()
        _reset_affine(self)

    def _check_dims(self, input: Tensor) -> None:
        if input.ndim not in self._dims:
            expected = " or ".join(f"{dims}D" for dims in self._dims)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Norm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def _normalize(self, input: Tensor, **fused: Any) -> Tensor:
        self._check_dims(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked.item())
        untracked = self.running_mean is None and self.running_var is None
        statistics = (self.running_mean, self.running_var)
        if self.training and not self.track_running_stats:
            statistics = (None, None)
        return F.batch_norm(
            input,
            *statistics,
            self.weight,
            self.bias,
            self.training or untracked,
            momentum,
            self.eps,
            **fused,
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each channel of (N, C) or (N, C, L) over all the other axes.

    In training it uses the batch's mean and variance and moves the running ones by `momentum`
    (None: a cumulative average); in evaluation it uses the running ones, if it tracks them."""

    _dims = (2, 3)

    def forward(self, input: Tensor) -> Tensor:
        return self._normalize(input)


class BatchNorm2d(_BatchNorm):
    """Normalises each channel of (N, C, H, W) over all the other axes; see BatchNorm1d.

    forward takes `activation` (a name such as "relu") and `residual` (a tensor of the input's
    shape, added before the activation), which run inside the normalisation's kernel."""

    _dims = (4,)

    def forward(
        self, input: Tensor, *, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        return self._normalize(input, activation=activation, residual=residual)


class _InstanceNorm(_Norm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_dims(input)
        single = input.ndim == self._dims[0]
        dim = 0 if single else 1
        if input.shape[dim] != self.num_features:
            problem = f"input's size at dim={dim} to match num_features ({self.num_features})"
            if self.affine:
                raise ValueError(f"expected {problem}, but got: {input.shape[dim]}.")
            warnings.warn(
                f"expected {problem}, which is not used because affine=False", stacklevel=3
            )
        if single:
            return self._normalize(input.unsqueeze(0)).squeeze(0)
        return self._normalize(input)

    def _normalize(self, input: Tensor) -> Tensor:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each example of (N, C, L), or of one (C, L), over L."""

    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each example of (N, C, H, W), or of one (C, H, W), over H, W."""

    _dims = (3, 4)


class GroupNorm(Module):
    """Normalises each group of channels of each example of (N, C, ...) over the group."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        at_least(num_groups, 1, "num_groups")
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        _add_affine(self, (num_channels,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LayerNorm(Module):
    """Normalises over the last axes, whose sizes are `normalized_shape` (an int: one axis)."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        at_least(normalized_shape, 0, "normalized_shape")
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        affine = elementwise_affine
        _add_affine(self, self.normalized_shape, affine, affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divides each element by a power of the squares in `size` channels around it (AlexNet)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        at_least(size, 1, "size")
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, " + shown(self, "alpha", "beta", "k")
