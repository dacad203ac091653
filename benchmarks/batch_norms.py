"""Batch normalisation in training: alone, followed by ReLU, and by an addition and ReLU.

Forward records nothing; backward is the backward pass of a recorded call, through autograd on both
sides: the gradients of the input, of what was added, of weight and bias. Where the number before a
ReLU is nearly zero, float64 and a narrower dtype may see different signs; those elements say
nothing and are left out of the comparison, and the sums that they enter are compared loosely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import Tensor, dtypes, no_grad
from .. import functional as F
from ..study import layers
from .problem import Bind, Call, Key, Problem, relative_error

# How far the sums over a channel may be off, relative to the largest of them. They hold the
# elements of uncertain sign, of normal numbers a share of 6e-6 in float32, 0.05 in float16, 0.4 in
# bfloat16; their gradients have either sign and largely cancel.
LOOSE = {"float64": 0.05, "float32": 0.05, "float16": 0.3, "bfloat16": 0.3}

# suite: (activation, whether something is added before it)
KINDS = {
    "batch norm": (None, False),
    "batch norm + relu": ("relu", False),
    "batch norm + add + relu": ("relu", True),
}


def batch_norm(key: Key, plane: layers.Plane) -> Problem:
    """Forward or backward of a named activation's batch norm."""
    activation, adds = KINDS[key.suite]
    forward = key.direction == "forward"
    shape = (key.batch, plane.C, plane.H, plane.H)
    count = 1 + adds

    def inputs(rng: np.random.Generator) -> list[np.ndarray]:
        images = [
            rng.standard_normal(shape, dtype=np.float32) for _ in range(count + (not forward))
        ]
        weight = rng.random(plane.C, dtype=np.float32) + np.float32(0.5)
        return [*images, weight, rng.standard_normal(plane.C, dtype=np.float32)]

    def ours() -> Bind:
        def function(x: Any, weight: Any, bias: Any, residual: Any = None) -> Any:
            return F.batch_norm(
                x, None, None, weight, bias, training=True, activation=activation,
                residual=residual,
            )  # fmt: skip

        def bind(*arrays: Any) -> Call:
            return _call(function, [Tensor._wrap(a) for a in arrays], forward, no_grad)

        return bind

    size, itemsize = int(np.prod(shape)), dtypes.as_dtype(key.dtype).itemsize
    # x, what is added, y; backward dy, x, dx, what it gives to what was added, y's sign for ReLU
    moved = size * itemsize * (2 + adds if forward else 3 + adds)
    return Problem(
        key=key,
        primitive="batch_norm_apply" if forward else "batch_norm_dgrad",
        geometry="x".join(map(str, shape)),
        inputs=inputs,
        ours=ours,
        theirs=lambda layout: _torch(activation, forward, None),
        truth=lambda *tensors: _truth(activation, forward, tensors),
        forced=lambda layout: None if adds else _torch(activation, forward, "cudnn"),
        flops=(8 if forward else 11) * size,
        bytes=moved,
        least_flops=lambda algorithm: 0,
        least_bytes=moved,
        check=None if forward else lambda got, truths: _error(got, truths, 1 + adds, key.dtype),
    )


def _truth(activation: str | None, forward: bool, tensors: Any) -> Any:
    """The outputs in float64; after the gradients of a ReLU, the numbers before it."""
    outputs = _torch(activation, forward, None)(*tensors)()
    if forward:
        return outputs
    *images, weight, bias = tensors
    before = _torch(None, True, None)(*images[:-1], weight, bias)()
    return [*outputs, before if activation else before.fill_(1)]


def _error(
    outputs: Sequence[np.ndarray], truths: Sequence[np.ndarray], images: int, dtype: str
) -> float:
    """Of the images' gradients where the sign is certain; infinite where those of weight and bias
    are far off."""
    *truths, before = truths
    unit = dtypes.UNIT_ROUNDOFF[dtypes.as_dtype(dtype)]
    certain = np.abs(before) > 128 * unit
    far = [relative_error(o, t) > LOOSE[dtype] for o, t in zip(outputs[images:], truths[images:])]
    if any(far):
        return math.inf
    return max(
        relative_error(np.where(certain, o, 0), np.where(certain, t, 0))
        for o, t in zip(outputs[:images], truths[:images])
    )


def _call(function: Any, tensors: list[Any], forward: bool, recording_nothing: Any) -> Call:
    """The timed call; `tensors` are the images, dy among them last where backward, weight, bias."""
    *images, weight, bias = tensors
    if forward:

        def call() -> Any:
            with recording_nothing():
                return function(images[0], weight, bias, *images[1:])

        return call
    *images, dy = images
    leaves = [*images, weight, bias]
    for leaf in leaves:
        leaf.requires_grad_()
    y = function(images[0], weight, bias, *images[1:])

    def backward() -> Any:
        y.backward(dy)
        return [leaf.grad for leaf in leaves]

    return backward


def _torch(activation: str | None, forward: bool, entry: str | None) -> Bind:
    import torch

    functional, aten = torch.nn.functional, torch.ops.aten

    def function(x: Any, weight: Any, bias: Any, residual: Any = None) -> Any:
        y = functional.batch_norm(x, None, None, weight, bias, training=True)
        if residual is not None:
            y = y.add_(residual)
        return functional.relu_(y) if activation else y

    def normalized(x: Any, weight: Any, bias: Any) -> Any:
        y = aten.cudnn_batch_norm(x, weight, bias, None, None, True, 0.1, 1e-5)[0]
        return functional.relu_(y) if activation else y

    chosen = normalized if entry == "cudnn" else function

    def bind(*tensors: Any) -> Call:
        own = [t.detach() for t in tensors]  # new leaves over the same memory
        if entry == "cudnn" and own[0].dtype in (torch.float16, torch.bfloat16):
            own[-2:] = [t.float() for t in own[-2:]]  # as cuDNN wants a half's weight and bias
        return _call(chosen, own, forward, torch.no_grad)

    return bind
