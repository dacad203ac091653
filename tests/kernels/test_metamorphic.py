"""Relations between convolutions, on small integers, so that both sides agree bit for bit.

Every kernel of conv2d_fprop is held to them, with the dgrad and wgrad of its provider beside it.
They need no oracle: a fault that PyTorch shared would still be found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pycnn
from pycnn import array, dispatch
from pycnn.geometry import Conv2dGeometry
from pycnn.testing.kernels import harness, problems
from pycnn.testing.kernels.case import Draw
from pycnn.testing.kernels.cases.conv2d import geometry

from .table import reproducer

DENSE = geometry((3, 4, 9, 8), (5, 4, 3, 2), (2, 1), (0, 1, 2, 1), (1, 2))
GROUPED = geometry((2, 6, 8, 9), (4, 3, 3, 3), 1, 1, groups=2)
DEPTHWISE = geometry((2, 5, 9, 10), (5, 1, 3, 3), (1, 2), 2, 2, groups=5)
ALL = {"dense": DENSE, "grouped": GROUPED, "depthwise": DEPTHWISE}
ENTRIES = [
    pytest.param(entry, id=f"{entry.provider}.{entry.algorithm}")
    for entry in dispatch.entries("conv2d_fprop")
]

every_kernel = pytest.mark.parametrize("entry", ENTRIES)
every_geometry = pytest.mark.parametrize("g", ALL.values(), ids=ALL.keys())


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> Draw:
    """Integers of at most 3; a failing test shows the printed line that repeats it."""
    print(reproducer(request))
    return Draw(np.random.default_rng([problems.SEED, 1]), "float32", (3, 1.0))


def replace(g: Conv2dGeometry, **changes: int) -> Conv2dGeometry:
    return Conv2dGeometry(**{name: getattr(g, name) for name in g._fields} | changes)


def run(entry: dispatch.Entry, primitive: str, *arrays: Any, g: Conv2dGeometry) -> np.ndarray:
    """`primitive` by the entry's provider, and by its algorithm where the primitive has it."""
    arrays = tuple(a.astype(np.float32, copy=False) for a in arrays)
    shape = {"fprop": g.y_shape, "dgrad": g.x_shape, "wgrad": g.w_shape}[primitive[-5:]]
    out = array.empty_for(arrays, shape, arrays[0].dtype)
    out[...] = np.nan
    with harness.only(entry.provider), dispatch.using(entry.provider, entry.algorithm):
        try:
            dispatch.run(primitive, *arrays, out=out, geometry=g)
        except dispatch.NoKernel as refusal:
            pytest.skip(str(refusal))
    return out


def conv(entry: dispatch.Entry, x: np.ndarray, w: np.ndarray, g: Conv2dGeometry) -> np.ndarray:
    """fprop on whatever shapes x and w have, with g's stride, padding and dilation."""
    groups = x.shape[1] // w.shape[1]
    return run(
        entry,
        "conv2d_fprop",
        x,
        w,
        g=geometry(x.shape, w.shape, g.stride, g.padding, g.dilation, groups),
    )


@every_geometry
@every_kernel
def test_linear(entry, g, draw) -> None:
    x1, x2, w1, w2 = draw(*g.x_shape), draw(*g.x_shape), draw(*g.w_shape), draw(*g.w_shape)
    y11, y21, y12 = conv(entry, x1, w1, g), conv(entry, x2, w1, g), conv(entry, x1, w2, g)
    np.testing.assert_array_equal(conv(entry, 2 * x1 - 3 * x2, w1, g), 2 * y11 - 3 * y21)
    np.testing.assert_array_equal(conv(entry, x1, 2 * w1 - 3 * w2, g), 2 * y11 - 3 * y12)


@every_geometry
@every_kernel
def test_shift_by_stride(entry, g, draw) -> None:
    """Without padding, dropping one stride of the image drops one row and one column of y."""
    g = replace(g, pad_top=0, pad_bottom=0, pad_left=0, pad_right=0)
    x, w = draw(*g.x_shape), draw(*g.w_shape)
    moved = conv(entry, x[:, :, g.stride_h :, g.stride_w :], w, g)
    np.testing.assert_array_equal(moved, conv(entry, x, w, g)[:, :, 1:, 1:])


@pytest.mark.parametrize("g", [GROUPED, DEPTHWISE], ids=["grouped", "depthwise"])
@every_kernel
def test_grouped_is_concatenated(entry, g, draw) -> None:
    x, w = draw(*g.x_shape), draw(*g.w_shape)
    pairs = zip(np.split(x, g.G, axis=1), np.split(w, g.G), strict=True)
    parts = [conv(entry, xi, wi, g) for xi, wi in pairs]
    np.testing.assert_array_equal(conv(entry, x, w, g), np.concatenate(parts, axis=1))


