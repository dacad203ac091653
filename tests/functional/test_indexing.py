"""Indexing against torch: every kind of key, reading and writing, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
from pycnn.functional import indexing

from .parity import fresh, parity, same_error

SHAPE = (4, 3, 5)
BASIC = {
    "int": lambda T: 1,
    "negative int": lambda T: -2,
    "ints": lambda T: (1, -1),
    "all ints": lambda T: (1, 2, 3),
    "slice": lambda T: slice(1, 3),
    "open slice": lambda T: slice(None, -1),
    "step": lambda T: slice(None, None, 2),
    "slice past the end": lambda T: slice(2, 100),
    "empty slice": lambda T: slice(3, 1),
    "none": lambda T: None,
    "nones": lambda T: (None, 1, None, slice(1, 3), None),
    "ellipsis": lambda T: ...,
    "ellipsis int": lambda T: (..., 2),
    "int ellipsis": lambda T: (1, ..., slice(1, 4, 2)),
    "ellipsis of nothing": lambda T: (slice(None), 1, ..., slice(0, 2)),
    "empty tuple": lambda T: (),
    "numpy int": lambda T: np.int64(2),
    "zero-dimensional tensor": lambda T: T.tensor(2),
    "mixed": lambda T: (slice(1, 4, 2), None, -1, slice(None, 2)),
}
ADVANCED = {
    "tensor": lambda T: T.tensor([2, 0]),
    "repeated": lambda T: T.tensor([1, 1, 1, 0]),
    "negative": lambda T: T.tensor([-1, 0, -4]),
    "int32": lambda T: T.tensor([1, 2], dtype=T.int32),
    "matrix": lambda T: T.tensor([[0, 1], [3, 3]]),
    "empty": lambda T: T.tensor([], dtype=T.int64),
    "list": lambda T: [0, 2],
    "list of one": lambda T: ([0, 2],),
    "numpy": lambda T: np.array([0, 2]),
    "two": lambda T: (T.tensor([0, 1]), T.tensor([2, 2])),
    "three": lambda T: (T.tensor([0, 1]), T.tensor([2, 2]), T.tensor([4, 4])),
    "broadcast": lambda T: (T.tensor([[0], [1]]), T.tensor([2, 2, 0])),
    "middle": lambda T: (slice(None), T.tensor([0, 2, 2])),
    "last": lambda T: (..., T.tensor([0, 2, 2])),
    "apart": lambda T: (T.tensor([0, 1, 1]), slice(None), T.tensor([2, 2, 4])),
    "after an int": lambda T: (0, slice(None), T.tensor([2, 2, 4])),
    "before an int": lambda T: (T.tensor([2, 2, 3]), slice(None), 1),
    "with none": lambda T: (None, T.tensor([2, 2, 3]), None, T.tensor([0, 1, 1])),
    "slices and tensor": lambda T: (slice(1, 4, 2), T.tensor([0, 0]), slice(None, 2)),
    "mask of one dim": lambda T: T.tensor([True, False, True, True]),
    "mask of two dims": lambda T: T.ones(4, 3) > 0,
    "mask of the middle": lambda T: (slice(None), T.tensor([True, False, True])),
    "mask and int": lambda T: (T.tensor([True, False, True, True]), 1),
    "mask and tensor": lambda T: (T.tensor([True, False, True, False]), T.tensor([1, 1])),
    "mask of nothing": lambda T: T.zeros(4, 3, 5) > 0,
    "bool list": lambda T: [True, False, False, True],
    "true": lambda T: True,
    "false": lambda T: False,
    "true and slice": lambda T: (True, slice(1, 3)),
    "zero-dimensional mask": lambda T: T.tensor(True),
}
ALL = BASIC | ADVANCED


@pytest.mark.parametrize("name", ALL)
def test_getitem(name):
    parity(lambda T, x: x[ALL[name](T)], SHAPE)
    parity(
        lambda T, x: x.permute(1, 2, 0).permute(2, 0, 1)[ALL[name](T)],
        SHAPE,
        dtype="float32",
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", ALL)
def test_setitem(name):
    def call(T, x, v):
        y = x * 1
        y[ALL[name](T)] = v
        return y * 2

    key = ALL[name](torch)
    part = torch.zeros(SHAPE)[key].shape
    repeated = name in ("repeated", "matrix")
    value = np.array(3.0) if repeated else fresh(*part)
    # torch counts a repeated place's gradient once per repetition
    parity(call, SHAPE, np.asarray(value), gradients=not repeated)
    parity(call, SHAPE, ())
    if part and not repeated:
        parity(call, SHAPE, part[-1:])
        parity(call, SHAPE, (1, 1, *part))

    def number(T, x):
        y = x * 1
        y[ALL[name](T)] = 7
        return y * y

    parity(number, SHAPE)


@pytest.mark.parametrize("name", BASIC)
def test_basic_keys_give_views(name):
    x = pycnn.zeros(*SHAPE)
    v = x[BASIC[name](pycnn)]
    v.fill_(1)
    assert v._version == x._version == 1
    assert x.sum().item() == v.numel()


@pytest.mark.parametrize("name", ADVANCED)
def test_advanced_keys_give_copies(name):
    x = pycnn.zeros(*SHAPE)
    y = x[ADVANCED[name](pycnn)]
    assert not np.shares_memory(x.numpy(), y.numpy())
    assert y.is_contiguous()


def test_setitem_of_memory_without_history():
    a = fresh(4, 3)
    x = pycnn.from_numpy(a)
    x[1] = 0
    x[:, pycnn.tensor([0, 2])] = pycnn.tensor([[5.0, 6.0]], dtype="float64")
    x[x > 5.5] = -1
    assert x._version == 3
    assert (a[:, 0] == 5).all()
    assert (a[:, 2] == -1).all()


def test_setitem_casts_to_the_tensors_dtype():
    for value in (np.array([1.9, 2.9]), np.array([True, False])):
        parity(
            lambda T, x, v: (x.__setitem__(0, v), x)[1],
            np.zeros((3, 2), np.int64),
            value,
            gradients=False,
        )
    parity(
        lambda T, x: (x.__setitem__(0, True), x)[1], np.zeros((3, 2), np.float32), gradients=False
    )


def test_edits_of_views_after_views():
    def call(T, x):
        y = x * 1
        row = y[1]
        row[2] = 5
        row[0] *= 3
        block = y[:2, 1:3]
        block += row[:2].sum()
        return y * row[0] + block.sum()

    parity(call, (4, 5))


def test_an_edited_part_is_noticed():
    x = pycnn.ones(3, 3, requires_grad=True)
    y = x * 2
    z = y * y
    y[0, 0] = 5.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_half_gradients_add_up_in_float32():
    x = pycnn.ones(2, dtype="float16").requires_grad_()
    index = pycnn.tensor([0] * 4096)
    x[index].sum().backward()
    assert x.grad.tolist() == [4096.0, 0.0]


def test_channels_last_views():
    parity(lambda F, x: x[:, 1:3], (2, 4, 3, 3), channels_last=True)
    parity(lambda F, x: x[1:, :, ::2, 1], (2, 4, 3, 3), channels_last=True)


def test_iteration_and_membership():
    x = pycnn.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    a, b = x
    assert b.tolist() == [3.0, 4.0]
    assert 3 in x
    assert 5 not in x
    assert list(pycnn.zeros(0, 2)) == []


# --- by index along a dimension -------------------------------------------------------------------


def test_gather():
    index = np.array([[0, 2, 1, 1], [3, 3, 0, 0]])
    parity(lambda T, x, i: T.gather(x, 0, i), (4, 5), index)
    parity(lambda T, x, i: x.gather(1, i), (2, 5), index)
    parity(lambda T, x, i: x.gather(-1, i), (4, 5), index[:, :0], gradients=False)
    parity(lambda T, x, i: T.gather(x, 0, i), (), np.array(0))
    parity(lambda T, x, i: T.gather(x, 0, i), (3,), np.array([2, 2, 2, 0]))
    parity(lambda T, x, i: T.take_along_dim(x, i, 1), (2, 5), index[:1])
    parity(lambda T, x, i: T.take_along_dim(x, i, 1), (2, 5), index[:1] - 5)
    parity(lambda T, x, i: T.take_along_dim(x, i), (2, 5), index)


def test_index_select():
    index = np.array([2, 0, 2])
    for dim in (0, 1, -1):
        parity(lambda T, x, i, d=dim: T.index_select(x, d, i), (3, 4, 5), index)
    parity(lambda T, x, i: x.index_select(0, i), (3, 4), index[:0])
    parity(lambda T, x, i: x.index_select(0, i), (), np.array([0]))
    parity(lambda T, x, i: x.index_select(0, i), (3, 4), np.array(1))


def test_scatter():
    index = np.array([[0, 2, 1, 3], [3, 1, 0, 0]])
    parity(lambda T, x, i, s: T.scatter(x, 0, i, s), (4, 5), index, (2, 4))
    parity(lambda T, x, i, s: x.scatter(0, i, s), (4, 5), index, (3, 5), gradients=False)
    parity(lambda T, x, i: x.scatter(0, i, 2.5), (4, 5), index)
    parity(lambda T, x, i: x.scatter(1, i, value=2.5), (2, 5), index)
    parity(lambda T, x, i, s: T.scatter_add(x, 1, i, s), (2, 5), index, (2, 4))
    parity(lambda T, x, i, s: (x * 1).scatter_add_(0, i, s), (4, 5), index, (2, 4))
    parity(lambda T, x, i, s: T.index_add(x, 0, i, s), (4, 3), np.array([1, 1, 0]), (3, 3))
    parity(lambda T, x, i, s: T.index_add(x, 1, i, s, alpha=2), (3, 4), np.array([1, 1, 0]), (3, 3))
    parity(lambda T, x, i, s: (x * 1).index_add_(0, i, s), (4, 3), np.array([1, 1, 0]), (3, 3))


def test_nonzero_and_masked_select():
    x = np.array([[0.0, 1.0, np.nan], [0.0, 0.0, -2.0]])
    for a in (
        x,
        x > 0,
        np.array([0, 3, 0]),
        np.array(1.0),
        np.array(0.0),
        np.zeros((0, 3)),
        np.zeros((2, 3)),
    ):
        parity(lambda T, x: T.nonzero(x), a, gradients=False)
        parity(lambda T, x: x.nonzero(as_tuple=True), a, gradients=False)
    parity(lambda T, x, m: T.masked_select(x, m), (2, 3), x > 0)
    parity(lambda T, x, m: x.masked_select(m), (2, 1), x > 0)
    parity(lambda T, x, m: x.masked_select(m), (2, 3), x[0] > 0)
    parity(lambda T, x, m: x.masked_select(m), (), np.array(True))


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x[4],
        lambda T, x: x[-5],
        lambda T, x: x[0, 3],
        lambda T, x: x[0, 0, 0],
        lambda T, x: x[::-1],
        lambda T, x: x[::0],
        lambda T, x: x[1.0],
        lambda T, x: x["a"],
        lambda T, x: x[T.tensor([4])],
        lambda T, x: x[T.tensor([-5])],
        lambda T, x: x[T.tensor([0.5])],
        lambda T, x: x[T.tensor([True, False])],
        lambda T, x: x[x[:, :2] > 0],
        lambda T, x: x[T.tensor([0, 1]), T.tensor([0, 1, 2])],
        lambda T, x: x[0, 0][0],
        lambda T, x: x.__setitem__(0, [1.0, 2.0, 3.0]),
        lambda T, x: x.__setitem__(0, T.ones(2).double()),
        lambda T, x: x.__setitem__(T.tensor([0, 1]), T.ones(2, 2).double()),
        lambda T, x: x.__setitem__(T.tensor([0, 1]), T.ones(2, 3)),
        lambda T, x: x.__setitem__(4, 0),
        lambda T, x: x.__setitem__(0, "a"),
        lambda T, x: x.requires_grad_().__setitem__(0, 1),
        lambda T, x: x.gather(0, T.tensor([[4]])),
        lambda T, x: x.gather(0, T.tensor([[-1]])),
        lambda T, x: x.gather(0, T.tensor([0])),
        lambda T, x: x.gather(0, T.tensor([[0, 0, 0, 0]])),
        lambda T, x: x.gather(2, T.tensor([[0]])),
        lambda T, x: x.gather(0, T.tensor([[0.0]])),
        lambda T, x: x.scatter(0, T.tensor([[0]]), x.float()),
        lambda T, x: x.scatter(0, T.tensor([[4]]), x),
        lambda T, x: x.index_select(0, T.tensor([4])),
        lambda T, x: x.index_select(0, T.tensor([[0]])),
        lambda T, x: x.index_select(0, T.tensor([0.0])),
        lambda T, x: x.masked_select(x),
        lambda T, x: x.masked_select(x[:2] > 0),
        lambda T, x: "a" in x,
    ],
)
def test_errors(call):
    same_error(call, (4, 3))


def test_names_are_torchs():
    for name in indexing.__all__:
        assert hasattr(torch, name), name
        assert hasattr(pycnn, name), name
