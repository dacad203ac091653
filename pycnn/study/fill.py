"""Numbers for the arrays of a named layer that a kernel can work on: what a timing or a comparison
needs, where compiling only needed addresses."""

from __future__ import annotations

from typing import Any

from .. import array, dtypes
from ..array import Array


def fill(primitive: str, geometry: Any, arrays: tuple[Array | None, ...]) -> None:
    """Uniform numbers in (-1, 1), and integers that are valid where the primitive reads them."""
    rng = array.xp(*arrays).random.default_rng(0)
    for a in arrays:
        if a is None:
            continue
        if dtypes.is_floating_point(a.dtype):
            a[...] = 2 * rng.random(a.shape, dtype="float32") - 1
        elif primitive.startswith("softmax_cross_entropy"):
            classes = next(b for b in arrays if b is not None and b.ndim > a.ndim).shape[1]
            a[...] = rng.integers(0, classes, a.shape)
        elif primitive == "max_pool2d_dgrad":
            a[...] = geometry.R // 2 * geometry.S + geometry.S // 2  # the middle of every window
        elif primitive.startswith("max_unpool2d"):
            _window_corners(a, geometry)
        elif primitive == "dropout":  # a seed and an offset
            a[...] = 1
        else:
            raise TypeError(f"{primitive}: no rule for its {a.dtype} array")


def _window_corners(indices: Array, g: Any) -> None:
    """h*W + w of the first element of each window: no two are the same."""
    xp = array.xp(indices)
    rows = xp.arange(g.P).reshape(-1, 1) * g.stride_h * g.W
    indices[...] = rows + xp.arange(g.Q) * g.stride_w
