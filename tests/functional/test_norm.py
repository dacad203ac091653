"""Normalisation against PyTorch: values, gradients, running statistics, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pycnn
import pycnn.functional as F

from .parity import SEED, fresh, from_torch, parity, same_error, to_torch

ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh",
    "silu", "hardswish", "hardsigmoid", "gelu", "elu",
)  # fmt: skip


# --- batch norm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2), (2, 1, 3, 3)])
def test_batch_norm_training(shape):
    c = (shape[1],)
    parity(lambda F, x, w, b: F.batch_norm(x, None, None, w, b, training=True), shape, c, c)
    parity(lambda F, x: F.batch_norm(x, None, None, training=True, eps=0.1), shape)
    parity(lambda F, x, w: F.batch_norm(x, None, None, w, training=True), shape, c)
    parity(lambda F, x, b: F.batch_norm(x, None, None, None, b, training=True), shape, c)


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2)])
def test_batch_norm_inference(shape):
    rng = np.random.default_rng([SEED, 1])
    mean, var = rng.standard_normal(3), rng.uniform(0.5, 2, 3)

    def norm(T, x, w, b):
        make = T.from_numpy
        return T.nn.functional.batch_norm(x, make(mean.copy()), make(var.copy()), w, b, eps=1e-3)

    parity(norm, shape, (3,), (3,))
    parity(lambda T, x: norm(T, x, None, None), shape)


@pytest.mark.parametrize("momentum", [0.1, 0.7, 0.0, 1.0])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_running_statistics(momentum, dtype):
    dtype = pycnn.dtypes.as_dtype(dtype)
    x = (fresh(4, 3, 5, 6) * 2 + 1).astype(dtype)
    mean, var = np.full(3, 0.5).astype(dtype), np.full(3, 2.0).astype(dtype)
    ours = [pycnn.from_numpy(a.copy()) for a in (x, mean, var)]
    theirs = [to_torch(a.copy()) for a in (x, mean, var)]
    with pycnn.no_grad():
        F.batch_norm(*ours, training=True, momentum=momentum)
    torch.nn.functional.batch_norm(*theirs, training=True, momentum=momentum)
    tolerance = {2: 1e-2, 4: 1e-6, 8: 1e-12}[dtype.itemsize]
    for a, b in zip(ours[1:], theirs[1:]):
        np.testing.assert_allclose(
            a.numpy().astype("float64"), from_torch(b).astype("float64"), rtol=tolerance
        )


def test_running_statistics_are_left_alone_in_inference_and_by_empty_batches():
    mean, var = pycnn.zeros(3), pycnn.ones(3)
    F.batch_norm(pycnn.randn(2, 3, 4), mean, var)
    F.batch_norm(pycnn.zeros(0, 3, 4), mean, var, training=True)
    assert mean.tolist() == [0, 0, 0]
    assert var.tolist() == [1, 1, 1]


def test_running_statistics_edited_before_backward():
    """What inference saved of them must still hold; training saves nothing of them."""
    x = pycnn.randn(2, 3, 4).requires_grad_()
    mean, var = pycnn.zeros(3), pycnn.ones(3)
    trained = F.batch_norm(x, mean, var, training=True)
    F.batch_norm(x, mean, var, training=True)
    trained.sum().backward()
    inferred = F.batch_norm(x, mean, var)
    F.batch_norm(x, mean, var, training=True)
    with pytest.raises(RuntimeError, match="inplace"):
        inferred.sum().backward()


def test_variance_does_not_cancel():
    """E[x^2] - E[x]^2 in float32 would be wrong in every digit."""
    x = (fresh(4, 2, 8, 8) * 1e-2 + 1000).astype("float32")
    expected = x.astype("float64")
    expected -= expected.mean((0, 2, 3), keepdims=True)
    expected /= expected.std((0, 2, 3), keepdims=True)
    # an ulp of the mean, 6e-5, is 6e-3 standard deviations
    for algorithm, atol in (("direct", 1e-2), ("naive", 1e-1)):
        y = F.batch_norm(
            pycnn.from_numpy(x), None, None, training=True, eps=1e-12, algorithm=algorithm
        )
        np.testing.assert_allclose(y.numpy(), expected, atol=atol, rtol=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [False, True])
def test_activation_and_residual(activation, residual, training):
    mean, var = fresh(3, seed=7), np.exp(fresh(3, seed=8))

    def norm(T, x, w, b, *r):
        f = T.nn.functional
        m, v = T.from_numpy(mean.copy()), T.from_numpy(var.copy())
        if T is pycnn:
            added = r[0] if r else None
            return f.batch_norm(x, m, v, w, b, training, activation=activation, residual=added)
        y = f.batch_norm(x, m, v, w, b, training)
        y = y + r[0] if r else y
        return getattr(f if hasattr(f, activation) else torch, activation)(y)

    shapes = [(3, 3, 4, 5), (3,), (3,), (3, 3, 4, 5)]
    # torch's float64 hardsigmoid multiplies its gradient by a float32 1/6
    rtol = 1e-7 if activation == "hardsigmoid" else 1e-10
    for channels_last in (False, True):
        shapes = shapes[: 4 if residual else 3]
        parity(norm, *shapes, channels_last=channels_last, rtol=rtol, atol=rtol)


def test_residual_without_activation():
    def norm(T, x, r):
        if T is pycnn:
            return T.nn.functional.batch_norm(x, None, None, training=True, residual=r)
        return T.nn.functional.batch_norm(x, None, None, training=True) + r

    parity(norm, (3, 2, 4), (3, 2, 4))
    parity(norm, (3, 2), (3, 2))


def test_fused_where_the_derivative_allows():
    x = pycnn.randn(2, 3, 4, 4).requires_grad_()
    for activation, recorded in (("relu", 0), ("silu", 1)):
        for grad, expected in ((True, recorded), (False, 0)):
            with pycnn.set_grad_enabled(grad), pycnn.trace() as trace:
                F.batch_norm(x, None, None, training=True, activation=activation)
            ran = [r.geometry.op for r in trace.records if r.primitive == "elementwise"]
            assert ran.count(activation) == expected


def test_relu_gradient_needs_no_output():
    """The sign of y is computed again from x; behind a residual it is read off y."""
    x, r = (pycnn.randn(2, 3, 4, 4).requires_grad_() for _ in range(2))
    for residual, recorded in ((None, 0), (r, 1)):
        y = F.batch_norm(x, None, None, training=True, activation="relu", residual=residual)
        with pycnn.trace() as trace:
            y.backward(pycnn.ones(2, 3, 4, 4))
        ran = [r.geometry.op for r in trace.records if r.primitive == "elementwise"]
        assert ran.count("relu_dgrad") == recorded


def test_only_wanted_gradients_are_computed():
    def primitives(*wanted, training):
        x, w, b = pycnn.randn(2, 3, 4), pycnn.ones(3), pycnn.zeros(3)
        for t, wants in zip((x, w, b), wanted):
            t.requires_grad_(wants)
        y = F.batch_norm(x, pycnn.zeros(3), pycnn.ones(3), w, b, training)
        with pycnn.trace() as trace:
            y.sum().backward()
        return {r.primitive for r in trace.records if r.primitive.startswith("batch_norm")}

    assert primitives(True, False, False, training=False) == {"batch_norm_dgrad"}
    assert primitives(False, True, False, training=True) == {"batch_norm_reduce"}
    both = {"batch_norm_dgrad", "batch_norm_reduce"}
    assert primitives(True, False, False, training=True) == both
    assert primitives(True, True, True, training=False) == both


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-5), ("float16", 3e-3), ("bfloat16", 3e-2)])
@pytest.mark.parametrize("parameters", ["same", "float32"])
def test_other_dtypes(dtype, rtol, parameters):
    wide = parameters == "float32"
    own = pycnn.dtypes.as_dtype("float32" if wide else dtype)
    w, b = fresh(6, seed=1).astype(own), fresh(6, seed=2).astype(own)

    def run(function):
        parity(function, (3, 6, 4, 5), w, b, dtype=dtype, gradients=False, rtol=rtol, atol=rtol)

    run(lambda F, x, w, b: F.batch_norm(x, None, None, w, b, training=True))
    run(lambda F, x, w, b: F.batch_norm(x, w, b.abs() + 1, w, b))
    run(lambda F, x, w, b: F.instance_norm(x, None, None, w, b))
    run(lambda F, x, w, b: F.group_norm(x, 3, w, b))
    run(lambda F, x, w, b: F.layer_norm(x.transpose(1, 3), (6,), w, b))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_with_float32_parameters(dtype):
    x = fresh(3, 4, 5).astype(pycnn.dtypes.as_dtype(dtype))
    w, b = fresh(4, seed=1).astype("float32"), fresh(4, seed=2).astype("float32")
    ours = [pycnn.from_numpy(a).requires_grad_() for a in (x, w, b)]
    theirs = [torch.from_numpy(a.astype("float64")).requires_grad_() for a in (x, w, b)]
    seed = fresh(3, 4, 5, seed=3).astype(x.dtype)
    F.batch_norm(ours[0], None, None, *ours[1:], training=True).backward(pycnn.from_numpy(seed))
    torch.nn.functional.batch_norm(theirs[0], None, None, *theirs[1:], training=True).backward(
        torch.from_numpy(seed.astype("float64"))
    )
    for a, t, rtol in zip(ours, theirs, (1e-2, 1e-5, 1e-5)):
        assert a.grad.dtype == a.dtype
        got = a.grad.numpy().astype("float64")
        np.testing.assert_allclose(got, t.grad.numpy(), rtol, 1e-2 * rtol + 1e-4)


def test_batch_norm_layouts():
    a = fresh(2, 7, 6, 3)

    def norm(F, x):
        return F.batch_norm(x, None, None, training=True)

    parity(norm, (2, 3, 5, 4), channels_last=True)
    parity(norm, a.transpose(0, 3, 1, 2)[:, ::-1, ::2, 1:])
    parity(norm, a[:, :, ::2, 0].transpose(0, 2, 1))
    parity(norm, np.broadcast_to(a[:, :, :1, 0], (2, 7, 6)))
    parity(norm, fresh(2, 3, 4, 3, 2).transpose(0, 4, 2, 1, 3))
    x = pycnn.from_numpy(fresh(2, 3, 5, 4)).contiguous(memory_format=pycnn.channels_last)
    y = norm(F, x.requires_grad_())
    y.sum().backward()
    assert y.is_contiguous(memory_format=pycnn.channels_last)
    assert x.grad.is_contiguous(memory_format=pycnn.channels_last)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0, 4), (0, 3)])
def test_batch_norm_empty(shape, training):
    def norm(T, x, w, b):
        mean, var = T.zeros(3, dtype=T.float64), T.ones(3, dtype=T.float64)
        return T.nn.functional.batch_norm(x, mean, var, w, b, training)

    parity(norm, shape, (3,), (3,))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_no_channel(training):
    def norm(T, x):
        mean, var = T.zeros(0, dtype=T.float64), T.ones(0, dtype=T.float64)
        return T.nn.functional.batch_norm(x, mean, var, training=training)

    parity(norm, (0,))
    parity(norm, (2, 0, 3))


def test_batch_norm_nan_stays_in_its_channel():
    x = fresh(2, 3, 4, 4)
    x[0, 1, 2, 2] = np.nan
    x[1, 2, 0, 0] = np.inf
    parity(lambda F, x: F.batch_norm(x, None, None, training=True), x)


MEAN, VAR = np.zeros(3), np.ones(3)


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda F, x, m, v: F.batch_norm(x, m, v), (3,)),
        (lambda F, x, m, v: F.batch_norm(x, None, None), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, None), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, None, v, training=True), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, v), (2, 4, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, v[:2]), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, v, v[:1]), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, v, v, v[:2]), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, v, training=True), (1, 3)),
        (lambda F, x, m, v: F.batch_norm(x, m, v, training=True), (1, 3, 1, 1)),
        (lambda F, x, m, v: F.batch_norm(x, m, v, training=True, eps=0), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, v, eps=-1.0), (2, 3, 4)),
        (lambda F, x, m, v: F.batch_norm(x, m, v, training=True, momentum=None), (2, 3, 4)),
        (lambda T, x, m, v: T.nn.functional.batch_norm(x, m.to(T.float32), m), (2, 3, 4)),
        (lambda T, x, m, v: T.nn.functional.batch_norm(x.to(T.float32), m, v), (2, 3, 4)),
        (lambda T, x, m, v: T.nn.functional.batch_norm(x.to(T.int64), m, v), (2, 3, 4)),
        (lambda T, x, m, v: T.nn.functional.batch_norm(x.to(T.float16), m, v), (2, 3, 4)),
    ],
)  # fmt: skip
def test_batch_norm_errors(function, shape):
    same_error(function, shape, MEAN, VAR)


def test_errors_of_our_own():
    x, mean, var = pycnn.randn(2, 3, 4), pycnn.zeros(3), pycnn.ones(3)
    with pytest.raises(ValueError, match="activation"):
        F.batch_norm(x, mean, var, activation="maxout")
    with pytest.raises(RuntimeError, match="residual"):
        F.batch_norm(x, mean, var, residual=pycnn.randn(2, 3, 1))
    with pytest.raises(RuntimeError, match="residual"):
        F.batch_norm(x, mean, var, residual=pycnn.randn(2, 3, 4).to(pycnn.float64))
    with pytest.raises(TypeError, match="must be Tensor"):
        F.batch_norm(np.ones((2, 3, 4)), mean, var)


# --- instance, group, layer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, shape, count",
    [
        (lambda F, x, w, b: F.instance_norm(x, weight=w, bias=b), (2, 3, 4, 5), 3),
        (lambda F, x, w, b: F.instance_norm(x, weight=w, bias=b, eps=0.1), (2, 3, 7), 3),
        (lambda F, x, w, b: F.instance_norm(x, weight=w, bias=b), (2, 3, 2, 3, 2), 3),
        (lambda F, x, w, b: F.group_norm(x, 3, w, b), (2, 6, 4, 5), 6),
        (lambda F, x, w, b: F.group_norm(x, 1, w, b, eps=0.1), (2, 6, 5), 6),
        (lambda F, x, w, b: F.group_norm(x, 2, w, b), (3, 6), 6),
        (lambda F, x, w, b: F.group_norm(x, 6, w, b), (2, 6, 2, 3, 2), 6),
        (lambda F, x, w, b: F.group_norm(x, 3, w, b), (0, 6, 4), 6),
        (lambda F, x, w, b: F.layer_norm(x, (5,), w, b), (2, 3, 4, 5), 5),
        (lambda F, x, w, b: F.layer_norm(x, [5], w, b, 0.1), (5,), 5),
        (lambda F, x, w, b: F.layer_norm(x, (4, 5), w.view(4, 5), b.view(4, 5)), (3, 4, 5), 20),
        (lambda F, x, w, b: F.layer_norm(x, (2, 1, 3), w.reshape(2, 1, 3)) + b[0], (2, 1, 3), 6),
        (lambda F, x, w, b: F.layer_norm(x, (4,), w, b), (0, 4), 4),
        (lambda F, x, w, b: F.layer_norm(x, (0,), w, b), (2, 0), 0),
        (lambda F, x, w, b: F.rms_norm(x, (5,), w) + b, (2, 3, 4, 5), 5),
        (lambda F, x, w, b: F.rms_norm(x, (4, 5), w.reshape(4, 5), 0.1) + b[0], (3, 4, 5), 20),
    ],
)  # fmt: skip
def test_other_norms(function, shape, count):
    parity(function, shape, (count,), (count,))


@pytest.mark.parametrize("shape", [(0, 6, 4, 4), (2, 6, 0, 4)])
def test_norms_of_nothing(shape):
    """The gradients of nothing are zero; torch's are errors or 0 * inf."""
    for function in (
        lambda F, x, w: F.instance_norm(x, weight=w),
        lambda F, x, w: F.group_norm(x, 3, w),
    ):
        w = pycnn.ones(6).requires_grad_()
        y = function(F, pycnn.zeros(*shape), w)
        assert y.shape == shape
        y.sum().backward()
        assert w.grad.tolist() == [0] * 6


