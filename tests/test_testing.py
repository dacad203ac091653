"""The comparisons themselves: they pass what is equal and catch what is not."""

import numpy as np
import pytest

import pycnn
import pycnn.functional
from pycnn import Function, nn
from pycnn.testing import compare_op, compare_torch, copy_weights, parity, to_numpy, to_torch

torch = pytest.importorskip("torch")


class Spoiled(Function):
    """The identity, with a value and a gradient that the test spoils."""

    def forward(self, x):
        return self.value(x)

    def backward(self, dy):
        return (self.gradient(dy),)


def spoil(t, value=lambda x: x.copy(), gradient=lambda dy: dy):
    """Spoil pycnn's side of a comparison; PyTorch's passes through."""
    if isinstance(t, pycnn.Tensor):
        return Spoiled(value=value, gradient=gradient)(t)
    return t


# parity and compare_op


def test_parity_of_equal_ops():
    parity([(2, 3, 9, 8), (5, 3, 3, 3)], lambda F, x, w: F.conv2d(x, w, stride=(2, 1), padding=1))
    parity([(2, 3)], lambda F, x: F.relu(x))
    parity([(4, 5), np.array([0, 4, 2, 2])], lambda F, x, t: F.cross_entropy(x, t))


def test_parity_takes_several_outputs_and_other_arguments():
    report = parity([(3, 4), 2.0], lambda F, x, k: (x * k, x + k))
    assert {row.name for row in report.rows} == {"output 0", "output 1", "gradient 0"}


def test_parity_draws_from_an_interval():
    def fn(F, x):
        assert 2 <= x.min().item() <= x.max().item() <= 3
        return x * x

    parity([(50,)], fn, low=2, high=3)


@pytest.mark.parametrize("multilinear", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_wrong_value_fails_with_a_reproducer(dtype, multilinear):
    def fn(F, x, w):
        return spoil(
            F.conv2d(x, w), value=lambda y: np.where(y == y.max(), y * y.dtype.type(1.001), y)
        )

    with pytest.raises(AssertionError, match="output 0.*FAILS") as caught:
        parity(
            [(1, 2, 5, 5), (3, 2, 3, 3)], fn, dtypes=[dtype], multilinear=multilinear, seed=12345
        )
    assert "reproduce with seed=12345" in str(caught.value)


def test_a_wrong_gradient_fails():
    with pytest.raises(AssertionError, match="gradient 0.*FAILS"):
        parity([(3, 4)], lambda F, x: spoil(x * 2, gradient=lambda dy: dy * 1.001))


def test_a_lost_gradient_fails():
    def fn(F, x, y):
        return x + (y.detach() if isinstance(y, pycnn.Tensor) else y)

    with pytest.raises(AssertionError, match="gradient 1: no gradient, unlike PyTorch"):
        parity([(3,), (3,)], fn)


def test_a_wrong_shape_or_dtype_fails():
    with pytest.raises(AssertionError, match=r"shape \[12\], PyTorch gives .* shape \[3, 4\]"):
        parity([(3, 4)], lambda F, x: spoil(x * 2, lambda y: y.ravel()), gradients=False)
    with pytest.raises(AssertionError, match="float64 of shape .* PyTorch gives float32"):
        parity(
            [(3, 4)],
            lambda F, x: spoil(x * 2, lambda y: y.astype(np.float64)),
            dtypes=["float32"],
            gradients=False,
        )


def test_sums_in_half_precision_are_caught_in_float32():
    # What a float16 accumulator, or TF32, would leave: invisible at rtol 1e-2, visible here.
    def rounded(y):
        return y.astype(np.float16).astype(y.dtype)

    fn = lambda F, x, w: spoil(F.conv2d(x, w), value=rounded)
    inputs = [np.random.default_rng(0).standard_normal(s) for s in [(1, 8, 6, 6), (4, 8, 3, 3)]]
    for multilinear in (False, True):
        report = compare_op(fn, inputs, dtypes=["float32"], multilinear=multilinear)
        assert any("output" in row.name for row in report.failures())


def test_exact_comparison_is_bit_for_bit():
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-8, 9, s).astype(np.float64) for s in [(1, 4, 6, 6), (3, 4, 3, 3)]]
    conv = lambda F, x, w: F.conv2d(x, w)
    assert compare_op(conv, inputs, exact=True)
    one_ulp = lambda F, x, w: spoil(F.conv2d(x, w), value=lambda y: np.nextafter(y, y + 1))
    assert not compare_op(one_ulp, inputs, exact=True)
    assert compare_op(one_ulp, inputs)


def test_special_values_must_agree():
    x = np.array([1.0, np.nan, np.inf, -np.inf])
    assert compare_op(lambda F, x: x * 2, [x], gradients=False)
    for value in (np.nan, np.inf, -np.inf, 1.0):
        fn = lambda F, x, value=value: spoil(
            x * 2, value=lambda y: np.where(np.isfinite(y), y, value)
        )
        assert not compare_op(fn, [x], gradients=False)


def test_both_layouts_are_run():
    seen = []

    def fn(F, x):
        if isinstance(x, pycnn.Tensor):
            seen.append(x.is_contiguous(memory_format=pycnn.channels_last))
        return x * 2

    report = compare_op(fn, [np.ones((2, 3, 4, 5))], dtypes=["float64"])
    assert seen == [False, True]
    assert len(report.rows) == 4


def test_a_provider_that_cannot_run_raises():
    with pytest.raises(ValueError, match="provider"):
        compare_op(lambda F, x: F.relu(x), [np.ones(3)], provider="abacus")


