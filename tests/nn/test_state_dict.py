"""state_dict and load_state_dict: keys, reports, copying, and failures that change nothing."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

import pycnn
from pycnn import nn


def build(family):
    return family.Sequential(
        family.Linear(2, 3), family.Sequential(family.BatchNorm1d(3)), family.PReLU()
    )


def snapshot(module):
    return {k: v.numpy().copy() for k, v in module.state_dict().items()}


def assert_unchanged(module, before):
    after = snapshot(module)
    assert list(after) == list(before)
    for key, value in after.items():
        np.testing.assert_array_equal(value, before[key])


def test_round_trip_with_torch():
    ours, theirs = build(nn), build(torch.nn)
    arrays = {k: v.numpy() for k, v in theirs.state_dict().items()}
    result = ours.load_state_dict(arrays)
    assert repr(result) == str(result) == "<All keys matched successfully>"
    assert_unchanged(ours, arrays)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in snapshot(ours).items()})


def test_torch_tensors_are_arrays_too():
    ours, theirs = build(nn), build(torch.nn)
    ours.load_state_dict(theirs.state_dict())
    assert_unchanged(ours, {k: v.numpy() for k, v in theirs.state_dict().items()})


def test_options_of_state_dict():
    net = build(nn)
    assert isinstance(net.state_dict(), OrderedDict)
    assert list(net.state_dict(prefix="net."))[0] == "net.0.weight"
    found = OrderedDict(before=1)
    assert net.state_dict(destination=found) is found
    assert list(found)[:2] == ["before", "0.weight"]
    assert net.state_dict(keep_vars=True)["0.weight"] is net[0].weight
    detached = net.state_dict()["0.weight"]
    assert not detached.requires_grad
    detached.fill_(7.0)
    assert (net[0].weight.detach().numpy() == 7).all()


def test_non_persistent_buffers_stay_out():
    net = nn.Module()
    net.register_buffer("kept", pycnn.ones(2))
    net.register_buffer("scratch", pycnn.ones(2), persistent=False)
    net.register_buffer("none", None)
    assert list(net.state_dict()) == ["kept"]
    assert net.load_state_dict({"kept": np.zeros(2)}).missing_keys == []
    with pytest.raises(RuntimeError, match='Unexpected key.*"scratch"'):
        net.load_state_dict({"kept": np.zeros(2), "scratch": np.zeros(2)})


def test_load_never_aliases():
    net = nn.Linear(2, 2)
    weight = np.ones((2, 2), "float32")
    bias = pycnn.ones(2)
    parameter = net.weight
    net.load_state_dict({"weight": weight, "bias": bias})
    weight[:] = 5
    bias.fill_(5.0)
    assert net.weight is parameter
    assert (net.weight.detach().numpy() == 1).all()
    assert (net.bias.detach().numpy() == 1).all()
    with pycnn.no_grad():
        net.weight.fill_(9.0)
    assert (weight == 5).all()


def test_load_converts_to_the_modules_dtype():
    net = nn.Linear(2, 1).half()
    net.load_state_dict({"weight": np.array([[0.1, 0.2]]), "bias": np.array([1], "int64")})
    assert net.weight.dtype == net.bias.dtype == pycnn.float16
    np.testing.assert_array_equal(
        net.weight.detach().numpy(), np.array([[0.1, 0.2]]).astype("float16")
    )


def test_load_bumps_the_version_of_weights_in_use():
    net = nn.Linear(2, 1)
    x = pycnn.ones(1, 2, requires_grad=True)
    loss = net(x).sum()
    net.load_state_dict(snapshot(net))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def _bad_values(family):
    state = build(family).state_dict()
    make = torch.zeros if family is torch.nn else pycnn.zeros
    bad = {key: make(7) for key in list(state)[:3]}
    bad["foo"] = 1
    bad["bar.q"] = make(1)
    return bad


def test_strict_report_is_torchs():
    net = build(nn)
    before = snapshot(net)
    with pytest.raises(RuntimeError) as ours:
        net.load_state_dict(_bad_values(nn))
    with pytest.raises(RuntimeError) as theirs:
        build(torch.nn).load_state_dict(_bad_values(torch.nn))

    def plain(error):
        return str(error.value).replace("torch.Size([", "(").replace("])", ")").replace(",)", ")")

    assert plain(ours) == plain(theirs)
    assert_unchanged(net, before)


def test_not_strict_returns_what_torch_returns():
    ours, theirs = build(nn), build(torch.nn)
    values = {"0.weight": np.ones((3, 2), "float32"), "a": 1}
    result = ours.load_state_dict(values, strict=False)
    expected = theirs.load_state_dict(
        {"0.weight": torch.ones(3, 2), "a": torch.ones(1)}, strict=False
    )
    assert tuple(result) == tuple(expected)
    assert result.unexpected_keys == ["a"]
    assert repr(result).startswith("IncompatibleKeys(missing_keys=['0.bias', ")
    assert (ours[0].weight.detach().numpy() == 1).all()


@pytest.mark.parametrize("strict", [True, False])
def test_a_mismatch_anywhere_changes_nothing(strict):
    net = build(nn)
    before = snapshot(net)
    values = {k: v + 1 for k, v in before.items()}
    values["2.weight"] = np.zeros((1, 1))
    with pytest.raises(RuntimeError, match=r"size mismatch for 2.weight.*\(1, 1\).*\(1,\)"):
        net.load_state_dict(values, strict=strict)
    assert_unchanged(net, before)


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_strict_key_errors_change_nothing(change):
    net = build(nn)
    before = snapshot(net)
    values = {k: v + 1 for k, v in before.items()}
    if change == "missing":
        del values["2.weight"]
    else:
        values["2.other"] = np.zeros(1)
    with pytest.raises(RuntimeError, match=f"{change.capitalize()} key"):
        net.load_state_dict(values)
    assert_unchanged(net, before)


@pytest.mark.parametrize("value", [3, "text", np.array(["a", "b"]), np.zeros((3, 2), complex)])
def test_values_that_are_no_tensors(value):
    net = build(nn)
    before = snapshot(net)
    with pytest.raises(RuntimeError, match='While copying the parameter named "0.weight"'):
        net.load_state_dict({"0.weight": value}, strict=False)
    assert_unchanged(net, before)


def test_not_a_mapping():
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'int'>"):
        build(nn).load_state_dict(3)


def test_batch_count_may_be_missing():
    net = build(nn)
    net(pycnn.randn(4, 2))
    values = snapshot(net)
    del values["1.0.num_batches_tracked"]
    assert net.load_state_dict(values).missing_keys == []
    assert net[1][0].num_batches_tracked.item() == 1
