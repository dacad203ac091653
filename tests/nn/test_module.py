"""Module: registration, walking, hooks, conversion, repr; torch's module is the model."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch

import pycnn
from pycnn import nn


def build(family):
    """The same small tree in pycnn (`nn`) or in PyTorch (`torch.nn`)."""
    return family.Sequential(
        family.Conv2d(3, 4, 3, padding=1),
        family.Sequential(family.BatchNorm2d(4), family.ReLU()),
        family.ModuleList([family.Identity(), family.PReLU(4)]),
        family.ModuleDict({"a": family.Linear(4, 2), "b": family.Flatten()}),
    )


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(pycnn.ones(4, 1, 1))
        self.register_buffer("shift", pycnn.zeros(4, 1, 1))
        self.register_buffer("scratch", pycnn.zeros(2), persistent=False)

    def forward(self, x):
        return self.norm(self.conv(x)) * self.scale + self.shift


def snapshot(module):
    return {k: v.numpy().copy() for k, v in module.state_dict().items()}


def test_tree_is_torchs():
    ours, theirs = build(nn), build(torch.nn)
    norms_show_bias = "bias=True, track" in repr(theirs)
    assert norms_show_bias is False or repr(ours) == repr(theirs)
    for walk in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, walk)()] == [n for n, _ in getattr(theirs, walk)()]
    for walk in ("parameters", "buffers", "modules", "children"):
        assert len(list(getattr(ours, walk)())) == len(list(getattr(theirs, walk)()))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters("net", recurse=False)] == []
    assert [n for n, _ in ours[0].named_parameters("net")] == ["net.weight", "net.bias"]


def test_shared_members_come_once():
    for family in (nn, torch.nn):
        net = family.Sequential(family.Linear(2, 2), family.ReLU())
        net.append(net[0])
        tied = family.Linear(2, 2)
        tied.weight = net[0].weight
        net.append(tied)
        assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "3.bias"]
        assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == [
            "0.weight",
            "0.bias",
            "2.weight",
            "2.bias",
            "3.weight",
            "3.bias",
        ]
        assert [n for n, _ in net.named_modules()] == ["", "0", "1", "3"]
        assert [n for n, _ in net.named_modules(remove_duplicate=False)] == [
            "",
            "0",
            "1",
            "2",
            "3",
        ]
        assert [n for n, _ in net.named_children()] == ["0", "1", "3"]
        assert len(net.state_dict()) == 6


def test_get_by_path():
    net = build(nn)
    assert net.get_submodule("1.0") is net[1][0]
    assert net.get_submodule("") is net
    assert net.get_parameter("3.a.weight") is net[3]["a"].weight
    assert net.get_buffer("1.0.running_mean") is net[1][0].running_mean


@pytest.mark.parametrize(
    "method, target, message",
    [
        ("get_submodule", "1.4", "Sequential has no attribute `4`"),
        ("get_submodule", "0.weight", "`weight` is not an nn.Module"),
        ("get_parameter", "0.weigh", "Conv2d has no attribute `weigh`"),
        ("get_parameter", "1.0.running_mean", "`running_mean` is not an nn.Parameter"),
        ("get_buffer", "1.0.weight", "`weight` is not a buffer"),
        ("get_buffer", "1.0.x", "BatchNorm2d has no attribute `x`"),
    ],
)
def test_get_by_path_refused(method, target, message):
    with pytest.raises(AttributeError, match=re.escape(message)):
        getattr(build(nn), method)(target)
    with pytest.raises(AttributeError, match=re.escape(message)):
        getattr(build(torch.nn), method)(target)


@pytest.mark.parametrize(
    "assign, message",
    [
        (lambda m: setattr(m, "w", nn.Parameter(pycnn.ones(1))), "cannot assign parameters before"),
        (lambda m: setattr(m, "w", nn.ReLU()), "cannot assign module before"),
        (lambda m: m.register_buffer("w", None), "cannot assign buffer before"),
        (lambda m: m.register_parameter("w", None), "cannot assign parameter before"),
    ],
)
def test_assigning_before_init(assign, message):
    class Early(nn.Module):
        def __init__(self):
            assign(self)

    with pytest.raises(AttributeError, match=message):
        Early()


def test_attribute_rules():
    net = Small()
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        net.scale = pycnn.ones(4, 1, 1)
    with pytest.raises(TypeError, match="as child module 'conv'"):
        net.conv = 3
    with pytest.raises(TypeError, match="as buffer 'shift'"):
        net.shift = "zero"
    with pytest.raises(AttributeError, match="'Small' object has no attribute 'nothing'"):
        _ = net.nothing
    net.scale = None
    assert net.scale is None
    assert "scale" not in net.state_dict()
    net.scale = nn.Parameter(pycnn.ones(1))
    assert "scale" in net.state_dict()
    net.shift = pycnn.ones(3)
    assert net.state_dict()["shift"].shape == (3,)
    net.other = pycnn.ones(1)
    assert "other" not in net.state_dict()


def test_assignment_moves_a_name_between_tables():
    net = Small()
    net.plain = 3
    net.plain = nn.Parameter(pycnn.ones(1))
    assert "plain" in dict(net.named_parameters())
    assert "plain" not in net.__dict__
    net.conv = nn.Parameter(pycnn.ones(1))
    assert "conv" in dict(net.named_parameters())
    assert "conv" not in dict(net.named_children())
    net.shift = nn.Parameter(pycnn.ones(1))
    assert "shift" not in dict(net.named_buffers())
    net.register_buffer("table", pycnn.zeros(1))
    net.table = nn.ReLU()
    assert "table" not in dict(net.named_buffers())
    assert isinstance(net.table, nn.ReLU)
    net.number = 3
    net.number = nn.ReLU()
    assert isinstance(net.number, nn.ReLU)
    net.conv2 = nn.ReLU()
    net.conv2 = None
    assert net.conv2 is None
    assert "conv2" not in dict(net.named_children())


def test_deleting_attributes():
    net = Small()
    for name in ("conv", "scale", "shift", "scratch"):
        delattr(net, name)
        assert not hasattr(net, name)
    net.register_buffer("scratch", pycnn.ones(1))
    assert "scratch" in net.state_dict()
    with pytest.raises(AttributeError):
        del net.nothing


@pytest.mark.parametrize("register", ["register_parameter", "register_buffer", "add_module"])
@pytest.mark.parametrize(
    "name, error, message",
    [
        ("a.b", KeyError, 'can\'t contain "."'),
        ("", KeyError, 'can\'t be empty string ""'),
        (3, TypeError, "name should be a string. Got int"),
        ("train", KeyError, "attribute 'train' already exists"),
    ],
)
def test_names_refused(register, name, error, message):
    for family in (nn, torch.nn):
        with pytest.raises(error) as raised:
            getattr(family.Module(), register)(name, None)
        assert message in raised.value.args[0]


def test_members_refused():
    net = nn.Module()
    with pytest.raises(TypeError, match=r"to parameter 'w' \(pycnn.nn.Parameter or None required"):
        net.register_parameter("w", pycnn.ones(1))
    with pytest.raises(TypeError, match=r"to buffer 'w' \(pycnn Tensor or None required\)"):
        net.register_buffer("w", 3)
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        net.register_module("w", 3)
    with pytest.raises(NotImplementedError, match='missing the required "forward" function'):
        net(1)
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(1)


def test_register_module_and_dir():
    net = nn.Module()
    net.register_module("child", nn.ReLU())
    assert isinstance(net.child, nn.ReLU)
    assert {"child", "forward"} <= set(dir(net))


def test_train_eval_apply():
    net = build(nn)
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    order = []
    net.apply(lambda m: order.append(m))
    theirs = []
    build(torch.nn).apply(lambda m: theirs.append(type(m).__name__))
    assert [type(m).__name__ for m in order] == theirs


def test_requires_grad_and_zero_grad():
    net = Small().requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    net(pycnn.randn(2, 3, 5, 5)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.numpy() == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


# Conversion


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_to_dtype(name):
    net = Small()
    parameters = dict(net.named_parameters())
    net(pycnn.randn(2, 3, 5, 5)).sum().backward()
    assert net.to(name) is net
    dtype = getattr(pycnn, name)
    for key, value in net.state_dict().items():
        tracked = key.endswith("num_batches_tracked")
        assert value.dtype == (pycnn.int64 if tracked else dtype), key
    assert net.scratch.dtype == dtype
    for key, parameter in net.named_parameters():
        assert parameter is parameters[key]
        assert parameter.requires_grad
        assert parameter.is_leaf
        assert parameter.grad.dtype == dtype


def test_short_conversions():
    net = nn.Linear(2, 2)
    for method, dtype in (
        ("half", pycnn.float16),
        ("bfloat16", pycnn.bfloat16),
        ("double", pycnn.float64),
        ("float", pycnn.float32),
    ):
        assert getattr(net, method)() is net
        assert net.weight.dtype == dtype
    assert net.to(pycnn.ones(1, dtype=pycnn.float64)).weight.dtype == pycnn.float64
    assert net.to("cpu", pycnn.float32).weight.dtype == pycnn.float32
    assert net.to(device="cpu", dtype="float16").weight.dtype == pycnn.float16
    assert net.cpu() is net


def test_conversion_keeps_values_and_training_goes_on():
    net = nn.Linear(3, 2)
    before = net.weight.detach().numpy().copy()
    optimizer = pycnn.optim.SGD(net.parameters(), lr=0.1)
    net.double()
    np.testing.assert_array_equal(net.weight.detach().numpy(), before.astype("float64"))
    net(pycnn.ones(1, 3, dtype=pycnn.float64)).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(net.weight.detach().numpy(), before - 0.1, atol=1e-7)


def test_to_memory_format():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    before = snapshot(net)
    net.to(memory_format=pycnn.channels_last)
    assert net[0].weight.is_contiguous(memory_format=pycnn.channels_last)
    assert not net[0].weight.is_contiguous()
    assert net[2].weight.is_contiguous()
    for key, value in snapshot(net).items():
        np.testing.assert_array_equal(value, before[key])
    net.load_state_dict(before)
    assert net[0].weight.is_contiguous(memory_format=pycnn.channels_last)
    net.to(memory_format=pycnn.contiguous_format)
    assert net[0].weight.is_contiguous()


def test_to_refused():
    net = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="only accepts floating point dtypes, .* dtype=int32"):
        net.to(pycnn.int32)
    with pytest.raises(TypeError, match="dtype: got 'nothing'"):
        net.to("nothing")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_deepcopy_and_pickle(duplicate):
    net = Small()
    net.tied = net.conv
    x = pycnn.randn(2, 3, 5, 5)
    net(x)
    other = duplicate(net.eval())
    assert other.tied is other.conv
    assert isinstance(other.conv.weight, nn.Parameter)
    assert other.conv.weight.requires_grad
    assert not other.training
    np.testing.assert_array_equal(other(x).detach().numpy(), net(x).detach().numpy())
    with pycnn.no_grad():
        other.conv.weight.add_(1.0)
    assert not np.array_equal(other(x).detach().numpy(), net(x).detach().numpy())


# Hooks


def test_forward_hooks_run_in_order_and_may_replace():
    net = nn.Sequential(nn.ReLU())
    seen = []
    net.register_forward_pre_hook(lambda m, args: seen.append("pre") or (args[0] + 1,))
    net.register_forward_pre_hook(lambda m, args: seen.append("first") or None, prepend=True)
    net.register_forward_hook(lambda m, args, out: seen.append("post") or out * 10)
    last = net.register_forward_hook(lambda m, args, out: seen.append(args[0].item()))
    assert net(pycnn.tensor([2.0])).item() == 30
    assert seen == ["first", "pre", "post", 3.0]
    last.remove()
    last.remove()
    net(pycnn.tensor([2.0]))
    assert seen[4:] == ["first", "pre", "post"]


def test_pre_hook_may_return_one_value():
    net = nn.ReLU()
    with net.register_forward_pre_hook(lambda m, args: -args[0]):
        assert net(pycnn.tensor([-2.0])).item() == 2
    assert net(pycnn.tensor([-2.0])).item() == 0


def test_hooks_with_kwargs():
    class Scaled(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor

    net = Scaled()
    net.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"factor": kwargs["factor"] + 1}), with_kwargs=True
    )
    seen = []
    net.register_forward_hook(lambda m, args, kw, out: seen.append(kw), with_kwargs=True)
    assert net(pycnn.tensor([2.0]), factor=2.0).item() == 6
    assert seen == [{"factor": 3.0}]
    net.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"None or a tuple of \(new_args, new_kwargs\)"):
        net(pycnn.tensor([2.0]), factor=2.0)


def _backward_hook_run(family, tensor, hook):
    net = family.Sequential(family.Linear(3, 3), family.Linear(3, 2)).double()
    with (torch if family is torch.nn else pycnn).no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(tensor(np.arange(float(np.prod(p.shape))).reshape(p.shape) / 10 + i))
    seen = []
    net[1].register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)) or hook(gi))
    x = tensor(np.arange(6.0).reshape(2, 3))
    x.requires_grad_()
    out = net(x)
    (out * out).sum().backward()
    ((grad_input,), (grad_output,)) = seen[0]
    gradients = [x.grad, *(p.grad for p in net.parameters())]
    return [t.detach().numpy() for t in (out, grad_input, grad_output, *gradients)], len(seen)


@pytest.mark.parametrize("hook", [lambda gi: None, lambda gi: (gi[0] * 2,)])
def test_full_backward_hook_equals_torch(hook):
    ours, our_calls = _backward_hook_run(nn, pycnn.tensor, hook)
    theirs, their_calls = _backward_hook_run(torch.nn, torch.tensor, hook)
    assert our_calls == their_calls == 1
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_full_backward_hook_of_several_inputs_and_outputs():
    class Two(nn.Module):
        def forward(self, a, b, c, scale):
            return a * b * scale, b + c, "text"

    net = Two()
    seen = []
    handle = net.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    a, b = (pycnn.tensor([v], requires_grad=True) for v in (2.0, 3.0))
    c = pycnn.tensor([5.0])
    first, second, text = net(a, b, c, 10.0)
    assert text == "text"
    (first * 7 + second * 0.5).sum().backward()
    ((grad_input, grad_output),) = seen
    assert [g if g is None else g.item() for g in grad_output] == [7, 0.5, None]
    assert grad_input[0].item() == a.grad.item() == 210
    assert grad_input[1].item() == b.grad.item() == 140.5
    assert grad_input[2:] == (None, None)
    handle.remove()
    net(a, b, c, 1.0)[0].backward()
    assert len(seen) == 1


def test_full_backward_hook_where_no_input_needs_a_gradient():
    net = nn.Linear(2, 1)
    seen = []
    handle = net.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    net(pycnn.ones(1, 2)).sum().backward()
    ((grad_input, (grad_output,)),) = seen
    assert grad_input == (None,)
    assert grad_output.tolist() == [[1.0]]
    handle.remove()
    net.register_full_backward_hook(lambda m, gi, go: (pycnn.ones(1, 2),))
    with pytest.raises(RuntimeError, match="no input requires gradient"):
        net(pycnn.ones(1, 2)).sum().backward()


def test_full_backward_hook_refused():
    net = nn.Linear(2, 1)
    net.register_full_backward_hook(lambda m, gi, go: (None, None))
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        net(pycnn.ones(1, 2).requires_grad_()).sum().backward()
    with pytest.warns(UserWarning, match="module output should be a Tensor"):
        Listing().hooked()(pycnn.ones(1).requires_grad_())
    with pycnn.no_grad():
        assert not net(pycnn.ones(1, 2)).requires_grad


class Listing(nn.Module):
    def forward(self, x):
        return [x]

    def hooked(self):
        self.register_full_backward_hook(lambda m, gi, go: None)
        return self


def test_backward_hook_does_not_hide_an_inplace_edit():
    net = nn.ReLU(inplace=True)
    net.register_full_backward_hook(lambda m, gi, go: None)
    y = pycnn.ones(2, requires_grad=True).exp()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        net(y).sum().backward()


def test_backward_hooks_prepend():
    net = nn.Linear(1, 1)
    order = []
    net.register_full_backward_hook(lambda m, gi, go: order.append("second"))
    net.register_full_backward_hook(lambda m, gi, go: order.append("first"), prepend=True)
    net(pycnn.ones(1, 1).requires_grad_()).sum().backward()
    assert order == ["first", "second"]


# Parameter


def test_parameter():
    data = pycnn.ones(2, 3)
    parameter = nn.Parameter(data)
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert not data.requires_grad
    loss = (parameter * parameter).sum()
    data.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert parameter.detach().numpy().sum() == 0
    assert repr(parameter).startswith("Parameter containing:\ntensor(")
    assert type(copy.deepcopy(parameter)) is nn.Parameter
    assert type(parameter + 1) is pycnn.Tensor
    assert nn.Parameter([1.0, 2.0]).shape == (2,)
    from_graph = nn.Parameter((parameter * 2).detach())
    assert from_graph.is_leaf
    with pytest.raises(RuntimeError, match="floating point"):
        nn.Parameter(pycnn.tensor([1, 2]))
