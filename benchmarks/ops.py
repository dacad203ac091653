"""Single operations against PyTorch's, on named layers.

Each suite yields (name, function that makes the problem); a problem has our call, PyTorch's in both
layouts, and the float64 truth that the output is held to. Our arrays are channels-last. Every timed
call allocates its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as TF

import pycnn
from pycnn import array, dispatch
from pycnn import functional as F
from pycnn.geometry import (
    ConcatGeometry,
    ElementwiseGeometry,
    adaptive_pool2d_geometry,
    conv2d_geometry,
    conv_transpose2d_geometry,
    pool2d_geometry,
)
from pycnn.study import layers

from . import measure

LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
PASSES = ("fprop", "dgrad", "wgrad")


@dataclass
class Problem:
    suite: str
    name: str
    direction: str  # fprop, dgrad, wgrad, or forward, forward+backward
    batch: int
    geometry: str
    ours: Callable[[], Any]
    theirs: Callable[[Any], Callable[[], Any]]  # of a memory format
    truth: Callable[[], Any]  # float64, a tensor
    flops: int = 0
    bytes: int = 0
    dtype: str = "float32"


Makers = Iterator[tuple[str, Callable[[], Problem]]]


def _random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape) * scale


def _array(t: torch.Tensor) -> np.ndarray:
    """A channels-last copy."""
    a = array.empty(tuple(t.shape), np.dtype("float32"), array.channels_last)
    a[...] = t.numpy()
    return a


def _tensor(t: torch.Tensor) -> pycnn.Tensor:
    return pycnn.Tensor._wrap(_array(t))


def convolutions(batches: tuple[int, ...], passes: tuple[str, ...]) -> Makers:
    for name, layer in layers.CONVOLUTIONS.items():
        for batch in batches:
            if batch in layer.batches:
                for direction in passes:
                    yield name, partial(_convolution, name, layer, batch, direction)


def _convolution(name: str, layer: layers.Conv, n: int, direction: str) -> Problem:
    torch.manual_seed(0)
    h, c, k, r, stride, groups, transposed, _ = layer
    padding = 0 if transposed else r // 2
    if transposed:
        g = conv_transpose2d_geometry(
            (n, c, h, h), (c, k, r, r), (stride, stride), (0, 0), (0, 0), 1, (1, 1)
        )
        w = _random(c, k, r, r, scale=0.05)
        primitive = {"fprop": "conv2d_dgrad", "dgrad": "conv2d_fprop", "wgrad": "conv2d_wgrad"}
    else:
        g = conv2d_geometry(
            (n, c, h, h), (k, c // groups, r, r), (stride, stride), (padding,) * 4, (1, 1), groups
        )
        w = _random(k, c // groups, r, r, scale=0.05)
        primitive = {d: f"conv2d_{d}" for d in PASSES}
    # what the layer is given and what it gives, whichever way round the geometry sees them
    given, made = (g.y_shape, g.x_shape) if transposed else (g.x_shape, g.y_shape)
    x, dy = _random(*given), _random(*made)
    if direction == "fprop":
        tensors, shape = (x, w), made
    elif direction == "dgrad":
        tensors, shape = (dy, w), given
    else:
        tensors, shape = ((dy, x) if transposed else (x, dy)), tuple(w.shape)
    arrays = [_array(t) for t in tensors]

    def ours() -> np.ndarray:
        return dispatch.run(primitive[direction], *arrays, out_shape=shape, geometry=g)

    def torch_call(x: torch.Tensor, w: torch.Tensor, dy: torch.Tensor) -> Callable[[], Any]:
        if direction == "fprop":
            if transposed:
                return lambda: TF.conv_transpose2d(x, w, None, stride)
            return lambda: TF.conv2d(x, w, None, stride, padding, 1, groups)
        mask = [direction == "dgrad", direction == "wgrad", False]
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, [stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], groups, mask
        )[0 if direction == "dgrad" else 1]

    def theirs(layout: Any) -> Callable[[], Any]:
        return torch_call(*(t.contiguous(memory_format=layout) for t in (x, w, dy)))

    moved = sum(a.nbytes for a in arrays) + 4 * int(np.prod(shape))
    return Problem(
        "convolution",
        name,
        direction,
        n,
        str(g),
        ours,
        theirs,
        lambda: torch_call(x.double(), w.double(), dy.double())(),
        g.flops(primitive[direction]),
        moved,
    )


def pools(batches: tuple[int, ...], passes: tuple[str, ...]) -> Makers:
    for name, p in layers.POOLS.items():
        for n in batches:
            for direction in ("forward", "backward"):
                yield name, partial(_pool, name, p, n, direction)


def _pool(name: str, p: layers.Pool, n: int, direction: str) -> Problem:
    """The primitives alone; max pooling writes its offsets, as PyTorch's does its indices."""
    torch.manual_seed(0)
    x = _random(n, p.C, p.H, p.H)
    window = (p.size, p.size), (p.stride, p.stride), (p.padding, p.padding)
    if p.kind == "adaptive":
        g = adaptive_pool2d_geometry(tuple(x.shape), (p.size, p.size))
    else:
        g = pool2d_geometry(tuple(x.shape), *window)
    kind = "max" if p.kind == "max" else "avg"
    dy = _random(*g.y_shape)
    image, gradient = _array(x), _array(dy)
    single, offsets = np.dtype("float32"), np.dtype(g.offset_dtype)

    def ours() -> np.ndarray:
        if kind == "avg":
            return dispatch.run("avg_pool2d_fprop", image, out_shape=g.y_shape, geometry=g)
        out = [array.empty(g.y_shape, dtype, array.channels_last) for dtype in (single, offsets)]
        return dispatch.run("max_pool2d_fprop", image, out=tuple(out), geometry=g)[0]

    taken = array.empty(g.y_shape, offsets, array.channels_last)
    if kind == "max":
        pooled = array.empty(g.y_shape, single, array.channels_last)
        dispatch.run("max_pool2d_fprop", image, out=(pooled, taken), geometry=g)

    def ours_backward() -> np.ndarray:
        given = (gradient, taken) if kind == "max" else (gradient,)
        return dispatch.run(f"{kind}_pool2d_dgrad", *given, out_shape=g.x_shape, geometry=g)

    def other(x: torch.Tensor, dy: torch.Tensor) -> Callable[[], Any]:
        aten = torch.ops.aten
        if p.kind == "adaptive":
            if direction == "forward":
                return lambda: TF.adaptive_avg_pool2d(x, p.size)
            return lambda: aten._adaptive_avg_pool2d_backward(dy, x)
        if p.kind == "avg":
            if direction == "forward":
                return lambda: TF.avg_pool2d(x, *window)
            return lambda: aten.avg_pool2d_backward(dy, x, *window, False, True, None)
        if direction == "forward":
            return lambda: aten.max_pool2d_with_indices(x, *window)[0]
        _, indices = aten.max_pool2d_with_indices(x, *window)
        return lambda: aten.max_pool2d_with_indices_backward(dy, x, *window, (1, 1), False, indices)

    def theirs(layout: Any) -> Callable[[], Any]:
        return other(*(t.contiguous(memory_format=layout) for t in (x, dy)))

    return Problem(
        "pooling",
        name,
        direction,
        n,
        str(g),
        ours if direction == "forward" else ours_backward,
        theirs,
        lambda: other(x.double(), dy.double())(),
        bytes=(x.numel() + dy.numel()) * 4 + (dy.numel() if kind == "max" else 0),
    )


