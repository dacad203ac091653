"""Geometries of any size, on every convolution and pooling of pycnn._native: refused, or the naive
kernel's result; nothing crashes, also where an offset names no pixel."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pytest

from pycnn.config import native_status

native, why_none = native_status()
pytestmark = pytest.mark.skipif(native is None, reason=f"no C++ extension: {why_none}")

POISON = 7
EXTREMES = 150  # random geometries per kernel

CONV2D_ALGORITHMS = (
    "winograd", "depthwise", "grouped", "pointwise", "pixel_shuffle", "direct", "im2col", "naive",
)  # fmt: skip
LARGE = (2**31 - 1, 2**30, 65536, 1000)


# values of the geometry under which the special algorithms run
FITS: dict[str, dict[int, int]] = {
    "winograd": {5: 3, 6: 3, 7: 1, 8: 1, 13: 1, 14: 1, 15: 1},
    "depthwise": {1: 4, 4: 4, 15: 4},
    "grouped": {1: 8, 4: 8, 15: 2},
    "pointwise": {5: 1, 6: 1, 9: 0, 10: 0, 11: 0, 12: 0, 15: 1},
    "pixel_shuffle": {5: 1, 6: 1, 9: 0, 10: 0, 11: 0, 12: 0, 13: 1, 14: 1, 15: 1},
}


def conv2d_arrays(g: tuple[int, ...], dtype: Any, rng: Any) -> list[np.ndarray] | None:
    """x, w and y of a geometry, filled with small integers; None if they would be large."""
    n, c, h, w, k, r, s, stride_h, stride_w, top, bottom, left, right, dil_h, dil_w, groups = g
    p = (h + top + bottom - dil_h * (r - 1) - 1) // stride_h + 1
    q = (w + left + right - dil_w * (s - 1) - 1) // stride_w + 1
    if min(p, q) < 1 or p * q > 400:
        return None
    shapes = ((n, c, h, w), (k, c // groups, r, s), (n, k, p, q))
    return [rng.integers(-2, 3, shape).astype(dtype) for shape in shapes]


def random_conv2d(rng: Any) -> tuple[int, ...]:
    def size(*usual: int) -> int:
        return int(rng.choice(LARGE if rng.random() < 0.15 else usual))

    groups = int(rng.choice([1, 1, 2, 4]))
    c, k = (groups * int(rng.choice([1, 1, 2, 8])) for _ in range(2))
    r, s = (int(rng.choice([1, 2, 3, 3])) for _ in range(2))
    pads = [size(0, 1, 3) for _ in range(4)]
    for i in (1, 3):  # the bottom and right padding may be negative
        if rng.random() < 0.2:
            pads[i] = -int(rng.choice([1, pads[i - 1], 2**31 - 1]))
    return (
        int(rng.choice([1, 2])), c, int(rng.integers(1, 9)), int(rng.integers(1, 9)), k, r, s,
        size(1, 2, 3), size(1, 2, 3), *pads, size(1, 2, 3), size(1, 2, 3), groups,
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", CONV2D_ALGORITHMS)
def test_any_geometry_runs_or_is_refused(algorithm):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    tried = ran = 0
    while tried < EXTREMES:
        g = random_conv2d(rng)
        if rng.random() < 0.5:
            g = tuple(FITS.get(algorithm, {}).get(i, value) for i, value in enumerate(g))
        dtype = rng.choice([np.float32, np.float64, np.float16])
        arrays = conv2d_arrays(g, dtype, rng)
        if arrays is None:
            continue
        tried += 1
        a, w, b = arrays
        calls = {
            "fprop": ((a, w), b, (None,)),
            "dgrad": ((b, w), a, (None,)),
            "wgrad": ((a, b), w, ()),
        }
        for which, (inputs, like, rest) in calls.items():
            function = getattr(native, f"conv2d_{which}")
            got, want = np.full_like(like, POISON), np.full_like(like, POISON)
            try:
                function(*inputs, got, g, *rest, algorithm)
            except (ValueError, TypeError):
                continue
            function(*inputs, want, g, *rest, "naive")
            allowed = 1e-3 if algorithm == "winograd" else 0
            error = np.abs(got.astype(float) - want.astype(float))
            assert (error <= allowed).all(), f"{which} of {g} in {dtype.__name__}"
            ran += 1
    assert ran > 0


def random_pool2d(rng: Any) -> tuple[Any, ...]:
    def size(*usual: int) -> int:
        return int(rng.choice(LARGE if rng.random() < 0.15 else usual))

    return (
        int(rng.choice([1, 2])), int(rng.choice([1, 3, 17])), *map(int, rng.integers(0, 9, 2)),
        *(int(rng.choice([1, 2, 3, 40])) for _ in "RS"), *map(int, rng.integers(0, 6, 2)),
        size(1, 2, 3), size(1, 2, 3), size(0, 1, 2), size(0, 1, 2), size(1, 2), size(1, 2),
        bool(rng.random() < 0.3), bool(rng.random() < 0.5),
        None if rng.random() < 0.6 else int(rng.choice([1, -3, 2**31 - 1, 0])),
    )  # fmt: skip


@pytest.mark.parametrize("kernel", ["max", "avg"])
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
def test_any_pooling_runs_or_is_refused(kernel, last):
    """Also where an offset names no pixel."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)

    def array(shape: tuple[int, ...], dtype: Any, high: int = 100) -> np.ndarray:
        values = rng.integers(0, high, shape).astype(dtype)
        if last:
            values = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        return values

    ran = 0
    for _ in range(EXTREMES):
        g = random_pool2d(rng)
        n, c, h, w, r, s, p, q = g[:8]
        small = r * s <= 256
        a, b = array((n, c, h, w), np.float32), array((n, c, p, q), np.float32)
        taken = array(b.shape, np.uint8 if small else np.int32, 256 if small else 2**31 - 1)
        answers = []
        for algorithm in ("direct", "naive"):
            da, fb, ft = np.full_like(a, POISON), np.full_like(b, POISON), np.zeros_like(taken)
            try:
                if kernel == "max":
                    native.max_pool2d_dgrad(b, taken, da, g, algorithm)  # wherever they point
                    native.max_pool2d_fprop(a, fb, ft, g, algorithm)
                    native.max_pool2d_dgrad(b, ft, da, g, algorithm)
                else:
                    native.avg_pool2d_dgrad(b, da, g, algorithm)
                    native.avg_pool2d_fprop(a, fb, g, algorithm)
            except (ValueError, TypeError):
                answers.append(None)
                continue
            answers.append((da, fb, ft))
            ran += 1
        assert (answers[0] is None) == (answers[1] is None), g
        adaptive = g[14]  # R and S then have to be the largest window's
        # a window without pixels, which no image's pooling has, takes none
        empty = answers[0] is not None and bool(np.isneginf(answers[0][1]).any())
        if answers[0] is not None and not adaptive and not empty:
            for one, other in zip(*answers, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, err_msg=str(g))
    assert ran > 0
