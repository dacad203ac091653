"""The native elementary functions against float64, over every exponent, near 1 and on special
values."""

from __future__ import annotations

import numpy as np
import pytest

from pycnn.config import native_status
from pycnn.providers.reference.erf import erf
from pycnn.testing.kernels.configurations import usable_isas
from pycnn.testing.kernels.problems import SEED

FUNCTIONS = {
    name: getattr(np, name)
    for name in ("exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "tanh", "sin", "cos")
} | {"erf": lambda x: erf(np, x)}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1.2e-38, 3.4e38, -3.4e38]
UNITS = 2.0  # of the last place

pytestmark = pytest.mark.skipif(native_status()[0] is None, reason="no native provider")


def numbers() -> np.ndarray:
    rng = np.random.default_rng(SEED)
    bits = rng.integers(0, 2**32, 100_000, dtype=np.uint64).astype(np.uint32)
    parts = (
        bits.view(np.float32),
        rng.uniform(-2, 2, 30_000),
        rng.uniform(-110, 95, 30_000),
        1 + rng.normal(size=10_000) * 1e-3,
        SPECIAL,
    )
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def run(native, isa: str, op: str, *arrays: np.ndarray) -> np.ndarray:
    out = np.empty_like(arrays[0])
    before = native.isa()
    native.set_isa(isa)
    try:
        native.elementwise(arrays, out, op, ())
    finally:
        native.set_isa(before)
    return out


def check(got: np.ndarray, exact: np.ndarray) -> None:
    """Within UNITS of float64's answer; NaN, infinities and signs where it has them."""
    with np.errstate(all="ignore"):
        want = exact.astype(np.float32)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        finite = np.isfinite(want) & (np.abs(exact) < 3.4028e38)
        np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
        known = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got)[known], np.signbit(want)[known])
        error = np.abs(got[finite] - exact[finite]) / np.abs(np.spacing(want[finite]))
    assert error.max() <= UNITS


@pytest.mark.parametrize("isa", usable_isas())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32(name: str, isa: str) -> None:
    x = numbers()
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name](x.astype(np.float64))
    check(run(native_status()[0], isa, name, x), exact)


@pytest.mark.parametrize("isa", usable_isas())
def test_pow(isa: str) -> None:
    special = [*SPECIAL, 2, -2, 3, -3, 0.5, -0.5, 8388607.5, 8388609, -8388609, 16777217, 1e30]
    a, b = (m.ravel().astype(np.float32) for m in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        exact = np.power(a.astype(np.float64), b.astype(np.float64))
    check(run(native_status()[0], isa, "pow", a, b), exact)