def test_without_parameters():
    for shape in ((2, 6, 4, 5), (2, 6, 5)):
        parity(lambda F, x: F.instance_norm(x), shape)
        parity(lambda F, x: F.group_norm(x, 3), shape)
        parity(lambda F, x: F.layer_norm(x, (5,)), shape)
        parity(lambda F, x: F.rms_norm(x, (5,)), shape)
        parity(lambda F, x: F.layer_norm(x, (1,)), (3, 1))
        parity(lambda F, x: F.group_norm(x, 3), (2, 3))


def test_channels_last_norms():
    def group(F, x):
        return F.group_norm(x, 3)

    parity(group, (2, 6, 4, 5), channels_last=True)
    parity(lambda F, x: F.instance_norm(x), (2, 6, 4, 5), channels_last=True)
    parity(lambda F, x: F.layer_norm(x, (5,)), (2, 6, 4, 5), channels_last=True)
    x = pycnn.from_numpy(fresh(2, 6, 4, 5)).contiguous(memory_format=pycnn.channels_last)
    assert group(F, x).is_contiguous(memory_format=pycnn.channels_last)


@pytest.mark.parametrize("use_input_stats", [True, False])
def test_instance_norm_running_statistics(use_input_stats):
    def norm(T, x, w, b, mean, var):
        y = T.nn.functional.instance_norm(x, mean, var, w, b, use_input_stats, 0.3)
        return y, mean, var

    x, mean, var = fresh(3, 2, 4, 5), fresh(2, seed=1), np.exp(fresh(2, seed=2))
    ours, theirs = (
        norm(T, make(x), None, None, make(mean.copy()), make(var.copy()))
        for T, make in ((pycnn, pycnn.from_numpy), (torch, torch.from_numpy))
    )
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-12)

    def gradient(T, x, w, b):
        make = T.from_numpy
        return norm(T, x, w, b, make(mean.copy()), make(var.copy()))[0]

    parity(gradient, (3, 2, 4, 5), (2,), (2,))


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda F, x, w: F.instance_norm(x), (2, 3)),
        (lambda F, x, w: F.instance_norm(x), (2, 3, 1, 1)),
        (lambda F, x, w: F.instance_norm(x), (3, 4)),
        (lambda F, x, w: F.instance_norm(x, use_input_stats=False), (2, 3, 4)),
        (lambda F, x, w: F.instance_norm(x, w[:3]), (2, 3, 4)),
        (lambda F, x, w: F.instance_norm(x, w[:4], w[:4]), (2, 3, 4)),
        (lambda F, x, w: F.instance_norm(x, weight=w[:2]), (2, 3, 4)),
        (lambda T, x, w: T.nn.functional.instance_norm(x.to(T.int64)), (2, 3, 4)),
        (lambda T, x, w: T.nn.functional.instance_norm(x.to(T.float32), weight=w[:3]), (2, 3, 4)),
        (lambda F, x, w: F.group_norm(x, 3), (6,)),
        (lambda F, x, w: F.group_norm(x, 4), (2, 6, 4)),
        (lambda F, x, w: F.group_norm(x, -1), (2, 6, 4)),
        (lambda F, x, w: F.group_norm(x, 0), (2, 6, 4)),
        (lambda F, x, w: F.group_norm(x, 3.0), (2, 6, 4)),
        (lambda F, x, w: F.group_norm(x, 3, w[:3]), (2, 6, 4)),
        (lambda F, x, w: F.group_norm(x, 3, w[:6], w[:3]), (2, 6, 4)),
        (lambda F, x, w: F.group_norm(x, 3, w[:6].reshape(1, 6)), (2, 6, 4)),
        (lambda F, x, w: F.group_norm(x, 3), (1, 3)),
        (lambda T, x, w: T.nn.functional.group_norm(x.to(T.int64), 3), (2, 6, 4)),
        (lambda T, x, w: T.nn.functional.group_norm(x.to(T.float32), 3, w[:6]), (2, 6, 4)),
        (lambda F, x, w: F.layer_norm(x, 4), (2, 3, 4)),
        (lambda F, x, w: F.layer_norm(x, (3,)), (2, 3, 4)),
        (lambda F, x, w: F.layer_norm(x, ()), (2, 3, 4)),
        (lambda F, x, w: F.layer_norm(x, (1, 2, 3, 4)), (2, 3, 4)),
        (lambda F, x, w: F.layer_norm(x, (4,), w[:3]), (2, 3, 4)),
        (lambda F, x, w: F.layer_norm(x, (4,), None, w[:4].reshape(4, 1)), (2, 3, 4)),
        (lambda F, x, w: F.layer_norm(x, (3, 4), w), (2, 3, 4)),
        (lambda T, x, w: T.nn.functional.layer_norm(x.to(T.int64), (4,)), (2, 3, 4)),
        (lambda T, x, w: T.nn.functional.layer_norm(x.to(T.float32), (4,), w[:4]), (2, 3, 4)),
        (lambda F, x, w: F.rms_norm(x, 4), (2, 3, 4)),
        (lambda F, x, w: F.rms_norm(x, (3,)), (2, 3, 4)),
        (lambda F, x, w: F.rms_norm(x, (4,), w[:3]), (2, 3, 4)),
        (lambda T, x, w: T.nn.functional.rms_norm(x.to(T.int64), (4,)), (2, 3, 4)),
        (lambda F, x, w: F.local_response_norm(x, 2), (2, 3)),
        (lambda F, x, w: F.local_response_norm(x, 0), (2, 3, 4)),
        (lambda F, x, w: F.local_response_norm(x, -1), (2, 3, 4)),
        (lambda F, x, w: F.local_response_norm(x, 2.0), (2, 3, 4)),
        (lambda T, x, w: T.nn.functional.local_response_norm(x.to(T.int32), 2), (2, 3, 4)),
    ],
)  # fmt: skip
def test_other_errors(function, shape):
    same_error(function, shape, (12,))