def test_conversion_keeps_dtype_and_values():
    for dtype in ("float64", "float32", "float16", "int64", "bool", pycnn.bfloat16):
        a = np.arange(6).reshape(2, 3).astype(dtype)
        t = to_torch(a)
        assert to_numpy(t).dtype == a.dtype
        np.testing.assert_array_equal(to_numpy(t), a)
        assert not np.shares_memory(to_numpy(t), a)
    assert to_torch(np.ones(2).astype(pycnn.bfloat16)).dtype == torch.bfloat16


# whole networks


def pair(layer=None):
    """A small network in pycnn and in PyTorch; `layer` replaces pycnn's last."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        layer or nn.Linear(8, 5),
    )
    T = torch.nn
    reference = T.Sequential(
        T.Conv2d(3, 8, 3, padding=1),
        T.BatchNorm2d(8),
        T.ReLU(),
        T.Dropout(0.5),
        T.AdaptiveAvgPool2d(1),
        T.Flatten(),
        T.Linear(8, 5),
    )
    return net, reference


def images():
    return np.random.default_rng(0).standard_normal((4, 3, 6, 6))


def test_equal_networks_are_equal():
    net, reference = pair()
    report = compare_torch(net, reference, images(), target=np.array([0, 4, 2, 1]))
    assert report
    assert report.check() is report
    names = {r.name for r in report.rows if (r.dtype, r.kind) == ("float64", "gradient")}
    assert names == {n for n, _ in net.named_parameters()} | {"input"}
    assert {r.kind for r in report.rows} == {"output", "loss", "buffer", "gradient"}
    assert str(report).endswith("equal")
    assert all(r.bound is None for r in report.rows if (r.dtype, r.kind) == ("float32", "gradient"))


def test_networks_end_as_they_were():
    net, reference = pair()
    before = {k: v.clone() for k, v in reference.state_dict().items()}
    compare_torch(net, reference, images())
    for key, value in before.items():
        assert reference.state_dict()[key].dtype == value.dtype
        np.testing.assert_array_equal(reference.state_dict()[key], value)
        np.testing.assert_array_equal(net.state_dict()[key].numpy(), value)
    assert all(m.training for m in [*net.modules(), *reference.modules()])
    assert all(p.grad is None for p in [*net.parameters(), *reference.parameters()])


def test_functions_are_compared_too():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 7, 7)), rng.standard_normal((4, 3, 3, 3))
    report = compare_torch(pycnn.functional.conv2d, torch.nn.functional.conv2d, [x, w]).check()
    assert [r.name for r in report.rows if r.kind == "gradient"][:2] == ["input 0", "input 1"]


class SpoiledLinear(nn.Linear):
    value = staticmethod(lambda x: x.copy())
    gradient = staticmethod(lambda dy: dy)

    def forward(self, x):
        return spoil(super().forward(x), self.value, self.gradient)


@pytest.mark.parametrize(
    "kind,attribute,spoiler",
    [
        ("output", "value", lambda y: y * (1 + 1e-7)),
        ("gradient", "gradient", lambda dy: dy * (1 + 1e-7)),
        ("gradient", "gradient", lambda dy: dy + (np.arange(dy.size) == 3).reshape(dy.shape)),
    ],
)
def test_differences_are_caught_in_float64(kind, attribute, spoiler):
    layer = SpoiledLinear(8, 5)
    setattr(layer, attribute, spoiler)
    net, reference = pair(layer)
    report = compare_torch(net, reference, images(), target=np.array([0, 4, 2, 1]))
    assert not report
    assert any(r.kind == kind and r.dtype == "float64" for r in report.failures())
    with pytest.raises(AssertionError, match="pycnn differs from PyTorch"):
        report.check()


@pytest.mark.parametrize("wrong", [1e-9, 1e-12])
def test_a_gradient_that_should_be_zero_is_judged(wrong):
    """A bias in front of batch norm: its rounding errors are forgiven, other numbers are not."""
    net, reference = pair()
    bias = net[0].bias
    bias.register_hook(lambda gradient: gradient + wrong)
    report = compare_torch(net, reference, 10 * np.tile(images(), (4, 1, 3, 3)), float32=False)
    (row,) = report.failures()
    assert (row.kind, row.name) == ("gradient", "0.bias")


def test_coarse_float32_is_caught():
    layer = SpoiledLinear(8, 5)
    layer.value = lambda y: y.astype(np.float16).astype(y.dtype) if y.dtype == np.float32 else y * 1
    net, reference = pair(layer)
    report = compare_torch(net, reference, images())
    assert [(r.dtype, r.kind) for r in report.failures()] == [("float32", "output")]


def test_a_frozen_parameter_is_noticed():
    net, reference = pair()
    net[0].weight.requires_grad_(False)
    report = compare_torch(net, reference, images(), float32=False)
    assert report.problems == ["0.weight: no gradient, unlike PyTorch"]


def test_other_running_statistics_are_caught():
    net, reference = pair()
    net[1].momentum = 0.2
    report = compare_torch(net, reference, images(), float32=False)
    assert {r.name for r in report.failures()} == {"1.running_mean", "1.running_var"}


def test_weights_that_do_not_fit_are_refused():
    net, reference = pair(nn.Linear(8, 6))
    with pytest.raises(RuntimeError, match="size mismatch for 6.weight"):
        copy_weights(reference, net)
    with pytest.raises(RuntimeError, match="Missing key"):
        compare_torch(nn.Sequential(net, nn.Linear(5, 5)), reference, images())
