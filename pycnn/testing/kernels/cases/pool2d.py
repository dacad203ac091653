"""Max and average pooling: windows that overlap, leave gaps, hang over edges; ties and NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ....geometry import Pool2dGeometry, adaptive_pool2d_geometry, pool2d_geometry
from ..case import Case, Draw

INTEGERS = ("uint8", "int8", "int32", "int64")


def _flat_index(offsets: torch.Tensor, g: Pool2dGeometry) -> torch.Tensor:
    """h*W + w of the window offsets r*S + s."""
    top, left = (torch.tensor([start for start, _ in g.windows(axis)]) for axis in ("h", "w"))
    offsets = offsets.long()
    h = top[:, None] + offsets // g.S * g.dilation_h
    w = left + offsets % g.S * g.dilation_w
    return h * g.W + w


def _offsets(indices: torch.Tensor, g: Pool2dGeometry) -> torch.Tensor:
    """The window offsets r*S + s of flat indices."""
    top, left = (torch.tensor([start for start, _ in g.windows(axis)]) for axis in ("h", "w"))
    r = (indices // g.W - top[:, None]) // g.dilation_h
    s = (indices % g.W - left) // g.dilation_w
    return r * g.S + s


def _max_pool(g: Pool2dGeometry, pool: Any) -> Any:
    def oracle(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, indices = pool(x)
        return y, _offsets(indices, g)

    return oracle


def _scatter(g: Pool2dGeometry) -> Any:
    """max_pool2d_dgrad from its definition."""

    def oracle(dy: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        flat = torch.zeros(g.N, g.C, g.H * g.W, dtype=dy.dtype)
        flat.scatter_add_(2, _flat_index(offsets, g).flatten(2), dy.flatten(2))
        return flat.reshape(g.x_shape)

    return oracle


def _pullback(g: Pool2dGeometry, pool: Any) -> Any:
    """The gradient of a linear `pool`."""

    def oracle(dy: torch.Tensor) -> torch.Tensor:
        x = torch.zeros(g.x_shape, dtype=dy.dtype, requires_grad=True)
        return torch.autograd.grad(pool(x), x, dy)[0]

    return oracle


def _max_cases(name: str, g: Pool2dGeometry, pool: Any, **more: Any) -> list[Case]:
    offset_dtype = g.offset_dtype

    def gradients(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        x = torch.from_numpy(draw.rng.integers(-3, 4, g.x_shape).astype("float64"))
        offsets = _offsets(pool(x)[1], g) if x.numel() else torch.zeros(g.y_shape)
        return draw(*g.y_shape), offsets.numpy().astype(offset_dtype)

    return [
        Case(
            "max_pool2d_fprop", name, g, lambda draw: (draw(*g.x_shape),), _max_pool(g, pool),
            out_dtypes=(None, offset_dtype), **more,
        ),
        Case(
            "max_pool2d_dgrad", name, g, gradients, _scatter(g), opponent=None, depth=g.taps,
            magnitude=lambda dy, offsets: _scatter(g)(dy.abs(), offsets), **more,
        ),
    ]  # fmt: skip


def max_pool(name: str, shape: tuple[int, ...], *window: Any, **more: Any) -> list[Case]:
    """window: kernel, stride, padding, dilation, ceil_mode, two ints each but the last."""
    g = pool2d_geometry(shape, *window)
    return _max_cases(name, g, lambda x: F.max_pool2d(x, *window, return_indices=True), **more)


def avg_pool(
    name: str,
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
    **more: Any,
) -> list[Case]:
    g = pool2d_geometry(
        shape, kernel, stride, padding, (1, 1), ceil_mode, count_include_pad, divisor
    )

    def pool(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor)

    return _avg_cases(name, g, pool, exact=divisor == 1, **more)


def _avg_cases(name: str, g: Pool2dGeometry, pool: Any, **more: Any) -> list[Case]:
    pullback = _pullback(g, pool)
    return [
        Case(
            "avg_pool2d_fprop", name, g, lambda draw: (draw(*g.x_shape),), pool, depth=g.taps,
            magnitude=lambda x: pool(x.abs()).abs(), **more,
        ),
        Case(
            "avg_pool2d_dgrad", name, g, lambda draw: (draw(*g.y_shape),), pullback, depth=g.taps,
            magnitude=lambda dy: pullback(dy.abs()).abs(), **more,
        ),
    ]  # fmt: skip


def adaptive(name: str, shape: tuple[int, ...], size: tuple[int, int]) -> list[Case]:
    g = adaptive_pool2d_geometry(shape, size)
    maxima = _max_cases(name, g, lambda x: F.adaptive_max_pool2d(x, size, return_indices=True))
    return maxima + _avg_cases(name, g, lambda x: F.adaptive_avg_pool2d(x, size), exact=False)


def _special(values: tuple[float, ...], channels: int) -> Any:
    """Small integers with some special values among them."""

    def inputs(draw: Draw) -> tuple[np.ndarray]:
        x = draw.rng.integers(-1, 2, (2, channels, 6, 7)).astype("float64")
        for value in values:
            x[draw.rng.random(x.shape) < 0.2] = value
        return (x,)

    return inputs


def special_values(name: str, values: tuple[float, ...], *window: Any, channels: int = 3) -> Case:
    g = pool2d_geometry((2, channels, 6, 7), *window)
    oracle = _max_pool(g, lambda x: F.max_pool2d(x, *window, return_indices=True))
    return Case(
        "max_pool2d_fprop",
        name,
        g,
        _special(values, channels),
        oracle,
        exact=False,
        out_dtypes=(None, "uint8"),
    )


CASES = [
    # the stems of ResNet and GoogLeNet, VGG's halving, GoogLeNet's same-size pool
    *max_pool("3x3 stride 2 pad 1", (2, 5, 14, 13), (3, 3), (2, 2), (1, 1)),
    *max_pool("3x3 stride 2 ceil", (2, 3, 12, 10), (3, 3), (2, 2), (0, 0), (1, 1), True),
    *max_pool("2x2 stride 2", (2, 16, 8, 8), (2, 2), (2, 2), (0, 0)),
    *max_pool("3x3 stride 1 pad 1", (1, 4, 7, 5), (3, 3), (1, 1), (1, 1)),
    *max_pool("uneven dilated", (2, 3, 11, 13), (3, 2), (2, 3), (1, 1), (2, 3)),
    *max_pool("stride beyond window", (2, 3, 9, 11), (2, 1), (3, 4), (0, 0)),
    # four whole vectors of channels and a tail; rows of more than one vector
    *max_pool("3x3 and 83 channels", (1, 83, 5, 6), (3, 3), (2, 2), (1, 1)),
    *max_pool("2x2 and 65 channels", (3, 65, 4, 4), (2, 2), (2, 2), (0, 0)),
    # whole vectors of channels in every dtype
    *max_pool("3x3 stride 2 and 16 channels", (2, 16, 7, 6), (3, 3), (2, 2), (1, 1)),
    *max_pool("3x3 stride 1 and 8 channels", (1, 8, 5, 6), (3, 3), (1, 1), (1, 1)),
    *max_pool("dilated and 8 channels", (1, 8, 9, 11), (3, 2), (2, 3), (1, 1), (2, 3)),
    # outputs that are written past the caches
    *max_pool(
        "large",
        (2, 64, 225, 224),
        (3, 3),
        (2, 2),
        (1, 1),
        slow=True,
        large=True,
        dtypes=("float32",),
    ),
    *max_pool(
        "large, stride 1",
        (1, 64, 320, 321),
        (2, 2),
        (1, 1),
        (0, 0),
        slow=True,
        large=True,
        dtypes=("float32",),
    ),
    *max_pool("3x3 and 33 columns", (1, 2, 9, 33), (3, 3), (1, 1), (1, 1)),
    *max_pool("3x2 stride 2 and 17 columns", (2, 2, 7, 35), (2, 3), (1, 2), (1, 1)),
    *max_pool("stride 3 dilated, odd pad", (1, 3, 13, 50), (3, 3), (2, 3), (1, 1), (3, 2)),
    *max_pool("window beyond the image", (2, 3, 2, 3), (8, 9), (1, 1), (4, 4)),
    *max_pool("1x1 image", (2, 3, 1, 1), (3, 3), (2, 2), (1, 1)),
    *max_pool("one row", (2, 3, 1, 17), (1, 3), (1, 2), (0, 1)),
    *max_pool("257 taps", (1, 2, 3, 300), (1, 257), (1, 7), (0, 20)),
    *max_pool("256 taps", (1, 2, 18, 17), (16, 16), (1, 1), (0, 0), large=True),
    *max_pool("empty batch", (0, 3, 6, 6), (2, 2), (2, 2), (0, 0)),
    max_pool("integers", (2, 3, 7, 8), (3, 3), (2, 1), (1, 0), dtypes=INTEGERS)[0],
    special_values("NaN", (np.nan,), (3, 3), (2, 2), (1, 1)),
    special_values("NaN in squares", (np.nan,), (3, 3), (1, 1), (0, 0)),
    special_values("NaN in fours", (np.nan,), (2, 2), (2, 2), (0, 0)),
    special_values("NaN in few vectors", (np.nan,), (3, 3), (2, 2), (1, 1), channels=16),
    special_values("infinities in vectors", (-np.inf,) * 8, (3, 3), (2, 2), (1, 1), channels=8),
    special_values("infinities", (np.inf, -np.inf), (2, 3), (2, 1), (0, 1)),
    special_values("all of them", (np.nan, np.inf, -np.inf), (2, 2), (1, 1), (1, 0), (2, 3)),
    special_values("mostly -inf", (-np.inf,) * 8, (3, 3), (2, 2), (1, 1)),
    *avg_pool("3x3 stride 2 pad 1", (2, 5, 14, 13), (3, 3), (2, 2), (1, 1)),
    *avg_pool("pad not counted", (2, 5, 14, 13), (3, 3), (2, 2), (1, 1), False, False),
    *avg_pool("ceil beyond the padding", (2, 3, 5, 5), (2, 2), (2, 2), (1, 1), True),
    *avg_pool("ceil not counted", (2, 3, 10, 7), (3, 4), (3, 2), (1, 2), True, False),
    *avg_pool("2x2 stride 2", (2, 16, 8, 8), (2, 2), (2, 2), (0, 0)),
    *avg_pool("plain sums", (2, 3, 9, 8), (3, 2), (2, 1), (1, 1), True, True, 1),
    *avg_pool("negative divisor", (2, 3, 6, 6), (3, 3), (1, 1), (0, 0), False, True, -4),
    *avg_pool(
        "large",
        (2, 64, 225, 224),
        (3, 3),
        (2, 2),
        (1, 1),
        slow=True,
        large=True,
        dtypes=("float32",),
    ),
    *avg_pool("stride beyond window", (2, 3, 9, 11), (2, 1), (3, 4), (0, 0)),
    *avg_pool("83 channels", (1, 83, 5, 6), (3, 3), (2, 2), (1, 1)),
    *avg_pool("16 channels, pad not counted", (2, 16, 7, 6), (3, 3), (2, 2), (1, 1), True, False),
    *avg_pool("3x3 stride 1 and 8 channels", (1, 8, 5, 6), (3, 3), (1, 1), (1, 1)),
    *avg_pool("2x3 and 8 channels", (1, 8, 7, 6), (2, 3), (1, 2), (1, 1)),
    *avg_pool("many taps and 8 channels", (1, 8, 11, 12), (8, 9), (3, 2), (4, 3), True, False),
    *avg_pool("stride 2, odd pad, 35 columns", (1, 2, 7, 35), (3, 3), (2, 2), (1, 1)),
    *avg_pool("stride 3, 50 columns", (1, 2, 7, 50), (4, 5), (3, 3), (1, 2), True, False),
    *avg_pool("long rows", (1, 3, 1, 400), (1, 300), (1, 50), (0, 20)),
    *avg_pool("1x1 image", (2, 3, 1, 1), (3, 3), (2, 2), (1, 1)),
    *avg_pool("empty batch", (0, 3, 6, 6), (2, 2), (2, 2), (0, 0)),
    avg_pool("integers", (2, 3, 7, 8), (3, 3), (2, 1), (1, 0), dtypes=("int64",))[0],
    *adaptive("adaptive global", (2, 5, 7, 6), (1, 1)),
    *adaptive("adaptive global, many", (3, 37, 13, 11), (1, 1)),
    *adaptive("adaptive global, 72 channels", (1, 72, 23, 24), (1, 1)),
    *adaptive("adaptive wide", (1, 70, 12, 12), (7, 7)),
    *adaptive("adaptive uneven", (2, 3, 11, 7), (4, 3)),
    *adaptive("adaptive to more", (2, 3, 4, 5), (7, 9)),
    *adaptive("adaptive same", (1, 3, 4, 5), (4, 5)),
]
