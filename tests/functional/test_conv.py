"""conv1d/2d and conv_transpose1d/2d against torch: values, gradients, errors, layouts, empties, the
fused epilogue."""

import itertools

import numpy as np
import pytest
import torch

import pycnn
from pycnn import functional as F

from .parity import SEED, assert_equal, fresh, parity, same_error

pytestmark = pytest.mark.smoke

CONV2D = {
    "resnet stem": ((2, 3, 23, 21), (8, 3, 7, 7), {"stride": 2, "padding": 3}),
    "pointwise": ((2, 6, 5, 7), (4, 6, 1, 1), {}),
    "pointwise strided": ((2, 6, 9, 8), (4, 6, 1, 1), {"stride": 2}),
    "depthwise": ((2, 5, 9, 8), (5, 1, 3, 3), {"padding": 1, "groups": 5}),
    "depthwise strided "
    "dilated": ((1, 4, 13, 11), (8, 1, 3, 3), {"stride": 2, "dilation": 2, "groups": 4}),
    "grouped": ((2, 6, 7, 7), (9, 2, 3, 3), {"padding": 1, "groups": 3}),
    "uneven everything": (
        (2, 3, 17, 13), (5, 3, 3, 2), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}),
    "same, even kernel": ((1, 2, 6, 7), (3, 2, 2, 4), {"padding": "same"}),
    "same, dilated": ((1, 2, 9, 9), (3, 2, 3, 3), {"padding": "same", "dilation": 2}),
    "valid": ((1, 2, 6, 7), (3, 2, 2, 3), {"padding": "valid"}),
    "one pixel": ((1, 3, 1, 1), (2, 3, 1, 1), {}),
    "one pixel, padded": ((1, 3, 1, 1), (2, 3, 3, 3), {"padding": 1}),
    "primes": ((3, 7, 11, 13), (5, 7, 3, 5), {"stride": (3, 2), "padding": 2}),
    "taps that meet no input": ((1, 1, 2, 2), (1, 1, 3, 3), {"padding": 4, "stride": 5}),
    "stride past the image": ((1, 1, 4, 4), (1, 1, 2, 2), {"stride": 100}),
    "unbatched": ((3, 8, 9), (4, 3, 3, 3), {"padding": 1}),
    "no images": ((0, 3, 8, 9), (4, 3, 3, 3), {}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", CONV2D)
def test_conv2d(name, last):
    x, w, options = CONV2D[name]
    parity(lambda F, x, w: F.conv2d(x, w, **options), x, w, channels_last=last)
    parity(lambda F, x, w, b: F.conv2d(x, w, b, **options), x, w, (w[0],), channels_last=last)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_conv2d_in_short_dtypes(dtype):
    rtol = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 2e-2}[dtype]
    operands = ((2, 6, 9, 8), (4, 3, 3, 3), (4,))
    parity(
        lambda F, x, w, b: F.conv2d(x, w, b, 2, 1, 1, 2),
        *operands, dtype=dtype, gradients=dtype == "float32", rtol=rtol, atol=10 * rtol,
    )  # fmt: skip


