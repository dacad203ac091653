"""Rearrangements of channels and pixels: pixel_shuffle, its inverse, channel_shuffle."""

from __future__ import annotations

from typing import Any

from .. import array
from ..array import Array
from ..dispatch import run_array
from ..tensor import Function, Tensor
from ._common import check_tensor

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


class PixelShuffle(Function):
    """y[..., c, h*r + i, w*r + j] = x[..., c*r*r + i*r + j, h, w]; `inverse` exchanges x and y."""

    factor: int
    inverse = False

    def forward(self, x: Array) -> Array:
        return self.move(x, self.inverse)

    def backward(self, dy: Array) -> Array:
        return self.move(dy, not self.inverse)

    def move(self, x: Array, inverse: bool) -> Array:
        r = self.factor
        *lead, c, h, w = x.shape
        shape = (
            (*lead, c * r * r, h // r, w // r) if inverse else (*lead, c // (r * r), h * r, w * r)
        )
        y = array.empty_for((x,), shape, x.dtype)
        few, many = (x, y) if inverse else (y, x)
        run_array("pixel_shuffle", self.copy, few, many, inverse)
        return y

    def copy(self, few: Array, many: Array, inverse: bool) -> None:
        """Between (*, C, H*r, W*r) and (*, C*r*r, H, W). Splitting an axis is always a view."""
        r = self.factor
        *lead, c, h, w = few.shape
        n = len(lead)
        few = few.reshape((*lead, c, h // r, r, w // r, r))
        many = many.reshape((*lead, c, r, r, h // r, w // r))
        many = many.transpose((*range(n + 1), n + 3, n + 1, n + 4, n + 2))
        if inverse:
            many[...] = few
        else:
            few[...] = many


def _positive(value: Any, name: str, op: str) -> int:
    if isinstance(value, (bool, float, str)) or not hasattr(value, "__index__"):
        raise TypeError(f"{op}(): argument '{name}' must be int, got {value!r}")
    number = int(value.__index__())
    if number < 1:
        raise RuntimeError(f"{op} expects a positive {name}, but got {number}")
    return number


def _check_image(input: Any, op: str) -> None:
    check_tensor(input, "input", op)
    if input.ndim < 3:
        raise RuntimeError(
            f"{op} expects input to have at least 3 dimensions, but got input with {input.ndim} "
            "dimension(s)"
        )


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C * r * r, H, W) -> (*, C, H * r, W * r), r the upscale_factor; every dtype. RuntimeError
    where r*r does not divide the channels. Shi et al. 2016, arXiv:1609.05158."""
    _check_image(input, "pixel_shuffle")
    r = _positive(upscale_factor, "upscale_factor", "pixel_shuffle")
    if input.shape[-3] % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={input.shape[-3]} is not divisible by {r * r}"
        )
    return PixelShuffle(factor=r)(input)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H * r, W * r) -> (*, C * r * r, H, W), r the downscale_factor: the inverse of
    pixel_shuffle.

    RuntimeError where r does not divide height and width."""
    _check_image(input, "pixel_unshuffle")
    r = _positive(downscale_factor, "downscale_factor", "pixel_unshuffle")
    for axis, name in ((-2, "height"), (-1, "width")):
        if input.shape[axis] % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, "
                f"but input.size({axis})={input.shape[axis]} is not divisible by {r}"
            )
    return PixelShuffle(factor=r, inverse=True)(input)


class ChannelShuffle(Function):
    """y[:, k*G + g] = x[:, g*(C/G) + k]; its adjoint is the shuffle with C/G groups."""

    groups: int

    def forward(self, x: Array) -> Array:
        return run_array("channel_shuffle", self.shuffle, x, self.groups)

    def backward(self, dy: Array) -> Array:
        return run_array("channel_shuffle", self.shuffle, dy, dy.shape[1] // self.groups)

    def shuffle(self, x: Array, groups: int) -> Array:
        n, c, *rest = x.shape
        y = array.empty_for((x,), x.shape, x.dtype)
        if c:
            # splitting an axis is always a view
            y.reshape((n, c // groups, groups, *rest))[...] = x.reshape(
                (n, groups, c // groups, *rest)
            ).swapaxes(1, 2)
        return y


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, *): the channels of `groups` groups interleaved; every dtype. RuntimeError where
    groups does not divide C, or without spatial axes. Zhang et al. 2018, arXiv:1707.01083."""
    check_tensor(input, "input", "channel_shuffle")
    if input.ndim < 3:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    number = _positive(groups, "groups", "channel_shuffle")
    if input.shape[1] % number:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {input.shape[1]} channels and "
            f"{number} groups."
        )
    return ChannelShuffle(groups=number)(input)
