"""Initialisers: each fills a tensor in place, unrecorded, and returns it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .. import random
from ..autograd import no_grad
from ..creation import tensor as make_tensor
from ..tensor import Tensor

_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights grow to keep the variance through `nonlinearity`.

    `param` is leaky_relu's negative slope (0.01). ValueError for a name that is not known."""
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed one output, and the reverse, for a weight (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def _fan(tensor: Tensor, mode: str) -> int:
    modes = ("fan_in", "fan_out")
    if mode.lower() not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {modes}")
    return _calculate_fan_in_and_fan_out(tensor)[modes.index(mode.lower())]


Initialiser = Callable[..., Tensor]


def _unrecorded(fill: Initialiser) -> Initialiser:
    """Runs an initialiser under no_grad; one of an empty tensor only warns."""

    @wraps(fill)
    def wrapped(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if 0 in tensor.shape:
            warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
            return tensor
        with no_grad():
            fill(tensor, *args, **kwargs)
        return tensor

    return wrapped


@_unrecorded
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    return tensor.uniform_(a, b)


@_unrecorded
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return tensor.normal_(mean, std)


@_unrecorded
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
) -> Tensor:
    """Normal with the given mean and standard deviation, restricted to [a, b]."""
    if not a < b or std <= 0:
        raise ValueError(f"trunc_normal_ needs a < b and std > 0, but got {a=}, {b=}, {std=}")
    drawn = _truncated_normal(
        random.generator(),
        math.prod(tensor.shape),
        (a - mean) / std,
        (b - mean) / std,
    )
    # mean + std * x may round to just outside of the interval
    return _assign(tensor, np.clip(mean + std * drawn.reshape(tensor.shape), a, b))


def _truncated_normal(generator: Any, count: int, low: float, high: float) -> np.ndarray:
    """`count` draws of the standard normal restricted to [low, high], by rejection.

    Proposals are normal or uniform, whichever is accepted more often. In a tail the interval is
    cut where the density is below exp(-40) of its peak."""
    peak = min(max(low, 0.0), high)
    width = 40.0 / max(abs(peak), 4.0)
    low, high = max(low, peak - width), min(high, peak + width)
    inside = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    by_normal = inside > (high - low) * math.exp(-(peak**2) / 2) / math.sqrt(2 * math.pi)
    by_normal = inside >= 0.5 or (by_normal and inside > 0.1)
    result = np.empty(count)
    done = 0
    while done < count:
        if by_normal:
            drawn = generator.standard_normal(count - done)
            drawn = drawn[(drawn >= low) & (drawn <= high)]
        else:
            drawn = generator.uniform(low, high, count - done)
            kept = generator.uniform(0.0, 1.0, count - done)
            drawn = drawn[kept < np.exp((peak**2 - drawn**2) / 2)]
        result[done : done + len(drawn)] = drawn
        done += len(drawn)
    return result


@_unrecorded
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return constant_(tensor, 0.0)


def _assign(tensor: Tensor, values: np.ndarray) -> Tensor:
    """Copy host values into `tensor`, converted to its dtype and device."""
    return tensor.copy_(make_tensor(values, device=tensor.device))


@_unrecorded
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _assign(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


@_unrecorded
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight that passes each of the first channels of every group unchanged."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    out, channels = tensor.shape[:2]
    if out % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(tensor.shape)
    centre = tuple(size // 2 for size in tensor.shape[2:])
    per_group = out // groups
    for group in range(groups):
        for channel in range(min(per_group, channels)):
            values[(group * per_group + channel, channel, *centre)] = 1
    return _assign(tensor, values)


@_unrecorded
def bilinear_(tensor: Tensor) -> Tensor:
    """A transposed convolution's weight that interpolates bilinearly, channel by channel.

    The shape is (channels, channels, R, S), or (channels, 1, R, S) with as many groups; a kernel
    of 2 * f - f % 2 suits the stride f. ValueError for another shape."""
    channels = tensor.shape[0] if tensor.ndim == 4 else 0
    if tensor.ndim != 4 or tensor.shape[1] not in (1, channels):
        raise ValueError(
            "bilinear_ needs a tensor of shape (channels, channels or 1, R, S), "
            f"but got {tensor.shape}"
        )
    taps = []
    for size in tensor.shape[2:]:
        factor = math.ceil(size / 2)
        centre = (size - 1) / 2
        taps.append(1 - np.abs(np.arange(size) - centre) / factor)
    values = np.zeros(tensor.shape)
    index = np.arange(channels)
    values[index, index if tensor.shape[1] > 1 else 0] = np.outer(*taps)
    return _assign(tensor, values)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010."""
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out))."""
    std = gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return normal_(tensor, 0.0, std)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan). He et al. 2015; `a` is leaky_relu's negative slope."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan); see kaiming_uniform_."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


@_unrecorded
def orthogonal_(tensor: Tensor, gain: float = 1) -> Tensor:
    """`gain` times a random matrix with orthonormal rows or columns, axes 1 and up as one."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    drawn = random.generator().standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    return _assign(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


def uniform_bias_(bias: Tensor | None, weight: Tensor) -> None:
    """The default of a layer's bias: uniform in +-1 / sqrt(fan_in of its weight)."""
    if bias is not None and 0 not in bias.shape:
        fan_in, _ = _calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        uniform_(bias, -bound, bound)
