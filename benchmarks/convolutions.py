"""Convolutions, transposed ones included: forward and both gradients, PyTorch's and cuDNN's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch, dtypes
from ..geometry import conv2d_geometry, conv_transpose2d_geometry
from ..study import layers
from .problem import Bind, Call, Key, Problem

PASSES = ("fprop", "dgrad", "wgrad")


class Shape(NamedTuple):
    """What the layer is given, C x H x W, and its K filters; K outputs where transposed, too."""

    C: int
    H: int
    W: int
    K: int
    filter: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    transposed: bool = False

    def geometry(self, n: int) -> Any:
        """The convolution's; of a transposed one, that of the convolution it is the adjoint of."""
        given = (n, self.C, self.H, self.W)
        if self.transposed:
            w = (self.C, self.K // self.groups, *self.filter)
            return conv_transpose2d_geometry(
                given, w, self.stride, self.padding, (0, 0), self.groups, self.dilation
            )
        w = (self.K, self.C // self.groups, *self.filter)
        (top, left), (bottom, right) = self.padding, self.padding
        pads = (top, bottom, left, right)
        return conv2d_geometry(given, w, self.stride, pads, self.dilation, self.groups)


def shape_of(layer: layers.Conv) -> Shape:
    """A named layer's."""
    pad = 0 if layer.transposed else layer.R // 2
    return Shape(
        layer.C, layer.H, layer.H, layer.K, (layer.R, layer.R), (layer.stride,) * 2, (pad, pad),
        (1, 1), layer.groups, layer.transposed,
    )  # fmt: skip


def convolution(key: Key, shape: Shape) -> Problem:
    """fprop, dgrad or wgrad of a layer of that shape."""
    n, direction = key.batch, key.direction
    g = shape.geometry(n)
    primitive = f"conv2d_{direction}"
    if shape.transposed:
        primitive = {"fprop": "conv2d_dgrad", "dgrad": "conv2d_fprop"}.get(direction, primitive)
    # what the layer is given and what it gives, whichever way round the geometry sees them
    given, made = (g.y_shape, g.x_shape) if shape.transposed else (g.x_shape, g.y_shape)
    shapes = {"x": given, "w": g.w_shape, "dy": made}
    taken, out = {
        "fprop": (("x", "w"), made),
        "dgrad": (("dy", "w"), given),
        "wgrad": (("x", "dy"), g.w_shape),
    }[direction]
    scale = {"w": 1 / math.sqrt(math.prod(g.w_shape[1:]))}

    def inputs(rng: np.random.Generator) -> list[np.ndarray]:
        return [
            rng.standard_normal(shapes[k], dtype=np.float32) * np.float32(scale.get(k, 1))
            for k in taken
        ]

    def ours() -> Bind:
        def bind(*arrays: Any) -> Call:
            if direction == "wgrad" and shape.transposed:
                arrays = arrays[::-1]
            return lambda: dispatch.run(primitive, *arrays, out_shape=out, geometry=g)

        return bind

    itemsize = dtypes.as_dtype(key.dtype).itemsize
    size = {k: math.prod(shapes[k]) for k in taken}
    image = {"conv2d_fprop": taken[0], "conv2d_wgrad": "dy" if shape.transposed else "x"}
    unread = size[image[primitive]] * (1 - _read(g)) if primitive in image else 0
    return Problem(
        key=key,
        primitive=primitive,
        geometry=f"{'transposed ' if shape.transposed else ''}{g}",
        inputs=inputs,
        ours=ours,
        theirs=lambda layout: _torch(shape, direction, shapes),
        truth=lambda *tensors: _torch(shape, direction, shapes)(*tensors)(),
        forced=lambda layout: _cudnn(shape, direction, out),
        flops=g.flops(primitive),
        bytes=(sum(size.values()) + math.prod(out)) * itemsize,
        least_flops=lambda algorithm: least_flops(g, algorithm),
        least_bytes=int((sum(size.values()) + math.prod(out) - unread) * itemsize),
    )


# --- the floor ------------------------------------------------------------------------------------


def _spans(g: Any) -> tuple[list[range], list[range]]:
    """The input rows that each tap reads, and the columns."""
    rows: dict[int, range] = {}
    columns: dict[int, range] = {}
    for r, s, _, (h, w) in g.taps():
        rows[r] = range(h.start, h.stop, h.step or 1)
        columns[s] = range(w.start, w.stop, w.step or 1)
    return list(rows.values()), list(columns.values())


def _read(g: Any) -> float:
    """The share of the image that any tap reads: a strided 1x1 filter leaves most of it out."""
    rows, columns = (len(set().union(*axis)) for axis in _spans(g))
    return rows * columns / (g.H * g.W)


def least_flops(g: Any, algorithm: str | None) -> float:
    """Operations that a convolution cannot do without: the taps that meet the padding count as
    none. Winograd's F(4x4,3x3) needs a quarter of the multiplications. What an opponent runs is
    unknown: for 3x3 at stride 1 it may be as good as F(6x6,3x3), for larger filters a transform of
    Fourier's, which leaves one multiplication for each channel, filter and pixel."""
    rows, columns = (sum(map(len, axis)) for axis in _spans(g))
    flops = 2 * g.N * g.K * (g.C // g.G) * rows * columns
    if algorithm is not None:
        return flops / 4 if algorithm == "winograd" else flops
    if g.stride != (1, 1) or g.R * g.S == 1 or g.G == g.C:
        return flops
    if max(g.R, g.S) <= 3:
        return flops / (81 / 16) if g.R == g.S == 3 else flops / 3
    return flops / (g.R * g.S)


# --- the opponents --------------------------------------------------------------------------------


def _torch(shape: Shape, direction: str, shapes: dict[str, tuple[int, ...]]) -> Bind:
    import torch

    functional, aten = torch.nn.functional, torch.ops.aten
    padding, stride, dilation = list(shape.padding), list(shape.stride), list(shape.dilation)

    def forward(x: Any, w: Any) -> Call:
        if shape.transposed:
            return lambda: functional.conv_transpose2d(
                x, w, None, stride, padding, 0, shape.groups, dilation
            )
        return lambda: functional.conv2d(x, w, None, stride, padding, dilation, shape.groups)

    mask = [direction == "dgrad", direction == "wgrad", False]
    wanted = 0 if direction == "dgrad" else 1

    def backward(dy: Any, x: Any, w: Any) -> Call:
        return lambda: aten.convolution_backward(
            dy, x, w, None, stride, padding, dilation, shape.transposed, [0, 0], shape.groups, mask
        )[wanted]

    if direction == "fprop":
        return forward
    # the operand whose numbers do not matter is one that is there already, or uninitialised
    if direction == "dgrad":
        return lambda dy, w: backward(dy, _unread(shapes["x"], dy), w)
    return lambda x, dy: backward(dy, x, _unread(shapes["w"], x))


def _unread(shape: tuple[int, ...], like: Any) -> Any:
    """A tensor that only its shape is taken of, in the layout of `like`."""
    import torch

    last = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
    last = last and not like.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


def _cudnn(shape: Shape, direction: str, out: tuple[int, ...]) -> Bind | None:
    """cuDNN's own entry, past PyTorch's choice of a backend; None where PyTorch offers none, which
    is the weight gradient. Benchmark mode is on, TF32 as PyTorch is set."""
    import torch

    aten = torch.ops.aten
    tf32 = torch.backends.cudnn.allow_tf32
    padding, stride, dilation = list(shape.padding), list(shape.stride), list(shape.dilation)
    if direction == "wgrad":
        return None

    def plain(a: Any, w: Any) -> Call:
        return lambda: aten.cudnn_convolution(
            a, w, padding, stride, dilation, shape.groups, True, False, tf32
        )

    def adjoint(a: Any, w: Any) -> Call:
        extra = [
            out[i + 2]
            - ((a.shape[i + 2] - 1) * stride[i] - 2 * padding[i])
            - (dilation[i] * (w.shape[i + 2] - 1) + 1)
            for i in (0, 1)
        ]
        return lambda: aten.cudnn_convolution_transpose(
            a, w, padding, extra, stride, dilation, shape.groups, True, False, tf32
        )

    return adjoint if (direction == "fprop") == shape.transposed else plain
