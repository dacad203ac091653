"""unfold and fold: the patches of an image as columns, and columns summed back into an image."""

from __future__ import annotations

from typing import Any

from .. import array
from ..array import Array
from ..dispatch import run
from ..dtypes import bool_
from ..geometry import LIMIT, Conv2dGeometry
from ..tensor import Function, Tensor
from ._common import DimensionError, check_floating, check_tensor

__all__ = ["fold", "unfold"]


class Unfold(Function):
    """columns = the patches of x, a batch of images; `geometry`'s K and G play no part."""

    geometry: Conv2dGeometry

    def forward(self, x: Array) -> Array:
        return _columns(x, self.geometry)

    def backward(self, dcolumns: Array) -> Array:
        return _images(dcolumns, self.geometry)


class Fold(Function):
    """x = columns summed where they came from: the adjoint of Unfold."""

    geometry: Conv2dGeometry

    def forward(self, columns: Array) -> Array:
        return _images(columns, self.geometry)

    def backward(self, dx: Array) -> Array:
        return _columns(dx, self.geometry)


def _columns(x: Array, g: Conv2dGeometry) -> Array:
    """(N,C,H,W) or (C,H,W) -> (N, C*R*S, P*Q) or (C*R*S, P*Q)."""
    lead = x.shape[:-3]
    out = array.empty((*lead, g.C * g.R * g.S, g.P * g.Q), x.dtype, device=array.device_of(x))
    run("im2col", x if lead else x[None], out=out if lead else out[None], geometry=g)
    return out


def _images(columns: Array, g: Conv2dGeometry) -> Array:
    lead = columns.shape[:-2]
    out = array.empty((*lead, g.C, g.H, g.W), columns.dtype, device=array.device_of(columns))
    run("col2im", columns if lead else columns[None], out=out if lead else out[None], geometry=g)
    return out


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Patches as columns: (N,C,H,W) -> (N, C*R*S, P*Q), (C,H,W) -> (C*R*S, P*Q); floating dtypes
    and bool.

    Zeros lie outside the image. RuntimeError for impossible sizes."""
    check_tensor(input, "input", "unfold")
    if input.dtype != bool_:
        check_floating(input, "input", "unfold")
    r_s, steps, pads, gaps = _arguments("unfold", kernel_size, stride, padding, dilation)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        raise DimensionError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    batch = input.shape[0] if input.ndim == 4 else 1
    g = _geometry("unfold", batch, input.shape[-3], input.shape[-2:], r_s, steps, pads, gaps)
    return Unfold(geometry=g)(input)


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns summed into images of `output_size` (H, W): (N, C*R*S, P*Q) -> (N,C,H,W), unbatched
    likewise.

    Floating dtypes and bool. RuntimeError where the columns do not fit the sizes."""
    check_tensor(input, "input", "fold")
    if input.dtype != bool_:
        check_floating(input, "input", "fold")
    size = _pair(output_size, "output_size", "fold", 0)
    r_s, steps, pads, gaps = _arguments("fold", kernel_size, stride, padding, dilation)
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    rows, columns = input.shape[-2:]
    taps = r_s[0] * r_s[1]
    if rows % taps:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={rows} and kernel_size={r_s}"
        )
    batch = input.shape[0] if input.ndim == 3 else 1
    g = _geometry("fold", batch, rows // taps, size, r_s, steps, pads, gaps)
    if g.P * g.Q != columns:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={r_s}, dilation={gaps}, padding={pads}, "
            f"stride={steps}, expected size of input's dimension 2 to match the calculated number "
            f"of sliding blocks {g.P} * {g.Q} = {g.P * g.Q}, but got input.size(2)={columns}"
        )
    return Fold(geometry=g)(input)


def _pair(value: Any, name: str, op: str, minimum: int) -> tuple[int, int]:
    items = value if isinstance(value, (tuple, list)) else (value, value)
    for item in items:
        if isinstance(item, (bool, float, str)) or not hasattr(item, "__index__"):
            raise TypeError(
                f"{op}(): argument '{name}' must be int or tuple of ints, got {value!r}"
            )
    if len(items) != 2:
        raise RuntimeError(f"{op}(): It is expected {name} equals to 2, but got size {len(items)}")
    first, second = (int(item.__index__()) for item in items)
    if not minimum <= min(first, second) <= max(first, second) <= LIMIT:
        raise RuntimeError(
            f"{op}(): {name}: got {value!r}, expected integers from {minimum} to {LIMIT}"
        )
    return first, second


def _arguments(
    op: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[tuple[int, int], ...]:
    return (
        _pair(kernel_size, "kernel_size", op, 1),
        _pair(stride, "stride", op, 1),
        _pair(padding, "padding", op, 0),
        _pair(dilation, "dilation", op, 1),
    )


def _geometry(
    op: str,
    n: int,
    c: int,
    size: tuple[int, ...],
    taps: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Conv2dGeometry:
    """The geometry of the patches; RuntimeError if there is none."""
    pads = (padding[0], padding[0], padding[1], padding[1])
    g = Conv2dGeometry(n, c, *size, c, *taps, *stride, *pads, *dilation)
    if g.P < 1 or g.Q < 1:
        raise RuntimeError(
            f"{op}(): Given spatial size {tuple(size)}, kernel_size={taps}, dilation={dilation}, "
            f"padding={padding}, calculated shape of the array of sliding blocks as ({g.P}, "
            f"{g.Q}), which must be at least one"
        )
    return g
