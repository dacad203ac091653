"""Cosine similarity, normalize and pairwise distance against torch: floors, shapes, p-norms."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
import pycnn.functional as F

from .parity import fresh, parity, same_error


@pytest.mark.parametrize(
    "shapes, dim",
    [
        (((3, 5), (3, 5)), 1),
        (((3, 5), (5,)), -1),
        (((3, 1, 5), (4, 5)), 2),
        (((2, 3, 4), (2, 1, 4)), 1),
        (((7,), (7,)), 0),
        (((), ()), 0),
    ],
)
def test_cosine_similarity(shapes, dim):
    parity(lambda F, a, b: F.cosine_similarity(a, b, dim), *shapes)
    parity(lambda F, a, b: F.cosine_similarity(a, b, dim=dim, eps=10.0), *shapes)


def test_cosine_similarity_of_short_vectors():
    """Gradients pass through norms below eps."""
    a = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1e-15], [1e-9, 2e-9]])
    b = np.array([[1.0, 2.0], [1.0, 1e-9], [0.0, 0.0], [1.0, -1.0]])
    parity(lambda F, a, b: F.cosine_similarity(a, b), a, b)


def test_cosine_similarity_does_not_overflow():
    a = pycnn.tensor([[1e30, 1e30]], dtype="float32")
    assert abs(F.cosine_similarity(a, a).item() - 1) < 1e-6


def test_cosine_similarity_dtypes_and_errors():
    parity(
        lambda T, a, b: (
            T.cosine_similarity(a, b)
            if hasattr(T, "cosine_similarity")
            else T.functional.cosine_similarity(a, b)
        ),
        fresh(3, 4).astype(np.float32),
        fresh(3, 4, seed=1),
        rtol=1e-6,
        atol=1e-6,
    )
    parity(lambda F, a, b: F.cosine_similarity(a, b), np.array([[1, 2]]), fresh(1, 2))
    parity(lambda F, a, b: F.cosine_similarity(a, b), (0, 4), (0, 4))
    same_error(lambda F, a, b: F.cosine_similarity(a, b), np.array([[1, 2]]), np.array([[1, 2]]))
    same_error(lambda F, a, b: F.cosine_similarity(a, b), (3, 4), (3, 5))
    same_error(lambda F, a, b: F.cosine_similarity(a, b, 2), (3, 4), (3, 4))
    with pytest.raises(TypeError, match="x2"):
        F.cosine_similarity(pycnn.ones(2, 2), 1.0)


@pytest.mark.parametrize("p", [2.0, 1.0, 3.0, 1.5, 0.5, float("inf"), 0.0, -1.0])
@pytest.mark.parametrize("dim", [1, 0, (0, 2)])
def test_normalize(p, dim):
    parity(lambda F, x: F.normalize(x, p, dim), (3, 4, 5))


@pytest.mark.parametrize("p", [2.0, 1.0, 3.0, float("inf")])
def test_normalize_short_vectors(p):
    """Below eps the divisor is constant."""
    x = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1e-15], [-5.0, 5.0]])
    parity(lambda F, x: F.normalize(x, p), x)


def test_normalize_options():
    parity(lambda F, x: F.normalize(x, eps=3.0), (3, 4))
    parity(lambda F, x: F.normalize(x, dim=0), ())
    parity(lambda F, x: F.normalize(x), (0, 4))
    parity(lambda F, x: F.normalize(x), (2, 3, 4, 5), channels_last=True)
    out = pycnn.zeros(3, 4, dtype="float64")
    x = pycnn.tensor(fresh(3, 4))
    assert F.normalize(x, out=out) is out
    np.testing.assert_array_equal(out.numpy(), F.normalize(x).numpy())
    same_error(lambda F, x: F.normalize(x), (4,))
    same_error(lambda F, x: F.normalize(x), np.array([[1, 2]]))
    with pytest.raises(RuntimeError, match="out"):
        F.normalize(x, out=pycnn.zeros(3, 4))


@pytest.mark.parametrize("p", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance(p, keepdim):
    parity(lambda F, a, b: F.pairwise_distance(a, b, p, keepdim=keepdim), (3, 4), (3, 4))
    parity(lambda F, a, b: F.pairwise_distance(a, b, p=p, eps=0.1), (3, 4), (4,))


def test_pairwise_distance_errors():
    same_error(lambda F, a, b: F.pairwise_distance(a, b), (3, 4), (2, 4))
