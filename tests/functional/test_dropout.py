"""Dropout: the mask's statistics, its gradient, repeatability, torch's corner cases and errors."""

import numpy as np
import pytest

import pycnn

from .parity import fresh, parity, same_error

F = pycnn.functional
ALL = [F.dropout, F.dropout1d, F.dropout2d]


def ones(*shape, dtype="float64"):
    return pycnn.from_numpy(np.ones(shape, pycnn.dtypes.as_dtype(dtype))).requires_grad_()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_share_and_scale(p):
    """100,000 draws: the share of zeros lies within five standard deviations of p."""
    y = F.dropout(ones(100, 1000), p).detach().numpy()
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - p)], rtol=1e-15)
    assert abs((y == 0).mean() - p) < 5 * (p * (1 - p) / y.size) ** 0.5


def test_gradient_is_the_mask():
    for drop in ALL:
        x = pycnn.from_numpy(fresh(4, 6, 5)).requires_grad_()
        y = drop(x, 0.4)
        y.backward(pycnn.from_numpy(np.ones((4, 6, 5))))
        np.testing.assert_allclose(
            y.detach().numpy(), x.detach().numpy() * x.grad.numpy(), rtol=1e-15
        )


def test_whole_channels():
    for drop, shape in (
        (F.dropout2d, (20, 30, 2, 3)),
        (F.dropout1d, (20, 30, 4)),
        (F.dropout2d, (20, 30, 4)),
    ):
        y = drop(ones(*shape), 0.5).detach().numpy().reshape(20, 30, -1)
        assert (y == y[..., :1]).all()
        assert 0.3 < (y[..., 0] == 0).mean() < 0.7
    y = F.dropout1d(ones(600, 4), 0.5).detach().numpy()
    assert (y == y[:, :1]).all()
    assert 0.3 < (y[:, 0] == 0).mean() < 0.7


def test_repeatable():
    x = ones(7, 5, 3, 2)
    for drop in (F.dropout, F.dropout2d):
        pycnn.manual_seed(3)
        first, second = drop(x).detach().numpy(), drop(x).detach().numpy()
        assert not np.array_equal(first, second)
        pycnn.manual_seed(3)
        np.testing.assert_array_equal(drop(x).detach().numpy(), first)
        pycnn.manual_seed(3)
        again = drop(x.contiguous(memory_format=pycnn.channels_last))
        np.testing.assert_array_equal(again.detach().numpy(), first)
        assert drop is F.dropout2d or again.is_contiguous(memory_format=pycnn.channels_last)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtypes(dtype):
    y = F.dropout(ones(50, 50, dtype=dtype), 0.25).detach().numpy()
    assert y.dtype == pycnn.dtypes.as_dtype(dtype)
    assert set(np.unique(y.astype("float64"))) == {0.0, float(y.dtype.type(4 / 3))}


def test_no_op():
    x = ones(3, 4, 5)
    for drop in ALL:
        assert drop(x, 0.5, training=False) is x
        assert drop(x, 0.0) is x
    integers = pycnn.from_numpy(np.arange(4))
    assert F.dropout(integers, 0.5, False) is integers


def test_certain_loss():
    for drop in ("dropout", "dropout1d", "dropout2d"):
        parity(
            lambda F, x, drop=drop: getattr(F, drop)(x, 1.0), (3, 4, 5)
        ) if drop != "dropout2d" else None
        parity(
            lambda F, x, drop=drop: getattr(F, drop)(x, 1), (3, 4, 5)
        ) if drop == "dropout" else None
    parity(lambda F, x: F.dropout2d(x, 1.0), (3, 4, 5, 2))
    parity(lambda F, x: F.dropout(x, 1.0), np.array([np.nan, np.inf, -1.0]), gradients=False)
    parity(lambda F, x: F.dropout(x, 1.0), np.arange(3), gradients=False)
    parity(lambda F, x: F.dropout(x, 0.5), (0, 3))


def test_inplace():
    for drop in ALL:
        x = ones(4, 6, 5)
        y = x * 3
        memory = y._data
        assert drop(y, 0.5, inplace=True) is y
        assert y._data is memory
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
        with pytest.raises(RuntimeError, match="leaf"):
            drop(x, 0.5, inplace=True)
    flat = pycnn.from_numpy(np.ones((6, 5)))
    assert F.dropout1d(flat, 0.5, inplace=True) is flat
    assert set(np.unique(flat.numpy())) <= {0.0, 2.0}


def test_errors():
    for name in ("dropout", "dropout2d", "dropout1d"):
        shape = (2, 3, 4) if name == "dropout1d" else (2, 3, 4, 5)
        for p in (-0.1, 1.1, float("nan"), "a", None):
            for training in (True, False):
                same_error(lambda F, x, n=name, p=p, t=training: getattr(F, n)(x, p, t), shape)
    same_error(lambda F, x: F.dropout(x, 0.5), np.arange(4))
    for shape in ((4,), (2, 3, 4, 5)):
        same_error(lambda F, x: F.dropout1d(x, 0.5), shape)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        F.dropout2d(ones(4))
    with pytest.raises(TypeError, match="input"):
        F.dropout(fresh(3))
