"""SGD against PyTorch's: the same numbers step by step, the same errors, the same state dicts."""

import itertools

import numpy as np
import pytest
import torch

import pycnn
from pycnn import nn, optim

SHAPES = [(4, 3, 3, 3), (5,), (2, 7), ()]

OPTIONS = [
    {"lr": 0.1, "momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x}
    for m, d, w, n, x in itertools.product(
        (0, 0.9), (0, 0.3), (0, 0.05), (False, True), (False, True)
    )
    if not (n and (m == 0 or d != 0))
]


def _pair(dtype, seed=0):
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    ours = [nn.Parameter(pycnn.tensor(v)) for v in values]
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    return ours, theirs, rng


def _set_gradients(ours, theirs, rng):
    for a, b in zip(ours, theirs, strict=True):
        g = rng.standard_normal(a.shape).astype(a.dtype)
        a.grad, b.grad = pycnn.tensor(g), torch.tensor(g)


def _assert_same(ours, theirs, steps):
    """Equal but for the rounding of a product that PyTorch fuses into its sum: one per step."""
    for a, b in zip(ours, theirs, strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        ulp = np.spacing(np.maximum(np.abs(b), np.asarray(1, b.dtype)))
        assert a.dtype == b.dtype
        assert (np.abs(a - b) <= steps * ulp).all(), np.abs(a - b).max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_steps_equal_torch(dtype, options):
    ours, theirs, rng = _pair(dtype)
    a, b = optim.SGD(ours, **options), torch.optim.SGD(theirs, **options, foreach=False)
    for step in range(1, 5):
        _set_gradients(ours, theirs, rng)
        a.step()
        b.step()
        _assert_same(ours, theirs, 2 * step)
        buffers = [state["momentum_buffer"] for state in a.state.values()] if a.state else []
        expected = [
            s["momentum_buffer"] for s in b.state.values() if s.get("momentum_buffer") is not None
        ]
        assert len(buffers) == len(expected) == (len(SHAPES) if options["momentum"] else 0)
        _assert_same(buffers, expected, 2 * step)


@pytest.mark.parametrize("options", OPTIONS[::3], ids=lambda o: "-".join(map(str, o.values())))
def test_steps_on_dyadic_numbers_equal_torch_bit_for_bit(options):
    """Where nothing is rounded, every order of operations must give the same bits."""
    options = {**options, "lr": 0.5, "momentum": 0.5 * bool(options["momentum"])}
    options["dampening"], options["weight_decay"] = (
        0.25 * bool(options["dampening"]),
        0.125 * bool(options["weight_decay"]),
    )
    ours, theirs, rng = _pair("float64")
    for a, b in zip(ours, theirs, strict=True):
        values = rng.integers(-8, 9, a.shape).astype("float64")
        a.data, b.data = pycnn.tensor(values), torch.tensor(values)
    a, b = optim.SGD(ours, **options), torch.optim.SGD(theirs, **options)
    for _ in range(5):
        for p, q in zip(ours, theirs, strict=True):
            g = rng.integers(-8, 9, p.shape).astype("float64")
            p.grad, q.grad = pycnn.tensor(g), torch.tensor(g)
        a.step()
        b.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


SIZE = 6 * 64  # of whole vectors: what is left over, PyTorch rounds twice


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1}, {"momentum": 0.9, "dampening": 0.3}, {"maximize": True}]
)
def test_halves_equal_torch_bit_for_bit(name, options):
    rng = np.random.default_rng(0)
    p = nn.Parameter(pycnn.tensor(rng.standard_normal(SIZE)).to(name))
    q = torch.nn.Parameter(torch.tensor(p.detach().to("float64").numpy()).to(getattr(torch, name)))
    a, b = optim.SGD([p], lr=0.1, **options), torch.optim.SGD([q], lr=0.1, **options)
    for _ in range(3):
        g = rng.standard_normal(SIZE).astype("float32")
        p.grad, q.grad = pycnn.tensor(g).to(name), torch.tensor(g).to(q.dtype)
        a.step()
        b.step()
        assert str(p.dtype) == name
        np.testing.assert_array_equal(
            p.detach().to("float32").numpy(), q.detach().to(torch.float32).numpy()
        )


