"""Normalisation: batch, instance, group, layer, root-mean-square, and local response.

Batch normalisation is the four batch_norm primitives. Instance, group and layer normalisation are
the same primitives on an input reshaped so that the numbers normalised together are a channel.
Ioffe and Szegedy 2015, arXiv:1502.03167; Ulyanov et al. 2016, arXiv:1607.08022; Wu and He 2018,
arXiv:1803.08494; Ba et al. 2016, arXiv:1607.06450; Zhang and Sennrich 2019, arXiv:1910.07467.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function, is_grad_enabled, no_grad
from ..dispatch import Epilogue, run, run_array
from ..geometry import (
    BatchNormGeometry,
    LocalResponseNormGeometry,
    batch_norm_geometry,
    elementwise_geometry,
    integers,
)
from ..tensor import Tensor
from . import activation as activations
from ._common import check_tensor
from .conv import activation_gradient

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rms_norm",
]


class BatchNorm(Function):
    """y = activation((x - mean) * invstd * weight + bias + residual), per channel.

    In training mean and variance are the batch's, through which the gradient flows, and the running
    ones move towards them; else they are the running ones, constants.

    Where y is a ReLU's and no residual was added, it is not retained: the kernels of the gradient
    compute its sign again from x, which they read anyway."""

    geometry: BatchNormGeometry
    training: bool
    momentum: float
    eps: float
    activation: str | None
    parameter_dtype: np.dtype  # weight's and bias's
    recomputes: bool

    def forward(
        self,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        residual: Array | None,
        running_mean: Array | None,
        running_var: Array | None,
    ) -> Array:
        g = self.geometry
        image = as_image(x)
        invstd, *sums = channels(x, g.C, 3 if self.training else 1)
        if self.training:
            mean, m2 = run("batch_norm_stats", image, out=tuple(sums), geometry=g)
            count = max(g.N * g.size, 1)
            if running_mean is not None and running_var is not None and x.size:
                self._update(running_mean, mean, 1.0)
                self._update(running_var, m2, count - 1.0)
        else:
            mean, m2, count = running_mean, running_var, 1
        to_invstd = elementwise_geometry("invstd", (float(count), self.eps))
        run("elementwise", m2, out=invstd, geometry=to_invstd)
        epilogue = None
        if residual is not None or self.activation is not None:
            added = None if residual is None else as_image(residual)
            epilogue = Epilogue(residual=added, activation=self.activation)
        y = array.empty_for((x,), x.shape, x.dtype)
        run(
            "batch_norm_apply", image, mean, invstd, weight, bias,
            out=as_image(y), geometry=g, epilogue=epilogue,
        )  # fmt: skip
        if self.recording:
            self.recomputes = self.activation == "relu" and residual is None
            saved = y if self.activation and not self.recomputes else None
            self.retain(x, mean, invstd, weight, bias if self.recomputes else None, saved)
        return y

    def _update(self, running: Array, new: Array, divisor: float) -> None:
        geometry = elementwise_geometry("running_update", (self.momentum, divisor))
        wide = running.astype(new.dtype, copy=False)
        moved = run("elementwise", wide, new, out=array.empty_like(new), geometry=geometry)
        running[...] = moved

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        x, mean, invstd, weight, bias, y = self.retained
        g = self.geometry
        dx = sum_dy = sum_dy_xhat = None
        if self.recomputes:
            g = batch_norm_geometry((g.N, g.C, g.size), True)
        else:
            dy = activation_gradient(dy, y, self.activation)
        image, gradient = as_image(x), as_image(dy)
        through_statistics = self.training and self.wants[0]
        if through_statistics or self.wants[1] or self.wants[2]:
            sums = channels(x, g.C, 2)
            run(
                "batch_norm_reduce", gradient, image, mean, invstd, weight, bias,
                out=sums, geometry=g,
            )  # fmt: skip
            sum_dy, sum_dy_xhat = sums
        if self.wants[0]:
            dx = array.empty_for((x,), x.shape, dy.dtype)
            sums = (sum_dy, sum_dy_xhat) if self.training else (None, None)
            run(
                "batch_norm_dgrad", gradient, image, mean, invstd, weight, bias, *sums,
                out=as_image(dx), geometry=g,
            )  # fmt: skip
        return (
            dx,
            _cast(sum_dy_xhat, self.parameter_dtype) if self.wants[1] else None,
            _cast(sum_dy, self.parameter_dtype) if self.wants[2] else None,
            dy if self.wants[3] else None,
            None,
            None,
        )


def as_image(a: Array) -> Array:
    """(N, C, *) as (N, C, H, W): a view, or a copy where the last axes do not merge."""
    if a.ndim == 4:
        return a
    if a.ndim < 4:
        return a[(slice(None), slice(None), *(None,) * (4 - a.ndim))]
    n, c, h, *rest = a.shape
    return a.reshape(n, c, h, math.prod(rest))


def channels(x: Array, count: int, arrays: int) -> tuple[Array, ...]:
    """Uninitialised arrays of a number per channel, in x's accumulation dtype."""
    dtype, device = dtypes.accumulation_dtype(x.dtype), array.device_of(x)
    return tuple([array.empty((count,), dtype, device=device) for _ in range(arrays)])