def test_random_geometries():
    rng = np.random.default_rng(SEED)
    for _ in range(60):
        g = int(rng.integers(1, 4))
        c, k = g * rng.integers(1, 4), g * rng.integers(1, 4)
        r, s, stride_h, stride_w, dil_h, dil_w = rng.integers(1, 4, 6)
        pad_h, pad_w = rng.integers(0, 4, 2)
        h = max(1, dil_h * (r - 1) + 1 - 2 * pad_h) + rng.integers(0, 6)
        w = max(1, dil_w * (s - 1) + 1 - 2 * pad_w) + rng.integers(0, 6)
        options = {
            "stride": (int(stride_h), int(stride_w)), "padding": (int(pad_h), int(pad_w)),
            "dilation": (int(dil_h), int(dil_w)), "groups": g,
        }  # fmt: skip
        shapes = (
            (int(rng.integers(1, 3)), int(c), int(h), int(w)),
            (int(k), int(c // g), int(r), int(s)),
        )
        parity(lambda F, x, w: F.conv2d(x, w, **options), *shapes)  # noqa: B023


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"padding": "same", "dilation": 2}, {"groups": 2}]
)
def test_conv1d(options):
    parity(
        lambda F, x, w, b: F.conv1d(x, w, b, **options),
        (2, 4, 11),
        (6, 4 // options.get("groups", 1), 3),
        (6,),
    )
    parity(
        lambda F, x, w: F.conv1d(x, w, **options), (4, 11), (6, 4 // options.get("groups", 1), 3)
    )


TRANSPOSED = {
    "2x2 stride 2": ((2, 4, 5, 6), (4, 3, 2, 2), {"stride": 2}),
    "4x4 stride 2": ((1, 3, 4, 5), (3, 3, 4, 4), {"stride": 2, "padding": 1}),
    "output padding": (
        (1, 4, 5, 3),
        (4, 2, 3, 3),
        {"stride": (2, 3), "padding": 1, "output_padding": (1, 2)},
    ),
    "grouped": ((2, 4, 5, 5), (4, 3, 3, 3), {"stride": 2, "groups": 2}),
    "depthwise": ((1, 4, 5, 5), (4, 1, 4, 4), {"stride": 2, "padding": 1, "groups": 4}),
    "dilated": ((1, 2, 6, 5), (2, 3, 3, 2), {"dilation": (2, 3), "padding": (1, 0)}),
    "stride one": ((1, 2, 6, 5), (2, 3, 3, 3), {"padding": 2}),
    "output padding under dilation": (
        (1, 2, 4, 4),
        (2, 2, 3, 3),
        {"dilation": 3, "output_padding": 2},
    ),
    "unbatched": ((2, 6, 5), (2, 3, 3, 3), {}),
    "no images": ((0, 2, 6, 5), (2, 3, 3, 3), {}),
}


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_conv_transpose2d(name, last):
    x, w, options = TRANSPOSED[name]
    bias = (w[1] * options.get("groups", 1),)
    parity(lambda F, x, w: F.conv_transpose2d(x, w, **options), x, w, channels_last=last)
    parity(
        lambda F, x, w, b: F.conv_transpose2d(x, w, b, **options), x, w, bias, channels_last=last
    )


@pytest.mark.parametrize(
    "options", [{}, {"stride": 3, "padding": 1, "output_padding": 2}, {"groups": 2, "dilation": 2}]
)
def test_conv_transpose1d(options):
    out = 3 * options.get("groups", 1)
    parity(lambda F, x, w, b: F.conv_transpose1d(x, w, b, **options), (2, 4, 7), (4, 3, 3), (out,))
    parity(lambda F, x, w: F.conv_transpose1d(x, w, **options), (4, 7), (4, 3, 3))


def test_transposed_is_the_adjoint():
    x, w, y = fresh(2, 4, 9, 8), fresh(6, 2, 3, 3, seed=1), fresh(2, 6, 5, 4, seed=2)
    forward = F.conv2d(
        pycnn.from_numpy(x), pycnn.from_numpy(w), stride=2, padding=1, groups=2
    ).numpy()
    options = {"stride": 2, "padding": 1, "groups": 2, "output_padding": (0, 1)}
    back = F.conv_transpose2d(pycnn.from_numpy(y), pycnn.from_numpy(w), **options).numpy()
    np.testing.assert_allclose(np.vdot(forward, y), np.vdot(x, back), rtol=1e-10)


@pytest.mark.parametrize("activation", pycnn.dispatch.ACTIVATIONS)
@pytest.mark.parametrize("with_residual", [False, True])
def test_fused_epilogue(activation, with_residual):
    arrays = [
        fresh(2, 4, 6, 5),
        fresh(3, 4, 3, 3, seed=1),
        fresh(3, seed=2),
        fresh(2, 3, 6, 5, seed=3),
    ]
    ours = [pycnn.from_numpy(a).requires_grad_() for a in arrays]
    theirs = [torch.from_numpy(a).requires_grad_() for a in arrays]
    functions = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}
    act = functions.get(activation) or getattr(torch.nn.functional, activation)
    residual = ours[3] if with_residual else None
    y = F.conv2d(*ours[:3], padding=1, activation=activation, residual=residual)
    expected = torch.nn.functional.conv2d(*theirs[:3], padding=1)
    expected = act(expected + theirs[3]) if with_residual else act(expected)
    with pycnn.no_grad(), pycnn.trace() as t:
        fused = F.conv2d(*ours[:3], padding=1, activation=activation, residual=residual)
    assert [r.primitive for r in t.records] == ["conv2d_fprop"], (
        "without a graph the activation is always fused"
    )
    assert_equal(fused, expected, 1e-10, 1e-10, "fused")
    assert_equal(y, expected, 1e-10, 1e-10, "output")
    seed = fresh(*y.shape, seed=4)
    y.backward(pycnn.from_numpy(seed))
    expected.backward(torch.from_numpy(seed))
    # torch rounds hardsigmoid's 1/6 to float32 in its float64 gradient
    tolerance = 1e-7 if activation == "hardsigmoid" else 1e-9
    for a, b in zip(ours[: 3 + with_residual], theirs[: 3 + with_residual], strict=True):
        assert_equal(a.grad, b.grad, tolerance, tolerance, "gradient")


def test_fused_epilogue_on_an_unbatched_input():
    x, w, r = pycnn.ones(2, 4, 4), pycnn.ones(3, 2, 3, 3), pycnn.full((3, 2, 2), -20.0)
    y = F.conv2d(x, w, activation="relu", residual=r)
    assert y.shape == (3, 2, 2) and not y.numpy().any()


def test_no_channels_sum_to_nothing():
    """K outputs of an empty sum each, so only the bias is left (torch returns no channels at all
    here)."""
    x, w = pycnn.ones(1, 0, 4, 4, requires_grad=True), pycnn.ones(2, 0, 3, 3, requires_grad=True)
    b = pycnn.tensor([1.0, 2.0], requires_grad=True)
    y = F.conv2d(x, w, b)
    np.testing.assert_array_equal(
        y.detach().numpy(), np.broadcast_to([[[[1]], [[2]]]], (1, 2, 2, 2))
    )
    y.sum().backward()
    assert x.grad.shape == x.shape and w.grad.shape == w.shape and b.grad.tolist() == [4, 4]


def test_output_layout_is_channels_last_iff_input_or_weight_is():
    for x_last, w_last in itertools.product((False, True), repeat=2):
        x, w = fresh(2, 4, 6, 5), fresh(4, 4, 3, 3, seed=1)
        tensors = []
        for a, last in ((x, x_last), (w, w_last)):
            t = pycnn.from_numpy(a)
            tensors.append(
                (t.contiguous(memory_format="channels_last") if last else t)
                .detach()
                .requires_grad_()
            )
        y = F.conv2d(*tensors)
        wanted = "channels_last" if x_last or w_last else "contiguous"
        assert y.is_contiguous(memory_format=wanted)
        y.sum().backward()
        assert tensors[1].grad.stride() == tensors[1].stride(), (
            "a weight's gradient has the weight's layout"
        )


def test_only_wanted_gradients_run():
    x, w = pycnn.ones(1, 2, 4, 4, requires_grad=True), pycnn.ones(2, 2, 3, 3)
    for a, b, expected in (
        (x, w, "conv2d_dgrad"),
        (x.detach(), w.detach().requires_grad_(), "conv2d_wgrad"),
    ):
        y = F.conv2d(a, b).sum()
        with pycnn.trace() as t:
            y.backward()
        ran = {r.primitive for r in t.records if r.primitive.startswith("conv2d")}
        assert ran == {expected}


def test_non_contiguous_and_read_only_inputs():
    x, w = fresh(2, 9, 8, 6).transpose(0, 3, 1, 2)[:, ::2, ::-1], fresh(4, 3, 3, 3, seed=1)[::-1]
    x.flags.writeable = False
    y = F.conv2d(pycnn.from_numpy(x), pycnn.from_numpy(w), padding=1)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(x.copy()), torch.from_numpy(w.copy()), padding=1
    )
    assert_equal(y, expected, 1e-10, 1e-10, "strided")