def test_rms_norm_in_halves():
    for dtype, rtol in (("float16", 2e-3), ("bfloat16", 2e-2)):
        norm = lambda F, x: F.rms_norm(x, (6,))
        parity(norm, (4, 6), dtype=dtype, gradients=False, rtol=rtol, atol=0)


# --- local response -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda F, x: F.local_response_norm(x, 5), (2, 7, 3, 4)),
        (lambda F, x: F.local_response_norm(x, 2, 1.5, 0.6, 0.8), (2, 6, 5)),
        (lambda F, x: F.local_response_norm(x, 4, 0.7, 1.25, 2.0), (2, 6, 2, 3, 2)),
        (lambda F, x: F.local_response_norm(x, 1, 1.0), (2, 3, 4)),
        (lambda F, x: F.local_response_norm(x, 9, 2.0, 0.5), (2, 3, 4, 4)),
        (lambda F, x: F.local_response_norm(x, 10, 2.0, 0.5), (1, 1, 4, 4)),
    ],
)  # fmt: skip
def test_local_response_norm(function, shape):
    parity(function, shape)
    parity(function, shape, dtype="float32", gradients=False, rtol=1e-6, atol=1e-6)


def test_local_response_norm_layouts_and_empty():
    def norm(F, x):
        return F.local_response_norm(x, 3, 1.0)

    parity(norm, (2, 5, 3, 4), channels_last=True)
    parity(norm, fresh(4, 6, 8)[::2, ::-1, ::3])
    x = pycnn.from_numpy(fresh(2, 5, 3, 4)).contiguous(memory_format=pycnn.channels_last)
    assert norm(F, x).is_contiguous(memory_format=pycnn.channels_last)
    empty = pycnn.zeros(0, 3, 4).requires_grad_()
    norm(F, empty).sum().backward()
    assert empty.grad.shape == (0, 3, 4)


@pytest.mark.parametrize("dtype, rtol", [("float16", 1e-3), ("bfloat16", 8e-3)])
def test_local_response_norm_halves(dtype, rtol):
    x = fresh(2, 6, 3, 3).astype(pycnn.dtypes.as_dtype(dtype))
    y = F.local_response_norm(pycnn.from_numpy(x), 5, 1.0).numpy()
    wide = torch.nn.functional.local_response_norm(torch.from_numpy(x.astype("float64")), 5, 1.0)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.astype("float64"), wide.numpy(), rtol=rtol)
