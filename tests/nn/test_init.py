"""Initialisers: bounds and moments of what they draw, against PyTorch's formulas."""

import math

import numpy as np
import pytest
import torch

import pycnn
from pycnn import nn
from pycnn.nn import init

SHAPES = [(64, 32), (40, 16, 3, 5), (32, 64, 7)]
LARGE = (64, 32, 3, 5)


@pytest.fixture(autouse=True)
def _seed():
    pycnn.manual_seed(1234)


def drawn(fill, *args, shape=LARGE, **kwargs):
    t = pycnn.zeros(*shape)
    assert getattr(init, fill)(t, *args, **kwargs) is t
    return t.numpy().astype("float64")


def assert_uniform(values, low, high):
    """Inside the bounds, close to both, mean and variance within five standard errors."""
    n, width = values.size, high - low
    assert low <= values.min()
    assert values.max() <= high
    assert values.min() < low + 20 * width / n
    assert values.max() > high - 20 * width / n
    assert abs(values.mean() - (low + high) / 2) < 5 * width / math.sqrt(12 * n)
    # the standard error of the variance of n uniform draws of width w is w**2 / sqrt(180 n)
    assert abs(values.var() - width**2 / 12) < 5 * width**2 / math.sqrt(180 * n)


def assert_normal(values, mean, std):
    n = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.std() - std) < 5 * std / math.sqrt(2 * n)
    within = np.mean(np.abs(values - mean) < std)
    assert abs(within - math.erf(1 / math.sqrt(2))) < 5 * 0.47 / math.sqrt(n)


def test_uniform_and_normal():
    assert_uniform(drawn("uniform_"), 0, 1)
    assert_uniform(drawn("uniform_", -2.0, 5.0), -2, 5)
    assert_normal(drawn("normal_"), 0, 1)
    assert_normal(drawn("normal_", 3.0, 0.5), 3, 0.5)


def test_constants():
    assert (drawn("constant_", 2.5) == 2.5).all()
    assert (drawn("ones_") == 1).all()
    t = pycnn.ones(3)
    assert (init.zeros_(t).numpy() == 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_equal_torchs(shape):
    theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    assert init._calculate_fan_in_and_fan_out(pycnn.zeros(*shape)) == theirs


@pytest.mark.parametrize(
    "name, param",
    [
        *((name, None) for name in ("linear", "conv2d", "conv_transpose1d", "sigmoid")),
        *((name, None) for name in ("tanh", "relu", "leaky_relu", "selu")),
        ("leaky_relu", 0.3),
        ("leaky_relu", 2),
    ],
)
def test_gain_equals_torchs(name, param):
    assert init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier(shape, gain):
    std = gain * math.sqrt(2.0 / sum(init._calculate_fan_in_and_fan_out(pycnn.zeros(*shape))))
    bound = std * math.sqrt(3)
    assert_uniform(drawn("xavier_uniform_", gain, shape=shape), -bound, bound)
    assert_normal(drawn("xavier_normal_", gain, shape=shape), 0, std)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("nonlinearity, a", [("relu", 0), ("leaky_relu", 0.2), ("tanh", 0)])
def test_kaiming(shape, mode, nonlinearity, a):
    fan = init._calculate_fan_in_and_fan_out(pycnn.zeros(*shape))[mode == "fan_out"]
    std = init.calculate_gain(nonlinearity, a) / math.sqrt(fan)
    arguments = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
    bound = std * math.sqrt(3)
    assert_uniform(drawn("kaiming_uniform_", shape=shape, **arguments), -bound, bound)
    assert_normal(drawn("kaiming_normal_", shape=shape, **arguments), 0, std)


@pytest.mark.parametrize(
    "mean, std, a, b",
    [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 0.02, -2.0, 2.0),
        (1.0, 2.0, 0.0, 1.5),
        (0.0, 1.0, 2.5, 6.0),
        (0.0, 1.0, -40.0, -30.0),
        (0.0, 1.0, -0.1, 5.0),
    ],
)
def test_trunc_normal(mean, std, a, b):
    from scipy import stats

    t = pycnn.zeros(40_000, dtype=pycnn.float64)
    values = init.trunc_normal_(t, mean, std, a, b).numpy()
    assert a <= values.min()
    assert values.max() <= b
    expected = stats.truncnorm((a - mean) / std, (b - mean) / std, loc=mean, scale=std)
    assert stats.kstest(values, expected.cdf).pvalue > 1e-4


def test_trunc_normal_rounds_inside():
    bound = 0.1
    values = drawn("trunc_normal_", 0.0, 10.0, -bound, bound)
    assert np.abs(values).max() <= np.float32(bound)
    assert_uniform(values, -np.float32(bound), np.float32(bound))


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (6, 2, 2, 2), (3, 5, 2)])
def test_orthogonal(shape):
    t = pycnn.zeros(*shape, dtype=pycnn.float64)
    m = init.orthogonal_(t, 3.0).numpy().reshape(shape[0], -1)
    gram = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(gram, 9 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_is_uniform():
    """The first entry of a uniform 2 x 2 orthogonal matrix is the cosine of a uniform angle."""
    first = [init.orthogonal_(pycnn.zeros(2, 2)).numpy()[0, 0] for _ in range(400)]
    assert abs(np.mean(first)) < 5 * math.sqrt(0.5 / 400)
    assert abs(np.mean(np.square(first)) - 0.5) < 5 * math.sqrt(0.125 / 400)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5)])
def test_eye_equals_torchs(shape):
    expected = torch.nn.init.eye_(torch.empty(shape)).numpy()
    np.testing.assert_array_equal(drawn("eye_", shape=shape), expected)


