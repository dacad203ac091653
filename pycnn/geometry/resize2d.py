"""Resampling: its geometry, and the output size a scale gives."""

from __future__ import annotations

import math
from functools import lru_cache

from .base import LIMIT, Geometry, frozen, shape_words


@frozen
class Resize2dGeometry(Geometry):
    """Resampling (N,C,H,W) to (N,C,P,Q). Positions step by 1 / scale, or by the ratio of sizes
    where it is None."""

    N: int
    C: int
    H: int
    W: int
    P: int
    Q: int
    mode: str  # nearest, nearest-exact, bilinear, bicubic
    align_corners: bool = False
    scale_h: float | None = None
    scale_w: float | None = None
    antialias: bool = False

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.N, self.C, self.H, self.W)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return (self.N, self.C, self.P, self.Q)


@lru_cache(maxsize=4096)
def resize2d_geometry(
    x_shape: tuple[int, ...],
    size: tuple[int, int] | None,
    scale: tuple[float | None, float | None],
    mode: str,
    align_corners: bool = False,
    antialias: bool = False,
    signal: bool = False,
    op: str = "interpolate",
) -> Resize2dGeometry:
    """The geometry of a resampling to `size`, or by `scale` where size is None.

    A scale that PyTorch does not look at is None: with corners aligned, where an axis keeps its
    size, and where it doubles in mode "nearest". `signal` says that x is one-dimensional: there
    "nearest" always looks. RuntimeError where the sizes are impossible."""
    n, c, h, w = x_shape
    if size is None:
        size = (resized(h, scale[0], op), resized(w, scale[1], op))
    p, q = size
    if min(h, w, p, q) < 1:
        raise RuntimeError(
            f"{op}(): Input and output sizes should be greater than 0, "
            f"but got input (H: {h}, W: {w}) output (H: {p}, W: {q})"
        )
    if c < 1:
        raise RuntimeError(
            f"{op}(): Non-empty data tensor expected but got a tensor with sizes "
            f"{shape_words(x_shape)}"
        )
    if max(p, q) > LIMIT:
        raise RuntimeError(
            f"{op}(): size: got an output of {p} x {q}, expected sizes up to {LIMIT}"
        )
    scale_h, scale_w = (
        None if _scale_unused(before, after, mode, align_corners, antialias, signal) else factor
        for before, after, factor in ((h, p, scale[0]), (w, q, scale[1]))
    )
    return Resize2dGeometry(n, c, h, w, p, q, mode, align_corners, scale_h, scale_w, antialias)


def _scale_unused(
    size: int, outputs: int, mode: str, align_corners: bool, antialias: bool, signal: bool
) -> bool:
    if mode == "nearest":
        return outputs in (size, 2 * size) and not signal
    return align_corners or (outputs == size and (mode == "bilinear" or antialias))


def resized(size: int, scale: float | None, op: str = "interpolate") -> int:
    """floor(size * scale); a scale of None keeps the size."""
    if scale is None:
        return size
    product = size * scale
    if not math.isfinite(product):
        raise RuntimeError(f"{op}(): scale_factor: got {scale}, expected a finite number")
    return int(product)
