"""Activations against torch: values, every derivative, kinks and NaN, in place, errors."""

import numpy as np
import pytest
import torch

import pycnn
from pycnn import dispatch
from pycnn.functional import activation

from .parity import assert_equal, fresh, parity, same_error


def ours(F):
    return F is pycnn.functional


FORMS = {
    "relu": lambda F, x: F.relu(x),
    "relu6": lambda F, x: F.relu6(x * 4),
    "hardtanh": lambda F, x: F.hardtanh(x),
    "hardtanh-uneven": lambda F, x: F.hardtanh(x, -0.25, 0.75),
    "leaky_relu": lambda F, x: F.leaky_relu(x),
    "leaky_relu-steep": lambda F, x: F.leaky_relu(x, 0.3),
    "leaky_relu-zero": lambda F, x: F.leaky_relu(x, 0.0),
    "leaky_relu-negative": lambda F, x: F.leaky_relu(x, -0.3),
    "elu": lambda F, x: F.elu(x),
    "elu-alpha": lambda F, x: F.elu(x, 0.7),
    "selu": lambda F, x: F.selu(x),
    "celu": lambda F, x: F.celu(x),
    "celu-alpha": lambda F, x: F.celu(x, 0.5),
    "gelu": lambda F, x: F.gelu(x),
    "gelu-tanh": lambda F, x: F.gelu(x, approximate="tanh"),
    "silu": lambda F, x: F.silu(x),
    # torch's own take 1/6 in float32 even for float64
    "hardswish": lambda F, x: F.hardswish(x) if ours(F) else x * F.relu6(x + 3) / 6,
    "hardsigmoid": lambda F, x: F.hardsigmoid(x) if ours(F) else F.relu6(x + 3) / 6,
    "softplus": lambda F, x: F.softplus(x),
    "softplus-sharp": lambda F, x: F.softplus(x, 3.0, 2.0),
    "mish": lambda F, x: F.mish(x),
    "logsigmoid": lambda F, x: F.logsigmoid(x),
    "softsign": lambda F, x: F.softsign(x),
    "sigmoid": lambda F, x: F.sigmoid(x),
    "tanh": lambda F, x: F.tanh(x),
    "glu": lambda F, x: F.glu(x),
    "glu-channels": lambda F, x: F.glu(x, 1),
}
KINKS = np.array(
    [-6.0, -3, -1, -0.5, -0.25, -0.0, 0, 0.5, 0.75, 1, 1.5, 3, 6, 20, 21, 500, -500, 0.7]
)


@pytest.mark.parametrize("name", FORMS)
def test_value_and_gradient(name):
    for shape in ((2, 4, 3, 6), (6,), (0, 4, 2, 2)):
        if name != "glu-channels" or len(shape) > 1:
            parity(FORMS[name], shape)
    parity(FORMS[name], (2, 4, 3, 6), channels_last=True)
    if name != "glu-channels":
        parity(FORMS[name], KINKS)


@pytest.mark.parametrize("name", FORMS)
def test_nan_and_infinity(name):
    """Forward only: torch's vector and scalar code disagree on the derivative at NaN."""
    parity(FORMS[name], np.tile([np.nan, np.inf, -np.inf, 1.0], (2, 4)), gradients=False)


