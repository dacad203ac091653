"""cross_entropy and nll_loss against torch: targets, weights, smoothing, ignored ones, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
import pycnn.functional as F
from pycnn.dispatch import run
from pycnn.geometry import cross_entropy_geometry

from .parity import fresh, parity, same_error

REDUCTIONS = ("none", "mean", "sum")
reductions = pytest.mark.parametrize("reduction", REDUCTIONS)
NAMES = pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
SHAPES = [(5,), (6, 5), (4, 5, 3), (2, 5, 3, 4), (2, 5, 1, 2, 3)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def targets(shape: tuple[int, ...], ignored: int | None = None) -> np.ndarray:
    """Class indices for logits of that shape; every third is `ignored`."""
    wanted = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    t = np.random.default_rng(len(shape)).integers(0, 5, wanted)
    if ignored is not None:
        t = np.where(np.arange(t.size).reshape(wanted) % 3 == 1, ignored, t)
    return t


@NAMES
@shapes
@reductions
def test_class_indices(name, shape, reduction):
    weight = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64)

    def call(F, x, t, **options):
        w = weight if F is torch.nn.functional else pycnn.tensor(weight.numpy())
        if options.pop("weighted", False):
            options["weight"] = w
        return getattr(F, name)(x, t, reduction=reduction, **options)

    for ignored, options in (
        (None, {}),
        (-100, {}),
        (2, {"ignore_index": 2}),
        (None, {"weighted": True}),
        (-1, {"ignore_index": -1, "weighted": True}),
    ):
        parity(lambda F, x, t: call(F, x, t, **options), shape, targets(shape, ignored))  # noqa: B023
        if name == "cross_entropy":
            smooth = {**options, "label_smoothing": 0.1}
            parity(lambda F, x, t: call(F, x, t, **smooth), shape, targets(shape, ignored))  # noqa: B023


@shapes
@reductions
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_class_probabilities(shape, reduction, smoothing):
    def call(F, x, t, w=None):
        return F.cross_entropy(x, t, w, reduction=reduction, label_smoothing=smoothing)

    parity(call, shape, shape)
    parity(call, shape, shape, (5,))


@NAMES
@reductions
def test_everything_ignored(name, reduction):
    ignored = np.full(3, -100)
    parity(lambda F, x, t: getattr(F, name)(x, t, reduction=reduction), (3, 4), ignored)


@NAMES
@reductions
def test_no_rows_and_no_pixels(name, reduction):
    for shape, target in (((0, 4), (0,)), ((0, 4, 2), (0, 2)), ((2, 4, 3, 0), (2, 3, 0))):
        parity(
            lambda F, x, t: getattr(F, name)(x, t, reduction=reduction),
            shape,
            np.zeros(target, np.int64),
        )
    parity(lambda F, x, t: F.cross_entropy(x, t, reduction=reduction), (0, 4), (0, 4))


@NAMES
def test_weights_that_sum_to_nothing(name):
    parity(lambda F, x, t: getattr(F, name)(x, t, x.detach()[0] * 0), (2, 3), np.array([1, 1]))


@NAMES
def test_infinities_and_nan(name):
    x = np.array([[1, -np.inf, 2], [np.inf, 1, 2], [-np.inf] * 3, [1, np.nan, 2], [1e300, 0, 1]])
    for target in ([0, 1, 1, 0, 1], [1, 0, 0, 1, 0]):
        parity(lambda F, x, t: getattr(F, name)(x, t, reduction="none"), x, np.array(target))
    ignored = np.array([-100, -100, 0, -100, 2])
    parity(lambda F, x, t: getattr(F, name)(x, t, reduction="none"), x, ignored, gradients=False)
    if name == "cross_entropy":
        parity(
            lambda F, x, t: F.cross_entropy(x, t, reduction="none", label_smoothing=0.1),
            x,
            np.array([1, 0, 0, 1, 0]),
        )


@NAMES
@reductions
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtypes(name, reduction, dtype):
    dtype = pycnn.dtypes.as_dtype(dtype)
    u = pycnn.dtypes.UNIT_ROUNDOFF[dtype]
    x = fresh(6, 5).astype(dtype)
    parity(
        lambda F, x, t: getattr(F, name)(x, t, x.detach()[0].abs(), reduction=reduction),
        x, targets((6, 5)), gradients=False, rtol=16 * u, atol=16 * u,
    )  # fmt: skip


@NAMES
def test_gradients_of_halves(name):
    x = fresh(6, 5).astype(np.float16)
    t = targets((6, 5))
    ours, exact = (
        pycnn.tensor(x, requires_grad=True),
        torch.tensor(x.astype(np.float64), requires_grad=True),
    )
    getattr(F, name)(ours, pycnn.tensor(t)).backward()
    getattr(torch.nn.functional, name)(exact, torch.tensor(t)).backward()
    assert ours.grad.dtype == np.float16
    np.testing.assert_allclose(ours.grad.numpy(), exact.grad.numpy(), rtol=2e-3, atol=1e-4)


@NAMES
def test_a_mean_of_halves_does_not_overflow_in_the_sum(name):
    x = pycnn.full((40000, 2), -3.0, dtype="float16")
    loss = getattr(F, name)(x, pycnn.zeros(40000, dtype="int64"))
    assert abs(loss.item() - (3.0 if name == "nll_loss" else np.log(2))) < 2e-3


@NAMES
def test_layouts(name):
    t = targets((2, 5, 3, 4))
    # torch's own nll_loss has no gradient for a channels-last input
    gradients = name == "cross_entropy"
    call = lambda F, x, t: getattr(F, name)(x, t)
    parity(call, (2, 5, 3, 4), t, channels_last=True, gradients=gradients)
    strided = lambda F, x, t: call(F, x.transpose(1, 2)[..., 1:], t.transpose(1, 2))
    parity(strided, (2, 3, 5, 5), t.transpose(0, 2, 1).copy(), gradients=gradients)
    x = pycnn.tensor(fresh(2, 5, 3, 4), requires_grad=True)
    channels_last = x.detach().contiguous(memory_format=pycnn.channels_last).requires_grad_()
    getattr(F, name)(channels_last, pycnn.tensor(t)).backward()
    assert channels_last.grad.is_contiguous(memory_format=pycnn.channels_last)


@NAMES
def test_uint8_targets(name):
    parity(lambda F, x, t: getattr(F, name)(x, t), (6, 5), targets((6, 5)).astype(np.uint8))


def test_the_older_arguments():
    with pytest.warns(UserWarning, match="size_average and reduce"):
        parity(lambda F, x, t: F.cross_entropy(x, t, None, False), (6, 5), targets((6, 5)))
    with pytest.warns(UserWarning, match="size_average and reduce"):
        parity(lambda F, x, t: F.nll_loss(x, t, reduce=False), (6, 5), targets((6, 5)))


def test_the_positions_of_arguments():
    parity(
        lambda F, x, t: F.cross_entropy(x, t, None, None, 2, None, "sum", 0.1),
        (6, 5),
        targets((6, 5)),
    )
    parity(lambda F, x, t: F.nll_loss(x, t, None, None, 2, None, "sum"), (6, 5), targets((6, 5)))


SHAPE_ERRORS = [
    ((3,), (2,)), ((2, 3), ()), ((2, 3), (2, 1)), ((2, 3), (3,)), ((2, 3, 4), (2,)),
    ((2, 3, 4), (2, 4, 1)), ((2, 3, 4, 5), (2, 4, 4)), ((2, 3, 4, 5), (2, 4)),
    ((2, 3, 4, 5, 6), (2, 4, 5)), ((1, 3), (3,)), ((), (1,)), ((), ()),
]  # fmt: skip


@NAMES
@pytest.mark.parametrize("shape, target", SHAPE_ERRORS, ids=str)
def test_errors_of_shapes(name, shape, target):
    same_error(lambda F, x, t: getattr(F, name)(x, t), shape, np.zeros(target, np.int64))


@NAMES
def test_errors_of_values(name):
    for bad in ([1, 5], [1, -1], [3, 0]):
        same_error(lambda F, x, t: getattr(F, name)(x, t), (2, 3), np.array(bad))
    same_error(lambda F, x, t: getattr(F, name)(x, t), (2, 3, 2), np.full((2, 2), 7))
    same_error(lambda F, x, t: getattr(F, name)(x, t), (2, 0), np.zeros(2, np.int64))
    same_error(lambda F, x, t: getattr(F, name)(x, t, reduction="median"), (2, 3), np.array([1, 1]))
    same_error(lambda F, x, t: getattr(F, name)(x, t), (2, 3), np.array([1, 1], np.int32))
    same_error(lambda F, x, t: getattr(F, name)(x, t), (2, 3), np.array([True, False]))
    same_error(lambda F, x, t: getattr(F, name)(x, t), np.ones((2, 3), np.int64), np.array([1, 1]))


@NAMES
def test_errors_of_weights(name):
    t = np.array([1, 1])
    same_error(lambda F, x, t, w: getattr(F, name)(x, t, w), (2, 3), t, (2,))
    same_error(lambda F, x, t, w: getattr(F, name)(x, t, w), (2, 3), t, (3, 1))
    same_error(lambda F, x, t, w: getattr(F, name)(x, t, w), (2, 3), t, fresh(3).astype(np.float32))
    same_error(lambda F, x, t, w: getattr(F, name)(x, t, w.requires_grad_()), (2, 3), t, (3,))


def test_errors_of_probabilities():
    same_error(lambda F, x, t: F.cross_entropy(x, t), (2, 3), (3, 2))
    same_error(lambda F, x, t: F.cross_entropy(x, t), (2, 3), np.ones((2, 3), np.int64))
    same_error(lambda F, x, t: F.cross_entropy(x, t), (2, 3), (2,))
    same_error(lambda F, x, t: F.cross_entropy(x, t, ignore_index=1), (2, 3), (2, 3))
    same_error(lambda F, x, t, w: F.cross_entropy(x, t, w), (2, 3), (2, 3), (2,))
    same_error(lambda F, x, t: F.cross_entropy(x, t, label_smoothing=1.5), (2, 3), np.array([1, 1]))
    with pytest.raises(TypeError, match="target"):
        F.cross_entropy(pycnn.ones(2, 3), [1, 2])
    with pytest.raises(RuntimeError, match="label_smoothing"):
        F.cross_entropy(pycnn.ones(2, 3), pycnn.tensor([1, 2]), label_smoothing=-0.1)


@pytest.mark.parametrize("classes", [1, 3])
def test_a_class_outside_that_nobody_looked_for_gives_nan(classes):
    """What a GPU, where nobody waits to look at the targets, is promised."""
    geometry = cross_entropy_geometry(-100, 0.1, False)
    x = fresh(4, classes)
    target = np.array([0, classes, -1, -100])
    loss, logsumexp, dx = np.full(4, 7.0), np.full(4, 7.0), np.full((4, classes), 7.0)
    run("softmax_cross_entropy_fprop", x, target, None, out=(loss, logsumexp), geometry=geometry)
    run(
        "softmax_cross_entropy_dgrad",
        np.ones(4), x, target, None, logsumexp, out=dx, geometry=geometry,
    )  # fmt: skip
    assert np.isnan(loss).tolist() == [False, True, True, False]
    assert np.isnan(dx).all(1).tolist() == [False, True, True, False]
    assert loss[3] == 0
    assert not dx[3].any()
