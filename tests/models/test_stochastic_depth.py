"""Stochastic depth: both scalings, what dies and how often, and the plain ResNet-110 inside."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model
from pycnn.models.stochastic_depth import StochasticDepthGate
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

from pycnn.references import get_reference  # noqa: E402

NAME = "resnet110_stochastic_depth"
PLAIN = {"bias": False, "shortcut": "A"}
SMALL = {"width": 0.25, "num_classes": 4}


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def randomised(net, seed=0):
    """Statistics and affine parameters of batch norms as after training."""
    rng = np.random.default_rng(seed)
    for key, value in net.state_dict().items():
        if value.ndim == 1 and "conv" not in key:
            value.copy_(pycnn.from_numpy(rng.uniform(0.5, 1.5, value.shape).astype(np.float32)))
    return net


def outputs(net, x):
    with pycnn.no_grad():
        return net(pycnn.from_numpy(x)).numpy()


@pytest.mark.parametrize("scaling, mode, options", [
    ("test", "batch", {}), ("train", "batch", PLAIN), ("test", "row", PLAIN), ("train", "row", {}),
])  # fmt: skip
def test_training_with_the_same_gates_equals_the_reference(scaling, mode, options):
    arguments = {**SMALL, "scaling": scaling, "mode": mode, **options}
    net, reference = get_model(NAME, **arguments), get_reference(NAME, **arguments)
    rng = np.random.default_rng(1)
    theirs = [m.gate for m in reference.modules() if hasattr(m, "gate")]
    for ours, gate in zip(net.gates(), theirs, strict=True):
        draws = rng.random(3 if mode == "row" else None)
        ours.held = gate.held = draws < ours.survival
        if mode == "row" and not ours.held.any():
            ours.held[0] = True
    compare_torch(net, reference, images(3, 3, 12, 12), float32_gradients=False).check()


def test_with_scaling_in_training_evaluation_is_the_plain_resnet110():
    plain = randomised(get_model("resnet110", **SMALL)).eval()
    net = get_model(NAME, scaling="train", **PLAIN, **SMALL).eval()
    net.load_state_dict(plain.state_dict())
    x = images(2, 3, 16, 16)
    np.testing.assert_array_equal(outputs(net, x), outputs(plain, x))


def test_with_scaling_at_test_time_branches_count_by_their_survival():
    """A plain ResNet-110 whose last batch norms are multiplied by p_l says the same."""
    plain = randomised(get_model("resnet110", **SMALL)).eval().double()
    net = get_model(NAME, scaling="test", **PLAIN, **SMALL).eval().double()
    net.load_state_dict(plain.state_dict())
    x = images(2, 3, 16, 16).astype(np.float64)
    before = outputs(plain, x)
    blocks = [b for i in (1, 2, 3) for b in getattr(plain, f"layer{i}")]
    for i, block in enumerate(blocks, 1):
        p = 1 - i / 54 * 0.5
        block.bn2.weight.detach().mul_(p)
        block.bn2.bias.detach().mul_(p)
    np.testing.assert_allclose(outputs(net, x), outputs(plain, x), rtol=1e-9)
    assert np.abs(outputs(net, x) - before).max() > 1e-3 * np.abs(before).max()


def test_linear_decay_starts_above_zero_and_ends_at_one_half():
    survivals = [g.survival for g in get_model(NAME, **SMALL).gates()]
    np.testing.assert_allclose(survivals, 1 - np.arange(1, 55) / 54 * 0.5)
    assert sum(survivals) == pytest.approx(54 - 0.25 * 55)  # 40.25 of 54: "about 40" in the paper
    uniform = get_model(NAME, decay="uniform", death_rate=0.2, **SMALL).gates()
    assert {g.survival for g in uniform} == {0.8}


@pytest.mark.parametrize("scaling, alive", [("test", 1.0), ("train", 1 / 0.7)])
@pytest.mark.parametrize("mode", ["batch", "row"])
def test_how_often_a_gate_is_open(scaling, alive, mode):
    pycnn.manual_seed(5)
    gate = StochasticDepthGate(0.7, scaling, mode)
    x = pycnn.zeros(50, 1, 1, 1)
    draws = [gate(x) for _ in range(40 if mode == "row" else 2000)]
    if mode == "row":
        assert {d.shape for d in draws} == {(50, 1, 1, 1)}
        values = np.concatenate([d.numpy().ravel() for d in draws])
    else:
        values = np.array(draws)
    np.testing.assert_allclose(np.unique(values), [0, alive], rtol=1e-6)
    open_ = (values > 0).mean()
    assert abs(open_ - 0.7) < 4 * np.sqrt(0.7 * 0.3 / 2000)
    evaluated = StochasticDepthGate(0.7, scaling, mode).eval()(x)
    # the branch counts as much on average in training as it does in evaluation
    assert evaluated == pytest.approx(0.7 * alive)


def test_draws_repeat_after_a_seed_and_differ_between_blocks():
    net = get_model(NAME, **SMALL)
    found = []
    for seed in (1, 1, 2):
        pycnn.manual_seed(seed)
        found.append([gate(pycnn.zeros(1, 1, 1, 1)) for gate in net.gates()])
    assert found[0] == found[1] != found[2]
    assert 25 < sum(found[0]) < 52


def test_a_dead_block_is_its_shortcut_and_is_not_computed():
    net = randomised(get_model(NAME, **SMALL))
    block = net.layer2[0]
    block.gate.held = False
    x = pycnn.from_numpy(np.abs(images(2, 8, 6, 6)))
    before = block.bn1.running_mean.numpy().copy()
    y = block(x).detach().numpy()
    np.testing.assert_allclose(
        y[:, :8], x.numpy().reshape(2, 8, 3, 2, 3, 2).mean((3, 5)), rtol=1e-6
    )
    assert y.shape == (2, block.conv1.out_channels, 3, 3) and not y[:, 8:].any()
    np.testing.assert_array_equal(block.bn1.running_mean.numpy(), before)
    for gate in net.gates():
        gate.held = False
    net(pycnn.from_numpy(images(2, 3, 12, 12))).sum().backward()
    without = {k.split(".")[0] for k, p in net.named_parameters() if p.grad is None}
    assert without == {"layer1", "layer2", "layer3"}
    assert net.conv1.weight.grad.numpy().any()


def test_the_parameters_of_the_paper_s_network():
    count = lambda net: sum(p.numel() for p in net.parameters())
    assert count(get_model(NAME)) == 1_732_010
    assert count(get_model(NAME, **PLAIN)) == 1_727_962
    assert list(get_model(NAME, **PLAIN).state_dict()) == list(get_model("resnet110").state_dict())


@pytest.mark.parametrize("wrong", [
    {"scaling": "both"}, {"mode": "element"}, {"decay": "cosine"}, {"shortcut": "D"},
    {"death_rate": 1.5}, {"death_rate": float("nan")},
])  # fmt: skip
def test_wrong_options_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be .* got"):
        get_model(NAME, **wrong)
