"""The named layers as calls of primitives: geometry and arrays, for whoever compiles or times them.

The arrays are not filled: allocating them costs address space only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import array, dtypes
from ..dispatch import Epilogue
from ..geometry import (
    ConcatGeometry,
    LocalResponseNormGeometry,
    adaptive_pool2d_geometry,
    batch_norm_geometry,
    conv2d_geometry,
    conv_transpose2d_geometry,
    cross_entropy_geometry,
    dropout_geometry,
    elementwise_geometry,
    gemm_geometry,
    pool2d_geometry,
    reduce_geometry,
    resize2d_geometry,
    softmax_geometry,
)
from . import layers

Make = Callable[..., Any]  # make(shape, dtype=None): an array of the problem's dtype and layout


@dataclass(frozen=True)
class Problem:
    """One call of a primitive on a named layer."""

    primitive: str
    layer: str
    geometry: Any
    arrays: Callable[[Make], tuple[tuple[Any, ...], Any, Epilogue | None]]

    def allocate(
        self, dtype: str, memory_format: str = array.channels_last, device: str = "cpu"
    ) -> tuple[tuple[Any, ...], Any, Epilogue | None]:
        """(inputs, out, epilogue), unfilled, four-dimensional arrays in `memory_format`."""
        usual = dtypes.as_dtype(dtype)

        def make(shape: tuple[int, ...], kind: Any = None) -> Any:
            kept = memory_format if len(shape) == 4 else array.contiguous_format
            wanted = {None: usual, "accumulation": dtypes.accumulation_dtype(usual)}.get(kind)
            return array.empty(shape, wanted or np.dtype(kind), kept, device)

        return self.arrays(make)


def problems(batch: int = 32) -> Iterator[Problem]:
    """Every named layer, forward and backward."""
    for name, layer in layers.CONVOLUTIONS.items():
        yield from _convolutions(name, layer, batch)
    for name, pool in layers.POOLS.items():
        yield from _pools(name, pool, batch)
    for name, plane in layers.BATCH_NORMS.items():
        yield from _batch_norms(name, (batch, plane.C, plane.H, plane.H))
    for name, plane in layers.ADDS.items():
        yield _simple("add_activation", name, elementwise_geometry("relu"), 2, batch, plane)
    for name, (size, parts) in layers.CONCATS.items():
        yield from _joins(name, [(batch, c, size, size) for c in parts])
    for name, (m, n, k) in layers.GEMMS.items():
        yield _gemm(name, batch if m is None else m, n, k)
    yield from _others(batch)


def conv2d_of(layer: layers.Conv, batch: int) -> Any:
    """A named convolution's geometry; a transposed one's is that of its adjoint."""
    h, c, k, r, stride, groups, transposed, _ = layer
    if transposed:
        strides = (stride, stride)
        return conv_transpose2d_geometry(
            (batch, c, h, h), (c, k, r, r), strides, (0, 0), (0, 0), 1, (1, 1)
        )
    pads = (r // 2,) * 4
    return conv2d_geometry(
        (batch, c, h, h), (k, c // groups, r, r), (stride, stride), pads, (1, 1), groups
    )


def pool2d_of(pool: layers.Pool, batch: int) -> Any:
    shape = (batch, pool.C, pool.H, pool.H)
    if pool.kind == "adaptive":
        return adaptive_pool2d_geometry(shape, (pool.size, pool.size))
    window = (pool.size,) * 2, (pool.stride,) * 2, (pool.padding,) * 2
    return pool2d_geometry(shape, *window)


def _convolutions(name: str, layer: layers.Conv, batch: int) -> Iterator[Problem]:
    g = conv2d_of(layer, batch)
    x, w, y = g.x_shape, g.w_shape, g.y_shape

    def end(make: Make) -> Epilogue:
        vectors = make((g.K,)), make((g.K,))
        return Epilogue(None, *vectors, residual=make(y), activation="relu")

    yield Problem("conv2d_fprop", name, g, lambda make: ((make(x), make(w)), make(y), None))
    yield Problem(
        "conv2d_fprop", f"{name} fused", g, lambda make: ((make(x), make(w)), make(y), end(make))
    )
    yield Problem("conv2d_dgrad", name, g, lambda make: ((make(y), make(w)), make(x), None))
    yield Problem("conv2d_wgrad", name, g, lambda make: ((make(x), make(y)), make(w), None))
    if not layer.transposed and layer.R in (3, 7) and layer.groups == 1:
        columns = (g.N, g.C * g.R * g.S, g.P * g.Q)
        yield Problem("im2col", name, g, lambda make: ((make(x),), make(columns), None))
        yield Problem("col2im", name, g, lambda make: ((make(columns),), make(x), None))


def _pools(name: str, pool: layers.Pool, batch: int) -> Iterator[Problem]:
    g = pool2d_of(pool, batch)
    x, y = g.x_shape, g.y_shape
    if pool.kind == "max":
        offsets = g.offset_dtype
        yield Problem(
            "max_pool2d_fprop", name, g,
            lambda make: ((make(x),), (make(y), make(y, offsets)), None),
        )  # fmt: skip
        yield Problem(
            "max_pool2d_dgrad", name, g,
            lambda make: ((make(y), make(y, offsets)), make(x), None),
        )  # fmt: skip
        if pool.size == pool.stride:
            yield Problem(
                "max_unpool2d_fprop", name, g,
                lambda make: ((make(y), make(y, "int64")), make(x), None),
            )  # fmt: skip
            yield Problem(
                "max_unpool2d_dgrad", name, g,
                lambda make: ((make(x), make(y, "int64")), make(y), None),
            )  # fmt: skip
    else:
        yield Problem("avg_pool2d_fprop", name, g, lambda make: ((make(x),), make(y), None))
        yield Problem("avg_pool2d_dgrad", name, g, lambda make: ((make(y),), make(x), None))


def _batch_norms(name: str, shape: tuple[int, ...]) -> Iterator[Problem]:
    g = batch_norm_geometry(shape)
    channels = (shape[1],)

    def vectors(make: Make, count: int) -> tuple[Any, ...]:
        return tuple(make(channels, "accumulation") for _ in range(count))

    yield Problem(
        "batch_norm_stats", name, g, lambda make: ((make(shape),), vectors(make, 2), None)
    )
    yield _apply(name, g, shape, None, False)
    yield _apply(f"{name} relu", g, shape, "relu", False)
    yield _apply(f"{name} add relu", g, shape, "relu", True)
    yield Problem(
        "batch_norm_reduce", name, g,
        lambda make: (
            (make(shape), make(shape), *vectors(make, 2), None, None), vectors(make, 2), None,
        ),
    )  # fmt: skip
    yield Problem(
        "batch_norm_dgrad", name, g,
        lambda make: (
            (
                make(shape), make(shape), *vectors(make, 2), make(channels), None,
                *vectors(make, 2),
            ),
            make(shape), None,
        ),
    )  # fmt: skip


def _apply(
    name: str, g: Any, shape: tuple[int, ...], activation: str | None, residual: bool
) -> Problem:
    channels = (shape[1],)

    def arrays(make: Make) -> tuple[tuple[Any, ...], Any, Epilogue | None]:
        statistics = make(channels, "accumulation"), make(channels, "accumulation")
        affine = make(channels), make(channels)
        end = Epilogue(residual=make(shape) if residual else None, activation=activation)
        return (make(shape), *statistics, *affine), make(shape), end

    return Problem("batch_norm_apply", name, g, arrays)


def _plain(
    primitive: str, name: str, geometry: Any, given: list[tuple[int, ...]], made: tuple[int, ...]
) -> Problem:
    """Inputs and one output of these shapes, all of the problem's dtype."""
    return Problem(
        primitive, name, geometry,
        lambda make: (tuple(make(shape) for shape in given), make(made), None),
    )  # fmt: skip


