"""Sorting, top-k and running sums against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import pycnn
from pycnn.functional import sorting

from .parity import fresh, parity, same_error

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool"]


@pytest.mark.parametrize("descending", [False, True])
def test_sort(descending):
    for dim in (0, 1, -1):
        parity(lambda T, x, d=dim: T.sort(x, dim=d, descending=descending, stable=True), (4, 5, 3))
        parity(lambda T, x, d=dim: x.argsort(d, descending), (4, 5, 3), gradients=False)
    parity(lambda T, x: x.t().sort(descending=descending), (4, 5))
    ties = np.array([[2.0, 1.0, 2.0, 1.0, 2.0], [0.0, -0.0, 0.0, -0.0, 1.0]])
    parity(lambda T, x: T.sort(x, descending=descending, stable=True), ties)
    special = np.array([1.0, math.nan, -math.inf, math.inf, math.nan, 0.0])
    parity(lambda T, x: T.sort(x, descending=descending, stable=True), special)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    a = np.abs(fresh(3, 8) * 3).astype(pycnn.dtypes.as_dtype(dtype))
    for descending in (False, True):
        parity(lambda T, x, d=descending: T.sort(x, descending=d, stable=True), a, gradients=False)
    parity(lambda T, x: T.cumsum(x, 1), a, gradients=False, rtol=2e-2)
    parity(lambda T, x: T.cumprod(x, 0), a, gradients=False, rtol=2e-2)
    if dtype != "bool":
        for largest in (True, False):
            parity(lambda T, x, g=largest: T.topk(x, 3, largest=g)[0], a, gradients=False)


def test_topk():
    for dim in (0, 1, -1):
        for largest in (True, False):
            parity(lambda T, x, d=dim, g=largest: T.topk(x, 2, d, g), (4, 5, 3))
    parity(lambda T, x: x.topk(0), (3, 4), gradients=False)
    parity(lambda T, x: x.topk(4), (3, 4))
    special = np.array([1.0, math.nan, -math.inf, math.inf, 0.0])
    parity(lambda T, x: T.topk(x, 3), special)
    parity(lambda T, x: T.topk(x, 3, largest=False), special)
    result = pycnn.tensor([1.0, 3.0, 2.0]).topk(2)
    assert (result.values.tolist(), result.indices.tolist()) == ([3.0, 2.0], [1, 2])


def test_running_sums_and_products():
    for dim in (0, 1, -1):
        parity(lambda T, x, d=dim: T.cumsum(x, d), (3, 4))
        parity(lambda T, x, d=dim: x.cumprod(d), (3, 4))
    zeros = np.array([[1.0, 0.0, 2.0, 3.0], [0.0, 2.0, 0.0, 1.0]])
    parity(lambda T, x: T.cumprod(x, 1), zeros)
    # torch adds the gradient up in float32: terms of a few units may cancel
    wide = {"dtype": "float32", "rtol": 1e-6, "atol": 2e-6}
    parity(lambda T, x: x.cumsum(0, dtype=T.float64), (3, 4), **wide)
    parity(lambda T, x: x.cumsum(0, dtype=T.float32), np.arange(5), gradients=False)
    parity(lambda T, x: x.cumsum(0), np.array([1.0, math.nan, 2.0]))


def test_empty_and_zero_dimensional():
    for shape in ((0,), (0, 3), (3, 0)):
        parity(lambda T, x: x.sort(dim=0, stable=True), shape)
        parity(lambda T, x: x.cumsum(-1), shape)
        parity(lambda T, x: x.cumprod(0), shape)
    parity(lambda T, x: x.topk(0, 0), (0, 3))
    parity(lambda T, x: x.sort(), ())
    parity(lambda T, x: x.topk(1), ())
    parity(lambda T, x: x.cumsum(0), ())
    parity(lambda T, x: x.cumprod(-1), ())


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x.topk(4),
        lambda T, x: x.topk(-1),
        lambda T, x: x.topk(1.5),
        lambda T, x: x.topk(1, 2),
        lambda T, x: (x > 0).topk(1),
        lambda T, x: x.sort(2),
        lambda T, x: x.argsort(-3),
        lambda T, x: x.cumsum(2),
        lambda T, x: x.cumsum(),
        lambda T, x: T.sort([1.0]),
    ],
)
def test_errors(call):
    same_error(call, (2, 3))


def test_names_are_torchs():
    for name in sorting.__all__:
        assert hasattr(torch, name), name
        assert hasattr(pycnn, name), name