def _differentiable(
    suite: str,
    name: str,
    direction: str,
    n: int,
    geometry: str,
    mine: Callable[..., Any],
    other: Callable[..., Any],
    inputs: tuple[torch.Tensor, ...],
    dy: torch.Tensor,
    moved: int,
) -> Problem:
    """A function of tensors: forward without recording, or the backward pass of a recorded call.

    The graph is kept, so that what is timed is the backward pass alone."""

    def forward(function: Callable[..., Any], tensors: Any, context: Any) -> Callable[[], Any]:
        def call() -> Any:
            with context():
                return function(*tensors)

        return call

    def backward(function: Callable[..., Any], tensors: Any, gradient: Any) -> Callable[[], Any]:
        tensors = [t.requires_grad_() for t in tensors]
        y = function(*tensors)

        def call() -> Any:
            for t in tensors:
                t.grad = None
            y.backward(gradient, retain_graph=True)
            return tensors[0].grad

        return call

    if direction == "forward":
        ours = forward(mine, [_tensor(t) for t in inputs], pycnn.no_grad)
    else:
        ours = backward(mine, [_tensor(t) for t in inputs], _tensor(dy))

    def theirs(layout: Any, dtype: Any = torch.float32) -> Callable[[], Any]:
        tensors = [t.detach().to(dtype).clone().contiguous(memory_format=layout) for t in inputs]
        if direction == "forward":
            return forward(other, tensors, torch.no_grad)
        return backward(other, tensors, dy.to(dtype).contiguous(memory_format=layout))

    return Problem(
        suite,
        name,
        direction,
        n,
        geometry,
        ours,
        theirs,
        lambda: theirs(torch.contiguous_format, torch.float64)(),
        bytes=moved,
    )


def batch_norms(batches: tuple[int, ...], passes: tuple[str, ...]) -> Makers:
    """Training, fused with ReLU."""
    for name, plane in layers.BATCH_NORMS.items():
        for n in batches:
            for direction in ("forward", "backward"):
                yield name, partial(_batch_norm, name, plane, n, direction)


