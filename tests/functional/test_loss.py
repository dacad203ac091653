"""Losses of pairs of numbers and of probabilities against torch: reductions, kinks, dtypes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import pycnn
import pycnn.functional as F

from .parity import fresh, parity, same_error

REDUCTIONS = ("none", "mean", "sum")
NAN, INF = float("nan"), float("inf")
# ties, kinks of every loss below, infinities and NaN
X = np.array([0.0, 1.0, -1.0, 0.5, -0.5, NAN, INF, INF, 3.0, 1.0])
T = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, INF, NAN, 1.5])

PAIRS = {
    "mse": lambda F, x, t, **k: F.mse_loss(x, t, **k),
    "l1": lambda F, x, t, **k: F.l1_loss(x, t, **k),
    "smooth_l1": lambda F, x, t, **k: F.smooth_l1_loss(x, t, **k),
    "smooth_l1 beta": lambda F, x, t, **k: F.smooth_l1_loss(x, t, beta=0.5, **k),
    "smooth_l1 beta 0": lambda F, x, t, **k: F.smooth_l1_loss(x, t, beta=0, **k),
    "huber": lambda F, x, t, **k: F.huber_loss(x, t, **k),
    "huber delta": lambda F, x, t, **k: F.huber_loss(x, t, delta=0.5, **k),
    "kl_div": lambda F, x, t, **k: F.kl_div(x, t, **k),
    "kl_div log": lambda F, x, t, **k: F.kl_div(x, t, log_target=True, **k),
    "bce logits": lambda F, x, t, **k: F.binary_cross_entropy_with_logits(x, t, **k),
}
pairs = pytest.mark.parametrize("name", PAIRS)
reductions = pytest.mark.parametrize("reduction", REDUCTIONS)
quiet = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers between 0 and 1."""
    return np.asarray(1 / (1 + np.exp(-fresh(*shape, seed=seed))))


@quiet
@pairs
@reductions
def test_value_and_both_gradients(name, reduction):
    parity(lambda F, x, t: PAIRS[name](F, x, t, reduction=reduction), fresh(3, 4, 5), unit(3, 4, 5))
    parity(lambda F, x, t: PAIRS[name](F, x, t, reduction=reduction), (0, 4), (0, 4))
    parity(lambda F, x, t: PAIRS[name](F, x, t, reduction=reduction), (), unit())


@pairs
def test_kinks_infinities_and_nan(name):
    parity(lambda F, x, t: PAIRS[name](F, x, t, reduction="none"), X, T)


@quiet
@pairs
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtypes(name, dtype):
    dtype = pycnn.dtypes.as_dtype(dtype)
    u = pycnn.dtypes.UNIT_ROUNDOFF[dtype]
    x, t = fresh(4, 5).astype(dtype), unit(4, 5).astype(dtype)
    for reduction in REDUCTIONS:
        call = lambda F, x, t: PAIRS[name](F, x, t, reduction=reduction)  # noqa: B023
        parity(call, x, t, gradients=False, rtol=8 * u, atol=8 * u)


@pytest.mark.parametrize("name", ["mse", "l1", "smooth_l1", "huber", "kl_div", "bce logits"])
def test_mixed_dtypes_promote(name):
    for a, b in (("float32", "float64"), ("float64", "float32"), ("float16", "float32")):
        x, t = fresh(3, 4).astype(a), unit(3, 4).astype(b)
        if name == "bce logits" and a == "float64":
            continue  # torch rounds the result to the target's dtype here
        call = lambda F, x, t: PAIRS[name](F, x, t, reduction="sum")
        # torch's own huber_loss has no gradient for mixed dtypes; its result has the input's
        parity(call, x, t, gradients=name != "huber", rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["mse", "l1", "smooth_l1", "huber"])
@reductions
def test_broadcasting_warns(name, reduction):
    with pytest.warns(UserWarning, match="Using a target size"):
        parity(lambda F, x, t: PAIRS[name](F, x, t, reduction=reduction), (3, 4), (4,))
    with pytest.warns(UserWarning, match="Using a target size"):
        parity(lambda F, x, t: PAIRS[name](F, x, t, reduction=reduction), (3, 1), (2, 1, 4))