@every_kernel
def test_transposed_is_dgrad(entry, draw) -> None:
    g = geometry((2, 6, 9, 11), (4, 3, 3, 3), 2, 1, groups=2)
    dy, w = draw(*g.y_shape), draw(*g.w_shape)
    dx = run(entry, "conv2d_dgrad", dy, w, g=g)
    tensors = (pycnn.from_numpy(a.astype(np.float32)) for a in (dy, w))
    with dispatch.using(entry.provider, entry.algorithm):
        y = pycnn.functional.conv_transpose2d(*tensors, stride=2, padding=1, groups=2)
    np.testing.assert_array_equal(y.numpy(), dx)


@pytest.mark.parametrize("stride", [1, 2])
@every_kernel
def test_pointwise_is_matmul(entry, stride, draw) -> None:
    g = geometry((2, 7, 5, 6), (4, 7, 1, 1), stride)
    x, w = draw(*g.x_shape), draw(*g.w_shape)
    expected = np.einsum("nchw,kc->nkhw", x[:, :, ::stride, ::stride], w[:, :, 0, 0])
    np.testing.assert_array_equal(conv(entry, x, w, g), expected)


@every_geometry
@every_kernel
def test_layouts_agree(entry, g, draw) -> None:
    x, w, dy = draw(*g.x_shape), draw(*g.w_shape), draw(*g.y_shape)
    for primitive, a, b in (
        ("conv2d_fprop", x, w),
        ("conv2d_dgrad", dy, w),
        ("conv2d_wgrad", x, dy),
    ):
        last = (array.with_format(o, array.channels_last) for o in (a, b))
        there = run(entry, primitive, *last, g=g)
        np.testing.assert_array_equal(there, run(entry, primitive, a, b, g=g))


@every_geometry
@every_kernel
def test_batch_split_is_joined(entry, g, draw) -> None:
    x, w, dy = draw(*g.x_shape), draw(*g.w_shape), draw(*g.y_shape)
    one = replace(g, N=1)
    images = range(g.N)
    y = [conv(entry, x[i : i + 1], w, g) for i in images]
    np.testing.assert_array_equal(conv(entry, x, w, g), np.concatenate(y))
    dx = [run(entry, "conv2d_dgrad", dy[i : i + 1], w, g=one) for i in images]
    np.testing.assert_array_equal(run(entry, "conv2d_dgrad", dy, w, g=g), np.concatenate(dx))
    dw = sum(run(entry, "conv2d_wgrad", x[i : i + 1], dy[i : i + 1], g=one) for i in images)
    np.testing.assert_array_equal(run(entry, "conv2d_wgrad", x, dy, g=g), dw)


@every_geometry
@every_kernel
def test_gradients_are_adjoint(entry, g, draw) -> None:
    """<conv(x, w), dy> = <x, dgrad(dy, w)> = <w, wgrad(x, dy)>"""
    x, w, dy = draw(*g.x_shape), draw(*g.w_shape), draw(*g.y_shape)
    forward = np.vdot(conv(entry, x, w, g).astype(np.float64), dy)
    dx = run(entry, "conv2d_dgrad", dy, w, g=g).astype(np.float64)
    dw = run(entry, "conv2d_wgrad", x, dy, g=g).astype(np.float64)
    assert forward == np.vdot(x, dx) == np.vdot(w, dw)


@every_geometry
@every_kernel
def test_dilation_is_a_filter_with_holes(entry, g, draw) -> None:
    x, w = draw(*g.x_shape), draw(*g.w_shape)
    rows, columns = (g.R - 1) * g.dilation_h + 1, (g.S - 1) * g.dilation_w + 1
    stuffed = np.zeros((*w.shape[:2], rows, columns))
    stuffed[:, :, :: g.dilation_h, :: g.dilation_w] = w
    plain = replace(g, dilation_h=1, dilation_w=1)
    np.testing.assert_array_equal(conv(entry, x, w, g), conv(entry, x, stuffed, plain))


@every_geometry
@every_kernel
def test_padding_is_zeros_around(entry, g, draw) -> None:
    x, w = draw(*g.x_shape), draw(*g.w_shape)
    padded = np.pad(x, ((0, 0), (0, 0), (g.pad_top, g.pad_bottom), (g.pad_left, g.pad_right)))
    bare = replace(g, pad_top=0, pad_bottom=0, pad_left=0, pad_right=0)
    np.testing.assert_array_equal(conv(entry, x, w, g), conv(entry, padded, w, bare))


@every_geometry
@every_kernel
def test_transposed_image(entry, g, draw) -> None:
    """Rows and columns swapped throughout swap those of y."""
    x, w = draw(*g.x_shape), draw(*g.w_shape)
    swapped = replace(
        g,
        stride_h=g.stride_w,
        stride_w=g.stride_h,
        dilation_h=g.dilation_w,
        dilation_w=g.dilation_h,
        pad_top=g.pad_left,
        pad_bottom=g.pad_right,
        pad_left=g.pad_top,
        pad_right=g.pad_bottom,
    )
    y = conv(entry, x.swapaxes(2, 3), w.swapaxes(2, 3), swapped)
    np.testing.assert_array_equal(y.swapaxes(2, 3), conv(entry, x, w, g))
