"""Pooling against PyTorch: values, indices, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
import pycnn.functional as F
from pycnn.geometry import pool2d_geometry

from .parity import SEED, fresh, parity, same_error, to_torch

NAN = float("nan")


# --- values and gradients -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda F, x: F.max_pool2d(x, 3, 2, 1), (2, 3, 9, 7)),
        (lambda F, x: F.max_pool2d(x, (2, 3), (3, 2), (1, 0), (2, 1)), (2, 3, 9, 8)),
        (lambda F, x: F.max_pool2d(x, 3, stride=2, ceil_mode=True), (2, 2, 8, 6)),
        (lambda F, x: F.max_pool2d(x, 2, (), return_indices=True), (1, 2, 5, 4)),
        (lambda F, x: F.max_pool2d(x, 3, 1, 1, return_indices=True), (3, 5, 6)),
        (lambda F, x: F.max_pool2d(x, (1, 1)), (2, 3, 1, 1)),
        (lambda F, x: F.max_pool2d(x, (17, 17), 1, 8, return_indices=True), (1, 2, 19, 18)),
        (lambda F, x: F.max_pool1d(x, 3, 2, 1), (2, 3, 11)),
        (lambda F, x: F.max_pool1d(x, [3], (2,), 1, 2, True, return_indices=True), (2, 3, 11)),
        (lambda F, x: F.max_pool1d(x, 2), (3, 7)),
        (lambda F, x: F.avg_pool2d(x, 3, 2, 1), (2, 3, 9, 7)),
        (lambda F, x: F.avg_pool2d(x, (2, 3), (3, 2), (1, 0), True, False), (2, 3, 9, 8)),
        (lambda F, x: F.avg_pool2d(x, 2, 2, 1, True, True), (2, 3, 5, 5)),
        (lambda F, x: F.avg_pool2d(x, 2, divisor_override=-3), (2, 3, 5, 4)),
        (lambda F, x: F.avg_pool2d(x, 3, 1, 1, False, False, 2), (3, 5, 4)),
        (lambda F, x: F.avg_pool1d(x, 3, 2, 1, True, False), (2, 3, 10)),
        (lambda F, x: F.avg_pool1d(x, (4,)), (3, 10)),
        (lambda F, x: F.adaptive_avg_pool2d(x, 1), (2, 3, 7, 5)),
        (lambda F, x: F.adaptive_avg_pool2d(x, (3, 4)), (2, 3, 7, 5)),
        (lambda F, x: F.adaptive_avg_pool2d(x, (None, 2)), (2, 3, 7, 5)),
        (lambda F, x: F.adaptive_avg_pool2d(x, [5, None]), (3, 7, 5)),
        (lambda F, x: F.adaptive_avg_pool2d(x, (9, 7)), (2, 2, 4, 3)),
        (lambda F, x: F.adaptive_avg_pool1d(x, 4), (2, 3, 7)),
        (lambda F, x: F.adaptive_avg_pool1d(x, (9,)), (3, 7)),
        (lambda F, x: F.adaptive_max_pool2d(x, 1), (2, 3, 7, 5)),
        (lambda F, x: F.adaptive_max_pool2d(x, (3, 4), return_indices=True), (2, 3, 7, 5)),
        (lambda F, x: F.adaptive_max_pool2d(x, (None, 2)), (3, 7, 5)),
        (lambda F, x: F.adaptive_max_pool2d(x, (9, 7), True), (2, 2, 4, 3)),
        (lambda F, x: F.adaptive_max_pool1d(x, 4, return_indices=True), (2, 3, 7)),
        (lambda F, x: F.adaptive_max_pool1d(x, (3,)), (3, 7)),
        (lambda F, x: F.lp_pool2d(x, 2, 2), (2, 3, 5, 6)),
        (lambda F, x: F.lp_pool2d(x, 3.0, (2, 3), 2, True), (2, 3, 5, 6)),
        (lambda F, x: F.lp_pool2d(x, float("inf"), 2), (3, 5, 6)),
        (lambda F, x: F.lp_pool2d(x, -float("inf"), 2, 1), (2, 3, 5, 6)),
        (lambda F, x: F.lp_pool1d(x, 2, 3, 2), (2, 3, 8)),
        (lambda F, x: F.lp_pool1d(x, 1, 2), (3, 8)),
        (lambda F, x: F.lp_pool1d(x, float("inf"), 3), (3, 8)),
    ],
)  # fmt: skip
def test_parity(function, shape):
    parity(function, shape)


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-6), ("float16", 1e-3), ("bfloat16", 8e-3)])
@pytest.mark.parametrize(
    "function",
    [
        lambda F, x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda F, x: F.avg_pool2d(x, 3, 2, 1),
        lambda F, x: F.adaptive_avg_pool2d(x, 3),
        lambda F, x: F.adaptive_max_pool2d(x, (2, 3), True),
        lambda F, x: F.max_pool1d(x[0], 2, return_indices=True),
        lambda F, x: F.avg_pool1d(x[0], 3, 2, 1),
    ],
)
def test_other_dtypes(function, dtype, rtol):
    parity(function, (2, 3, 8, 9), dtype=dtype, gradients=False, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_gradients_are_rounded_once(dtype):
    x = fresh(1, 2, 9, 9).astype(pycnn.dtypes.as_dtype(dtype))
    ours = pycnn.from_numpy(x).requires_grad_()
    F.avg_pool2d(ours, 3, 1).sum().backward()
    wide = torch.from_numpy(x.astype(np.float32)).requires_grad_()
    torch.nn.functional.avg_pool2d(wide, 3, 1).sum().backward()
    assert np.array_equal(ours.grad.numpy(), wide.grad.numpy().astype(x.dtype))


def _random_window(rng):
    """(shape, kernel, stride, padding, dilation) in which every max window holds a pixel."""
    while True:
        shape = tuple(map(int, (*rng.integers(1, 3, 2), *rng.integers(1, 12, 2))))
        kernel = tuple(map(int, rng.integers(1, 6, 2)))
        stride = tuple(map(int, rng.integers(1, 5, 2)))
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        dilation = tuple(map(int, rng.integers(1, 4, 2)))
        ceil = bool(rng.integers(2))
        try:
            for gaps in (dilation, (1, 1)):
                g = pool2d_geometry(shape, kernel, stride, padding, gaps, ceil)
        except RuntimeError:
            continue
        g = pool2d_geometry(shape, kernel, stride, padding, dilation, ceil)
        sides = (("h", g.H, g.dilation_h), ("w", g.W, g.dilation_w))
        if all(
            any(0 <= i < size for i in range(start, end, gap))
            for axis, size, gap in sides
            for start, end in g.windows(axis)
        ):
            return shape, kernel, stride, padding, dilation, ceil


def test_random_geometries():
    rng = np.random.default_rng([SEED, 1])
    for _ in range(200):
        shape, kernel, stride, padding, dilation, ceil = _random_window(rng)
        pad_counts, divisor = bool(rng.integers(2)), [None, None, 3][rng.integers(3)]
        window, averaged = (kernel, stride, padding), (ceil, pad_counts, divisor)
        parity(lambda F, x: F.max_pool2d(x, *window, dilation, ceil, True), shape)  # noqa: B023
        parity(lambda F, x: F.avg_pool2d(x, *window, *averaged), shape)  # noqa: B023


def test_random_adaptive_sizes():
    rng = np.random.default_rng([SEED, 2])
    for _ in range(100):
        shape = (1, 2, *map(int, rng.integers(1, 12, 2)))
        size = tuple(map(int, rng.integers(1, 14, 2)))
        parity(lambda F, x: F.adaptive_max_pool2d(x, size, True), shape)  # noqa: B023
        parity(lambda F, x: F.adaptive_avg_pool2d(x, size), shape)  # noqa: B023


# --- ties, NaN, windows without a pixel -----------------------------------------------------------


POOLS = [
    lambda F, x: F.max_pool2d(x, 2, return_indices=True),
    lambda F, x: F.max_pool2d(x, 3, 1, 1, return_indices=True),
    lambda F, x: F.max_pool2d(x, 2, 1, 1, 2, return_indices=True),
    lambda F, x: F.max_pool2d(x, (1, 4), 1, (0, 2), (1, 2), return_indices=True),
    lambda F, x: F.adaptive_max_pool2d(x, (2, 3), return_indices=True),
    lambda F, x: F.adaptive_max_pool2d(x, 7, return_indices=True),
]


@pytest.mark.parametrize("algorithm", ["direct", "naive"])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_nan_and_ties(pool, share, algorithm):
    rng = np.random.default_rng([SEED, int(10 * share)])
    x = rng.integers(-1, 2, (2, 3, 5, 6)).astype("float64")  # few values: many ties
    with pycnn.using(algorithm=algorithm):
        parity(pool, x)
        parity(pool, np.where(rng.random(x.shape) < share, NAN, x))
        parity(pool, np.where(rng.random(x.shape) < share, -np.inf, x))
        parity(pool, np.full_like(x, -np.inf))


def test_first_maximum_and_last_nan():
    x = pycnn.tensor([[[[1.0, NAN, 2.0, 2.0], [NAN, 3.0, 2.0, 1.0]]]])
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert np.isnan(y.numpy()[0, 0, 0, 0])
    assert indices.tolist() == [[[[4, 2]]]]


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_window_without_a_pixel(dtype):
    """Dilation can jump across a small image: the maximum of nothing, with no gradient."""
    x = np.ones((1, 1, 1, 1), dtype)
    least = -np.inf if dtype == "float64" else np.iinfo(dtype).min
    ours = pycnn.from_numpy(x).requires_grad_(dtype == "float64")
    for algorithm in ("direct", "naive"):
        y, indices = F.max_pool2d(ours, 2, 1, 1, 2, return_indices=True)
        theirs = torch.nn.functional.max_pool2d(to_torch(x), 2, 1, 1, 2, return_indices=True)
        assert y.detach().numpy() == theirs[0].numpy() == least
        assert indices.numpy() == theirs[1].numpy()
        if dtype == "float64":
            with pycnn.using(algorithm=algorithm):
                (gradient,) = pycnn.grad(y.sum(), ours)
            assert gradient.numpy() == 0


def test_infinities_in_averages():
    x = fresh(1, 2, 6, 6)
    x[0, 0, 2, 2], x[0, 1, 3, 3], x[0, 1, 3, 4], x[0, 0, 5, 5] = np.inf, np.inf, -np.inf, NAN
    parity(lambda F, x: F.avg_pool2d(x, 3, 2, 1), x)
    parity(lambda F, x: F.adaptive_avg_pool2d(x, 4), x)


def test_zero_power_average_has_zero_gradient():
    parity(lambda F, x: F.lp_pool2d(x, 2, 2), np.zeros((1, 2, 4, 4)))


# --- integers -------------------------------------------------------------------------------------


def test_integers():
    x = np.arange(-60, 60).reshape(2, 3, 4, 5)
    for dtype in ("uint8", "int8", "int16", "int32", "int64"):
        a = (np.abs(x) if dtype == "uint8" else x).astype(dtype)
        parity(lambda F, x: F.max_pool2d(x, 2, 1, 1, return_indices=True), a, gradients=False)
        parity(lambda F, x: F.max_pool1d(x[0], 2, return_indices=True), a, gradients=False)
    parity(lambda F, x: F.avg_pool2d(x, 2, 1, 1, count_include_pad=False), x, gradients=False)
    parity(lambda F, x: F.avg_pool2d(x, 2, divisor_override=-3), x, gradients=False)
    parity(lambda F, x: F.avg_pool1d(x[0], 3), x, gradients=False)


@pytest.mark.parametrize(
    "function, dtype",
    [
        (lambda F, x: F.max_pool2d(x, 2), "bool"),
        (lambda F, x: F.max_pool1d(x[0], 2), "int64"),
        (lambda F, x: F.avg_pool2d(x, 2), "int32"),
        (lambda F, x: F.avg_pool1d(x[0], 2), "uint8"),
        (lambda F, x: F.adaptive_avg_pool2d(x, 2), "int64"),
        (lambda F, x: F.adaptive_avg_pool1d(x[0], 2), "int64"),
        (lambda F, x: F.adaptive_max_pool2d(x, 2), "int64"),
        (lambda F, x: F.adaptive_max_pool1d(x[0], 2), "int64"),
        (lambda F, x: F.max_unpool2d(x, x, 2), "int64"),
    ],
)
def test_unsupported_dtypes(function, dtype):
    same_error(function, np.ones((1, 2, 4, 4), dtype))


# --- layouts --------------------------------------------------------------------------------------


LAYOUT_CASES = [
    lambda F, x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
    lambda F, x: F.avg_pool2d(x, 3, 2, 1),
    lambda F, x: F.adaptive_avg_pool2d(x, (2, 3)),
    lambda F, x: F.adaptive_max_pool2d(x, (2, 3), True),
]


@pytest.mark.parametrize("function", LAYOUT_CASES)
def test_channels_last_is_kept(function):
    parity(function, (2, 3, 7, 6), channels_last=True)
    x = pycnn.from_numpy(fresh(2, 3, 7, 6)).contiguous(memory_format=pycnn.channels_last)
    results = function(F, x.requires_grad_())
    results = results if isinstance(results, tuple) else (results,)
    for y in results:
        assert y.is_contiguous(memory_format=pycnn.channels_last)
    results[0].sum().backward()
    assert x.grad.is_contiguous(memory_format=pycnn.channels_last)


@pytest.mark.parametrize("function", LAYOUT_CASES)
def test_strided_inputs(function):
    a = fresh(2, 7, 6, 3)
    parity(function, a.transpose(0, 3, 1, 2)[:, ::-1, ::2, 1:])
    parity(function, np.broadcast_to(a[:1, None, :, :1, 0], (2, 3, 7, 6)))


def test_one_byte_per_output_is_kept():
    x = pycnn.from_numpy(fresh(1, 2, 20, 20)).requires_grad_()
    for kernel, dtype in ((16, "uint8"), (17, "int32")):
        y = F.max_pool2d(x, kernel, 1)
        (offsets,) = y._node.retained
        assert offsets.dtype == dtype


# --- empty batches --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda F, x: F.max_pool2d(x, 2, return_indices=True), (0, 3, 4, 5)),
        (lambda F, x: F.max_pool1d(x, 2), (0, 3, 4)),
        (lambda F, x: F.avg_pool2d(x, 2), (0, 3, 4, 5)),
        (lambda F, x: F.avg_pool1d(x, 2), (0, 3, 4)),
        (lambda F, x: F.adaptive_avg_pool2d(x, 2), (0, 3, 4, 5)),
        (lambda F, x: F.adaptive_max_pool2d(x, 2, True), (0, 3, 4, 5)),
        (lambda F, x: F.adaptive_max_pool1d(x, 2), (0, 3, 4)),
    ],
)  # fmt: skip
def test_empty_batch(function, shape):
    parity(function, shape)


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda F, x: F.adaptive_avg_pool2d(x, 2), (2, 0, 4, 5)),
        (lambda F, x: F.adaptive_avg_pool2d(x, (0, 2)), (2, 3, 4, 5)),
        (lambda F, x: F.adaptive_avg_pool1d(x, 0), (2, 3, 4)),
        (lambda F, x: F.adaptive_max_pool2d(x, 0, True)[0], (2, 3, 4, 5)),
    ],
)
def test_empty_outputs(function, shape):
    """torch has the forward pass of these; the gradient of nothing is zero."""
    parity(function, shape, gradients=False)
    x = pycnn.zeros(*shape).requires_grad_()
    function(F, x).sum().backward()
    assert x.grad.shape == shape
    assert not x.grad.numpy().any()


# --- unpooling ------------------------------------------------------------------------------------


def test_unpool_restores_what_pool_took():
    def there_and_back(F, x):
        y, indices = F.max_pool2d(x, 2, 2, return_indices=True)
        return F.max_unpool2d(y, indices, 2, 2, output_size=x.shape[-2:])

    parity(there_and_back, (2, 3, 7, 6))
    parity(there_and_back, (2, 3, 7, 6), channels_last=True)
    parity(there_and_back, (3, 5, 4))

    def in_one_dimension(F, x):
        y, indices = F.max_pool1d(x, 3, 2, return_indices=True)
        return F.max_unpool1d(y, indices, 3, 2, output_size=x.shape[-1:])

    parity(in_one_dimension, (2, 3, 8))
    parity(in_one_dimension, (3, 8))


INDICES = np.array([[[[0, 3], [8, 15]]]])


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda F, x, i: F.max_unpool2d(x, i, 2), (1, 1, 2, 2)),
        (lambda F, x, i: F.max_unpool2d(x, i, 2, output_size=(4, 5)), (1, 1, 2, 2)),
        (lambda F, x, i: F.max_unpool2d(x, i, 2, output_size=(1, 1, 5, 5)), (1, 1, 2, 2)),
        (lambda F, x, i: F.max_unpool2d(x, i * 0, 4, 2, 1), (1, 1, 2, 2)),  # all indices equal
        (lambda F, x, i: F.max_unpool2d(x, i[:0], 2), (0, 1, 2, 2)),
        (lambda F, x, i: F.max_unpool1d(x, i[0, 0, :1], 2), (1, 2)),
    ],
)  # fmt: skip
def test_unpool(function, shape):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on several it stores any one of the elements with equal indices
    try:
        parity(function, shape, INDICES)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "function",
    [
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i.to(T.int32), 2),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i.to(T.float32), 2),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i[..., :1], 2),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i + 1, 2),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i - 1, 2),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i, 2, output_size=(9, 5)),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i, 2, output_size=(9,)),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i, 2, output_size=4),
        lambda T, x, i: T.nn.functional.max_unpool2d(x[0, 0], i[0, 0], 2),
        lambda T, x, i: T.nn.functional.max_unpool2d(x[:, :0], i[:, :0], 2),
        lambda T, x, i: T.nn.functional.max_unpool2d(x, i, 2, 2, 3),
        lambda T, x, i: T.nn.functional.max_unpool1d(x[0, 0], i[0, 0], 2),  # 15 is outside
        lambda T, x, i: T.nn.functional.max_unpool1d(x, i, 2),
        lambda T, x, i: T.nn.functional.max_unpool1d(x[0, 0, 0], i[0, 0, 0], 2),
    ],
)
def test_unpool_errors(function):
    same_error(function, (1, 1, 2, 2), INDICES)


# --- errors ---------------------------------------------------------------------------------------


BAD_KERNELS = (0, -1, 2.0, "a", (2, 2, 2), (), None, True, 5, (2, 2.0), 2**31)
NAMES_2D, NAMES_1D = ("max_pool2d", "avg_pool2d"), ("max_pool1d", "avg_pool1d")


@pytest.mark.parametrize("kernel", BAD_KERNELS, ids=repr)
def test_bad_kernel_size(kernel):
    for name in NAMES_2D:
        same_error(lambda F, x: getattr(F, name)(x, kernel), (1, 1, 4, 4))  # noqa: B023
    for name in NAMES_1D:
        same_error(lambda F, x: getattr(F, name)(x, kernel), (1, 1, 4))  # noqa: B023


@pytest.mark.parametrize("stride", [0, -1, (1, 1, 1), 2.0], ids=repr)
def test_bad_stride(stride):
    for name in NAMES_2D:
        same_error(lambda F, x: getattr(F, name)(x, 2, stride), (1, 1, 4, 4))  # noqa: B023
    for name in NAMES_1D:
        same_error(lambda F, x: getattr(F, name)(x, 2, stride), (1, 1, 4))  # noqa: B023


@pytest.mark.parametrize("padding", [-1, 2, (1, 1, 1), 1.0, 2**31 - 1], ids=repr)
def test_bad_padding(padding):
    for name in NAMES_2D:
        same_error(lambda F, x: getattr(F, name)(x, 2, 1, padding), (1, 1, 4, 4))  # noqa: B023
    for name in NAMES_1D:
        same_error(lambda F, x: getattr(F, name)(x, 2, 1, padding), (1, 1, 4))  # noqa: B023


def test_padding_is_measured_against_the_undilated_window():
    same_error(lambda F, x: F.max_pool2d(x, 2, 1, 2, 4), (1, 1, 4, 4))
    same_error(lambda F, x: F.max_pool1d(x, 2, 1, 2, 5), (1, 1, 4))


@pytest.mark.parametrize("dilation", [0, -1, (1, 1, 1), 4, 2**31 - 1, 1.0], ids=repr)
def test_bad_dilation(dilation):
    same_error(lambda F, x: F.max_pool2d(x, 2, 1, 0, dilation), (1, 1, 4, 4))
    same_error(lambda F, x: F.max_pool1d(x, 2, 1, 0, dilation), (1, 1, 4))


@pytest.mark.parametrize("divisor", [0, 2.0], ids=repr)
def test_bad_divisor(divisor):
    same_error(lambda F, x: F.avg_pool2d(x, 2, divisor_override=divisor), (1, 1, 4, 4))


@pytest.mark.parametrize("shape", [(1, 1, 1, 4, 4), (1, 0, 4, 4), (0, 4, 4), (1, 3, 0, 4)])
def test_bad_shapes_2d(shape):
    for name in NAMES_2D:
        same_error(lambda F, x: getattr(F, name)(x, 2), shape)  # noqa: B023


def test_too_few_dimensions():
    for name in NAMES_2D:
        with pytest.raises(RuntimeError, match="3D or 4D"):
            getattr(F, name)(pycnn.zeros(4, 4), 2)


@pytest.mark.parametrize("shape", [(4,), (1, 1, 4, 4), (1, 0, 4), (1, 3, 0)])
def test_bad_shapes_1d(shape):
    for name in NAMES_1D:
        same_error(lambda F, x: getattr(F, name)(x, 2), shape)  # noqa: B023


@pytest.mark.parametrize("size", [-1, (2, 2, 2), (2,), None, 2.0, (2, -1), (2, "a")], ids=repr)
def test_bad_output_sizes_2d(size):
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        same_error(lambda F, x: getattr(F, name)(x, size), (1, 3, 4, 4))  # noqa: B023


@pytest.mark.parametrize("size", [-1, (2, 2), None, (None,), 2.0], ids=repr)
def test_bad_output_sizes_1d(size):
    for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        same_error(lambda F, x: getattr(F, name)(x, size), (1, 3, 4))  # noqa: B023


def test_bad_adaptive_inputs():
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        for shape in ((4, 5), (1, 1, 1, 4, 5), (1, 3, 0, 4)):
            same_error(lambda F, x: getattr(F, name)(x, 2), shape)  # noqa: B023
        same_error(lambda F, x: getattr(F, name)(x, (2, 2)), (4, 5))  # noqa: B023
    for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        for shape in ((4,), (1, 1, 4, 5), (1, 3, 0)):
            same_error(lambda F, x: getattr(F, name)(x, 2), shape)  # noqa: B023
    same_error(lambda F, x: F.adaptive_max_pool2d(x, 2), (1, 0, 4, 4))
    same_error(lambda F, x: F.adaptive_max_pool1d(x, 2), (1, 0, 4))


def test_not_a_tensor():
    for function in (F.max_pool2d, F.avg_pool2d):
        with pytest.raises(TypeError, match="must be Tensor"):
            function(np.ones((1, 1, 4, 4)), 2)


# --- which kernel, and what is kept ---------------------------------------------------------------


def test_algorithm_by_name():
    x = pycnn.from_numpy(fresh(1, 2, 5, 5)).requires_grad_()
    for pool in (F.max_pool2d, F.avg_pool2d):
        with pycnn.trace() as trace:
            pool(x, 2, algorithm="naive").sum().backward()
        pooled = [r.algorithm for r in trace.records if "pool2d" in r.primitive]
        assert pooled == ["naive", "naive"]
        with pytest.raises(ValueError, match="algorithm"):
            pool(x, 2, algorithm="no such")


def test_indices_have_no_gradient():
    x = pycnn.from_numpy(fresh(1, 2, 4, 4)).requires_grad_()
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert y.requires_grad
    assert not indices.requires_grad
    assert indices.dtype == "int64"


def test_nothing_is_kept_without_recording():
    x = pycnn.from_numpy(fresh(1, 2, 4, 4)).requires_grad_()
    with pycnn.no_grad():
        assert not F.max_pool2d(x, 2).requires_grad


def test_too_few_dimensions_are_torchs_index_error():
    same_error(lambda F, x: F.avg_pool2d(x, 2), (4, 4))
    same_error(lambda F, x: F.max_pool2d(x, 2), (4, 4))


def test_windows_far_larger_than_the_image():
    """Only the taps that meet a pixel cost anything; windows no offset can number are refused."""
    size = 2**31 - 1
    parity(lambda F, x: F.max_pool2d(x, (size, 1), 1, (size // 2, 0)), (1, 1, 4, 4))
    with pytest.raises(RuntimeError, match="kernel_size: .* taps"):
        F.max_pool2d(pycnn.zeros(1, 1, 4, 4), size, padding=2**30 - 1)


def test_adaptive_windows_beyond_the_image():
    for outputs in (1, 2, 3, 5, 7, 8, 9, 16, 21):
        parity(lambda F, x: F.adaptive_avg_pool2d(x, outputs), (1, 2, 8, 7))  # noqa: B023
        parity(lambda F, x: F.adaptive_max_pool2d(x, outputs), (1, 2, 8, 7))  # noqa: B023
