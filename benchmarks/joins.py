"""Concatenation along the channels, and addition followed by ReLU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dispatch, dtypes
from ..geometry import ConcatGeometry, ElementwiseGeometry
from ..study import layers
from .problem import Bind, Call, Key, Problem


def concatenation(key: Key, size: int, parts: tuple[int, ...]) -> Problem:
    """Parts of `size` x `size` pixels with that many channels, joined."""
    shapes = [(key.batch, c, size, size) for c in parts]
    whole = (key.batch, sum(parts), size, size)
    g = ConcatGeometry(1, parts)

    def ours() -> Bind:
        return lambda *a: lambda: dispatch.run("concat", *a, out_shape=whole, geometry=g)

    def theirs() -> Bind:
        import torch

        return lambda *tensors: lambda: torch.cat(tensors, 1)

    text = f"{key.batch}x{parts}x{size}x{size}"
    return _problem(key, "concat", text, shapes, ours, theirs, 0, 2 * math.prod(whole))


def addition(key: Key, plane: layers.Plane) -> Problem:
    """relu(a + b) of two activations."""
    shape = (key.batch, plane.C, plane.H, plane.H)
    g = ElementwiseGeometry("relu")

    def ours() -> Bind:
        return lambda *a: lambda: dispatch.run("add_activation", *a, out_shape=shape, geometry=g)

    def theirs() -> Bind:
        import torch

        return lambda a, b: lambda: torch.add(a, b).relu_()

    text, size = "x".join(map(str, shape)), math.prod(shape)
    return _problem(key, "add_activation", text, [shape, shape], ours, theirs, 2 * size, 3 * size)


def _problem(
    key: Key,
    primitive: str,
    geometry: str,
    shapes: Sequence[tuple[int, ...]],
    ours: Any,
    theirs: Any,
    flops: int,
    elements: int,
) -> Problem:
    def inputs(rng: np.random.Generator) -> list[np.ndarray]:
        return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]

    def truth(*tensors: Any) -> Call:
        return theirs()(*tensors)()

    moved = elements * dtypes.as_dtype(key.dtype).itemsize
    return Problem(
        key=key,
        primitive=primitive,
        geometry=geometry,
        inputs=inputs,
        ours=ours,
        theirs=lambda layout: theirs(),
        truth=truth,
        flops=flops,
        bytes=moved,
        least_flops=lambda algorithm: 0,
        least_bytes=moved,
    )
