"""Batch normalisation: one channel, many, one image, odd planes, a mean far from zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ....dispatch import Epilogue
from ....geometry import batch_norm_geometry
from ..case import Case, Draw

SHAPES = {
    "odd planes": (3, 5, 7, 9),
    "one channel": (4, 1, 5, 3),
    "one channel of odd size": (1, 1, 3, 11),
    "one image": (1, 7, 6, 6),
    "rows": (17, 6, 1, 1),
    "many channels": (2, 67, 3, 2),
    "one set per channel": (1, 12, 1, 20),
    "rows in several blocks": (2, 129, 9, 8),
    "few channels": (3, 3, 7, 11),
    "fewer rows than a vector": (1, 3, 1, 2),
    "one element": (1, 17, 1, 1),
    "planes of a vector and one": (2, 5, 1, 17),
}
HALVES = ("float16", "bfloat16")


def _column(a: Any) -> Any:
    return 0 if a is None else a.reshape(1, -1, 1, 1) if isinstance(a, torch.Tensor) else a


def _statistics(draw: Draw, c: int) -> tuple[np.ndarray, np.ndarray]:
    """mean and invstd in accumulation dtype."""
    mean, invstd = draw(c), draw.positive(c)
    return mean.astype(draw.accumulation), invstd.astype(draw.accumulation)


def stats(name: str, shape: tuple[int, ...], offset: float = 0.0, **more: Any) -> Case:
    count = shape[0] * shape[2] * shape[3]

    def oracle(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = x.sum((0, 2, 3)) / max(count, 1)
        return mean, (x - _column(mean)).square().sum((0, 2, 3))

    def magnitude(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, m2 = oracle(x)
        # a running mean keeps the error of its last digits, once; E[x^2] - E[x]^2 has it squared
        few = count < 8  # which may happen to lie close together, far from zero
        carried = mean.abs() * (m2 * count).sqrt() if offset or few else 0
        return x.abs().sum((0, 2, 3)) / max(count, 1), m2 + carried

    return Case(
        "batch_norm_stats", name, batch_norm_geometry(shape),
        lambda draw: (draw.round(draw(*shape) + offset),), oracle, depth=max(count, 1),
        magnitude=magnitude, exact=False, out_dtypes=("accumulation", "accumulation"), **more,
    )  # fmt: skip


def apply(
    name: str,
    shape: tuple[int, ...],
    weight: bool = True,
    bias: bool = True,
    activation: str | None = None,
    residual: bool = False,
    parameters: str | None = None,
    **more: Any,
) -> Case:
    c = shape[1]

    def inputs(draw: Draw) -> tuple[Any, ...]:
        own = [draw(c) if wanted else None for wanted in (weight, bias)]
        if parameters is not None:
            own = [None if a is None else a.astype(parameters) for a in own]
        return (draw(*shape), *_statistics(draw, c), *own)

    def oracle(x: Any, mean: Any, invstd: Any, weight: Any, bias: Any) -> torch.Tensor:
        scale = _column(invstd) * (1 if weight is None else _column(weight))
        return (x - _column(mean)) * scale + _column(bias)

    def magnitude(x: Any, mean: Any, invstd: Any, weight: Any, bias: Any) -> torch.Tensor:
        scale = _column(invstd) * (1 if weight is None else _column(weight).abs())
        shift = 0 if bias is None else _column(bias).abs()
        return (x.abs() + _column(mean).abs()) * scale + shift

    def epilogue(draw: Draw) -> Epilogue:
        return Epilogue(residual=draw(*shape) if residual else None, activation=activation)

    return Case(
        "batch_norm_apply", name, batch_norm_geometry(shape), inputs, oracle, opponent=None,
        magnitude=magnitude, exact=activation in (None, "relu", "relu6"),
        epilogue=epilogue if residual or activation is not None else None, **more,
    )  # fmt: skip


def _affine(draw: Draw, c: int, relu: bool) -> tuple[Any, Any]:
    """weight and bias, where the kernel needs them for the sign of the output."""
    return (draw(c), draw(c)) if relu else (None, None)


def _counted(relu: bool, dy: Any, x: Any, mean: Any, invstd: Any, weight: Any, bias: Any) -> Any:
    """dy, or what a ReLU behind the normalisation hands on of it."""
    if not relu:
        return dy
    y = (x - _column(mean)) * _column(invstd) * _column(1 if weight is None else weight)
    return torch.where(y + _column(bias) <= 0, torch.zeros_like(dy), dy)


def reduce(
    name: str, shape: tuple[int, ...], relu: bool = False, plain: bool = False, **more: Any
) -> Case:
    c = shape[1]

    def inputs(draw: Draw) -> tuple[Any, ...]:
        own = _affine(draw, c, relu and not plain)
        return (draw(*shape), draw(*shape), *_statistics(draw, c), *own)

    def sums(dy: Any, xhat: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return dy.sum((0, 2, 3)), (dy * xhat).sum((0, 2, 3))

    def oracle(dy: Any, x: Any, *own: Any) -> tuple[torch.Tensor, torch.Tensor]:
        mean, invstd = own[:2]
        return sums(_counted(relu, dy, x, *own), (x - _column(mean)) * _column(invstd))

    def magnitude(dy: Any, x: Any, mean: Any, invstd: Any, *own: Any) -> Any:
        return sums(dy.abs(), (x.abs() + _column(mean).abs()) * _column(invstd))

    return Case(
        "batch_norm_reduce", name, batch_norm_geometry(shape, relu), inputs, oracle,
        opponent=None, depth=max(shape[0] * shape[2] * shape[3], 1), magnitude=magnitude,
        out_dtypes=("accumulation", "accumulation"), **more,
    )  # fmt: skip


def dgrad(
    name: str,
    shape: tuple[int, ...],
    weight: bool = True,
    training: bool = True,
    parameters: str | None = None,
    relu: bool = False,
    **more: Any,
) -> Case:
    c, count = shape[1], max(shape[0] * shape[2] * shape[3], 1)

    def inputs(draw: Draw) -> tuple[Any, ...]:
        w, b = draw(c) if weight else None, draw(c) if relu else None
        if parameters is not None:
            w, b = (None if a is None else a.astype(parameters) for a in (w, b))
        sums = [(draw(c) * count).astype(draw.accumulation) if training else None for _ in range(2)]
        return (draw(*shape), draw(*shape), *_statistics(draw, c), w, b, *sums)

    def oracle(
        dy: Any, x: Any, mean: Any, invstd: Any, weight: Any, bias: Any, *sums: Any
    ) -> torch.Tensor:
        xhat = (x - _column(mean)) * _column(invstd)
        dx = _counted(relu, dy, x, mean, invstd, weight, bias)
        dx = dx - _column(sums[0]) / count - xhat * _column(sums[1]) / count
        return dx * _column(invstd) * (1 if weight is None else _column(weight))

    def magnitude(
        dy: Any, x: Any, mean: Any, invstd: Any, weight: Any, bias: Any, *sums: Any
    ) -> torch.Tensor:
        xhat = (x.abs() + _column(mean).abs()) * _column(invstd)
        a, b = (0 if s is None else _column(s).abs() / count for s in sums)
        scale = _column(invstd) * (1 if weight is None else _column(weight).abs())
        return (dy.abs() + a + xhat * b) * scale

    return Case(
        "batch_norm_dgrad", name, batch_norm_geometry(shape, relu), inputs, oracle,
        opponent=None, magnitude=magnitude, exact=not training, **more,
    )  # fmt: skip


ODD = SHAPES["odd planes"]
EMPTY = (0, 4, 3, 3)
VECTORS = (3, 8, 64, 64)  # whole vectors of channels and of pixels, in several blocks

CASES = [
    *(stats(name, shape) for name, shape in SHAPES.items()),
    stats("mean 1000", ODD, 1000.0, dtypes=("float32", "float64")),
    stats("more than a block", (2, 3, 41, 29), large=True),
    stats("many blocks, mean 1000", (2, 33, 40, 13), 1000.0, dtypes=("float32",), large=True),
    stats("planes in parts, mean 1000", (1, 2, 101, 97), 1000.0, dtypes=("float32",), large=True),
    stats("blocks of vectors, mean 1000", VECTORS, 1000.0, dtypes=("float32",), large=True),
    stats("blocks of vectors", VECTORS, large=True),
    stats("empty", EMPTY),
    *(apply(name, shape) for name, shape in SHAPES.items()),
    apply("no weight", ODD, weight=False),
    apply("no bias", ODD, bias=False),
    apply("neither", ODD, weight=False, bias=False),
    apply("relu", ODD, activation="relu"),
    apply("residual", ODD, residual=True),
    apply("residual relu", ODD, activation="relu", residual=True),
    apply("silu", ODD, activation="silu"),
    apply("gelu of few channels", (3, 3, 7, 11), activation="gelu", residual=True),
    apply("float32 parameters", ODD, parameters="float32", dtypes=HALVES),
    apply("blocks of vectors", VECTORS, activation="relu", residual=True, large=True),
    apply("empty", EMPTY),
    *(reduce(name, shape) for name, shape in SHAPES.items()),
    reduce("blocks of vectors", VECTORS, relu=True, large=True),
    reduce("empty", EMPTY),
    *(reduce(f"relu, {name}", shape, relu=True) for name, shape in SHAPES.items()),
    reduce("relu, neither", ODD, relu=True, plain=True),
    *(dgrad(name, shape) for name, shape in SHAPES.items()),
    dgrad("constant statistics", ODD, training=False),
    dgrad("no weight", ODD, weight=False),
    dgrad("neither", ODD, weight=False, training=False),
    dgrad("float32 parameters", ODD, parameters="float32", dtypes=HALVES),
    dgrad("blocks of vectors", VECTORS, relu=True, large=True),
    dgrad("empty", EMPTY),
    *(dgrad(f"relu, {name}", shape, relu=True) for name, shape in SHAPES.items()),
    dgrad("relu, constant statistics", ODD, training=False, relu=True),
    dgrad("relu, no weight", ODD, weight=False, relu=True),
    dgrad("relu, float32 parameters", ODD, parameters="float32", dtypes=HALVES, relu=True),
]
