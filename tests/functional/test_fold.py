"""unfold and fold against torch: values, gradients, errors."""

import numpy as np
import pytest

import pycnn

from .parity import fresh, parity, same_error

ARGUMENTS = [
    {"kernel_size": 2},
    {"kernel_size": (3, 2), "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": (1, 2)},
    {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 2, "stride": (2, 3)},
    {"kernel_size": 1, "stride": 3},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_values_and_gradients(arguments):
    for shape in ((2, 3, 6, 7), (3, 6, 7), (0, 3, 6, 7)):
        parity(lambda F, x: F.unfold(x, **arguments), shape)
    parity(lambda F, x: F.unfold(x, **arguments), (2, 3, 6, 7), channels_last=True)
    columns = pycnn.functional.unfold(pycnn.from_numpy(fresh(2, 3, 6, 7)), **arguments).shape
    for shape in (columns, columns[1:], (0, *columns[1:])):
        parity(lambda F, x: F.fold(x, (6, 7), **arguments), shape)


def test_fold_of_ones_counts_the_patches():
    F = pycnn.functional
    ones = pycnn.from_numpy(np.ones((1, 1, 5, 5)))
    counts = F.fold(F.unfold(ones, 3), 5, 3).numpy()[0, 0]
    np.testing.assert_array_equal(counts, np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]))


def test_dtypes():
    for dtype in ("float32", "float16", "bfloat16"):
        x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(pycnn.dtypes.as_dtype(dtype)) % 7
        parity(lambda F, x: F.unfold(x, 2, padding=1), x, gradients=False, rtol=0, atol=0)
        parity(lambda F, x: F.fold(F.unfold(x, 2), (4, 5), 2), x, gradients=False, rtol=0, atol=0)
    parity(lambda F, x: F.unfold(x, 2), fresh(2, 3, 4, 5) > 0, gradients=False)
    for f in (lambda F, x: F.unfold(x, 1), lambda F, x: F.fold(x[0], (1, 2), 1)):
        same_error(f, np.ones((1, 3, 2), np.int64))


def test_errors():
    for arguments in (
        {"kernel_size": 0},
        {"kernel_size": 2, "stride": 0},
        {"kernel_size": 2, "dilation": 0},
        {"kernel_size": 2, "padding": -1},
        {"kernel_size": 9},
        {"kernel_size": (1, 2, 3)},
        {"kernel_size": 2.0},
        {"kernel_size": (2,)},
        {"kernel_size": 2, "stride": (1, 2, 3)},
    ):
        same_error(lambda F, x, a=arguments: F.unfold(x, **a), (2, 3, 5, 7))
    for shape in ((2, 0, 5, 7), (2, 3, 0, 7), (1, 2, 3, 5, 7)):
        same_error(lambda F, x: F.unfold(x, 2, padding=2), shape)
    same_error(lambda F, x: F.unfold(x, 2), (4, 4))
    with pytest.raises(RuntimeError, match="3D or 4D"):
        pycnn.functional.unfold(pycnn.from_numpy(fresh(5, 7)), 2)
    for arguments in (
        {"output_size": 5, "kernel_size": 2},
        {"output_size": (5, 8), "kernel_size": 2},
        {"output_size": (5, 7), "kernel_size": 5},
        {"output_size": (5, 7), "kernel_size": 0},
        {"output_size": (5, 7), "kernel_size": 2, "stride": 0},
        {"output_size": (5, 7), "kernel_size": 2, "padding": -1},
        {"output_size": (5, 7), "kernel_size": 2, "dilation": 0},
        {"output_size": (1, 1), "kernel_size": 2},
        {"output_size": (5, 7, 1), "kernel_size": 2},
        {"output_size": (0, 7), "kernel_size": 2},
        {"output_size": (5.0, 7.0), "kernel_size": 2},
    ):
        same_error(lambda F, x, a=arguments: F.fold(x, **a), (2, 12, 24))
    for shape in ((24,), (2, 0, 24), (1, 2, 12, 24), (2, 12, 0)):
        same_error(lambda F, x: F.fold(x, (5, 7), 2), shape)
