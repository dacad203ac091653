"""An infinite weight: where the window stays within the image every kernel has the reference's
infinity; over padding a tiled kernel may have NaN, the naive one has not."""

from __future__ import annotations

import numpy as np
import pytest

from pycnn import array, dispatch
from pycnn.geometry import conv2d_geometry
from pycnn.kernels import mode

if mode.why_not() is not None or mode.settle() != mode.INTERPRETED:
    pytest.skip("the interpreter shows it", allow_module_level=True)

CASES = {"dense": 1, "grouped": 2, "depthwise": 4}  # the groups of four channels


def algorithms():
    entries = [e for e in dispatch.entries() if e.primitive == "conv2d_fprop"]
    return [e for e in entries if e.provider == "triton"]


@pytest.mark.parametrize("groups", CASES.values(), ids=CASES)
@pytest.mark.parametrize("entry", algorithms(), ids=lambda e: e.algorithm)
def test_an_infinite_weight_over_padding(entry, groups):
    rng = np.random.default_rng(7)
    g = conv2d_geometry((1, 4, 5, 5), (4, 4 // groups, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), groups)
    x = rng.integers(1, 5, g.x_shape).astype(np.float32)
    w = rng.integers(1, 5, g.w_shape).astype(np.float32)
    w[1, 0, 0, 0] = np.inf  # above and left: over padding in the first row and column
    reason = entry.refuses(g, (array.describe(x), array.describe(w)), None)
    if reason is not None:
        pytest.skip(reason)
    reference = next(
        e for e in dispatch.entries()
        if e.primitive == "conv2d_fprop" and e.provider == "reference"
    )  # fmt: skip
    y, expected = np.full(g.y_shape, np.nan, np.float32), np.empty(g.y_shape, np.float32)
    entry.function(x, w, out=y, geometry=g, epilogue=None)
    reference.function(x, w, out=expected, geometry=g, epilogue=None)
    assert np.isinf(expected[0, 1, 1:, 1:]).all()
    assert np.isfinite(expected[0, 1, 0]).all()
    allowed = np.zeros(g.y_shape, bool)
    if entry.algorithm != "naive":
        allowed[0, 1, 0, :] = allowed[0, 1, :, 0] = True
    np.testing.assert_array_equal(np.where(allowed & np.isnan(y), expected, y), expected)