ERRORS = {
    "input dimensions": lambda F, x, w: F.conv2d(x[0, 0], w),
    "weight dimensions": lambda F, x, w: F.conv2d(x, w[0]),
    "channels": lambda F, x, w: F.conv2d(x[:, :2], w),
    "groups do not divide": lambda F, x, w: F.conv2d(x, w, groups=2),
    "groups zero": lambda F, x, w: F.conv2d(x, w, groups=0),
    "groups negative": lambda F, x, w: F.conv2d(x, w, groups=-1),
    "kernel past the image": lambda F, x, w: F.conv2d(x[:, :, :2], w),
    "dilation past the image": lambda F, x, w: F.conv2d(x, w, dilation=5),
    "dilation huge": lambda F, x, w: F.conv2d(x, w, dilation=2**31 - 1),
    "stride a bool": lambda F, x, w: F.conv2d(x, w, stride=True),
    "no filters": lambda F, x, w: F.conv2d(x, w[:0]),
    "no rows": lambda F, x, w: F.conv2d(x[:, :, :0], w, padding=2),
    "no rows, transposed": lambda F, x, w: F.conv_transpose2d(x[:, :, :0], w.transpose(0, 1)),
    "no filters, transposed": lambda F, x, w: F.conv_transpose2d(x, w.transpose(0, 1)[:, :0]),
    "no taps": lambda F, x, w: F.conv2d(x, w[:, :, :0]),
    "stride zero": lambda F, x, w: F.conv2d(x, w, stride=0),
    "stride negative": lambda F, x, w: F.conv2d(x, w, stride=(1, -1)),
    "stride of three": lambda F, x, w: F.conv2d(x, w, stride=(1, 1, 1)),
    "stride a float": lambda F, x, w: F.conv2d(x, w, stride=1.5),
    "stride a string": lambda F, x, w: F.conv2d(x, w, stride="2"),
    "padding negative": lambda F, x, w: F.conv2d(x, w, padding=-1),
    "padding word": lambda F, x, w: F.conv2d(x, w, padding="full"),
    "padding same, strided": lambda F, x, w: F.conv2d(x, w, padding="same", stride=2),
    "dilation zero": lambda F, x, w: F.conv2d(x, w, dilation=0),
    "bias size": lambda F, x, w: F.conv2d(x, w, x[0, 0, 0, :3]),
    "bias dimensions": lambda F, x, w: F.conv2d(x, w, x[0]),
    "no tensor": lambda F, x, w: F.conv2d(x, 3),
    "conv1d dimensions": lambda F, x, w: F.conv1d(x, w),
    "conv1d stride of two": lambda F, x, w: F.conv1d(x[0], w[0], stride=(1, 1)),
    "transposed channels": lambda F, x, w: F.conv_transpose2d(x, w),
    "transposed groups": lambda F, x, w: F.conv_transpose2d(x, w.transpose(0, 1), groups=2),
    "output padding too large": lambda F, x, w: F.conv_transpose2d(
        x, w.transpose(0, 1), output_padding=1
    ),
    "output padding negative": lambda F, x, w: F.conv_transpose2d(
        x, w.transpose(0, 1), output_padding=-1
    ),
    "transposed output empty": lambda F, x, w: F.conv_transpose2d(x, w.transpose(0, 1), padding=20),
    "transposed stride zero": lambda F, x, w: F.conv_transpose2d(x, w.transpose(0, 1), stride=0),
    "transposed bias": lambda F, x, w: F.conv_transpose2d(x, w.transpose(0, 1), x[0, 0, 0, :2]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_torchs(name):
    same_error(ERRORS[name], (2, 3, 6, 7), (4, 3, 3, 3))


def test_dtype_errors():
    same_error(
        lambda F, x, w: F.conv2d(x, w), fresh(1, 1, 4, 4), fresh(1, 1, 3, 3).astype("float32")
    )
    same_error(
        lambda F, x, w: F.conv2d(x, w), np.ones((1, 1, 4, 4), "bool"), np.ones((1, 1, 3, 3), "bool")
    )


def test_integers_convolve():
    x, w = np.arange(48).reshape(1, 3, 4, 4), np.arange(54).reshape(2, 3, 3, 3)
    parity(lambda F, x, w: F.conv2d(x, w, padding=1), x, w, gradients=False)


def test_errors_of_what_torch_does_not_have():
    x, w = pycnn.ones(1, 2, 4, 4), pycnn.ones(3, 2, 3, 3)
    with pytest.raises(ValueError, match="activation: got 'swishy', expected"):
        F.conv2d(x, w, activation="swishy")
    with pytest.raises(
        RuntimeError,
        match=r"residual: got size \[1, 3, 1, 1\], expected the output's \[1, 3, 2, 2\]",
    ):
        F.conv2d(x, w, residual=pycnn.ones(1, 3, 1, 1))
    with pytest.raises(RuntimeError, match="residual type"):
        F.conv2d(x, w, residual=pycnn.ones(1, 3, 2, 2, dtype="float64"))
    with pytest.raises(TypeError, match="'residual' must be Tensor"):
        F.conv2d(x, w, residual=3)
    with pytest.raises(RuntimeError, match="padding: got .* passes"):
        F.conv2d(x, w, padding=2**31 - 1)
    with pytest.raises(
        RuntimeError,
        match="dilation: got 9223372036854775807, expected integers from 1 to 2147483647",
    ):
        F.conv2d(x, w, dilation=2**63 - 1)


def test_nothing_runs_before_the_arguments_are_checked():
    x, w = pycnn.ones(1, 2, 4, 4), pycnn.ones(3, 2, 3, 3)
    with pycnn.trace() as t:
        for wrong in (
            {"stride": 0},
            {"padding": -1},
            {"dilation": 9},
            {"activation": "no"},
            {"groups": 3},
        ):
            with pytest.raises((RuntimeError, ValueError)):
                F.conv2d(x, w, **wrong)
    assert not t.records
