"""Compiled kernels on a GPU, beyond the cases: whole networks, streams, repetition, size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn.testing import compare_torch

from .providers import PROVIDERS, on_a_gpu

pytestmark = on_a_gpu
NETS = {"lenet5": 32, "resnet18": 64, "xception": 96, "vgg16": 64}
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


@each_provider
@pytest.mark.parametrize("name", NETS)
def test_networks_equal_pytorch(name, provider):
    from pycnn.references import get_reference

    net = getattr(pycnn.models, name)()
    size = NETS[name]
    x = np.random.default_rng().standard_normal((2, 1 if name == "lenet5" else 3, size, size))
    report = compare_torch(net, get_reference(name), x, provider=provider, device="cuda")
    assert report, report.problems


def training(seed: int, provider: str) -> list[np.ndarray]:
    pycnn.manual_seed(seed)
    net = pycnn.models.resnet18(width=0.25, num_classes=10).to("cuda")
    optimizer = pycnn.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        x = pycnn.from_numpy(rng.standard_normal((8, 3, 64, 64)).astype(np.float32)).to("cuda")
        target = pycnn.from_numpy(rng.integers(0, 10, 8)).to("cuda")
        with pycnn.using(provider):
            optimizer.zero_grad()
            F.cross_entropy(net(x), target).backward()
            optimizer.step()
    return [p.detach().to("cpu").numpy() for p in net.parameters()]


@each_provider
def test_training_twice_gives_the_same_bits(provider):
    for a, b in zip(training(1, provider), training(1, provider), strict=True):
        np.testing.assert_array_equal(a, b)


@each_provider
def test_a_second_stream(provider):
    """Launches follow CuPy's current stream: work on one is not seen half done on the other."""
    import cupy

    x = pycnn.randn(8, 64, 56, 56).to("cuda")
    w = pycnn.randn(64, 64, 3, 3).to("cuda")
    with pycnn.using(provider):
        expected = F.conv2d(x, w, padding=1).to("cpu").numpy()
        stream = cupy.cuda.Stream(non_blocking=True)
        cupy.cuda.get_current_stream().synchronize()
        for _ in range(10):
            with stream:
                y = F.conv2d(x, w, padding=1)
            F.conv2d(x * 2, w, padding=1)
            stream.synchronize()
            np.testing.assert_array_equal(y.to("cpu").numpy(), expected)


# Functions of each image alone, whose result has the same bits in any batch.
LARGE: dict[str, Callable[[pycnn.Tensor], pycnn.Tensor]] = {
    "elementwise": lambda x: F.relu(x),
    "add_activation": lambda x: F.add_activation(x, x),
    "concat": lambda x: pycnn.cat([x, x[:, :1]], 1),
    "reduce": lambda x: x.amax((1, 2, 3)),
    "softmax": lambda x: F.softmax(x, 1),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "batch_norm": lambda x: F.batch_norm(x, *per_channel(x)),
    "local_response_norm": lambda x: F.local_response_norm(x, 3),
    "resize2d": lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear"),
    "unfold": lambda x: F.unfold(x, 1),
}


def per_channel(x: pycnn.Tensor) -> tuple[pycnn.Tensor, pycnn.Tensor]:
    """A mean and a variance."""
    import cupy

    numbers = cupy.arange(x.shape[1], dtype=np.float16)
    return pycnn.Tensor._wrap(numbers), pycnn.Tensor._wrap(numbers + 1)


@each_provider
@pytest.mark.parametrize("family", LARGE)
def test_more_than_two_to_the_31_elements(family, provider):
    """The last of 2**18 + 1 images of 8192 elements is what it is alone."""
    import cupy

    shape = (2**18 + 1, 8, 32, 32)
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free + cupy.get_default_memory_pool().free_bytes() < 5 * int(np.prod(shape)):
        pytest.skip("the GPU has no room for them")
    images = cupy.zeros(shape, np.float16)
    images[-1] = cupy.random.default_rng(1).standard_normal(shape[1:], np.float32)
    with pycnn.no_grad(), pycnn.using(provider):
        many = LARGE[family](pycnn.Tensor._wrap(images))._data[-1].get()
        alone = LARGE[family](pycnn.Tensor._wrap(images[-1:].copy()))._data[0].get()
    cupy.get_default_memory_pool().free_all_blocks()
    np.testing.assert_array_equal(many, alone)
    assert np.isfinite(alone.astype(np.float32)).all() and alone.any()