def _simple(
    primitive: str, name: str, geometry: Any, count: int, batch: int, plane: layers.Plane
) -> Problem:
    shape = (batch, plane.C, plane.H, plane.H)
    return _plain(primitive, name, geometry, [shape] * count, shape)


def _joins(name: str, parts: list[tuple[int, ...]]) -> Iterator[Problem]:
    sizes = tuple(shape[1] for shape in parts)
    whole = (parts[0][0], sum(sizes), *parts[0][2:])
    g = ConcatGeometry(1, sizes)
    yield Problem(
        "concat", name, g, lambda make: (tuple(make(s) for s in parts), make(whole), None)
    )
    yield Problem(
        "split", name, g, lambda make: ((make(whole),), tuple(make(s) for s in parts), None)
    )


def _gemm(name: str, m: int, n: int, k: int) -> Problem:
    """A linear layer: the weight (N,K) is read transposed."""
    return Problem(
        "gemm", name, gemm_geometry(1, m, n, k),
        lambda make: (
            (make((1, m, k)), make((1, n, k)).transpose(0, 2, 1)), make((1, m, n)),
            Epilogue(bias=make((n,))),
        ),
    )  # fmt: skip


def _others(batch: int) -> Iterator[Problem]:
    plane = layers.ADDS["rn50.l1.add"]
    shape = (batch, plane.C, plane.H, plane.H)
    for op, count in (("relu", 1), ("gelu", 1), ("add", 2), ("mul", 2), ("exp", 1)):
        yield _simple("elementwise", f"{op} 56x256", elementwise_geometry(op), count, batch, plane)
    yield Problem(
        "elementwise", "bias 56x256", elementwise_geometry("add"),
        lambda make: ((make(shape), make((1, plane.C, 1, 1))), make(shape), None),
    )  # fmt: skip
    for op in ("sum", "amax", "var"):
        for axes in ((0, 2, 3), (1,), (0, 1, 2, 3)):
            kept = tuple(size for i, size in enumerate(shape) if i not in axes)
            label = f"{op} over {axes} of 56x256"
            yield _plain("reduce", label, reduce_geometry(op, axes), [shape], kept)
    yield Problem(
        "dropout", "56x256", dropout_geometry(0.5, 4),
        lambda make: ((make(shape), make((2,), "int64")), make(shape), None),
    )  # fmt: skip
    norm = LocalResponseNormGeometry(5, 1e-4, 0.75, 2.0)
    alexnet = layers.Plane(55, 96)
    yield _simple("local_response_norm_fprop", "alexnet.55", norm, 1, batch, alexnet)
    yield _simple("local_response_norm_dgrad", "alexnet.55", norm, 3, batch, alexnet)
    for mode in ("nearest", "bilinear", "bicubic"):
        g = resize2d_geometry((batch, 64, 56, 56), (112, 112), (None, None), mode)
        small, large = (batch, 64, 56, 56), (batch, 64, 112, 112)
        yield _plain("resize2d_fprop", f"{mode} 56x64", g, [small], large)
        yield _plain("resize2d_dgrad", f"{mode} 56x64", g, [large], small)
    for name, logits in (("imagenet", (batch, 1000)), ("voc", (8, 21, 512, 512))):
        target = (logits[0], *logits[2:])
        for log in (False, True):
            softmax = softmax_geometry(1, log)
            label = f"{name} log" if log else name
            yield _plain("softmax_fprop", label, softmax, [logits], logits)
            yield _plain("softmax_dgrad", label, softmax, [logits, logits], logits)
        yield from _cross_entropies(name, logits, target)


def _cross_entropies(
    name: str, logits: tuple[int, ...], target: tuple[int, ...]
) -> Iterator[Problem]:
    g = cross_entropy_geometry(-100, 0.1, False)
    yield Problem(
        "softmax_cross_entropy_fprop", name, g,
        lambda make: (
            (make(logits), make(target, "int64"), None),
            (make(target), make(target, "accumulation")), None,
        ),
    )  # fmt: skip
    yield Problem(
        "softmax_cross_entropy_dgrad", name, g,
        lambda make: (
            (
                make(target), make(logits), make(target, "int64"), None,
                make(target, "accumulation"),
            ),
            make(logits), None,
        ),
    )  # fmt: skip


def nbytes(problem: Problem, dtype: str) -> int:
    """The bytes of the problem's arrays, each touched once."""
    inputs, out, epilogue = problem.allocate(dtype)
    outs = out if isinstance(out, tuple) else (out,)
    extra = () if epilogue is None else epilogue[:4]
    return sum(math.prod(a.shape) * a.itemsize for a in (*inputs, *outs, *extra) if a is not None)
