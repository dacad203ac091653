"""Softmax, log-softmax and softmin against torch: axes, dtypes, infinities, the implicit axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
import pycnn.functional as F

from .parity import fresh, parity, same_error

NAMES = ("softmax", "log_softmax", "softmin")


def call(module, name, *args, **kwargs):
    return getattr(module, name)(*args, **kwargs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape, dim", [((7,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 3, 4), -2), ((2, 3, 4, 5), 1)]
)
def test_every_axis(name, shape, dim):
    parity(lambda F, x: call(F, name, x, dim), shape)
    parity(
        lambda F, x: call(F, name, x, dim),
        shape,
        dtype="float32",
        gradients=False,
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", NAMES)
def test_layouts(name):
    parity(lambda F, x: call(F, name, x, 1), (2, 5, 4, 3), channels_last=True)
    parity(lambda F, x: call(F, name, x.transpose(0, 2)[:, 1:], 1), (3, 5, 4))
    parity(lambda F, x: call(F, name, x.expand(3, 4, 5), 1), (4, 1))


@pytest.mark.parametrize("name", NAMES)
def test_empty_and_scalar(name):
    parity(lambda F, x: call(F, name, x, 1), (0, 3))
    parity(lambda F, x: call(F, name, x, 1), (3, 0))
    parity(lambda F, x: call(F, name, x, 0), ())
    parity(lambda F, x: call(F, name, x, -1), (), dtype="float32")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_round_once(name, dtype):
    x = fresh(5, 40).astype(pycnn.dtypes.as_dtype(dtype))
    y = call(F, name, pycnn.from_numpy(x), 1)
    assert y.dtype == x.dtype
    exact = call(torch.nn.functional, name, torch.from_numpy(x.astype(np.float64)), 1).numpy()
    rounded = exact.astype(x.dtype).astype(np.float64)
    u = pycnn.dtypes.UNIT_ROUNDOFF[x.dtype]
    assert np.all(np.abs(y.numpy().astype(np.float64) - rounded) <= 2 * u * np.abs(exact) + 1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_infinities_and_nan(name):
    x = fresh(5, 6)
    x[0, 0] = -np.inf
    x[1] = -np.inf
    x[2, 1] = np.inf
    x[3, 2] = np.nan
    x[4] = [1e300, -1e300, 0, 1, 2, 1e300]
    parity(lambda F, x: call(F, name, x, 1), x)
    parity(lambda F, x: call(F, name, x, 0), x)


@pytest.mark.parametrize("name", NAMES)
def test_dtype_converts_first(name):
    for given in ("float32", "float64", "float16", "int64"):
        x = (fresh(3, 4) * 3).astype(given)
        parity(
            lambda T, x: getattr(T.nn.functional if T is torch else T.functional, name)(
                x, 1, dtype=T.float64
            ),
            x,
            gradients=False,
        )
    parity(lambda T, x: T.softmax(x, 1, dtype=T.float64), (3, 4), dtype="float32")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 4), (2, 3, 4, 5)])
def test_the_implicit_axis_warns(name, shape):
    x = fresh(*shape)
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        y = call(F, name, pycnn.tensor(x))
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        expected = call(torch.nn.functional, name, torch.tensor(x))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-12)


def test_as_methods_and_at_the_top_level():
    parity(lambda F, x: x.softmax(1), (3, 4))
    parity(lambda F, x: x.log_softmax(dim=-1), (3, 4))
    parity(lambda T, x: T.softmax(x, dim=0), (3, 4))
    parity(lambda T, x: T.log_softmax(x, 0), (3, 4))


@pytest.mark.parametrize("name", NAMES)
def test_errors(name):
    same_error(lambda F, x: call(F, name, x, 2), (3, 4))
    same_error(lambda F, x: call(F, name, x, -3), (3, 4))
    same_error(lambda F, x: call(F, name, x, 1), ())
    same_error(lambda F, x: call(F, name, x, "1"), (3, 4))
    same_error(lambda F, x: call(F, name, x, 1), np.ones((3, 4), np.int64))
    with pytest.raises(TypeError, match="input"):
        call(F, name, [1.0, 2.0], 0)


def test_an_edit_of_the_result_before_backward_raises():
    x = pycnn.tensor(fresh(3, 4), requires_grad=True)
    y = F.softmax(x, 1)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="inplace"):
        y.sum().backward()
