"""The gate of squeeze and excitation, and where published SE networks differ."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")
X = np.random.default_rng(7).standard_normal((2, 3, 40, 40)).astype(np.float32)
SMALL = {"width": 0.125, "num_classes": 4, "reduction": 4}


@pytest.mark.parametrize(
    "name, options",
    [
        ("se_resnet18", {"ceil_pool": False}),
        ("se_resnet50", {"v1": False, "ceil_pool": False}),
        pytest.param("se_resnet50", {"v1": False}, marks=pytest.mark.slow),
        pytest.param("se_resnext50", {"ceil_pool": False}, marks=pytest.mark.slow),
        pytest.param("senet154", {"ceil_pool": False}, marks=pytest.mark.slow),
    ],
)
def test_options_equal_the_reference(name, options):
    net, reference = (build(name, **SMALL, **options) for build in (get_model, get_reference))
    compare_torch(net, reference, X, float32_gradients=False).check()


def test_the_gate_scales_channels_by_equations_2_to_4():
    gate = get_model("se_resnet18", **SMALL).layer2[0].se_module
    x = torch.from_numpy(X[:, :1]).repeat(1, 16, 1, 1) * torch.arange(16)[:, None, None]
    w1, b1, w2, b2 = (torch.from_numpy(p.detach().numpy()) for p in gate.parameters())
    assert w1.shape == (4, 16, 1, 1) and w2.shape == (16, 4, 1, 1)
    hidden = (x.mean((2, 3)) @ w1[:, :, 0, 0].T + b1).relu()
    scale = torch.sigmoid(hidden @ w2[:, :, 0, 0].T + b2)
    found = gate(pycnn.from_numpy(x.numpy())).detach().numpy()
    np.testing.assert_allclose(found, x * scale[:, :, None, None], rtol=1e-5, atol=1e-6)


def test_the_gate_scales_the_branch_and_not_the_shortcut():
    block = get_model("se_resnet50", **SMALL).eval().layer1[1]
    x = pycnn.randn(2, block.conv1.in_channels, 6, 6)
    block.se_module.fc2.weight.detach().fill_(0.0)
    block.se_module.fc2.bias.detach().fill_(-200.0)  # every gate is closed
    np.testing.assert_array_equal(block(x).detach().numpy(), np.maximum(x.numpy(), 0))


def test_the_reduction_is_sixteen():
    net = get_model("se_resnet50", width=0.125)
    for layer, outputs in ((net.layer1, 32), (net.layer4, 256)):
        assert layer[0].se_module.fc1.weight.shape == (outputs // 16, outputs, 1, 1)


@pytest.mark.parametrize("options", [{"v1": False}, {"ceil_pool": False}])
def test_published_forms_share_weights_and_differ_in_outputs(options):
    first = get_model("se_resnet50", **SMALL).eval()
    second = get_model("se_resnet50", **SMALL, **options).eval()
    second.load_state_dict(first.state_dict())
    a, b = (net(pycnn.from_numpy(X)).detach().numpy() for net in (first, second))
    assert a.shape == b.shape and not np.allclose(a, b)


@pytest.mark.slow
def test_a_stride_in_the_3x3_costs_the_231_million_it_costs_a_resnet():
    macs = [
        pycnn.summary(get_model(name, v1=v1).eval(), (1, 3, 224, 224)).macs
        for name in ("se_resnet50", "resnet50")
        for v1 in (False, True)
    ]
    assert macs[0] == 4_091_699_200
    assert macs[0] - macs[1] == macs[2] - macs[3] == 231_211_008


def test_dropout_of_senet154_vanishes_in_evaluation():
    net = get_model("senet154", width=0.125, num_classes=4)
    x = pycnn.randn(1, 32 * 8, 1, 1)
    assert net.dropout.p == 0.2
    assert (net.dropout(x).numpy() == 0).any()
    net.eval()
    np.testing.assert_array_equal(net.dropout(x).numpy(), x.numpy())
