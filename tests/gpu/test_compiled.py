"""Compiled kernels on a GPU, beyond the cases: whole networks, streams, repetition, size."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn import array
from pycnn import functional as F
from pycnn.testing import compare_torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(array.gpu_status() is not None, reason=str(array.gpu_status())),
]
NETS = {"lenet5": 32, "resnet18": 64, "xception": 96, "vgg16": 64}


@pytest.mark.parametrize("name", NETS)
def test_networks_equal_pytorch(name):
    from pycnn.references import get_reference

    net = getattr(pycnn.models, name)()
    size = NETS[name]
    x = np.random.default_rng().standard_normal((2, 1 if name == "lenet5" else 3, size, size))
    report = compare_torch(net, get_reference(name), x, provider="triton", device="cuda")
    assert report, report.problems


def training(seed: int) -> list[np.ndarray]:
    pycnn.manual_seed(seed)
    net = pycnn.models.resnet18(width=0.25, num_classes=10).to("cuda")
    optimizer = pycnn.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        x = pycnn.from_numpy(rng.standard_normal((8, 3, 64, 64)).astype(np.float32)).to("cuda")
        target = pycnn.from_numpy(rng.integers(0, 10, 8)).to("cuda")
        with pycnn.using("triton"):
            optimizer.zero_grad()
            F.cross_entropy(net(x), target).backward()
            optimizer.step()
    return [p.detach().to("cpu").numpy() for p in net.parameters()]


def test_training_twice_gives_the_same_bits():
    for a, b in zip(training(1), training(1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_second_stream():
    """Launches follow CuPy's current stream: work on one is not seen half done on the other."""
    import cupy

    x = pycnn.randn(8, 64, 56, 56).to("cuda")
    w = pycnn.randn(64, 64, 3, 3).to("cuda")
    with pycnn.using("triton"):
        expected = F.conv2d(x, w, padding=1).to("cpu").numpy()
        stream = cupy.cuda.Stream(non_blocking=True)
        cupy.cuda.get_current_stream().synchronize()
        for _ in range(10):
            with stream:
                y = F.conv2d(x, w, padding=1)
            F.conv2d(x * 2, w, padding=1)
            stream.synchronize()
            np.testing.assert_array_equal(y.to("cpu").numpy(), expected)


def test_more_than_two_to_the_31_elements():
    count = 2**31 + 4096
    if pycnn.cuda.memory_stats()["free"] < 3 * count:
        pytest.skip("the GPU has no room for them")
    import cupy

    a = cupy.zeros(count, np.float16)
    a[-3:] = 2
    with pycnn.using("triton"):
        y = F.relu(pycnn.Tensor._wrap(a))
    assert y._data[-3:].get().tolist() == [2, 2, 2]
    assert float(y._data[:-3].max()) == 0