def _batch_norm(name: str, plane: layers.Plane, n: int, direction: str) -> Problem:
    torch.manual_seed(0)
    h, c = plane
    x, dy = _random(n, c, h, h), _random(n, c, h, h)
    train = direction == "backward"
    tensors = torch.rand(c) + 0.5, torch.randn(c)
    own = [pycnn.Tensor._wrap(t.numpy().copy()).requires_grad_(train) for t in tensors]

    def mine(v: Any) -> Any:
        return F.batch_norm(v, None, None, *own, training=True, activation="relu")

    def other(v: Any) -> Any:
        weight, bias = (t.to(v.dtype).requires_grad_(train) for t in tensors)
        return TF.relu_(TF.batch_norm(v, None, None, weight, bias, training=True))

    return _differentiable(
        "batch norm + relu",
        name,
        direction,
        n,
        f"{n}x{c}x{h}x{h}",
        mine,
        other,
        (x,),
        dy,
        x.numel() * 12,
    )


def joins(batches: tuple[int, ...], passes: tuple[str, ...]) -> Makers:
    """Concatenation along the channels, and addition followed by ReLU."""
    for n in batches:
        for name, (h, sizes) in layers.CONCATS.items():
            yield name, partial(_concat, name, h, sizes, n)
        for name, plane in layers.ADDS.items():
            yield name, partial(_add, name, plane, n)


def _concat(name: str, h: int, sizes: tuple[int, ...], n: int) -> Problem:
    torch.manual_seed(0)
    parts = [_random(n, c, h, h) for c in sizes]
    shape, g = (n, sum(sizes), h, h), ConcatGeometry(1, sizes)
    arrays = [_array(t) for t in parts]

    def theirs(layout: Any) -> Callable[[], Any]:
        given = [t.contiguous(memory_format=layout) for t in parts]
        return lambda: torch.cat(given, 1)

    return Problem(
        "concat",
        name,
        "forward",
        n,
        f"{n}x{sizes}x{h}x{h}",
        lambda: dispatch.run("concat", *arrays, out_shape=shape, geometry=g),
        theirs,
        lambda: torch.cat([t.double() for t in parts], 1),
        bytes=8 * int(np.prod(shape)),
    )


def _add(name: str, plane: layers.Plane, n: int) -> Problem:
    torch.manual_seed(0)
    shape = (n, plane.C, plane.H, plane.H)
    a, b = _random(*shape), _random(*shape)
    g = ElementwiseGeometry("relu")
    arrays = _array(a), _array(b)

    def theirs(layout: Any) -> Callable[[], Any]:
        given = [t.contiguous(memory_format=layout) for t in (a, b)]
        return lambda: torch.add(*given).relu_()

    return Problem(
        "add + relu",
        name,
        "forward",
        n,
        f"{n}x{plane.C}x{plane.H}x{plane.H}",
        lambda: dispatch.run("add_activation", *arrays, out_shape=shape, geometry=g),
        theirs,
        lambda: (a.double() + b.double()).relu_(),
        bytes=a.numel() * 12,
    )


SUITES: dict[str, Callable[..., Makers]] = {
    "convolution": convolutions,
    "pooling": pools,
    "batch norm": batch_norms,
    "join": joins,
}


def run(problem: Problem, threads: tuple[int, ...], seconds: float) -> list[dict[str, Any]]:
    """A row of results for each number of threads."""
    truth = problem.truth().detach().numpy()
    return [_row(problem, count, seconds, truth) for count in threads]


def _row(problem: Problem, threads: int, seconds: float, truth: np.ndarray) -> dict[str, Any]:
    """One row of results. The error is that of the timed call's output against float64, relative to
    the largest number there; the ratio is PyTorch's least time over ours."""
    torch.set_num_threads(threads)
    pycnn.set_num_threads(threads)
    busy = measure.wait_until_idle()
    functions = {"pycnn": problem.ours}
    functions |= {name: problem.theirs(layout) for name, layout in LAYOUTS.items()}
    times = measure.interleaved(functions, seconds)
    with dispatch.trace() as trace:
        output = problem.ours()
    got = output if isinstance(output, np.ndarray) else output.numpy()
    opponent = min(LAYOUTS, key=lambda name: times[name].least)
    mine, other = times["pycnn"], times[opponent]
    return {
        "suite": problem.suite,
        "name": problem.name,
        "pass": problem.direction,
        "batch": problem.batch,
        "threads": threads,
        "geometry": problem.geometry,
        "dtype": problem.dtype,
        "layout": "channels-last",
        "provider": trace.records[-1].provider,
        "algorithm": " + ".join(dict.fromkeys(r.algorithm for r in trace.records)),
        "seconds": dict(zip(mine._fields, mine, strict=True)),
        "gflops": problem.flops / mine.least / 1e9,
        "gbytes_per_second": problem.bytes / mine.least / 1e9,
        "error": float(np.abs(got - truth).max() / max(np.abs(truth).max(), 1e-30)),
        "opponent": f"PyTorch, {opponent}",
        "opponent_seconds": dict(zip(other._fields, other, strict=True)),
        "opponent_other_layout": {name: times[name].least for name in LAYOUTS if name != opponent},
        "ratio": other.least / mine.least,
        "ratio_of_medians": other.p50 / mine.p50,
        "others_busy": round(busy, 3),
    }