def _cast(a: Array, dtype: np.dtype) -> Array:
    return a if a.dtype == dtype else run_array("cast", a.astype, dtype)


def _normalised(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
    residual: Tensor | None = None,
    provider: str | None = None,
    algorithm: str | None = None,
) -> Tensor:
    """BatchNorm on checked arguments; the running statistics are noted as edited."""
    parameter = weight if weight is not None else bias if bias is not None else input
    function = BatchNorm(
        geometry=batch_norm_geometry(input.shape),
        training=bool(training),
        momentum=float(momentum),
        eps=float(eps),
        activation=activation,
        parameter_dtype=parameter.dtype,
        provider=provider,
        algorithm=algorithm,
    )
    y = function(input, weight, bias, residual, running_mean, running_var)
    if training:
        for statistic in (running_mean, running_var):
            if statistic is not None:
                statistic.edited(None)
    return y


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
    residual: Tensor | None = None,
    provider: str | None = None,
    algorithm: str | None = None,
) -> Tensor:
    """y = act((x - mean) / sqrt(var + eps) * weight + bias + residual), per channel.

    In training mean and variance (biased) are those of the batch, and the running ones are moved in
    place: running = (1 - momentum) * running + momentum * batch, with the unbiased variance. Else
    they are the running ones.

    Args:
        input: (N, C, *), floating point.
        running_mean, running_var: (C,), or both None in training.
        weight, bias: (C,) or None. These four share a dtype: input's, or float32 where input is
            a half.
        activation: applied last, inside the kernel where its derivative allows; a name of
            dispatch.ACTIVATIONS.
        residual: added before the activation; of input's shape and dtype.
        provider, algorithm: the kernels to run, or raise; by default dispatch chooses.
    Returns:
        input's shape, dtype and memory format. An empty batch leaves the running statistics alone.
    Raises:
        TypeError: an argument of the wrong type.
        ValueError: one value per channel in training, an eps out of range, one running statistic
            without the other.
        RuntimeError: sizes or dtypes that do not fit; NotImplementedError for integers.
    """
    op = "batch_norm"
    check_tensor(input, "input", op)
    if input.shape == (0,):  # no image of no channel, as torch has it
        input = input.reshape(0, 0)
        own = (running_mean, running_var, weight, bias)
        return batch_norm(input, *own, training, momentum, eps).reshape(0)
    _check_channels(op, input)
    if training:
        _check_count(input.shape, input.shape[0] * math.prod(input.shape[2:]))
    if eps < 0 or (training and eps == 0):
        wanted = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {wanted}, but got {eps}")
    if not isinstance(momentum, (int, float)):
        raise TypeError(f"{op}(): argument 'momentum' must be float, not {type(momentum).__name__}")
    _check_running(running_mean, running_var, training)
    _check_per_channel(
        op, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if residual is not None:
        check_tensor(residual, "residual", op)
        if residual.shape != input.shape or residual.dtype != input.dtype:
            raise RuntimeError(
                f"{op}(): residual: got {residual.dtype} of size {list(residual.shape)}, "
                f"expected input's {input.dtype} of size {list(input.shape)}"
            )
    after = None
    if activation is not None:
        activations.check_activation(activation)
        operands = (input, weight, bias, residual)
        recording = is_grad_enabled() and any(t is not None and t.requires_grad for t in operands)
        if recording and activations.SAVES[activation] != "y":
            # its derivative needs what the fused kernel does not store
            activation, after = None, activation
    y = _normalised(
        input, running_mean, running_var, weight, bias, training, momentum, eps,
        activation, residual, provider, algorithm,
    )  # fmt: skip
    return y if after is None else activations.apply_activation(after, y)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """batch_norm of each image by itself: mean and variance over the spatial positions of (n, c).

    Args:
        input: (N, C, *) with at least one spatial dimension where use_input_stats.
        running_mean, running_var: (C,), or both None; moved towards the average over the images'
            statistics.
        weight, bias: (C,) or None.
        use_input_stats: normalise by the input's statistics; else by the running ones.
    Raises:
        ValueError: one spatial element in training, one running statistic without the other.
        RuntimeError: sizes or dtypes that do not fit; NotImplementedError for integers.
    """
    op = "instance_norm"
    check_tensor(input, "input", op)
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            "Expected more than 1 spatial element when training, "
            f"got input size {list(input.shape)}"
        )
    _check_channels(op, input)
    _check_running(running_mean, running_var, use_input_stats)
    _check_per_channel(
        op, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    images, count = input.shape[:2]

    def per_image(t: Tensor | None) -> Tensor | None:
        return None if t is None else t.unsqueeze(0).expand(images, count).reshape(images * count)

    with no_grad():
        mean = None if running_mean is None else per_image(running_mean.clone())
        var = None if running_var is None else per_image(running_var.clone())
    flat = input.reshape(1, images * count, *input.shape[2:])
    y = _normalised(
        flat, mean, var, per_image(weight), per_image(bias), use_input_stats, momentum, eps
    )
    if use_input_stats and input.numel():
        with no_grad():
            for running, moved in ((running_mean, mean), (running_var, var)):
                if running is not None and moved is not None:
                    running.copy_(moved.reshape(images, count).mean(0))
    return y.reshape(input.shape)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, each image's channels taken in groups.

    Mean and variance are those of a group's C/num_groups channels.

    Args:
        input: (N, C, *).
        num_groups: a divisor of C.
        weight, bias: (C,) or None; of input's dtype, or float32 where that is a half.
    Raises:
        TypeError: num_groups is no int.
        ValueError: one value per group.
        RuntimeError: sizes or dtypes that do not fit; NotImplementedError for integers.
    """
    op = "group_norm"
    check_tensor(input, "input", op)
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    (groups,) = integers(num_groups, 1, "num_groups", 0, op)
    if not groups:
        raise ZeroDivisionError(f"{op}(): num_groups: got 0, expected a divisor of the channels")
    images, count, *spatial = input.shape
    if count % groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, "
            f"but got input of shape {list(input.shape)} and num_groups={groups}"
        )
    size = count // groups * math.prod(spatial)
    _check_count(input.shape, images * size)
    _check_per_channel(op, input, weight=weight, bias=bias)
    shape = (count, *(1,) * len(spatial))
    y = _normalised_rows(input, images * groups, size, weight, bias, shape, eps)
    if array.memory_format(input._data) == array.channels_last:
        y = y.contiguous(memory_format=array.channels_last)
    return y


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias; statistics over the last dimensions.

    Args:
        input: (*, *normalized_shape).
        normalized_shape: the sizes of the dimensions normalised together.
        weight, bias: of normalized_shape, or None; of input's dtype, or float32 where that is
            a half.
    Raises:
        TypeError: normalized_shape is no sequence of ints.
        RuntimeError: shapes or dtypes that do not fit; NotImplementedError for integers.
    """
    shape = _trailing_shape("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    rows = math.prod(input.shape[: input.ndim - len(shape)])
    return _normalised_rows(input, rows, math.prod(shape), weight, bias, shape, eps)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean of x^2 over the last dimensions + eps) * weight.

    Args:
        input: (*, *normalized_shape).
        weight: of normalized_shape, or None.
        eps: by default the spacing of input's accumulation dtype at 1.
    Raises:
        TypeError: normalized_shape is no sequence of ints.
        RuntimeError: shapes or dtypes that do not fit; NotImplementedError for integers.
    """
    shape = _trailing_shape("rms_norm", input, normalized_shape, weight=weight)
    dtype = dtypes.accumulation_dtype(input.dtype)
    x = input.to(dtype)
    axes = tuple(range(input.ndim - len(shape), input.ndim))
    mean_square = (x * x).mean(axes, keepdim=True)
    y = x * (mean_square + float(np.finfo(dtype).eps if eps is None else eps)).rsqrt()
    return (y if weight is None else y * weight.to(dtype)).to(input.dtype)


def _normalised_rows(
    input: Tensor,
    rows: int,
    size: int,
    weight: Tensor | None,
    bias: Tensor | None,
    shape: tuple[int, ...],
    eps: float,
) -> Tensor:
    """Each of `rows` runs of `size` numbers normalised; then weight and bias in `shape`."""
    affine = weight is not None or bias is not None
    # a half is rounded once, at the end
    x = input.to(dtypes.accumulation_dtype(input.dtype)) if affine else input
    y = _normalised(x.reshape(1, rows, 1, size), eps=eps).reshape(input.shape)
    if weight is not None:
        y = y * weight.to(y.dtype).reshape(shape)
    if bias is not None:
        y = y + bias.to(y.dtype).reshape(shape)
    return y.to(input.dtype)


# --- local response -------------------------------------------------------------------------------


class LocalResponseNorm(Function):
    """y = x / (k + alpha/size * sum of the neighbours' squares)^beta."""

    geometry: LocalResponseNormGeometry

    def forward(self, x: Array) -> Array:
        y = array.empty_for((x,), x.shape, x.dtype)
        run("local_response_norm_fprop", x, out=y, geometry=self.geometry)
        if self.recording:
            self.retain(x, y)
        return y

    def backward(self, dy: Array) -> Array:
        x, y = self.retained
        dx = array.empty_for((x,), x.shape, dy.dtype)
        return run("local_response_norm_dgrad", dy, x, y, out=dx, geometry=self.geometry)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """y[c] = x[c] / (k + alpha/size * sum of x[j]^2)^beta over the channels j around c.

    There are `size` of them, size//2 before c. Krizhevsky, Sutskever and Hinton 2012, section 3.3.

    Args:
        input: (N, C, *) with at least one spatial dimension; floating point.
        size: a positive number of channels; those outside [0, C) count as zero.
    Raises:
        TypeError: size is no int.
        ValueError: fewer than 3 dimensions.
        RuntimeError: size below 1; NotImplementedError for integers.
    """
    op = "local_response_norm"
    check_tensor(input, "input", op)
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    _check_supported(op, input)
    (size,) = integers(size, 1, "size", 1, op)
    geometry = LocalResponseNormGeometry(size, float(alpha), float(beta), float(k))
    return LocalResponseNorm(geometry=geometry)(input)


# --- argument checks ------------------------------------------------------------------------------


def _check_supported(op: str, input: Tensor) -> None:
    if input.dtype not in dtypes.FLOATING:
        raise NotImplementedError(f'"{op}" not implemented for {input.dtype}')


def _check_channels(op: str, input: Tensor) -> None:
    if input.ndim < 2:
        raise RuntimeError(
            f"{op}(): input: expected at least 2 dimensions, got size {list(input.shape)}"
        )


def _check_count(shape: Sequence[int], count: int) -> None:
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {list(shape)}"
        )


def _check_running(mean: Tensor | None, var: Tensor | None, training: bool) -> None:
    """Both or neither; and both where they are what is normalised by."""
    if not training:
        for name, t in (("running_mean", mean), ("running_var", var)):
            if t is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    elif (mean is None) != (var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")


def _check_per_channel(op: str, input: Tensor, **parameters: Tensor | None) -> None:
    """RuntimeError unless every parameter is (C,) and of a dtype that goes with input's."""
    for name, t in parameters.items():
        if t is not None:
            check_tensor(t, name, op)
            if t.shape != (input.shape[1],):
                raise RuntimeError(
                    f"{op}(): {name} should contain {input.shape[1]} elements, "
                    f"got size {list(t.shape)}"
                )
    _check_dtypes(op, input, **parameters)


def _check_dtypes(op: str, input: Tensor, **parameters: Tensor | None) -> None:
    """One dtype for the parameters: input's, or float32 where that is a half. One device."""
    _check_supported(op, input)
    found = {name: t for name, t in parameters.items() if t is not None}
    array.xp(input._data, *(t._data for t in found.values()))
    wanted = next((t.dtype for t in found.values()), input.dtype)
    if wanted not in (input.dtype, dtypes.accumulation_dtype(input.dtype)):
        wanted = input.dtype
    for name, t in found.items():
        if t.dtype != wanted:
            raise RuntimeError(
                f"{op}(): mixed dtype: {name} is {t.dtype}, "
                f"expected {wanted} with an input of {input.dtype}"
            )


def _trailing_shape(
    op: str, input: Tensor, normalized_shape: Any, **parameters: Tensor | None
) -> tuple[int, ...]:
    """normalized_shape, checked against the input's last dimensions and the parameters."""
    check_tensor(input, "input", op)
    if not isinstance(normalized_shape, (tuple, list)):
        kind = type(normalized_shape).__name__
        raise TypeError(f"{op}(): argument 'normalized_shape' must be tuple of ints, not {kind}")
    shape = tuple(integers(size, 1, "normalized_shape", 0, op)[0] for size in normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, t in parameters.items():
        if t is not None:
            check_tensor(t, name, op)
            if t.shape != shape:
                raise RuntimeError(
                    f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                    f"shape {list(t.shape)} and normalized_shape = {list(shape)}"
                )
    if input.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {str(list(shape))[1:-1]}], but got input of size{list(input.shape)}"
        )
    if op == "layer_norm":
        _check_dtypes(op, input, **parameters)
    else:
        _check_supported(op, input)
    return shape
