"""pixel_shuffle, pixel_unshuffle and channel_shuffle against torch."""

import numpy as np
import pytest

import pycnn

from .parity import fresh, parity, same_error

CALLS = {
    "pixel_shuffle": (
        lambda F, x, k: F.pixel_shuffle(x, k),
        [
            ((2, 8, 3, 4), 2),
            ((2, 18, 1, 2), 3),
            ((4, 3, 5), 2),
            ((2, 3, 4, 3, 2), 2),
            ((2, 5, 3, 4), 1),
        ],
    ),
    "pixel_unshuffle": (
        lambda F, x, k: F.pixel_unshuffle(x, k),
        [
            ((2, 2, 6, 4), 2),
            ((2, 1, 3, 6), 3),
            ((3, 4, 6), 2),
            ((2, 3, 2, 4, 2), 2),
            ((2, 5, 3, 4), 1),
        ],
    ),
    "channel_shuffle": (
        lambda F, x, k: F.channel_shuffle(x, k),
        [
            ((2, 6, 3, 4), 2),
            ((2, 6, 3, 4), 3),
            ((2, 12, 5), 4),
            ((1, 4, 2, 2, 2), 2),
            ((2, 5, 3, 4), 1),
            ((2, 5, 3, 4), 5),
            ((0, 4, 2, 2), 2),
        ],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients(name):
    call, cases = CALLS[name]
    for shape, k in cases:
        parity(lambda F, x, k=k: call(F, x, k), shape)
    shape, k = cases[0]
    parity(lambda F, x: call(F, x, k), shape, channels_last=True)
    x = np.arange(np.prod(shape)).reshape(shape)
    for dtype in (np.int64, np.uint8, np.float16, pycnn.bfloat16, bool):
        parity(lambda F, x: call(F, x, k), x.astype(dtype), gradients=False)


@pytest.mark.parametrize("name", CALLS)
def test_layout_and_views(name):
    call, cases = CALLS[name]
    shape, k = cases[0]
    x = pycnn.from_numpy(fresh(*shape)).contiguous(memory_format=pycnn.channels_last)
    assert call(pycnn.functional, x, k).is_contiguous(memory_format=pycnn.channels_last)
    view = fresh(*reversed(shape)).transpose(3, 2, 1, 0)[::-1]
    np.testing.assert_array_equal(
        call(pycnn.functional, pycnn.from_numpy(view), k).numpy(),
        call(pycnn.functional, pycnn.from_numpy(view.copy()), k).numpy(),
    )


def test_empty():
    """Shapes follow the rule; torch's own backward forgets it."""
    F = pycnn.functional
    for few, many in (
        ((0, 1, 4, 4), (0, 4, 2, 2)),
        ((2, 0, 4, 4), (2, 0, 2, 2)),
        ((2, 1, 0, 6), (2, 4, 0, 3)),
    ):
        for f, shape, expected in ((F.pixel_unshuffle, few, many), (F.pixel_shuffle, many, few)):
            x = pycnn.from_numpy(np.zeros(shape)).requires_grad_()
            y = f(x, 2)
            assert y.shape == expected
            y.sum().backward()
            assert x.grad.shape == shape


def test_unshuffle_undoes_shuffle():
    x = pycnn.from_numpy(fresh(2, 18, 3, 5))
    F = pycnn.functional
    np.testing.assert_array_equal(F.pixel_unshuffle(F.pixel_shuffle(x, 3), 3).numpy(), x.numpy())


def test_errors():
    for name, (call, _) in CALLS.items():
        for k in (0, -1, 2, 2.0):
            same_error(lambda F, x, k=k, call=call: call(F, x, k), (2, 3, 5, 7))
        same_error(lambda F, x, call=call: call(F, x, 1), (5, 7))
        with pytest.raises(TypeError, match="input"):
            getattr(pycnn.functional, name)(fresh(2, 4, 2, 2), 2)
