"""Reductions against torch: values, dtypes, shapes, empty inputs, NaN, ties, gradients, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import pycnn
from pycnn.functional import reduction

from .parity import assert_equal, fresh, parity, same_error, to_torch

FLOATS = ["float32", "float64", "float16", "bfloat16"]
TOLERANCE = {"float64": 1e-12, "float32": 1e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
DIMS = [None, 0, -1, (0, 2), (1,), (), (-1, 0, 1)]
SEVERAL = ["sum", "mean", "amax", "amin", "var", "std", "norm"]  # ops that take several dims


@pytest.mark.parametrize("op", SEVERAL)
def test_dims(op):
    for dim in DIMS:
        for keepdim in (False, True):
            if op == "norm" and dim in ((), (-1, 0, 1)):
                continue  # torch takes three dims for a matrix norm
            # torch's gradient of var over dim=() is infinite
            gradients = not (op in ("var", "std") and dim == ())
            call = lambda T, x, d=dim, k=keepdim: getattr(T, op)(x, dim=d, keepdim=k)
            parity(call, (3, 4, 5), gradients=gradients)
    parity(lambda T, x: getattr(x, op)(), (4,))


@pytest.mark.parametrize(
    "op", ["prod", "argmax", "argmin", "logsumexp", "max", "min", "any", "all", "count_nonzero"]
)
def test_one_dim(op):
    gradients = op in ("prod", "logsumexp", "max", "min")
    x = np.where(fresh(3, 4, 5) > 1, 0, fresh(3, 4, 5, seed=1)) if not gradients else fresh(3, 4, 5)
    for dim in (0, 1, -1):
        parity(lambda T, x, d=dim: getattr(T, op)(x, d), x, gradients=gradients)
        if op != "count_nonzero":
            parity(lambda T, x, d=dim: getattr(T, op)(x, d, keepdim=True), x, gradients=gradients)
    if op != "logsumexp":
        parity(lambda T, x: getattr(x, op)(), x, gradients=gradients)
    if op in ("logsumexp", "any", "all", "count_nonzero"):
        parity(lambda T, x: getattr(T, op)(x, (0, 2)), x, gradients=gradients)


def test_zero_dimensional():
    for op in ("sum", "mean", "prod", "amax", "amin", "max", "min", "norm"):
        parity(lambda T, x, op=op: getattr(T, op)(x), ())
    for dim in (0, -1):
        for op in ("sum", "mean", "prod", "amax", "max", "min", "logsumexp"):
            parity(lambda T, x, op=op, d=dim: getattr(T, op)(x, d), ())
            parity(lambda T, x, op=op, d=dim: getattr(T, op)(x, d, keepdim=True), ())
        parity(lambda T, x, d=dim: T.argmax(x, d), (), gradients=False)
    parity(lambda T, x: x.argmin(), (), gradients=False)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", [*SEVERAL, "prod", "logsumexp"])
def test_dtypes(op, dtype):
    a = (fresh(6, 50) * 0.5 + 1).astype(pycnn.dtypes.as_dtype(dtype))
    ours = getattr(pycnn, op)(pycnn.from_numpy(a), 1)
    # the truth: PyTorch rounds every product of halves
    truth = getattr(torch, op)(to_torch(a).double(), 1).to(to_torch(a).dtype)
    assert_equal(ours, truth, TOLERANCE[dtype], TOLERANCE[dtype], op)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_integers(dtype):
    a = np.array([[1, 0, 100], [3, 120, 100]]).astype(dtype)
    for op in ("sum", "prod", "any", "all", "count_nonzero", "amax", "amin", "max", "min"):
        parity(lambda T, x, op=op: getattr(T, op)(x), a, gradients=False)
        parity(lambda T, x, op=op: getattr(T, op)(x, 1), a, gradients=False)
    for op in ("mean", "var", "std", "norm"):
        same_error(lambda T, x, op=op: getattr(T, op)(x), a)
    parity(lambda T, x: T.logsumexp(x, 1), a, gradients=False, rtol=1e-6)
    parity(lambda T, x: T.mean(x, dtype=T.float64), a, gradients=False)
    parity(lambda T, x: T.sum(x, 0, dtype=T.int32), a, gradients=False)
    if dtype != "bool":
        parity(lambda T, x: T.argmax(x, 1), a, gradients=False)


def test_dtype_argument():
    parity(lambda T, x: T.sum(x, 0, dtype=T.float64), (3, 4), dtype="float32")
    parity(lambda T, x: T.sum(x, dtype=T.float32), (3, 4), rtol=1e-6)
    parity(lambda T, x: T.prod(x, 0, dtype=T.float64), (3, 4), dtype="float32", rtol=1e-6)
    parity(lambda T, x: T.norm(x, dtype=T.float64), (3, 4), dtype="float32", rtol=1e-6)
    parity(lambda T, x: T.sum(x, dtype=T.int64), (3, 4), gradients=False)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_empty(shape):
    for op in ("sum", "mean", "prod", "norm"):
        parity(lambda T, x, op=op: getattr(T, op)(x), shape)
        parity(lambda T, x, op=op: getattr(T, op)(x, dim=0), shape)
        parity(lambda T, x, op=op: getattr(T, op)(x, dim=-1), shape)
    parity(lambda T, x: T.logsumexp(x, 0), shape, gradients=False)
    for op in ("any", "all", "count_nonzero"):
        parity(lambda T, x, op=op: getattr(T, op)(x), shape, gradients=False)
        parity(lambda T, x, op=op: getattr(T, op)(x, 0), shape, gradients=False)
    for op in ("amax", "amin", "max", "min", "argmax", "argmin"):
        same_error(lambda T, x, op=op: getattr(T, op)(x), shape)
        for dim, size in enumerate(shape):
            if size:
                parity(lambda T, x, op=op, d=dim: getattr(T, op)(x, d), shape, gradients=False)
            else:
                same_error(lambda T, x, op=op, d=dim: getattr(T, op)(x, d), shape)


def test_nan():
    a = np.array([[1.0, math.nan, 3.0, math.nan], [math.inf, 2.0, -math.inf, 0.0]])
    for op in ("sum", "mean", "prod", "var", "norm", "amax", "amin", "max", "min", "logsumexp"):
        parity(
            lambda T, x, op=op: getattr(T, op)(x, 1),
            a,
            gradients=op in ("sum", "mean", "amax", "max", "min"),
        )
    for op in ("max", "min"):
        parity(lambda T, x, op=op: getattr(T, op)(x), a)
    for op in ("argmax", "argmin", "any", "all", "count_nonzero"):
        parity(lambda T, x, op=op: getattr(T, op)(x, 1), a, gradients=False)


def test_ties():
    a = np.array([[2.0, 1.0, 2.0, 1.0], [3.0, 3.0, 3.0, 3.0]])
    for op in ("amax", "amin", "max", "min"):
        parity(lambda T, x, op=op: getattr(T, op)(x), a)
        parity(lambda T, x, op=op: getattr(T, op)(x, 1), a)
        parity(lambda T, x, op=op: getattr(T, op)(x, 0), a)
    for op in ("argmax", "argmin"):
        parity(lambda T, x, op=op: getattr(T, op)(x, 1), a, gradients=False)
        parity(lambda T, x, op=op: getattr(T, op)(x), a, gradients=False)


def test_elementwise_overloads_of_max_and_min():
    for op in ("max", "min"):
        parity(lambda T, x, y, op=op: getattr(T, op)(x, y), (3, 4), (4,))
        parity(lambda T, x, y, op=op: getattr(T, op)(x, other=y), (3, 4), (4,))
    values, indices = pycnn.tensor([[1.0, 5.0]]).max(dim=1)
    assert (values.item(), indices.item()) == (5.0, 1)
    result = pycnn.tensor([[1.0, 5.0]]).min(1)
    assert (result.values.item(), result.indices.item()) == (1.0, 0)


def test_product_of_zeros():
    for a in ([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]], [[0.0], [1.0], [-2.0]]):
        parity(lambda T, x: T.prod(x, 1), np.array(a))
        parity(lambda T, x: T.prod(x), np.array(a))


def test_variance():
    for keywords in (
        {"unbiased": False},
        {"correction": 0},
        {"correction": 2},
        {"dim": 1, "correction": 0},
    ):
        for op in ("var", "std"):
            parity(lambda T, x, op=op, k=keywords: getattr(T, op)(x, **k), (3, 4))
            parity(lambda T, x, op=op, k=keywords: getattr(T, f"{op}_mean")(x, **k), (3, 4))
    parity(lambda T, x: T.var(x, 0, False, True), (3, 4))
    parity(lambda T, x: T.var(x, False), (3, 4))
    parity(lambda T, x: T.std(x), np.full((5,), 2.0))
    offset = fresh(1000) + 1e4
    parity(lambda T, x: T.var(x), offset.astype(np.float32), gradients=False, rtol=1e-5)
    assert math.isnan(pycnn.ones(1).var().item())


def test_norms():
    for p in (0, 1, 2, 3, 0.5, math.inf, -math.inf, "fro"):
        gradients = p != 0
        parity(lambda T, x, p=p: T.norm(x, p), (3, 4), gradients=gradients)
        parity(lambda T, x, p=p: T.norm(x, p, dim=1, keepdim=True), (3, 4), gradients=gradients)
    parity(lambda T, x: T.norm(x, 0, dim=1) + x.sum(1), (3, 4))
    parity(lambda T, x: T.norm(x, dim=1), np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert pycnn.tensor([3e30, 4e30]).norm().item() == np.float32(5e30)


def test_logsumexp_does_not_overflow():
    a = np.array([[1000.0, 1000.0], [-1000.0, -1001.0], [-math.inf, -math.inf], [math.inf, 0.0]])
    parity(lambda T, x: T.logsumexp(x, 1), a, gradients=False)
    parity(lambda T, x: T.logsumexp(x, 1, keepdim=True), a[:2])


def test_long_sums_stay_accurate():
    """Every row of a tall float32 matrix weighs the same, however long the column."""
    a = fresh(200_000, 3, dtype="float32") + 1
    exact = a.astype(np.float64).sum(0)
    ours = pycnn.from_numpy(a).sum(0).numpy()
    assert np.all(np.abs(ours - exact) <= np.spacing(exact.astype(np.float32)))


def test_noncontiguous_and_channels_last():
    for op in ("sum", "mean", "amax", "var", "prod", "logsumexp"):
        parity(lambda T, x, op=op: getattr(T, op)(x.t()[::2], 1), (4, 6))
        parity(lambda F, x, op=op: getattr(x, op)(1), (2, 3, 4, 5), channels_last=True)
    x = pycnn.randn(2, 3, 4, 5).contiguous(memory_format=pycnn.channels_last).requires_grad_()
    x.sum(dim=(0, 2)).sum().backward()
    assert x.grad.is_contiguous(memory_format=pycnn.channels_last)


def test_gradients_are_not_shared():
    x = pycnn.ones(3, requires_grad=True)
    y = pycnn.ones(3, requires_grad=True)
    (x + y).sum().backward()
    x.grad.add_(1)
    assert y.grad.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x.sum(2),
        lambda T, x: x.sum(-3),
        lambda T, x: x.sum((0, 0)),
        lambda T, x: x.sum((0, -2)),
        lambda T, x: x.sum(1.5),
        lambda T, x: x.sum("a"),
        lambda T, x: x.prod((0, 1)),
        lambda T, x: x.argmax((0, 1)),
        lambda T, x: (x > 0).argmax(),
        lambda T, x: x.max(2),
        lambda T, x: x.max(1.5),
        lambda T, x: x.amax(5),
        lambda T, x: T.sum([1.0]),
        lambda T, x: T.max(2.0),
        lambda T, x: T.logsumexp(x),
        lambda T, x: T.norm(x, "nuclear"),
        lambda T, x: x.var(3),
    ],
)
def test_errors(call):
    same_error(call, (3, 4))


def test_names_are_torchs():
    for name in reduction.__all__:
        assert hasattr(torch, name), name
        assert hasattr(pycnn, name), name