def test_derivative_at_nan():
    for name in ("relu", "leaky_relu", "silu", "gelu", "tanh"):
        parity(FORMS[name], np.full(3, np.nan))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_short_dtypes(name, dtype):
    """Within a unit or two in the last place of torch's, whose vector code rounds its own way."""
    unit = {"float32": 2.0**-22, "float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]
    x = np.arange(-8, 8, 0.125).reshape(2, 4, 4, 4).astype(pycnn.dtypes.as_dtype(dtype))
    form = FORMS[name]
    if name == "gelu":  # torch's own loses digits where 1 + erf cancels: beside its float64
        form = lambda F, x: F.gelu(x) if ours(F) else F.gelu(x.double()).to(x.dtype)
    parity(form, x, gradients=False, rtol=2 * unit, atol=unit)


@pytest.mark.parametrize("name", dispatch.ACTIVATIONS)
def test_saves_is_enough(name):
    """The derivative of every fusable activation from what SAVES names, default parameters."""
    x = KINKS
    t = torch.from_numpy(x.copy()).requires_grad_()
    y = getattr(torch.nn.functional, name)(t)
    dy = fresh(*x.shape)
    y.backward(torch.from_numpy(dy))
    saved = y.detach().numpy() if activation.SAVES[name] == "y" else x
    dx = np.full_like(x, np.nan)
    geometry = pycnn.geometry.elementwise_geometry(f"{name}_dgrad")
    dispatch.run("elementwise", dy, saved, out=dx, geometry=geometry)
    rtol = 1e-7 if name.startswith("hard") else 1e-12  # torch takes 1/6 in float32 even for float64
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=rtol, atol=1e-15)
    ours = activation.apply_activation(name, pycnn.from_numpy(x))
    assert_equal(ours, y, rtol, 1e-15, name)
    assert list(activation.SAVES) == list(dispatch.ACTIVATIONS)


def test_unknown_activation():
    x = pycnn.from_numpy(fresh(2, 3))
    assert activation.apply_activation(None, x) is x
    with pytest.raises(
        ValueError, match="activation: got 'swish', expected None or one of relu, relu6"
    ):
        activation.apply_activation("swish", x)
    with pytest.raises(ValueError, match="activation"):
        pycnn.functional.add_activation(x, x, activation="swish")


INPLACE = {
    "relu": lambda F, x: F.relu(x, inplace=True),
    "relu_": lambda F, x: x.relu_(),
    "relu6": lambda F, x: F.relu6(x, inplace=True),
    "hardtanh": lambda F, x: F.hardtanh(x, -0.5, 0.5, inplace=True),
    "leaky_relu": lambda F, x: F.leaky_relu(x, 0.1, inplace=True),
    "elu": lambda F, x: F.elu(x, 0.5, inplace=True),
    "selu": lambda F, x: F.selu(x, inplace=True),
    "celu": lambda F, x: F.celu(x, 0.5, inplace=True),
    "silu": lambda F, x: F.silu(x, inplace=True),
    "hardswish": lambda F, x: F.hardswish(x, inplace=True),
    "hardsigmoid": lambda F, x: F.hardsigmoid(x, inplace=True),
    "mish": lambda F, x: F.mish(x, inplace=True),
}


@pytest.mark.parametrize("name", INPLACE)
def test_inplace(name):
    rtol = 1e-7 if name.startswith("hard") else 1e-10  # as in test_saves_is_enough
    parity(lambda F, x: (y := x * 2, INPLACE[name](F, y))[1], (3, 5), rtol=rtol)
    parity(lambda F, x: (y := x * 2, INPLACE[name](F, y), y + 1)[2], (3, 5), rtol=rtol)
    parity(lambda F, x: (y := x * 2, INPLACE[name](F, y[1:, ::2]), y)[2], (3, 5), rtol=rtol)
    x = pycnn.from_numpy(fresh(3, 4, 2, 2))
    pointer = x.data_ptr()
    assert INPLACE[name](pycnn.functional, x) is x
    assert x.data_ptr() == pointer


def test_inplace_relu_copies_nothing():
    """It retains its own result and no other array."""
    x = pycnn.from_numpy(fresh(3, 4)).requires_grad_()
    y = x * 3
    memory = y._data
    pycnn.functional.relu(y, inplace=True)
    assert y._data is memory
    assert y.grad_fn.retained[0] is memory
    assert y._version == 1


