"""Matrix products and einsum against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
from pycnn.functional import linalg

from .parity import assert_equal, fresh, parity, same_error, to_torch

MATMUL = [
    ((3,), (3,)),
    ((2, 3), (3, 4)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 2)),
    ((2, 3), (5, 3, 2)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((1, 2, 3), (5, 3, 4)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((0, 2, 3), (3, 4)),
    ((0, 2, 3), (0, 3, 4)),
    ((0,), (0,)),
]
FLOATS = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}


@pytest.mark.parametrize("shapes", MATMUL)
def test_matmul(shapes):
    parity(lambda T, a, b: T.matmul(a, b), *shapes)
    parity(lambda T, a, b: a @ b, *shapes)


def test_products():
    parity(lambda T, a, b: T.mm(a, b), (3, 4), (4, 5))
    parity(lambda T, a, b: a.t().mm(b.t()), (4, 3), (5, 4))
    parity(lambda T, a, b: a[::2].mm(b[:, 1::2]), (6, 4), (4, 5))
    parity(lambda T, a: a.mm(a), (3, 3))
    parity(lambda T, a, b: T.bmm(a, b.transpose(1, 2)), (2, 3, 4), (2, 5, 4))
    parity(lambda T, a, b: T.mv(a, b), (3, 4), (4,))
    parity(lambda T, a, b: T.dot(a, b), (4,), (4,))
    parity(lambda T, a, b: T.outer(a, b), (3,), (4,))
    parity(lambda T, a: a.expand(3, 4).mm(a.expand(3, 4).t()), (4,))


@pytest.mark.parametrize("dtype", FLOATS)
def test_dtypes(dtype):
    wanted = pycnn.dtypes.as_dtype(dtype)
    a, b, c = (fresh(*s, seed=i).astype(wanted) for i, s in enumerate([(5, 64), (64, 7), (7,)]))
    x, y, z = (pycnn.from_numpy(v) for v in (a, b, c))
    t, u, v = (to_torch(v) for v in (a, b, c))
    tolerance = FLOATS[dtype]
    assert_equal(x @ y, t @ u, tolerance, 10 * tolerance, "matmul")
    linear = pycnn.functional.linear(x, y.t(), z)
    assert_equal(
        linear, torch.nn.functional.linear(t, u.t(), v), tolerance, 10 * tolerance, "linear"
    )
    assert_equal(pycnn.addmm(z, x, y), torch.addmm(v, t, u), tolerance, 10 * tolerance, "addmm")


def test_integers():
    for dtype in ("int64", "int32", "uint8"):
        a, b = np.arange(6).reshape(2, 3).astype(dtype), np.arange(12).reshape(3, 4).astype(dtype)
        parity(lambda T, a, b: a @ b, a, b, gradients=False)
        parity(lambda T, a, b: a[0] @ b[:, 0], a, b, gradients=False)


@pytest.mark.parametrize("beta", [0, 1, 0.5])
@pytest.mark.parametrize("alpha", [1, -2.0])
def test_addmm(beta, alpha):
    for shape in ((4,), (3, 4), (3, 1), (1,), ()):
        parity(lambda T, c, a, b: T.addmm(c, a, b, beta=beta, alpha=alpha), shape, (3, 5), (5, 4))
    for shape in ((2, 3, 4), (4,), (3, 1)):
        parity(
            lambda T, c, a, b: T.baddbmm(c, a, b, beta=beta, alpha=alpha),
            shape,
            (2, 3, 5),
            (2, 5, 4),
        )


@pytest.mark.parametrize("factors", [{"beta": 1.7}, {"beta": 0.5, "alpha": 2.9}, {"beta": -1.9}])
def test_addmm_of_integers_takes_whole_factors(factors):
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    c = np.arange(8).reshape(2, 4)
    parity(lambda T, c, a, b: T.addmm(c, a, b, **factors), c, a, b, gradients=False)
    a, b = a[None], b[None]
    parity(lambda T, c, a, b: T.baddbmm(c, a, b, **factors), c, a, b, gradients=False)


def test_addmm_does_not_read_what_beta_zero_drops():
    parity(lambda T, c, a, b: T.addmm(c, a, b, beta=0), np.full((3, 4), np.nan), (3, 5), (5, 4))


def test_linear():
    for x in ((3,), (2, 3), (2, 5, 3), (0, 3), (2, 0, 3)):
        parity(lambda F, x, w, b: F.linear(x, w, b), x, (4, 3), (4,))
        parity(lambda F, x, w: F.linear(x, w), x, (4, 3))
        parity(lambda F, x, w: F.linear(x, w), x, (3,))
    parity(lambda F, x, w, b: F.linear(x.transpose(1, 2), w.t(), b), (2, 3, 5), (3, 4), (4,))
    parity(lambda F, x, w, b: F.linear(x, w, b), (2, 3), (4, 3), (1,))
    parity(lambda F, x, w, b: F.linear(x, w, b), (2, 0), (4, 0), (4,))
    parity(
        lambda F, x, w, b: F.linear(x.flatten(1), w, b),
        (2, 3, 4, 5),
        (7, 60),
        (7,),
        channels_last=True,
    )


def test_linear_is_one_kernel_with_the_bias_in_it():
    x, w, b = pycnn.randn(2, 3), pycnn.randn(4, 3), pycnn.randn(4)
    with pycnn.trace() as t:
        pycnn.functional.linear(x, w, b)
    assert [r.primitive for r in t.records] == ["gemm"]


EINSUM = [
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 3), (3, 4)),
    ("ij,kj->ik", (2, 3), (4, 3)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("bij,bkj->kbi", (5, 2, 3), (5, 4, 3)),
    ("i,i", (4,), (4,)),
    ("i,j", (3,), (4,)),
    ("i,j->ji", (3,), (4,)),
    ("ij->ji", (3, 4)),
    ("ba", (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iji->j", (3, 4, 3)),
    ("iij,jk->ik", (3, 3, 4), (4, 2)),
    ("iiii->i", (3, 3, 3, 3)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij,ij->i", (3, 4), (3, 4)),
    ("ij,j->ij", (3, 4), (4,)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)),
    ("...ij,...jk->...ik", (6, 1, 2, 3), (5, 3, 4)),
    ("...ij->...", (2, 5, 3, 4)),
    ("...ij->...ji", (2, 5, 3, 4)),
    ("i...->...", (3, 4, 5)),
    ("i...j,j->i...", (3, 4, 5, 2), (2,)),
    ("...", (3, 4)),
    ("...->", (3, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("nchw,kc->nkhw", (2, 3, 4, 5), (6, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ij,kj,lk->il", (2, 3), (4, 3), (5, 4)),
    ("i,j,k->kji", (2,), (3,), (4,)),
    ("a,ab,abc->abc", (2,), (2, 3), (2, 3, 4)),
    ("ij,jk", (2, 1), (4, 3)),
    ("ij,ij->ij", (1, 4), (3, 1)),
    ("aB,Bc->cB", (2, 3), (3, 4)),
    ("", ()),
    (",->", (), ()),
    ("ij,jk->ik", (2, 0), (0, 4)),
    ("ij,jk->ik", (0, 3), (3, 4)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
]


@pytest.mark.parametrize("equation,shapes", [(e, s) for e, *s in EINSUM])
def test_einsum(equation, shapes):
    parity(lambda T, *x: T.einsum(equation, *x), *shapes)


def test_einsum_forms():
    parity(lambda T, x, y: T.einsum("ij,jk", [x, y]), (2, 3), (3, 4))
    parity(lambda T, x, y: T.einsum(x, [0, 1], y, [1, 2], [2, 0]), (2, 3), (3, 4))
    parity(lambda T, x, y: T.einsum(x, [..., 0], y, [0, 1]), (5, 2, 3), (3, 4))
    parity(lambda T, x: T.einsum(x, [1, 0]), (2, 3))
    parity(
        lambda T, x, y: T.einsum("ij,jk->ik", x.t(), y.t()),
        (3, 2),
        (4, 3),
        dtype="float32",
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "equation",
    ["ij,ij", "i", "ijk", "ij->k", "ij->ii", "i1", "ii", "..ij", "ij->i->j", "ij,jk->", "i.j"],
)
def test_einsum_errors(equation):
    same_error(lambda T, x: T.einsum(equation, x), (2, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x @ x,
        lambda T, x: x @ x[0][:2],
        lambda T, x: x[:, 0] @ x[0],
        lambda T, x: x[0, 0] @ x,
        lambda T, x: x @ x.t().float(),
        lambda T, x: x @ 2,
        lambda T, x: (x > 0) @ (x > 0).t(),
        lambda T, x: T.mm(x[0], x),
        lambda T, x: T.mm(x, x[0]),
        lambda T, x: T.mm(x, x),
        lambda T, x: T.bmm(x, x),
        lambda T, x: T.bmm(x[None], x[None]),
        lambda T, x: T.bmm(T.cat([x[None], x[None]]), x.t()[None]),
        lambda T, x: T.dot(x, x),
        lambda T, x: T.dot(x[0], x[0][:2]),
        lambda T, x: T.mv(x, x[0][:2]),
        lambda T, x: T.mv(x[0], x[0]),
        lambda T, x: T.outer(x, x[0]),
        lambda T, x: T.addmm(x[0][:2], x, x.t()[:, :1].expand(3, 3)),
        lambda T, x: T.addmm(x, x, x),
        lambda T, x: x.expand(2, 2, 3) @ x.t().expand(3, 3, 2),
        lambda T, x: x.expand(2, 2, 3) @ x,
        lambda T, x: (
            T.nn.functional.linear(x, x[:, :2]) if T is torch else T.functional.linear(x, x[:, :2])
        ),
        lambda T, x: T.einsum("ij,jk", x, x),
        lambda T, x: T.einsum("ij,jk", x, 2),
        lambda T, x: T.einsum("ij"),
    ],
)
def test_errors(call):
    same_error(call, (2, 3))


@pytest.mark.parametrize(
    "case",
    [((2, 3), (4, 5), (4,)), ((2, 3), (4, 3), (5,)), ((), (4, 3), (4,)), ((2, 3), (2, 4, 3), (4,))],
)
def test_linear_errors(case):
    same_error(lambda F, x, w, b: F.linear(x, w, b), *case)


def test_names_are_torchs():
    for name in linalg.__all__:
        assert hasattr(torch, name) or hasattr(torch.nn.functional, name), name
