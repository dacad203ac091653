"""The five unit orders, each against a unit written out in PyTorch, and what the nets share."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model
from pycnn.models.preact_unit import ORDERS, Unit, basic, bottleneck
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")
X = np.random.default_rng(5).standard_normal((2, 3, 16, 16)).astype(np.float32)
# 48 pixels leave 2 x 2 after five halvings: batch norm over two values would be ill-conditioned
LARGE = np.random.default_rng(6).standard_normal((2, 3, 48, 48)).astype(np.float32)
UNITS = tuple(ORDERS)


def bn(y, state, name):
    """Batch norm in evaluation mode, spelled out."""
    mean, var, weight, bias = (
        state[f"{name}.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (y - mean) / (var + 1e-5).sqrt() * weight + bias


def two_layers(unit, x, state, stride, option):
    """Figure 4, one formula per column."""
    conv = torch.nn.functional.conv2d
    changes = option is not None

    def c1(y):
        return conv(y, state["conv1.weight"], stride=stride, padding=1)

    def c2(y):
        return conv(y, state["conv2.weight"], padding=1)

    def s(y, norm):
        if not changes:
            return y
        if option == "A":
            y = y[:, :, ::stride, ::stride]
            return torch.cat([y, y.new_zeros(len(y), 8 - y.shape[1], *y.shape[2:])], 1)
        y = conv(y, state["downsample.conv.weight"], stride=stride)
        return bn(y, state, "downsample.norm") if norm else y

    if unit == "original":
        y = bn(c2(bn(c1(x), state, "norm1").relu()), state, "norm2")
        return (s(x, True) + y).relu()
    if unit == "bn_after_add":
        return bn(s(x, False) + c2(bn(c1(x), state, "norm1").relu()), state, "norm2").relu()
    if unit == "relu_before_add":
        return s(x, True) + bn(c2(bn(c1(x), state, "norm1").relu()), state, "norm2").relu()
    if unit == "relu_only_pre":
        a = x.relu()
        y = bn(c2(bn(c1(a), state, "norm1").relu()), state, "norm2")
        return s(a if changes else x, True) + y
    a = bn(x, state, "norm1").relu()
    return s(a if changes else x, False) + c2(bn(c1(a), state, "norm2").relu())


@pytest.mark.parametrize("inputs, stride, option", [(8, 1, None), (4, 2, "A"), (4, 2, "B")])
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_its_formula(unit, inputs, stride, option):
    net = Unit(inputs, basic(8, stride), unit, option or "B").eval()
    generator = torch.Generator().manual_seed(1)
    state = {
        key: torch.rand(tuple(value.shape), generator=generator) + (0.5 if "var" in key else -0.5)
        for key, value in net.state_dict().items()
        if "num_batches" not in key
    }
    counts = {k: v for k, v in net.state_dict().items() if "num_batches" in k}
    net.load_state_dict({**state, **counts})
    x = torch.randn(2, inputs, 6, 6, generator=generator)
    expected = two_layers(
        unit, x.double(), {k: v.double() for k, v in state.items()}, stride, option
    )
    found = net(pycnn.from_numpy(x.numpy())).detach().numpy()
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "name, options",
    [
        ("preact_resnet18", {}),
        ("preact_resnet18", {"shortcut": "A", "share_first": True}),
        pytest.param("preact_resnet50", {"v1": True}, marks=pytest.mark.slow),
        pytest.param("preact_resnet110", {}, marks=pytest.mark.slow),
        pytest.param("preact_resnet164", {}, marks=pytest.mark.slow),
    ],
)
def test_units_in_a_network_equal_the_reference(name, options, unit):
    arguments = {"width": 0.125, "num_classes": 4, "unit": unit, **options}
    net, reference = (build(name, **arguments) for build in (get_model, get_reference))
    x = X if "110" in name or "164" in name else LARGE
    compare_torch(net, reference, x, float32_gradients=False).check()


def outputs(name, state=None, **options):
    net = get_model(name, width=0.125, num_classes=4, **options).eval()
    if state is not None:
        net.load_state_dict(state)
    return net, net(pycnn.from_numpy(X)).detach().numpy()


def test_all_orders_of_resnet110_have_as_many_parameters():
    for unit in UNITS:
        net = get_model("preact_resnet110", unit=unit)
        assert sum(p.numel() for p in net.parameters()) == 1_727_962
    projected = get_model("preact_resnet110", shortcut="B")
    assert sum(p.numel() for p in projected.parameters()) == 1_730_522


@pytest.mark.slow
def test_preact_resnet1001_has_10_2_million_without_batch_norm():
    net = get_model("preact_resnet1001")
    weights = sum(p.numel() for key, p in net.named_parameters() if "norm" not in key)
    assert sum(p.numel() for p in net.parameters()) == 10_327_706
    assert round(weights / 1e6, 1) == 10.2


@pytest.mark.parametrize("unit", ["relu_only_pre", "full_pre"])
def test_the_first_shortcut_of_the_appendix_starts_after_the_activation(unit):
    state = get_model("preact_resnet18", width=0.125, num_classes=4, unit=unit).state_dict()
    state["stages.0.blocks.0.norm1.weight"] *= -1  # what leaves the pool is mostly positive
    _, raw = outputs("preact_resnet18", state, unit=unit)
    _, shared = outputs("preact_resnet18", state, unit=unit, share_first=True)
    assert raw.shape == shared.shape and not np.allclose(raw, shared)


def test_sharing_the_first_activation_changes_nothing_where_all_is_activated_or_projected():
    net, raw = outputs("preact_resnet18", unit="bn_after_add")
    _, shared = outputs("preact_resnet18", net.state_dict(), unit="bn_after_add", share_first=True)
    np.testing.assert_array_equal(raw, shared)
    net, raw = outputs("preact_resnet50")
    _, shared = outputs("preact_resnet50", net.state_dict(), share_first=True)
    np.testing.assert_array_equal(raw, shared)


def test_v1_moves_the_stride_of_a_bottleneck():
    assert [row[2] for row in bottleneck(8, 2, v1=True)] == [2, 1, 1]
    assert [row[2] for row in bottleneck(8, 2)] == [1, 2, 1]
    net, later = outputs("preact_resnet50")
    _, first = outputs("preact_resnet50", net.state_dict(), v1=True)
    assert later.shape == first.shape and not np.allclose(later, first)


def test_in_a_relu_before_add_network_the_signal_only_grows():
    """Section 4.1: "the residual function is non-negative, the forward signal is monotonic"."""
    stage = get_model("preact_resnet110", width=0.5, unit="relu_before_add").eval().stages[0]
    x = pycnn.randn(1, 8, 8, 8).abs()
    for block in stage.blocks:
        y = block(x)
        assert (y.detach().numpy() >= x.numpy()).all()
        x = y.detach()
    assert x.numpy().mean() > 1


@pytest.mark.parametrize("argument, value", [("unit", "bn_relu"), ("shortcut", "C")])
def test_unknown_options_are_named(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .* got '{value}'"):
        get_model("preact_resnet18", **{argument: value})


def test_wide_resnets_have_the_depth_they_are_named_by():
    for name, depth in (("wrn_16_4", 16), ("wrn_28_10", 28), ("wrn_40_4", 40)):
        net = get_model(name, width=0.25)
        deep = [m for key, m in net.named_modules() if key.endswith(("conv", "conv1", "conv2"))]
        projections = [key for key, _ in net.named_modules() if key.endswith("downsample.conv")]
        # the paper counts the projections of the three stages and not the classifier
        assert len(deep) == depth and len(projections) == 3


def test_dropout_of_a_wide_resnet_stands_before_the_second_convolution():
    plain, dropped = (get_model("wrn_16_4", width=0.125, dropout=p) for p in (0.0, 1.0))
    dropped.load_state_dict(plain.state_dict())
    images = pycnn.from_numpy(X)
    before, block = dropped.stages[2].blocks[0], dropped.stages[2].blocks[1]
    x = pycnn.randn(2, before.conv1.in_channels, 8, 8)
    # with all dropped, only the shortcut is left
    shortcut = before.downsample(before.norm1(x, activation="relu"))
    np.testing.assert_array_equal(before(x).detach().numpy(), shortcut.detach().numpy())
    np.testing.assert_array_equal(block(shortcut).detach().numpy(), shortcut.detach().numpy())
    dropped.load_state_dict(plain.state_dict())
    a, b = (net.eval()(images).detach().numpy() for net in (plain, dropped))
    np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="dropout"):
        get_model("wrn_16_4", dropout=1.5)