def test_parameters_without_gradient_stay():
    ours, _, _ = _pair("float32")
    before = [p.detach().numpy().copy() for p in ours]
    ours[1].grad = pycnn.ones(5)
    optimizer = optim.SGD(ours, lr=1.0, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    assert list(optimizer.state) == [ours[1]]
    for i, (p, b) in enumerate(zip(ours, before, strict=True)):
        assert np.array_equal(p.detach().numpy(), b) == (i != 1)


def test_step_keeps_gradients_and_layout():
    p = nn.Parameter(pycnn.randn(4, 3, 2, 2).to(memory_format=pycnn.channels_last))
    p.grad = pycnn.ones(4, 3, 2, 2)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        optimizer.step()
    np.testing.assert_array_equal(p.grad.numpy(), 1)
    assert p.is_contiguous(memory_format=pycnn.channels_last)


def test_momentum_buffer_is_not_the_gradient():
    p = nn.Parameter(pycnn.zeros(2))
    p.grad = pycnn.ones(2)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert p.tolist() == [-1.5, -1.5]


def test_read_only_parameter_is_refused():
    values = np.ones(2, "float32")
    values.flags.writeable = False
    p = nn.Parameter(pycnn.from_numpy(values))
    p.grad = pycnn.ones(2)
    with pytest.raises(RuntimeError, match="read-only memory"):
        optim.SGD([p], lr=1.0).step()


def test_step_is_seen_by_a_pending_backward():
    p = nn.Parameter(pycnn.ones(3))
    loss = (p * p).sum()
    p.grad = pycnn.ones(3)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_zero_learning_rate_changes_nothing():
    p = nn.Parameter(pycnn.tensor([1.0, 2.0]))
    p.grad = pycnn.ones(2)
    optim.SGD([p], lr=0).step()
    np.testing.assert_array_equal(p.detach().numpy(), [1, 2])


def test_groups_have_their_own_options():
    ours, theirs, rng = _pair("float64")
    a = optim.SGD([{"params": ours[:2]}, {"params": ours[2], "lr": 0.5}], lr=0.1, momentum=0.9)
    b = torch.optim.SGD([{"params": theirs[:2]}, {"params": theirs[2], "lr": 0.5}], 0.1, 0.9)
    a.add_param_group({"params": ours[3], "weight_decay": 0.1})
    b.add_param_group({"params": theirs[3], "weight_decay": 0.1})
    for _ in range(3):
        _set_gradients(ours, theirs, rng)
        a.step()
        b.step()
    _assert_same(ours, theirs, 6)
    for x, y in zip(a.param_groups, b.param_groups, strict=True):
        assert {k: y[k] for k in x if k != "params"} == {
            k: v for k, v in x.items() if k != "params"
        }
    assert [len(g["params"]) for g in a.param_groups] == [2, 1, 1]


def test_closure_runs_with_gradients():
    p = nn.Parameter(pycnn.tensor([3.0]))
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with pycnn.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9.0
    assert p.item() == 1.5


def test_zero_grad():
    p = nn.Parameter(pycnn.ones(3))
    q = nn.Parameter(pycnn.ones(3))
    p.grad = pycnn.ones(3)
    optimizer = optim.SGD([p, q], lr=0.1)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0]
    assert q.grad is None
    optimizer.zero_grad()
    assert p.grad is None


def _trained(seed=0, **options):
    ours, theirs, rng = _pair("float64", seed)
    a = optim.SGD(ours, lr=0.1, momentum=0.9, **options)
    b = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, **options)
    for _ in range(2):
        _set_gradients(ours, theirs, rng)
        a.step()
        b.step()
    return ours, theirs, a, b, rng


