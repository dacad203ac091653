"""interpolate: resampling images (N,C,H,W) and signals (N,C,W)."""

from __future__ import annotations

from typing import Any

from .. import array
from ..array import Array
from ..dispatch import run
from ..dtypes import uint8
from ..geometry import Resize2dGeometry, resize2d_geometry, resized
from ..tensor import Function, Tensor
from ._common import check_floating, check_tensor
from .pool import adaptive_avg_pool1d, adaptive_avg_pool2d

__all__ = ["interpolate"]

_NEAREST = ("nearest", "nearest-exact")
# mode -> the number of dimensions it takes
_DIMENSIONS = {
    "nearest": (3, 4),
    "nearest-exact": (3, 4),
    "area": (3, 4),
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
}


class Resize2d(Function):
    """y = x resampled; a three-dimensional x is an image of one row."""

    geometry: Resize2dGeometry

    def forward(self, x: Array) -> Array:
        g = self.geometry
        flat = x.ndim == 3
        self.x_shape = x.shape
        y = array.empty_for((x,), (g.N, g.C, g.Q) if flat else g.y_shape, x.dtype)
        run("resize2d_fprop", _image(x), out=_image(y), geometry=g)
        return y

    def backward(self, dy: Array) -> Array:
        dx = array.empty_for((dy,), self.x_shape, dy.dtype)
        run("resize2d_dgrad", _image(dy), out=_image(dx), geometry=self.geometry)
        return dx


def _image(x: Array) -> Array:
    return x[:, :, None] if x.ndim == 3 else x


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample (N,C,W) or (N,C,H,W) to `size`, or to floor(size * scale_factor).

    mode             nearest, nearest-exact, area: (N,C,W) and (N,C,H,W); linear: (N,C,W);
                     bilinear, bicubic: (N,C,H,W)
    align_corners    linear, bilinear, bicubic: whether the corners' centres, rather than their
                     outer edges, coincide
    scale_factor     used as it is for the positions, unless `recompute_scale_factor`: then the
                     ratio of sizes is
    antialias        bilinear, bicubic: widen the filter when shrinking, as Pillow does

    Floating dtypes; nearest also takes uint8. Channels-last stays channels-last. ValueError,
    TypeError, NotImplementedError and RuntimeError as torch raises them; five dimensions are not
    implemented."""
    check_tensor(input, "input", "interpolate")
    dims = input.ndim - 2
    if mode in ("nearest", "nearest-exact", "area") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            f"| bicubic, got align_corners={align_corners} with mode={mode!r}"
        )
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    sizes = None if size is None else _sizes(size, input.shape[2:])
    scales = None if scale_factor is None else _scales(scale_factor, input.shape[2:])
    if scales is not None and (recompute_scale_factor or mode == "area"):
        sizes = [resized(n, scale) for n, scale in zip(input.shape[2:], scales)]
        scales = None
    if antialias and not (mode in ("bilinear", "bicubic") and input.ndim == 4):
        raise ValueError(
            "antialias: restricted to the modes bilinear and bicubic and 4-D inputs, "
            f"got mode={mode!r} and {input.ndim} dimensions"
        )
    _check_mode(mode, input.ndim)
    if mode == "area":
        assert sizes is not None
        return adaptive_avg_pool1d(input, sizes) if dims == 1 else adaptive_avg_pool2d(input, sizes)
    if not (mode in _NEAREST and input.dtype == uint8):
        check_floating(input, "input", "interpolate")
    if dims == 1:
        sizes = None if sizes is None else [1, *sizes]
        scales = None if scales is None else [None, *scales]
    geometry = resize2d_geometry(
        (*input.shape[:2], *([1] if dims == 1 else []), *input.shape[2:]),
        None if sizes is None else tuple(sizes),  # type: ignore[arg-type]
        (None, None) if scales is None else tuple(scales),  # type: ignore[arg-type]
        "bilinear" if mode == "linear" else mode,
        bool(align_corners),
        bool(antialias),
        dims == 1,
    )
    return Resize2d(geometry=geometry)(input)


def _check_mode(mode: Any, ndim: int) -> None:
    if mode not in _DIMENSIONS:
        raise NotImplementedError(f"mode: got {mode!r}, expected one of {', '.join(_DIMENSIONS)}")
    accepted = _DIMENSIONS[mode]
    if ndim not in accepted:
        words = " or ".join(f"{n}D" for n in accepted)
        raise NotImplementedError(f"Got {ndim}D input, but {mode} mode needs {words} input")


def _repeated(value: Any, name: str, spatial: tuple[int, ...]) -> list[Any]:
    """`value` for every spatial axis; ValueError for a sequence of another length."""
    if not isinstance(value, (tuple, list)):
        return [value] * len(spatial)
    if len(value) != len(spatial):
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {list(spatial)} and {name} {tuple(value)}"
        )
    return list(value)


def _sizes(size: Any, spatial: tuple[int, ...]) -> list[int]:
    values = _repeated(size, "size", spatial)
    for value in values:
        if isinstance(value, (bool, float, str)) or not hasattr(value, "__index__"):
            raise TypeError(f"size: got {size!r}, expected an int or one int per spatial dimension")
    return [int(value.__index__()) for value in values]


def _scales(scale_factor: Any, spatial: tuple[int, ...]) -> list[Any]:
    values = _repeated(scale_factor, "scale_factor", spatial)
    for value in values:
        if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
            raise TypeError(
                f"scale_factor: got {scale_factor!r}, expected a float or one per spatial dimension"
            )
    return [float(value) for value in values]