def test_inplace_relu_twice_and_edit_of_its_result():
    parity(lambda F, x: F.relu(F.relu(x * 2).mul_(3), inplace=True), (3, 5), gradients=False)
    x = pycnn.from_numpy(fresh(3, 4)).requires_grad_()
    y = pycnn.functional.relu(x * 3, inplace=True)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_inplace_edit_of_what_another_op_retained():
    x = pycnn.from_numpy(fresh(3, 4)).requires_grad_()
    y = pycnn.functional.sigmoid(x)
    y.relu_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_inplace_on_a_leaf_that_requires_grad():
    for relu in (lambda F, x: F.relu(x, inplace=True), lambda F, x: F.silu(x, inplace=True)):
        x = pycnn.from_numpy(fresh(3)).requires_grad_()
        with pytest.raises(RuntimeError, match="leaf Variable"):
            relu(pycnn.functional, x)
        with pycnn.no_grad():
            relu(pycnn.functional, x)


def test_integers():
    x = np.arange(-4, 9)
    for f in (lambda F, x: F.relu(x), lambda F, x: F.relu6(x), lambda F, x: F.hardtanh(x, -2, 3)):
        parity(f, x, gradients=False)
        same_error(f, x > 0)
    for name in (
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "hardswish",
        "hardsigmoid",
        "softplus",
        "mish",
        "logsigmoid",
    ):
        same_error(lambda F, x, name=name: getattr(F, name)(x), x)
    same_error(lambda F, x: F.prelu(x, x[:1]), x)
    for dtype in ("int64", "uint8"):
        parity(lambda F, x: F.softsign(x), x.astype(dtype), gradients=False, rtol=1e-6)
    with pytest.raises(RuntimeError, match="softsign"):
        pycnn.functional.softsign(pycnn.tensor([True]))


def test_strides():
    base = fresh(4, 6, 8)
    for view in (
        base[:, ::-1],
        base[..., ::2],
        base.transpose(2, 0, 1),
        np.broadcast_to(base[:1], (3, 6, 8)),
    ):
        for name in ("relu", "silu", "leaky_relu", "glu"):
            x = pycnn.from_numpy(view).requires_grad_()
            t = torch.from_numpy(view.copy()).requires_grad_()
            y, expected = FORMS[name](pycnn.functional, x), FORMS[name](torch.nn.functional, t)
            assert_equal(y, expected, 1e-12, 1e-12, name)
            seed = fresh(*expected.shape)
            y.backward(pycnn.from_numpy(seed))
            expected.backward(torch.from_numpy(seed))
            assert_equal(x.grad, t.grad, 1e-12, 1e-12, name)


def test_layout_is_kept():
    x = pycnn.from_numpy(fresh(2, 4, 3, 5)).contiguous(memory_format=pycnn.channels_last)
    for name in ("relu", "gelu", "glu-channels"):
        assert FORMS[name](pycnn.functional, x).is_contiguous(memory_format=pycnn.channels_last)
    x.requires_grad_()
    y = pycnn.functional.relu(x)
    y.backward(pycnn.from_numpy(fresh(2, 4, 3, 5)))
    assert x.grad.is_contiguous(memory_format=pycnn.channels_last)


def test_prelu():
    prelu = lambda F, x, w: F.prelu(x, w)
    for x, w in (
        ((2, 5, 3, 4), (5,)),
        ((2, 5, 3, 4), (1,)),
        ((2, 5), (5,)),
        ((7,), (1,)),
        ((2, 5, 3), (5,)),
        ((0, 5, 3), (5,)),
        ((2, 1, 3), (1,)),
    ):
        parity(prelu, x, w)
    parity(prelu, (2, 5, 3, 4), np.array(0.25))
    parity(prelu, (2, 5, 3, 4), (5,), channels_last=True)
    parity(prelu, np.array([[0.0, -0.0, np.nan, np.inf, -np.inf, 1, -1]]), (1,))
    parity(lambda F, x, w: F.prelu(x, w.detach()), (2, 5), (5,))
    parity(lambda F, x, w: F.prelu(x.detach(), w), (2, 5), (5,))
    for x, w in (((2, 5, 3), (4,)), ((2, 5), (5, 1)), ((5,), (5,)), ((), (3,))):
        same_error(prelu, x, w)
    same_error(lambda F, x, w: F.prelu(x, w), (2, 3), fresh(3, dtype="float32"))


