"""Max unpooling where several indices name one pixel: the last in row-major order is stored.

PyTorch leaves the order open, so that the table of cases has every index once."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from pycnn import array, dispatch
from pycnn.geometry import Pool2dGeometry
from pycnn.kernels import mode
from pycnn.testing.kernels import harness, problems
from pycnn.testing.kernels.memory import place, poison

ENTRIES = [
    pytest.param(entry, id=f"{entry.provider}.{entry.algorithm}")
    for entry in dispatch.entries("max_unpool2d_fprop")
    if "cpu" in entry.devices
]


def _last_stored(x: np.ndarray, indices: np.ndarray, g: Pool2dGeometry) -> np.ndarray:
    """One store after the other."""
    y = np.zeros((g.N, g.C, g.H * g.W), x.dtype)
    for n, c, p, q in np.ndindex(*g.y_shape):
        y[n, c, indices[n, c, p, q]] = x[n, c, p, q]
    return y.reshape(g.x_shape)


def _run(entry: Any, x: np.ndarray, indices: np.ndarray, g: Pool2dGeometry, layout: str) -> Any:
    rng = np.random.default_rng(0)
    placed = [place(a, layout, rng).view for a in (x, indices)]
    y = place(poison(g.x_shape, x.dtype), layout, rng)
    with harness.only(entry.provider), dispatch.using(entry.provider, entry.algorithm):
        dispatch.run("max_unpool2d_fprop", *placed, out=y.view, geometry=g)
    return np.array(y.view)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "gaps"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_the_last_of_equal_indices_is_stored(entry, dtype, layout) -> None:
    g = Pool2dGeometry(2, 5, 12, 11, 3, 3, 11, 10)  # overlapping windows: up to nine of one pixel
    rng = np.random.default_rng(problems.SEED)
    x = rng.integers(1, 2000, g.y_shape).astype(dtype)
    indices = rng.integers(0, g.H * g.W, g.y_shape)
    indices[0, 1] = rng.permutation(g.H * g.W)[: g.P * g.Q].reshape(g.P, g.Q)  # none twice
    indices[1, 3] = 7  # all equal
    got = _run(entry, x, indices, g, layout)
    np.testing.assert_array_equal(got, _last_stored(x, indices, g))


@pytest.mark.parametrize("entry", ENTRIES)
def test_equal_indices_of_zeros_and_nans(entry) -> None:
    """0 and -0 are different bits of equal numbers, a NaN is unequal to itself."""
    g = Pool2dGeometry(1, 2, 2, 2, 1, 1, 2, 2)
    x = np.array([0.0, -0.0, np.nan, np.nan, -0.0, 0.0, 3.0, np.nan], np.float32)
    indices = np.array([1, 1, 2, 2, 1, 1, 2, 2]).reshape(g.y_shape)
    got = _run(entry, x.reshape(g.y_shape), indices, g, array.contiguous_format)
    want = _last_stored(x.reshape(g.y_shape), indices, g)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.skipif(mode.why_not() is not None, reason=str(mode.why_not()))
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_stores_in_the_wrong_order_are_repaired(layout, monkeypatch) -> None:
    """A GPU stores in no order; the interpreter, which has one, is made to store backwards."""
    if mode.settle() != mode.INTERPRETED:
        pytest.skip("kernels are compiled: the GPU has its own order")
    unpool = import_module("pycnn.kernels.max_unpool2d")
    launch = unpool.launch

    def backwards(kernel: Any, grid: Any, *arguments: Any, **constants: Any) -> None:
        if kernel is unpool._scatter:
            flipped = [a[:, :, ::-1, ::-1] for a in arguments[:2]]
            steps = [unpool.strides(a) for a in flipped]
            arguments = (*flipped, *arguments[2:8], *steps, arguments[10])
        launch(kernel, grid, *arguments, **constants)

    monkeypatch.setattr(unpool, "launch", backwards)
    g = Pool2dGeometry(2, 3, 5, 4, 2, 2, 4, 3)
    rng = np.random.default_rng(problems.SEED)
    x = rng.standard_normal(g.y_shape).astype(np.float32)
    indices = rng.integers(0, 5, g.y_shape)
    indices[1, :, 0, 0], indices[1, :, 3, 2] = 9, 9
    x[1, :, 0, 0], x[1, :, 3, 2] = 0.0, -0.0  # equal numbers, other bits
    entry = next(e for e in dispatch.entries("max_unpool2d_fprop") if e.provider == "triton")
    got = _run(entry, x, indices, g, layout)
    want = _last_stored(x, indices, g)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))
