"""Inception v2 to v4 and Inception-ResNet: auxiliary head, residual scaling, published variants."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model
from pycnn.models.inception import Form, Mixed, Residual, layer, timm_names
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

SMALL = {"width": 0.0625, "num_classes": 3}
FAMILY = [f"inception_{name}" for name in ("bn", "v3", "v4", "resnet_v1", "resnet_v2")]
FORM = Form(1.0, False, timm_names)


def batch(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def output(net, x: np.ndarray) -> np.ndarray:
    with pycnn.no_grad():
        return net.eval()(pycnn.from_numpy(x)).numpy()


def count(net) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.fixture
def no_initialisation(monkeypatch):
    for name in dir(pycnn.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(pycnn.nn.init, name, lambda tensor, *args, **kwargs: tensor)


# every option in the position that the registered models do not have
OPTIONS = [
    ("inception_bn", {"slim": True}, 64),
    ("inception_v3", {"aux_logits": False, "count_include_pad": False}, 107),
    ("inception_resnet_v1", {"paper": True}, 107),
]
SLOW_OPTIONS = [
    ("inception_v3", {"aux_logits": False, "transform_input": True}, 107),
    ("inception_v4", {"count_include_pad": True}, 107),
    ("inception_resnet_v2", {"paper": True}, 107),
    ("inception_resnet_v2", {"count_include_pad": True}, 107),
]
OPTIONS += [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW_OPTIONS]


@pytest.mark.parametrize("name, option, size", OPTIONS)
def test_an_option_equals_the_reference_and_not_the_default(name, option, size):
    torch.manual_seed(0)
    arguments = {**SMALL, **option}
    net, reference = get_model(name, **arguments), get_reference(name, **arguments)
    with torch.no_grad():
        for value in [*reference.parameters(), *reference.buffers()]:
            if value.ndim == 1:
                value.add_(0.3 * torch.rand(value.shape))
    x = batch(2, 3, size, size)
    compare_torch(net.eval(), reference.eval(), x, float32_gradients=False).check()
    other = get_model(name, **{**SMALL, **option, **{key: not option[key] for key in option}})
    if set(other.state_dict()) == set(net.state_dict()):
        other.load_state_dict(net.state_dict())
        assert np.abs(output(other, x) - output(net, x)).max() > 1e-5
    else:
        assert count(other) != count(net)


def test_the_auxiliary_head_vanishes_in_evaluation():
    with_head = get_model("inception_v3", **SMALL)
    without = get_model("inception_v3", aux_logits=False, **SMALL)
    state = with_head.state_dict()
    body = {key: value for key, value in state.items() if not key.startswith("AuxLogits")}
    assert len(state) - len(body) == 14
    without.load_state_dict(body)
    logits, aux = with_head.train()(pycnn.from_numpy(batch(2, 3, 299, 299)))
    assert logits.shape == aux.shape == (2, 3)
    assert without.train()(pycnn.from_numpy(batch(2, 3, 75, 75))).shape == (2, 3)
    without.load_state_dict({key: with_head.state_dict()[key] for key in body})
    x = batch(1, 3, 75, 75)  # too small for the head, which does not run
    np.testing.assert_array_equal(output(with_head, x), output(without, x))


def test_the_loss_of_the_auxiliary_head_reaches_the_modules_before_it_alone():
    net = get_model("inception_v3", **SMALL)
    aux = net(pycnn.from_numpy(batch(2, 3, 299, 299))).aux_logits
    (aux * aux).sum().backward()
    reached = {key.split(".")[0] for key, p in net.named_parameters() if p.grad is not None}
    before = {"Mixed_5b", "Mixed_6e", "AuxLogits", "Conv2d_1a_3x3"}
    assert before < reached
    assert not {"Mixed_7a", "Mixed_7b", "Mixed_7c", "fc"} & reached


@pytest.mark.parametrize("name", FAMILY)
def test_odd_and_oblong_images(name):
    """The maps need not divide evenly; the least is 75 where the paper's images have 299.

    BN-Inception's halving modules pad their convolutions and not their pools, so that it takes 32
    k - 1 to 32 k + 6."""
    net, reference = get_model(name, **SMALL), get_reference(name, **SMALL).eval()
    net.load_state_dict(reference.state_dict())
    x = batch(1, 3, 75, 131) if name != "inception_bn" else batch(1, 3, 63, 102)
    with torch.no_grad():
        expected = reference(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(output(net, x), expected, rtol=1e-3, atol=1e-5)
    with pytest.raises(RuntimeError, match=r"(?i)size|small|kernel"):
        net(pycnn.zeros(1, 3, 74, 131))


def test_transform_input_takes_images_of_the_other_normalisation():
    """The same photograph, normalised either way, gives the same logits."""
    from pycnn.models import IMAGENET
    from pycnn.models.registry import INCEPTION

    photograph = np.random.default_rng(1).random((1, 3, 75, 75))
    plain = get_model("inception_v3", aux_logits=False, **SMALL).double()
    other = get_model("inception_v3", aux_logits=False, transform_input=True, **SMALL).double()
    other.load_state_dict(plain.state_dict())
    found = []
    for net, normalisation in [(plain, INCEPTION), (other, IMAGENET)]:
        mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in normalisation)
        found.append(output(net, (photograph - mean) / std))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


@pytest.mark.parametrize("name, paper", [(n, p) for n in FAMILY[3:] for p in (False, True)])
def test_residual_scaling_by_kind_of_module(name, paper):
    """0.17, 0.10, 0.20; in circulation a last module unscaled and without ReLU."""
    net = get_model(name, paper=paper, **SMALL)
    blocks = [module for module in net.modules() if isinstance(module, Residual)]
    found = [(block.scale, block.activation) for block in blocks]
    once, twice = (5, 10, 5), (10, 20, 9)
    counts = twice if name.endswith("v2") and not paper else once
    expected = [(s, "relu") for s, n in zip((0.17, 0.10, 0.20), counts) for _ in range(n)]
    assert found == expected + ([] if paper else [(1.0, None)])


@pytest.mark.parametrize("activation", ["relu", None])
def test_a_residual_module_adds_its_scaled_branches(activation):
    from pycnn.models.inception import Scaled

    block = Residual(8, Scaled("1x1:8 | 1x1:8 3x3:16", 0.25, activation), FORM).eval()
    x = pycnn.from_numpy(batch(2, 8, 5, 6))
    biased = [key for key, _ in block.named_parameters() if key.endswith("conv2d.bias")]
    assert biased == ["conv2d.bias"]
    with pycnn.no_grad():
        added = block.conv2d(Mixed.forward(block, x)).numpy()
        found = block(x).numpy()
    expected = x.numpy() + 0.25 * added
    assert (expected < 0).any()
    if activation:
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_v4_has_no_shortcuts_and_149_convolutions():
    net = get_model("inception_v4", **SMALL)
    assert not any(isinstance(module, Residual) for module in net.modules())
    assert sum(isinstance(module, pycnn.nn.Conv2d) for module in net.modules()) == 149


def test_steps_of_a_row():
    x = pycnn.from_numpy(batch(1, 4, 9, 9))
    steps = {
        "1x1:16": (16, 9, 9),
        "3x3:16": (16, 9, 9),
        "1x7:16": (16, 9, 9),
        "7x1:16": (16, 9, 9),
        "3x3v:16": (16, 7, 7),
        "3x3/2:16": (16, 4, 4),
        "avg": (4, 9, 9),
        "max/2": (4, 4, 4),
    }
    for text, shape in steps.items():
        module, channels = layer(text, 4, FORM)
        assert (channels, module(x).shape[1:]) == (shape[0], shape)
    assert layer("1x7:16", 4, FORM)[0].conv.weight.shape == (16, 4, 1, 7)
    for text in ("3:16", "3x3", "3x3:", "min", "3x3s:8"):
        with pytest.raises(ValueError, match="not a step"):
            layer(text, 4, FORM)


def test_convolutions_side_by_side_see_the_same_maps():
    """1x3 and 3x1 of v3's and v4's last modules are joined, not one behind the other."""
    module = Mixed(8, "1x1:8 1x3:8+3x1:16", FORM).eval()
    x = pycnn.from_numpy(batch(1, 8, 4, 5))
    with pycnn.no_grad():
        inner = module.branch0_0(x)
        expected = [module.branch0_1a(inner).numpy(), module.branch0_1b(inner).numpy()]
        np.testing.assert_array_equal(module(x).numpy(), np.concatenate(expected, 1))


@pytest.mark.usefixtures("no_initialisation")
def test_counts_of_the_published_variants():
    assert count(get_model("inception_v3", aux_logits=False)) == 23_834_568
    assert count(get_model("inception_bn", slim=True)) == 11_188_224
    net = get_model("inception_bn")
    biases = sum(m.bias.numel() for m in net.modules() if isinstance(m, pycnn.nn.Conv2d))
    assert biases == 10_016  # of convolutions in front of batch norm, which have no effect


@pytest.mark.slow
@pytest.mark.usefixtures("no_initialisation")
def test_counts_of_the_residual_variants():
    # Keras leaves out the scale of batch norm
    for name, keras in (("inception_v3", 23_817_352), ("inception_resnet_v2", 55_813_192)):
        net = get_model(name, **({"aux_logits": False} if name.endswith("v3") else {}))
        scales = sum(
            module.weight.numel()
            for module in net.modules()
            if isinstance(module, pycnn.nn.BatchNorm2d)
        )
        assert count(net) - scales == keras
    assert count(get_model("inception_resnet_v2", num_classes=1001)) == 55_845_001


@pytest.mark.usefixtures("no_initialisation")
def test_the_first_row_of_googlenet_s_table_is_a_separable_stem():
    """2.7 K parameters and 34 M operations, where a plain 7x7 has 9.4 K and 118 M."""
    for slim, weights, macs in ((True, 2_712, 34_019_328), (False, 9_408, 118_013_952)):
        net = get_model("inception_bn", slim=slim)
        stem = [m for key, m in net.named_children() if key.startswith("conv1") and "bn" not in key]
        assert sum(m.weight.numel() for m in stem) == weights
        assert 112 * 112 * sum(m.weight.numel() for m in stem) == macs