@reductions
def test_kl_div_broadcasts_without_a_warning(reduction):
    if reduction != "mean":
        parity(lambda F, x, t: F.kl_div(x, t, reduction=reduction), fresh(3, 4), unit(4))


@pytest.mark.parametrize("name", ["mse", "l1", "huber"])
@reductions
def test_element_weights(name, reduction):
    parity(
        lambda F, x, t, w: PAIRS[name](F, x, t, weight=w, reduction=reduction),
        (3, 4), (3, 4), unit(3, 4, seed=2),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["mse", "l1", "smooth_l1", "kl_div", "bce logits"])
@pytest.mark.parametrize(
    "options",
    [
        {"size_average": False},
        {"size_average": True},
        {"reduce": False},
        {"reduce": True, "size_average": False},
    ],
)
def test_the_older_arguments(name, options):
    with pytest.warns(UserWarning, match="size_average and reduce"):
        parity(lambda F, x, t: PAIRS[name](F, x, t, **options), fresh(3, 4), unit(3, 4))


@pytest.mark.parametrize("name", ["mse", "smooth_l1", "bce logits"])
def test_layouts(name):
    call = lambda F, x, t: PAIRS[name](F, x, t, reduction="none")
    parity(call, fresh(2, 3, 4, 5), unit(2, 3, 4, 5), channels_last=True)
    parity(lambda F, x, t: call(F, x.t(), t), fresh(4, 3), unit(3, 4))


# --- probabilities --------------------------------------------------------------------------------

EDGES = np.array([0.0, 1.0, 0.5, 0.0, 1.0, 1e-300, 1 - 1e-16, 0.3])
EDGE_TARGETS = np.array([0.0, 1.0, 0.2, 1.0, 0.0, 0.5, 0.5, 1.0])


@reductions
def test_binary_cross_entropy(reduction):
    call = lambda F, x, t: F.binary_cross_entropy(x, t, reduction=reduction)
    parity(call, unit(3, 4), unit(3, 4, seed=1))
    # torch's floor of x * (1 - x) is 1e-12 in float32, whatever the dtype
    parity(call, EDGES, EDGE_TARGETS, rtol=1e-8)
    parity(call, (0, 3), (0, 3))
    weighted = lambda F, x, t: F.binary_cross_entropy(x, t, x.detach()[0] * 3, reduction=reduction)
    parity(weighted, unit(3, 4), unit(3, 4, seed=1))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_binary_cross_entropy_dtypes(dtype):
    dtype = pycnn.dtypes.as_dtype(dtype)
    u = pycnn.dtypes.UNIT_ROUNDOFF[dtype]
    x, t = (unit(4, 5) * 0.9 + 0.05).astype(dtype), unit(4, 5, seed=1).astype(dtype)
    parity(
        lambda F, x, t: F.binary_cross_entropy(x, t), x, t, gradients=False, rtol=8 * u, atol=8 * u
    )


LOGITS = np.array([0.0, 1.0, NAN, INF, -INF, INF, -INF, 800.0, -800.0, 1e-12])
LOGIT_TARGETS = np.array([0.0, 1.0, 0.2, 0.0, 1.0, 1.0, 0.0, 0.5, 2.0, 0.5])


@reductions
def test_binary_cross_entropy_with_logits(reduction):
    def call(F, x, t, **k):
        return F.binary_cross_entropy_with_logits(x, t, reduction=reduction, **k)

    parity(call, LOGITS, LOGIT_TARGETS)
    x, t = fresh(3, 4), unit(3, 4, seed=1)
    parity(lambda F, x, t: call(F, x, t, weight=t.detach()[:1]), x, t)
    parity(lambda F, x, t: call(F, x, t, pos_weight=t.detach()[0] * 3), x, t)
    parity(
        lambda F, x, t: call(F, x, t, pos_weight=x.detach() * x.detach(), weight=t.detach()), x, t
    )
    parity(lambda F, x, t: call(F, x, t, pos_weight=t.detach() * 0 + 3), LOGITS, LOGIT_TARGETS)