def test_glu_errors():
    same_error(lambda F, x: F.glu(x), (2, 5))
    same_error(lambda F, x: F.glu(x), ())
    same_error(lambda F, x: F.glu(x, 2), (2, 4))
    parity(lambda F, x: F.glu(x, -2), (3, 4, 5))


def test_argument_errors():
    same_error(lambda F, x: F.gelu(x, approximate="erf"), (2,))
    same_error(lambda F, x: F.hardtanh(x, 1.0, -1.0), (2,))
    same_error(lambda F, x: F.celu(x, 0.0), (2,))
    same_error(lambda F, x: F.relu([1.0, -1.0]), (2,))
    same_error(lambda F, x: F.silu(3.0), (2,))


@pytest.mark.parametrize("name", dispatch.ACTIVATIONS)
def test_add_activation(name):
    """activation(a + b) and both gradients, as torch composes them."""
    for shape, axes in (
        ((2, 3, 4, 5), (0, 1, 2, 3)),
        ((2, 3, 4, 5), (0, 2, 3, 1)),
        ((0, 3), (0, 1)),
        ((), ()),
    ):
        arrays = [np.asarray(fresh(*shape, seed=i) * 3).transpose(axes) for i in range(2)]
        ours = [pycnn.from_numpy(a).requires_grad_() for a in arrays]
        theirs = [torch.from_numpy(a).requires_grad_() for a in arrays]
        y = pycnn.functional.add_activation(*ours, activation=name)
        expected = getattr(torch.nn.functional, name)(theirs[0] + theirs[1])
        rtol = 1e-7 if name.startswith("hard") else 1e-12  # as in test_saves_is_enough
        assert_equal(y, expected, rtol, 1e-12, name)
        seed = np.asarray(fresh(*expected.shape))
        y.backward(pycnn.from_numpy(seed))
        expected.backward(torch.from_numpy(seed))
        for a, b in zip(ours, theirs):
            assert_equal(a.grad, b.grad, rtol, 1e-12, name)


def test_add_activation_is_rounded_once():
    """The sum of two halves reaches the activation unrounded."""
    for dtype in (pycnn.float16, pycnn.bfloat16):
        a, b = (fresh(256, seed=i).astype(dtype) for i in range(2))
        y = pycnn.functional.add_activation(*map(pycnn.from_numpy, (a, b)), activation="silu")
        total = a.astype("float32") + b.astype("float32")
        expected = (total / (1 + np.exp(-total))).astype(dtype)
        assert (y.numpy() == expected).mean() > 0.9


def test_add_activation_errors():
    F = pycnn.functional
    x = pycnn.from_numpy(fresh(2, 3))
    with pytest.raises(RuntimeError, match=r"other: got shape \[3\], expected input's \[2, 3\]"):
        F.add_activation(x, x[0])
    with pytest.raises(RuntimeError, match="should be the same"):
        F.add_activation(x, x.to("float32"))
    with pytest.raises(RuntimeError, match="int64"):
        F.add_activation(x.to("int64"), x.to("int64"))
    with pytest.raises(TypeError, match="other"):
        F.add_activation(x, 1.0)
    np.testing.assert_array_equal(F.add_activation(x, x, activation=None).numpy(), 2 * x.numpy())


def test_leaky_relu_in_place_with_a_negative_slope():
    """Its output does not tell which side of zero the input was on; torch refuses this case."""
    x = fresh(3, 5)
    ours = [pycnn.from_numpy(x.copy()).requires_grad_() for _ in range(2)]
    for t, inplace in zip(ours, (False, True), strict=True):
        pycnn.functional.leaky_relu(t * 1, -0.5, inplace=inplace).sum().backward()
    np.testing.assert_array_equal(ours[0].grad.numpy(), np.where(x > 0, 1.0, -0.5))
    np.testing.assert_array_equal(ours[1].grad.numpy(), ours[0].grad.numpy())