@pytest.mark.parametrize("shape, groups", [((4, 4, 3), 1), ((6, 2, 3, 4), 3), ((2, 5, 1, 3), 1)])
def test_dirac_equals_torchs(shape, groups):
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    np.testing.assert_array_equal(drawn("dirac_", groups, shape=shape), expected)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("grouped", [True, False])
def test_bilinear_makes_a_transposed_convolution_interpolate(factor, grouped):
    size, padding = 2 * factor - factor % 2, math.ceil((factor - 1) / 2)
    groups = 3 if grouped else 1
    layer = nn.ConvTranspose2d(3, 3, size, factor, padding, bias=False, groups=groups)
    init.bilinear_(layer.weight)
    image = pycnn.randn(2, 3, 6, 5)
    expected = torch.nn.functional.interpolate(
        torch.tensor(image.numpy()), scale_factor=factor, mode="bilinear", align_corners=False
    )
    got = layer(image).detach().numpy()
    inner = (..., slice(factor, -factor), slice(factor, -factor))  # the edges see zeros instead
    np.testing.assert_allclose(got[inner], expected.numpy()[inner], atol=1e-5)


def test_fills_are_not_recorded():
    parameter = nn.Parameter(pycnn.zeros(3, 3))
    for name in ("uniform_", "normal_", "trunc_normal_", "eye_", "orthogonal_", "ones_"):
        getattr(init, name)(parameter)
        assert parameter.is_leaf
        assert parameter.requires_grad


def test_seed_decides():
    def draw():
        pycnn.manual_seed(7)
        return [p.detach().numpy() for p in nn.Conv2d(3, 8, 3).parameters()]

    for a, b in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(a, b)
    pycnn.manual_seed(8)
    assert not np.array_equal(nn.Conv2d(3, 8, 3).weight.detach().numpy(), draw()[0])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda t: init.calculate_gain("cube"), ValueError, "Unsupported nonlinearity cube"),
        (lambda t: init.calculate_gain("leaky_relu", "x"), ValueError, "x not a valid number"),
        (lambda t: init.xavier_uniform_(t[0]), ValueError, "fewer than 2 dimensions"),
        (lambda t: init.kaiming_normal_(t, mode="fan"), ValueError, "Mode fan not supported"),
        (lambda t: init.eye_(t[0]), ValueError, "Only tensors with 2 dimensions"),
        (lambda t: init.dirac_(t), ValueError, "Only tensors with 3, 4, or 5 dimensions"),
        (lambda t: init.dirac_(pycnn.zeros(4, 4, 3), 3), ValueError, "divisible by groups"),
        (lambda t: init.orthogonal_(t[0]), ValueError, "2 or more dimensions"),
        (lambda t: init.bilinear_(t), ValueError, r"of shape \(channels, channels or 1, R, S\)"),
        (lambda t: init.trunc_normal_(t, a=2.0, b=2.0), ValueError, "needs a < b"),
        (lambda t: init.trunc_normal_(t, std=0.0), ValueError, "std > 0"),
    ],
)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(pycnn.zeros(4, 3))


def test_empty_tensor_warns():
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        init.uniform_(pycnn.zeros(0, 3))


# Defaults of the layers: the bounds are PyTorch's, measured on its own layers too.


@pytest.mark.parametrize(
    "name, args, fan_in",
    [
        ("Linear", (200, 300), 200),
        ("Conv1d", (40, 60, 5), 200),
        ("Conv2d", (32, 128, (3, 2)), 192),
        ("Conv2d", (32, 128, 3, 1, 0, 1, 4), 72),
        ("ConvTranspose1d", (60, 40, 5), 200),
        ("ConvTranspose2d", (64, 96, 3), 864),
        ("ConvTranspose2d", (64, 96, 3, 1, 0, 0, 4), 216),
    ],
)
def test_default_of_convolutions_and_linear(name, args, fan_in):
    bound = 1 / math.sqrt(fan_in)
    for family in (nn, torch.nn):
        layer = getattr(family, name)(*args)
        assert_uniform(layer.weight.detach().numpy().astype("float64"), -bound, bound)
        bias = layer.bias.detach().numpy()
        assert bound / 2 < np.abs(bias).max() <= bound
        assert abs(bias.mean()) < bound / 2


@pytest.mark.parametrize(
    "name, args",
    [
        ("BatchNorm2d", (3,)),
        ("InstanceNorm1d", (3, 1e-5, 0.1, True, True)),
        ("GroupNorm", (1, 3)),
        ("LayerNorm", (3,)),
        ("PReLU", (3, 0.4)),
    ],
)
def test_default_of_norms(name, args):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    for (key, a), (other, b) in zip(
        ours.state_dict().items(), theirs.state_dict().items(), strict=True
    ):
        assert key == other
        np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


def test_default_of_embedding():
    assert_normal(nn.Embedding(200, 100).weight.detach().numpy(), 0, 1)


def test_reset_parameters_draws_anew():
    for layer in (nn.Conv2d(3, 4, 3), nn.Linear(3, 4), nn.Embedding(3, 4)):
        before = layer.weight.detach().numpy().copy()
        layer.reset_parameters()
        assert not np.array_equal(layer.weight.detach().numpy(), before)
    norm = nn.BatchNorm2d(3)
    norm(pycnn.randn(2, 3, 4, 4))
    init.zeros_(norm.weight)
    norm.reset_parameters()
    assert norm.num_batches_tracked.item() == 0
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.running_var.tolist() == norm.weight.tolist() == [1, 1, 1]