def test_weights_of_probabilities_take_no_gradient():
    same_error(lambda F, x, t: F.binary_cross_entropy(x, t, t.requires_grad_()), unit(3), unit(3))
    same_error(
        lambda F, x, t: F.binary_cross_entropy_with_logits(x, t, t.requires_grad_()), (3,), (3,)
    )
    same_error(
        lambda F, x, t: F.binary_cross_entropy_with_logits(x, t, pos_weight=t.requires_grad_()),
        (3,),
        (3,),
    )


@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_batchmean(log_target):
    call = lambda F, x, t: F.kl_div(x, t, reduction="batchmean", log_target=log_target)
    parity(call, fresh(3, 4), unit(3, 4))
    parity(call, (), unit())
    parity(call, (0, 3), (0, 3), gradients=False)


def test_kl_div_of_a_zero_target():
    parity(
        lambda F, x, t: F.kl_div(x, t, reduction="none"),
        np.array([-1.0, -INF, -INF]),
        np.array([0.0, 0.0, 0.3]),
    )


def test_kl_div_mean_warns():
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(pycnn.zeros(2, 3), pycnn.zeros(2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.kl_div(pycnn.zeros(2, 3), pycnn.zeros(2, 3), reduction="batchmean")


# --- errors ---------------------------------------------------------------------------------------

LOSSES = (
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
)


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("name", LOSSES)
def test_errors(name):
    ints = np.ones(3, np.int64)
    same_error(lambda F, x, t: getattr(F, name)(x, t, reduction="median"), unit(3), unit(3))
    same_error(lambda F, x, t: getattr(F, name)(x, t, reduction="sum"), unit(3), unit(2))
    if name != "l1_loss":
        same_error(lambda F, x, t: getattr(F, name)(x, t, reduction="sum"), ints, ints)
    with pytest.raises(TypeError, match="target"):
        getattr(F, name)(pycnn.ones(3), 1.0)


def test_errors_of_parameters():
    same_error(lambda F, x, t: F.smooth_l1_loss(x, t, beta=-1.0), (3,), (3,))
    same_error(lambda F, x, t: F.huber_loss(x, t, delta=0.0), (3,), (3,))
    same_error(lambda F, x, t: F.huber_loss(x, t, delta=-1.0), (3,), (3,))
    same_error(lambda F, x, t: F.mse_loss(x, t, weight=t[:2]), (3,), (3,))
    same_error(lambda F, x, t: F.huber_loss(x, t, weight=t[:2]), (3,), (3,))
    same_error(lambda F, x, t: F.l1_loss(x, t), (3,), np.ones(3, bool))


@pytest.mark.parametrize("bad", [-0.1, 1.1, NAN])
def test_errors_of_probabilities(bad):
    same_error(lambda F, x, t: F.binary_cross_entropy(x, t), np.array([0.5, bad]), unit(2))
    if bad == bad:
        same_error(lambda F, x, t: F.binary_cross_entropy(x, t), unit(2), np.array([0.5, bad]))


def test_errors_of_shapes_and_dtypes():
    same_error(lambda F, x, t: F.binary_cross_entropy(x, t), unit(3), unit(3).astype("float32"))
    same_error(lambda F, x, t: F.binary_cross_entropy(x, t), unit(3), np.ones(3, np.int64))
    same_error(lambda F, x, t: F.binary_cross_entropy(x, t, t[:2]), unit(3), unit(3))
    same_error(lambda F, x, t: F.binary_cross_entropy(x, x, t), unit(3), unit(2, 3))
    same_error(lambda F, x, t: F.binary_cross_entropy_with_logits(x, t), (3,), np.ones(3, np.int64))
    same_error(lambda F, x, t: F.binary_cross_entropy_with_logits(x, x, t), (3,), (2, 3))
    same_error(lambda F, x, t: F.binary_cross_entropy_with_logits(x, x, pos_weight=t), (3,), (2, 3))


def test_a_mean_of_halves_does_not_overflow_in_the_sum():
    x = pycnn.full((70000,), 3.0, dtype="float16")
    assert F.mse_loss(x, x - 2).item() == torch.tensor(4.0).item()