def test_state_dict_has_torchs_layout():
    _, _, a, b, _ = _trained(nesterov=True)
    ours, theirs = a.state_dict(), b.state_dict()
    assert list(ours) == list(theirs)
    assert ours["state"].keys() == theirs["state"].keys()
    for i, values in ours["state"].items():
        assert list(values) == list(theirs["state"][i]) == ["momentum_buffer"]
    (group,), (their_group,) = ours["param_groups"], theirs["param_groups"]
    assert group == {key: their_group[key] for key in group}


def test_load_state_dict_continues_and_copies():
    ours, theirs, a, b, _ = _trained()
    continued = optim.SGD(ours, lr=5.0)
    saved = a.state_dict()
    continued.load_state_dict(saved)
    assert continued.param_groups[0]["lr"] == 0.1
    first = saved["state"][0]["momentum_buffer"]
    before = first.numpy().copy()
    rng = np.random.default_rng(5)
    _set_gradients(ours, theirs, rng)
    continued.step()
    b.step()
    _assert_same(ours, theirs, 6)
    np.testing.assert_array_equal(first.numpy(), before)
    continued.param_groups[0]["lr"] = 7.0
    assert a.param_groups[0]["lr"] == 0.1


def test_load_state_dict_takes_the_parameters_dtype():
    _, _, a, _, _ = _trained()
    floats = [nn.Parameter(pycnn.zeros(shape)) for shape in SHAPES]
    b = optim.SGD(floats, lr=0.1)
    b.load_state_dict(a.state_dict())
    assert {s["momentum_buffer"].dtype for s in b.state.values()} == {pycnn.float32}


def test_failed_load_changes_nothing():
    ours, _, a, _, _ = _trained()
    fewer = optim.SGD(ours[:2], lr=0.3)
    fewer_groups = optim.SGD([{"params": ours[:2]}, {"params": ours[2:]}], lr=0.3)
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        fewer.load_state_dict(a.state_dict())
    with pytest.raises(ValueError, match="different number of parameter groups"):
        fewer_groups.load_state_dict(a.state_dict())
    assert fewer.param_groups[0]["lr"] == fewer_groups.param_groups[0]["lr"] == 0.3
    assert not fewer.state


def test_repr_lists_the_options():
    p = nn.Parameter(pycnn.ones(1))
    text = repr(optim.SGD([p], lr=0.1, momentum=0.9))
    kept = ("foreach", "fused", "differentiable")
    theirs = repr(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=0.9))
    lines = [line for line in theirs.split("\n") if line.strip().split(":")[0] not in kept]
    assert text == "\n".join(lines)


def _leaf():
    return nn.Parameter(pycnn.ones(2))


REFUSED = [
    (lambda: optim.SGD([_leaf()], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.SGD([_leaf()], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
    (lambda: optim.SGD([_leaf()], momentum=-1), ValueError, "Invalid momentum value: -1"),
    (lambda: optim.SGD([_leaf()], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
    (lambda: optim.SGD([_leaf()], nesterov=True), ValueError, "Nesterov momentum requires"),
    (
        lambda: optim.SGD([_leaf()], momentum=0.9, dampening=0.1, nesterov=True),
        ValueError,
        "Nesterov momentum requires a momentum and zero dampening",
    ),
    (
        lambda: optim.SGD([{"params": [_leaf()], "lr": -2}], lr=0.1),
        ValueError,
        "Invalid learning rate: -2",
    ),
    (lambda: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    (lambda: optim.SGD(_leaf()), TypeError, "should be an iterable of Tensors or dicts"),
    (lambda: optim.SGD([1]), TypeError, "one of the params is int"),
    (lambda: optim.SGD([_leaf() * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda: optim.SGD([{"params": {_leaf()}}]), TypeError, "ordered collections"),
    (
        lambda: (lambda p: optim.SGD([{"params": p}, {"params": p}]))(_leaf()),
        ValueError,
        "some parameters appear in more than one parameter group",
    ),
    (lambda: optim.SGD([_leaf()]).add_param_group(3), TypeError, "param_group must be a dict"),
]


@pytest.mark.parametrize("call, error, message", REFUSED)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_duplicate_parameter_in_a_group_warns():
    p = _leaf()
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([p, p])
