"""Shape, joining, cutting, layout and dtype functions against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
from pycnn.functional import shape

from .parity import fresh, parity, same_error

CL = pycnn.channels_last
VIEWS = {
    "reshape": lambda T, x: x.reshape(3, 8),
    "reshape tuple": lambda T, x: T.reshape(x, (4, -1)),
    "view": lambda T, x: x.view(-1, 2),
    "view_as": lambda T, x: x.view_as(T.zeros(6, 4)),
    "reshape_as": lambda T, x: x.reshape_as(T.zeros(6, 4)),
    "flatten": lambda T, x: x.flatten(1),
    "flatten all": lambda T, x: T.flatten(x),
    "flatten none": lambda T, x: x.flatten(1, 1),
    "ravel": lambda T, x: x.ravel(),
    "unflatten": lambda T, x: x.unflatten(2, (2, -1)),
    "squeeze": lambda T, x: x[:1].squeeze(),
    "squeeze dim": lambda T, x: x[:, :1].squeeze(1),
    "squeeze dims": lambda T, x: x[:1, :1].squeeze((0, 1, 2)),
    "squeeze nothing": lambda T, x: x.squeeze(0),
    "unsqueeze": lambda T, x: x.unsqueeze(-1).unsqueeze(0),
    "permute": lambda T, x: x.permute(2, 0, 1),
    "permute negative": lambda T, x: T.permute(x, (-1, 0, -2)),
    "transpose": lambda T, x: x.transpose(0, -1),
    "swapaxes": lambda T, x: T.swapaxes(x, 0, 1),
    "t": lambda T, x: x[0].t(),
    "T": lambda T, x: x[0].T,
    "mT": lambda T, x: x.mT,
    "movedim": lambda T, x: x.movedim(0, 2),
    "movedim several": lambda T, x: T.movedim(x, (0, 2), (-1, 0)),
    "expand": lambda T, x: x[:, :1].expand(2, 5, 4),
    "expand -1": lambda T, x: x.expand(3, -1, -1, -1),
    "expand_as": lambda T, x: x[:1].expand_as(T.zeros(5, 3, 4)),
    "broadcast_to": lambda T, x: T.broadcast_to(x, (2, 2, 3, 4)),
    "narrow": lambda T, x: x.narrow(1, 1, 2),
    "narrow negative": lambda T, x: T.narrow(x, -1, -3, 2),
}
COPIES = {
    "flip by name": lambda T, x: T.flip(x, dims=(0, 2)),
    "names": lambda T, x: T.permute(x.reshape(shape=(4, 6)), dims=(1, 0)).repeat(repeats=(1, 2)),
    "reshape of a transpose": lambda T, x: x.transpose(0, 1).reshape(6, 4),
    "repeat": lambda T, x: x.repeat(2, 1, 3),
    "repeat more dims": lambda T, x: x.repeat(2, 1, 1, 2),
    "repeat nothing": lambda T, x: x.repeat(2, 0, 1),
    "tile": lambda T, x: T.tile(x, (2,)),
    "tile more dims": lambda T, x: x.tile(2, 1, 1, 1),
    "flip": lambda T, x: x.flip(0, 2),
    "flip none": lambda T, x: T.flip(x, ()),
    "roll": lambda T, x: x.roll(1, 0),
    "roll several": lambda T, x: T.roll(x, (1, -5), (1, 2)),
    "roll flat": lambda T, x: x.roll(5),
    "tril": lambda T, x: T.tril(x, 1),
    "triu": lambda T, x: x.triu(-1),
    "clone": lambda T, x: x.transpose(0, 1).clone(),
    "contiguous": lambda T, x: x.transpose(0, 1).contiguous(),
    "cat": lambda T, x: T.cat([x, x[:, :2], x[:, :0]], 1),
    "cat of a legacy empty": lambda T, x: T.cat([T.zeros(0), x, T.zeros(0)], -1),
    "concat": lambda T, x: T.concat((x, x)),
    "stack": lambda T, x: T.stack([x, x * 2], 1),
    "stack last": lambda T, x: T.stack([x, x * 2], -1),
    "double": lambda T, x: x.double().to(T.float64),
}
TUPLES = {
    "split": lambda T, x: x.split(2, 2),
    "split uneven": lambda T, x: T.split(x, 3, -1),
    "split sections": lambda T, x: x.split([1, 0, 3], 2),
    "split_copy": lambda T, x: T.split_copy(x, 2, 2),
    "chunk": lambda T, x: x.chunk(3, 2),
    "chunk too many": lambda T, x: T.chunk(x, 5, 1),
    "unbind": lambda T, x: x.unbind(1),
    "meshgrid": lambda T, x: T.meshgrid(x[0, 0], x[0, :, 0], indexing="ij"),
    "meshgrid xy": lambda T, x: T.meshgrid(x[0, 0], x[0, :, 0], x[:, 0, 0], indexing="xy"),
    "meshgrid list": lambda T, x: T.meshgrid([x[0, 0], x[0, 0, 0]], indexing="ij"),
    "broadcast_tensors": lambda T, x: T.broadcast_tensors(x, x[0], x[:, :1]),
    "iterate": lambda T, x: tuple(x),
}
ALL = VIEWS | COPIES | TUPLES


@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients(name):
    parity(ALL[name], (2, 3, 4))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "bool", "uint8"])
def test_dtypes_pass_through(dtype):
    a = (fresh(2, 3, 4) * 3).astype(pycnn.dtypes.as_dtype(dtype))
    for name, function in ALL.items():
        if not name.startswith(("meshgrid", "cat of", "double", "stack")):
            parity(function, a, gradients=False)


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory_and_edits(name):
    """An in-place edit of the view, then of the base, reaches both, and the gradient follows."""
    repeats = name.startswith(("expand", "broadcast"))

    def call(T, x):
        y = x * 1
        v = VIEWS[name](T, y)
        if not repeats:
            v.mul_(3)
            v[0].add_(1)
        y[1:].mul_(2)
        return v * 1, y * v.sum()

    parity(call, (2, 3, 4))
    y = pycnn.zeros(2, 3, 4)
    v = VIEWS[name](pycnn, y)
    y.fill_(5)
    assert (v == 5).all()
    assert v._version == y._version == 1


def test_views_do_not_copy():
    x = pycnn.randn(2, 3, 4)
    for name, function in VIEWS.items():
        v = function(pycnn, x)
        assert v is x or np.shares_memory(v.numpy(), x.numpy()), name
    for name, function in COPIES.items():
        if name != "double":
            assert not np.shares_memory(function(pycnn, x).numpy(), x.numpy()), name


def test_strides_are_torchs():
    x = torch.zeros(2, 3, 4)
    for name, function in (VIEWS | COPIES).items():
        ours, theirs = function(pycnn, pycnn.zeros(2, 3, 4)), function(torch, x)
        if theirs.numel() > 1 and "unsqueeze" not in name:
            sizes = [(s, n) for s, n in zip(theirs.stride(), theirs.shape, strict=True) if n != 1]
            found = [(s, n) for s, n in zip(ours.stride(), ours.shape, strict=True) if n != 1]
            assert found == sizes, name


def test_empty_and_zero_dimensional():
    parity(lambda T, x: x.reshape(4, 0), (0, 3))
    parity(lambda T, x: x.view(-1), (0, 3))
    parity(lambda T, x: x.flatten(), ())
    parity(lambda T, x: x.reshape(()), (1,))
    parity(lambda T, x: x.squeeze(0).unsqueeze(0), ())
    parity(lambda T, x: x.expand(3), ())
    parity(lambda T, x: x.t().permute(()).transpose(0, -1), ())
    parity(lambda T, x: x.repeat(3).flip(0).roll(1), ())
    parity(lambda T, x: T.stack([x, x]), ())
    parity(lambda T, x: x.split(1), (0, 2))
    parity(lambda T, x: x.split(0), (0, 2))
    parity(lambda T, x: x.chunk(3), (0, 2))
    parity(lambda T, x: T.cat([x, x], 1), (2, 0))
    parity(lambda T, x: x.clone().contiguous(), ())


# --- cat and split --------------------------------------------------------------------------------


def test_cat_promotes():
    for a, b in (
        ("float32", "int64"),
        ("float16", "float32"),
        ("bool", "uint8"),
        ("float16", "bfloat16"),
    ):
        dtypes = [pycnn.dtypes.as_dtype(d) for d in (a, b)]
        x, y = [np.ones((2, 3), d) for d in dtypes]
        parity(lambda T, x, y: T.cat([x, y]), x, y, gradients=False)
        parity(lambda T, x, y: T.stack([x, y]), x, y, gradients=False)
    x = pycnn.ones(2, requires_grad=True)
    y = pycnn.ones(2, dtype="float64", requires_grad=True)
    pycnn.cat([x, y]).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (pycnn.float32, pycnn.float64)


def test_cat_layout():
    a, b = pycnn.randn(2, 3, 4, 5), pycnn.randn(2, 3, 4, 5)
    last = [t.contiguous(memory_format=CL) for t in (a, b)]
    assert pycnn.cat(last, 1).is_contiguous(memory_format=CL)
    assert not pycnn.cat([a, last[1]], 1).is_contiguous(memory_format=CL)
    assert all(
        p.is_contiguous(memory_format=CL) for p in pycnn.split_copy(pycnn.cat(last, 1), 3, 1)
    )
    parity(lambda T, x, y: T.cat([x, y], 1), (2, 3, 4, 5), (2, 1, 4, 5), channels_last=True)


def test_cat_gradients_go_where_wanted():
    x, y = pycnn.ones(2, requires_grad=True), pycnn.ones(3)
    pycnn.cat([y, x, y]).mul(pycnn.tensor([9.0, 9, 9, 1, 2, 9, 9, 9])).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


def test_split_parts_with_unused_gradients():
    parity(lambda T, x: T.split_copy(x, 2, 1)[1], (3, 5))
    parity(lambda T, x: x.split([1, 2, 1], 1)[2], (3, 4))


# --- layout, dtype, device ------------------------------------------------------------------------


def test_memory_formats():
    def layout(t):
        return t.stride(), t.is_contiguous()

    for C, H in ((3, 4), (1, 4), (3, 1)):
        a = fresh(2, C, H, H, dtype="float32")
        x, t = pycnn.from_numpy(a), torch.from_numpy(a)
        for call in (
            lambda t, f: t.contiguous(memory_format=f),
            lambda t, f: t.to(memory_format=f),
            lambda t, f: t.clone(memory_format=f),
            lambda t, f: t.contiguous(memory_format=f).contiguous(),
            lambda t, f: t.contiguous(memory_format=f).clone(),
            lambda t, f: t.double().to(memory_format=f),
        ):
            ours, theirs = call(x, CL), call(t, torch.channels_last)
            assert layout(ours) == layout(theirs), (C, H)
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    parity(
        lambda F, x: x.contiguous().transpose(1, 2).contiguous(), (2, 3, 4, 5), channels_last=True
    )


def test_to_returns_self_where_nothing_changes():
    x = pycnn.randn(2, 3)
    for y in (
        x.to("cpu"),
        x.to(pycnn.float32),
        x.to(x),
        x.float(),
        x.cpu(),
        x.contiguous(),
        x.type("float32"),
    ):
        assert y is x
    assert x.to("cpu", copy=True) is not x
    assert x.to("cpu", pycnn.float64).dtype == pycnn.float64
    assert x.to(dtype="half", device="cpu").dtype == pycnn.float16
    assert x.to(pycnn.zeros(1, dtype="int32")).dtype == pycnn.int32
    assert x.to(torch.float64).dtype == pycnn.float64
    assert x.type() == "float32"
    assert x.type_as(x.double()).dtype == pycnn.float64


@pytest.mark.parametrize(
    "target", ["float", "double", "half", "bfloat16", "int", "long", "short", "char", "bool"]
)
def test_casts(target):
    a = np.array([0.0, -0.0, 1.5, -1.5, 100.25, 0.1, -3.99])
    for source in ("float64", "float32", "float16", "bfloat16", "int64", "bool"):
        parity(
            lambda T, x: getattr(x, target)(),
            a.astype(pycnn.dtypes.as_dtype(source)),
            gradients=False,
        )
    special = np.array([np.nan, np.inf, -np.inf, 1e30])
    if target in ("float", "double", "half", "bfloat16", "bool"):
        parity(lambda T, x: getattr(x, target)(), special, gradients=False)


def test_cast_gradients_return_in_the_source_dtype():
    parity(lambda T, x: x.float().double() * 2, (3, 4), rtol=1e-6)
    parity(lambda T, x: x.half(), (3, 4), dtype="float32", gradients=True, rtol=1e-3, atol=1e-3)


def test_devices():
    x = pycnn.ones(2)
    if pycnn.array.gpu_status() is not None:
        with pytest.raises(RuntimeError, match="cuda"):
            x.cuda()
    with pytest.raises(RuntimeError, match="device"):
        x.to("tpu:0")


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x.view(3, 3),
        lambda T, x: x.t().view(6),
        lambda T, x: x.reshape(-1, -1),
        lambda T, x: x.reshape(-2, 3),
        lambda T, x: x.reshape(4, -1),
        lambda T, x: x[:0].reshape(0, -1),
        lambda T, x: x.reshape("a"),
        lambda T, x: x.reshape(size=(3, 2)),
        lambda T, x: x.reshape((2.0, 3)),
        lambda T, x: x.flatten(1, 0),
        lambda T, x: x.flatten(2),
        lambda T, x: x.unflatten(1, (2, 2)),
        lambda T, x: x.unflatten(0, ()),
        lambda T, x: x.permute(0),
        lambda T, x: x.permute(0, 0),
        lambda T, x: x.permute(0, 2),
        lambda T, x: x.transpose(0, 2),
        lambda T, x: x[None].t(),
        lambda T, x: x[0].mT,
        lambda T, x: x.squeeze(5),
        lambda T, x: x.unsqueeze(3),
        lambda T, x: x.unsqueeze(-4),
        lambda T, x: x.expand(3),
        lambda T, x: x.expand(-1, -1, 3),
        lambda T, x: x.expand(2, 4),
        lambda T, x: x.expand(2, -2),
        lambda T, x: x.repeat(2),
        lambda T, x: x.repeat(2, -1),
        lambda T, x: x.split(0),
        lambda T, x: x.split(-1),
        lambda T, x: x.split([1, 1], 1),
        lambda T, x: x.split([4, -1], 1),
        lambda T, x: x[0, 0].split(1),
        lambda T, x: x.chunk(0),
        lambda T, x: x[0, 0].chunk(1),
        lambda T, x: x[0, 0].unbind(),
        lambda T, x: x.narrow(1, 1, 3),
        lambda T, x: x.narrow(1, -5, 1),
        lambda T, x: x.narrow(1, 0, -1),
        lambda T, x: x[0, 0].narrow(0, 0, 1),
        lambda T, x: x.movedim((0, 0), (1, 0)),
        lambda T, x: x.movedim((0,), (1, 0)),
        lambda T, x: x.flip((0, 0)),
        lambda T, x: x.flip(2),
        lambda T, x: x.roll((1, 2), (0,)),
        lambda T, x: x.roll(1, (0, 1)),
        lambda T, x: x.roll((1, 2)),
        lambda T, x: T.tril(x[0]),
        lambda T, x: T.cat([]),
        lambda T, x: T.cat(x),
        lambda T, x: T.cat([x, 1]),
        lambda T, x: T.cat([x[0, 0], x[0, 0]]),
        lambda T, x: T.cat([x, x[:1]], 1),
        lambda T, x: T.cat([x, x[0]]),
        lambda T, x: T.cat([x, x], 2),
        lambda T, x: T.stack([]),
        lambda T, x: T.stack([x, x[0]]),
        lambda T, x: T.stack([x, x], 3),
        lambda T, x: T.meshgrid(x[0], indexing="zz"),
        lambda T, x: T.meshgrid(x, indexing="ij"),
        lambda T, x: x.to(memory_format=T.channels_last),
        lambda T, x: x.contiguous(memory_format=T.channels_last),
        lambda T, x: x.clone(memory_format=T.channels_last),
        lambda T, x: x.t().contiguous(memory_format=T.preserve_format),
        lambda T, x: T.reshape([1.0], (1,)),
        lambda T, x: iter(x[0, 0]),
    ],
)
def test_errors(call):
    same_error(call, (2, 3))


def test_names_are_torchs():
    for name in shape.__all__:
        assert hasattr(torch, name), name
        assert hasattr(pycnn, name), name
