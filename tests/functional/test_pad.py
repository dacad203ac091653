"""pad against torch: every mode, mixed signs, gradients, errors."""

import itertools

import numpy as np
import pytest
import torch

import pycnn

from .parity import fresh, parity, same_error

MODES = ["constant", "reflect", "replicate", "circular"]


def torch_raises(shape, pad, mode):
    try:
        torch.nn.functional.pad(torch.zeros(shape), pad, mode=mode)
    except (RuntimeError, ValueError, NotImplementedError):
        return True
    return False


def defined(mode, size, before, after):
    """Where torch's answer is one: a circular pad wider than what a crop leaves reads memory never
    written, and torch refuses an empty result in one axis only."""
    kept = size + min(before, 0) + min(after, 0)
    return (
        max(before, after) <= kept
        if mode == "circular"
        else mode == "constant" or size + before + after > 0
    )


@pytest.mark.parametrize("mode", MODES)
def test_one_axis(mode):
    """Every pair of pads in reach, negative ones included."""
    for size in (1, 2, 5):
        for pair in itertools.product(range(-6, 7), repeat=2):
            call = lambda F, x, pair=pair: F.pad(x, pair, mode=mode)
            if torch_raises((2, 3, size), pair, mode):
                same_error(call, (2, 3, size))
            elif defined(mode, size, *pair):
                parity(call, (2, 3, size), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_more_axes(mode):
    for pads in (
        (1, 2, 3, 0),
        (0, 0, 2, 1),
        (2, -1, 1, 1),
        (-1, -2, 0, 3),
        (0, 0, 0, 0),
        (3, 3, 3, 3),
    ):
        for shape in ((2, 3, 4, 5), (3, 4, 5)):
            parity(lambda F, x, pads=pads: F.pad(x, pads, mode=mode), shape)
        parity(lambda F, x, pads=pads: F.pad(x, pads, mode=mode), (2, 3, 4, 5), channels_last=True)
    for shape in ((2, 3, 4, 5, 3), (3, 4, 5, 3)):
        parity(lambda F, x: F.pad(x, (1, 2, 0, 1, 2, -1), mode=mode), shape)
    parity(lambda F, x: F.pad(x, (2, 1), mode=mode), (3, 4))
    parity(lambda F, x: F.pad(x, [2, 1], mode=mode), (0, 3, 4))
    parity(lambda F, x: F.pad(x, (1, 1, 1, 1), mode=mode), (0, 3, 4, 5))


def test_constant():
    for value in (None, 0, 1, -2.5, float("nan"), float("inf")):
        parity(lambda F, x, value=value: F.pad(x, (1, 2, 3, 0), value=value), (2, 3, 4))
    parity(lambda F, x: F.pad(x, (1, 0, 0, 2, 3, 1, 1, 1), value=7), (2, 1, 2, 3))
    for shape in ((4,), (3, 4), (2, 0, 4), (2, 3, 0)):
        parity(lambda F, x: F.pad(x, (1, 2)), shape)
    parity(lambda F, x: F.pad(x, ()), (2, 3))
    parity(lambda F, x: F.pad(x, (-1, -3)), (2, 4))


@pytest.mark.parametrize("mode", MODES)
def test_dtypes(mode):
    x = np.arange(40).reshape(1, 2, 4, 5)
    for dtype in ("float32", "float16", "int64", "int32", "uint8"):
        parity(lambda F, x: F.pad(x, (2, 1, 0, 3), mode=mode), x.astype(dtype), gradients=False)
    parity(
        lambda F, x: F.pad(x, (2, 1, 0, 3), mode=mode), x.astype(pycnn.bfloat16), gradients=False
    )
    parity(
        lambda F, x: F.pad(x, (2, 1, 0, 3), mode=mode), x.astype("float32"), rtol=1e-6, atol=1e-6
    )
    boolean = lambda F, x: F.pad(x, (2, 1, 0, 3), mode=mode)
    if mode in ("constant", "circular"):
        parity(boolean, x > 20, gradients=False)
    else:
        same_error(boolean, x > 20)
    parity(lambda F, x: F.pad(x, (1, 1), value=1.5), np.arange(3), gradients=False)


@pytest.mark.parametrize("mode", MODES)
def test_errors(mode):
    image = (2, 3, 5, 7)
    for pads in ((1,), (1, 2, 3), (1,) * 10, 1, (1.0, 1.0), (True, 1.5), "11"):
        same_error(lambda F, x, pads=pads: F.pad(x, pads, mode=mode), image)
    if mode != "constant":
        for pads in ((), (1, 2), (1,) * 8):
            same_error(lambda F, x, pads=pads: F.pad(x, pads, mode=mode), image)
        same_error(lambda F, x: F.pad(x, (1, 2), mode=mode), (7,))
        same_error(lambda F, x: F.pad(x, (1, 2, 3, 4), mode=mode), (5, 7))
        same_error(lambda F, x: F.pad(x, (1, 1, 1, 1), mode=mode, value=1.0), image)
        parity(lambda F, x: F.pad(x, (1, 1, 1, 1), mode=mode, value=0), image)
    same_error(lambda F, x: F.pad(x, (1, 1), mode=mode, value="a"), (2, 3, 4))
    for shape in ((2, 0, 5, 7), (2, 3, 0, 7), (0, 5, 7), (0, 3)):
        pads = (1, 1, 1, 1) if len(shape) > 2 else (1, 1)
        call = lambda F, x, pads=pads: F.pad(x, pads, mode=mode)
        if torch_raises(shape, pads, mode):
            same_error(call, shape)
        else:
            parity(call, shape)


def test_unknown_mode():
    same_error(lambda F, x: F.pad(x, (1, 1), mode="mirror"), (2, 3))
    same_error(lambda F, x: F.pad(x, (1, 1)), np.array(1.0))
    with pytest.raises(RuntimeError, match="2147483647"):
        pycnn.functional.pad(pycnn.from_numpy(fresh(2, 3)), (2**31, 0))


def test_strides():
    base = fresh(5, 4, 3, 6)
    for view in (
        base.transpose(3, 2, 1, 0),
        base[::-1, ::2],
        np.broadcast_to(base[:1], (2, 4, 3, 6)),
    ):
        for mode in MODES:
            y = pycnn.functional.pad(pycnn.from_numpy(view), (1, 2, 0, 1), mode=mode)
            expected = torch.nn.functional.pad(
                torch.from_numpy(view.copy()), (1, 2, 0, 1), mode=mode
            )
            np.testing.assert_array_equal(y.numpy(), expected.numpy())
