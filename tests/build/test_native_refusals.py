"""What the C++ kernels do not take runs on the reference when the provider is left open, with the
same result: more than eight axes, and arrays off the alignment of their elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn.config import native_status

pytestmark = pytest.mark.skipif(native_status()[0] is None, reason=native_status()[1])

NINE_AXES = (2, 3, 1, 2, 1, 2, 1, 2, 3)
ONE = pycnn.ones


def misaligned(a: np.ndarray) -> np.ndarray:
    """A copy whose elements start one byte off their alignment."""
    memory = np.zeros(a.nbytes + 1, np.uint8)
    out = memory[1:].view(a.dtype).reshape(a.shape)
    out[...] = a
    return out


def providers_of(call: Callable[[], Any]) -> tuple[np.ndarray, set[str]]:
    with pycnn.trace() as trace:
        out = call()
    return out.detach().numpy(), {record.provider for record in trace.records}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1,
        lambda x: x.sum(-1),
        lambda x: pycnn.cat([x, x], 1),
        lambda x: F.softmax(x, -1),
        lambda x: F.add_activation(x, x, "relu"),
        lambda x: F.local_response_norm(x, 3),
        lambda x: F.cross_entropy(x, x.argmax(1)),
        lambda x: F.batch_norm(x, None, None, training=True),
    ],
    ids=["add", "sum", "cat", "softmax", "add_activation", "lrn", "cross_entropy", "batch_norm"],
)
def test_nine_axes(function):
    """The same as with the ones of length 1 left out, and so is the gradient."""
    a = np.random.default_rng().standard_normal(NINE_AXES)
    outcomes = []
    for shape in (NINE_AXES, (2, 3, 2, 2, 2, 3)):
        x = pycnn.from_numpy(a.reshape(shape)).requires_grad_()
        y = function(x)
        y.sum().backward()
        outcomes.append((y.detach().numpy().ravel(), x.grad.numpy().ravel()))
    for nine, six in zip(*outcomes, strict=True):
        np.testing.assert_allclose(nine, six, rtol=1e-12, atol=1e-12)


CALLS = {
    "add": lambda x: x + 1,
    "relu": lambda x: F.relu(x),
    "sum": lambda x: x.sum(),
    "cat": lambda x: pycnn.cat([x, x]),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "softmax": lambda x: F.softmax(x, 1),
    "matmul": lambda x: pycnn.matmul(x, x),
    "linear": lambda x: F.linear(ONE(2, 6), ONE(4, 6), x.reshape(-1)[:4]),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "conv2d": lambda x: F.conv2d(x, ONE(4, 4, 3, 3)),
    "conv2d weight": lambda x: F.conv2d(ONE(1, 4, 7, 7), x),
    "conv2d bias": lambda x: F.conv2d(ONE(1, 4, 7, 7), ONE(4, 4, 3, 3), x.reshape(-1)[:4]),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "in place": lambda x: x.add_(1),
}


@pytest.mark.parametrize("name", CALLS)
def test_misaligned(name):
    a = np.random.default_rng().standard_normal((2, 4, 6, 6)).astype(np.float32)
    got, ran = providers_of(lambda: CALLS[name](pycnn.from_numpy(misaligned(a))))
    expected, _ = providers_of(lambda: CALLS[name](pycnn.from_numpy(a.copy())))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert "reference" in ran or name == "chunk"  # parts are views


def test_asked_for_by_name_they_raise():
    x = pycnn.from_numpy(misaligned(np.ones(3, np.float32)))
    with pycnn.using("native"):
        with pytest.raises(pycnn.NoKernel, match="off the alignment"):
            x + 1
        with pytest.raises(pycnn.NoKernel, match="more than 8 axes"):
            F.softmax(pycnn.ones(NINE_AXES), -1)
