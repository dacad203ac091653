"""Pooling: the primitives alone. Max pooling writes its offsets, as PyTorch's its indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import array, dispatch, dtypes
from ..study import layers
from ..study.problems import pool2d_of
from .problem import Bind, Call, Key, Problem


def pooling(key: Key, pool: layers.Pool) -> Problem:
    """Forward or backward of a named pooling layer."""
    g = pool2d_of(pool, key.batch)
    kind = "max" if pool.kind == "max" else "avg"
    forward = key.direction == "forward"
    image, pooled = (key.batch, pool.C, pool.H, pool.H), g.y_shape

    def inputs(rng: np.random.Generator) -> list[np.ndarray]:
        x = rng.standard_normal(image, dtype=np.float32)
        return [x] if forward else [x, rng.standard_normal(pooled, dtype=np.float32)]

    def maximum(x: Any) -> tuple[Any, Any]:
        keep = array.memory_format(x)
        device = array.device_of(x)
        y, offsets = (
            array.empty(pooled, d, keep, device) for d in (x.dtype, np.dtype(g.offset_dtype))
        )
        return dispatch.run("max_pool2d_fprop", x, out=(y, offsets), geometry=g)

    def ours() -> Bind:
        def bind(x: Any, dy: Any = None) -> Call:
            if forward and kind == "max":
                return lambda: maximum(x)[0]
            if forward:
                return lambda: dispatch.run("avg_pool2d_fprop", x, out_shape=pooled, geometry=g)
            given = (dy, maximum(x)[1]) if kind == "max" else (dy,)
            return lambda: dispatch.run(f"{kind}_pool2d_dgrad", *given, out_shape=image, geometry=g)

        return bind

    itemsize = dtypes.as_dtype(key.dtype).itemsize
    outputs = int(np.prod(pooled))
    moved = (int(np.prod(image)) + outputs) * itemsize
    if kind == "max":
        moved += outputs * np.dtype(g.offset_dtype).itemsize
    return Problem(
        key=key,
        primitive=f"{kind}_pool2d_{'fprop' if forward else 'dgrad'}",
        geometry=str(g),
        inputs=inputs,
        ours=ours,
        theirs=lambda layout: _torch(pool, forward),
        truth=lambda *tensors: _torch(pool, forward)(*tensors)(),
        flops=g.flops(f"{kind}_pool2d_fprop"),
        bytes=moved,
        least_flops=lambda algorithm: 0,
        least_bytes=moved,
    )


def _torch(pool: layers.Pool, forward: bool) -> Bind:
    import torch

    functional, aten = torch.nn.functional, torch.ops.aten
    window = [pool.size] * 2, [pool.stride] * 2, [pool.padding] * 2

    def bind(x: Any, dy: Any = None) -> Call:
        if pool.kind == "adaptive":
            if forward:
                return lambda: functional.adaptive_avg_pool2d(x, pool.size)
            return lambda: aten._adaptive_avg_pool2d_backward(dy, x)
        if pool.kind == "avg":
            if forward:
                return lambda: functional.avg_pool2d(x, *window)
            return lambda: aten.avg_pool2d_backward(dy, x, *window, False, True, None)
        if forward:
            return lambda: aten.max_pool2d_with_indices(x, *window)[0]
        indices = aten.max_pool2d_with_indices(x, *window)[1]
        return lambda: aten.max_pool2d_with_indices_backward(dy, x, *window, [1, 1], False, indices)

    return bind
