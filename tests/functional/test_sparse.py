"""Embedding and one-hot against torch: repeated rows, padding, renormalisation, dtypes, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
import pycnn.functional as F

from .parity import fresh, from_torch, parity, same_error

INDICES = np.array([[1, 4, 1], [0, 4, 4]])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding_idx": 4},
        {"padding_idx": -6},
        {"scale_grad_by_freq": True},
        {"padding_idx": 1, "scale_grad_by_freq": True},
    ],
)
def test_rows_and_their_gradients(options):
    parity(lambda F, w, i: F.embedding(i, w, **options), (6, 3), INDICES)
    parity(lambda F, w, i: F.embedding(i, w, **options), (6, 3), INDICES.astype(np.int32))


def test_shapes():
    parity(lambda F, w, i: F.embedding(i, w), (6, 3), np.array(2))
    parity(lambda F, w, i: F.embedding(i, w), (6, 3), np.zeros((0, 2), np.int64))
    parity(lambda F, w, i: F.embedding(i, w), (6, 0), INDICES)
    parity(lambda F, w, i: F.embedding(i.t(), w.t()), (3, 6), INDICES)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64"])
def test_dtypes(dtype):
    parity(
        lambda F, w, i: F.embedding(i, w),
        (fresh(6, 3) * 8).astype(pycnn.dtypes.as_dtype(dtype)),
        INDICES,
        gradients=False,
    )


def test_repeated_rows_of_a_half_add_up_in_float32():
    w = pycnn.zeros(2, 1, dtype="float16", requires_grad=True)
    F.embedding(pycnn.zeros(4096, dtype="int64"), w).sum().backward()
    assert w.grad.tolist() == [[4096.0], [0.0]]


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, float("inf"), 0.0])
def test_max_norm_scales_the_rows_in_use(norm_type):
    weight = fresh(6, 3) * 2
    weight[4] *= 0.01
    ours, theirs = pycnn.tensor(weight), torch.tensor(weight)
    y = F.embedding(pycnn.tensor(INDICES), ours, max_norm=1.0, norm_type=norm_type)
    expected = torch.nn.functional.embedding(
        torch.tensor(INDICES), theirs, max_norm=1.0, norm_type=norm_type
    )
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(ours.numpy()[[2, 3, 5]], weight[[2, 3, 5]])


def test_max_norm_of_a_parameter_is_an_edit():
    w = pycnn.tensor(fresh(6, 3) * 9, requires_grad=True)
    before = w._version
    F.embedding(pycnn.tensor(INDICES), w, max_norm=1.0).sum().backward()
    assert w._version == before + 1
    np.testing.assert_allclose(
        w.grad.numpy().sum(1), np.bincount(INDICES.ravel(), minlength=6) * 3.0
    )


def test_embedding_errors():
    same_error(lambda F, w, i: F.embedding(i, w), (6, 3), np.array([6]))
    same_error(lambda F, w, i: F.embedding(i, w), (6, 3), np.array([-1]))
    same_error(lambda F, w, i: F.embedding(i, w), (6, 3), np.array([1.0]))
    same_error(lambda F, w, i: F.embedding(i, w), (6, 3), np.array([1], np.uint8))
    same_error(lambda F, w, i: F.embedding(i, w), (6,), np.array([1]))
    same_error(lambda F, w, i: F.embedding(i, w), (6, 3, 2), np.array([1]))
    for padding_idx in (6, -7):
        with pytest.raises(AssertionError, match="Padding_idx"):
            F.embedding(pycnn.tensor([1]), pycnn.zeros(6, 3), padding_idx=padding_idx)
    with pytest.raises(NotImplementedError, match="sparse"):
        F.embedding(pycnn.tensor([1]), pycnn.zeros(6, 3), sparse=True)


@pytest.mark.parametrize(
    "indices", [np.array([[0, 2], [1, 1]]), np.array(3), np.zeros((0, 2), np.int64)]
)
@pytest.mark.parametrize("classes", [4, 7, -1])
def test_one_hot(indices, classes):
    if not indices.size and classes == -1:
        same_error(lambda F, i: F.one_hot(i, classes), indices)
    else:
        parity(lambda F, i: F.one_hot(i, classes), indices, gradients=False)


def test_one_hot_errors():
    for classes in (3, 0, -2):
        same_error(lambda F, i, classes=classes: F.one_hot(i, classes), np.array([0, 3]))
    same_error(lambda F, i: F.one_hot(i), np.array([0, -1]))
    same_error(lambda F, i: F.one_hot(i), np.array([0.0, 1.0]))
    same_error(lambda F, i: F.one_hot(i, 3), np.array([0, 1], np.int32))
    same_error(lambda F, i: F.one_hot(i, 0), np.zeros(0, np.int64))


def test_gradient_of_an_embedding_in_float32():
    indices = np.random.default_rng(0).integers(0, 5, 300)
    ours = pycnn.tensor(fresh(5, 4).astype(np.float32), requires_grad=True)
    theirs = torch.tensor(ours.detach().numpy(), requires_grad=True)
    dy = fresh(300, 4, seed=1).astype(np.float32)
    F.embedding(pycnn.tensor(indices), ours).backward(pycnn.tensor(dy))
    torch.nn.functional.embedding(torch.tensor(indices), theirs).backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.grad.numpy(), from_torch(theirs.grad), rtol=1e-4, atol=1e-4)
