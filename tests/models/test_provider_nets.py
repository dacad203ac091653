"""Networks trained on the GPU providers' kernels alone, on a CPU: Triton's interpreted, CUDA's
emulated. In float64 they equal the reference."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn.config import cuda_modules
from pycnn.kernels import mode
from pycnn.models import get_model, model_entry
from pycnn.references import get_reference
from pycnn.testing import compare_torch

from .networks import FIRST, inputs, randomise, reduced

_TRITON_RUNS_HERE = mode.why_not() is None and mode.wanted() == mode.INTERPRETED
PROVIDERS = {
    "triton": pytest.mark.skipif(
        not _TRITON_RUNS_HERE, reason=mode.why_not() or "kernels are compiled, for the GPU"
    ),
    "cuda": pytest.mark.skipif("cpu" not in cuda_modules(), reason="no emulator was built"),
}

# name -> (constructor's arguments, channels, size)
NETS = {
    "lenet5": ({}, 1, 32),
    "resnet18": ({"width": 0.0625, "num_classes": 5}, 3, 32),
    "xception": ({"width": 0.0625, "num_classes": 5}, 3, 32),
}


def step(name: str, provider: str) -> tuple[list[np.ndarray], set[str]]:
    """The loss, every gradient and every parameter after one step of SGD; who ran."""
    arguments, channels, size = NETS[name]
    pycnn.manual_seed(3)
    net = getattr(pycnn.models, name)(**arguments).double()
    for module in net.modules():
        if isinstance(module, pycnn.nn.Dropout):
            module.p = 0.0
    rng = np.random.default_rng(5)
    x = pycnn.from_numpy(rng.standard_normal((2, channels, size, size)))
    target = pycnn.from_numpy(rng.integers(0, 5, 2))
    optimizer = pycnn.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    with pycnn.using(provider), pycnn.trace() as trace:
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
    found = [loss.detach().numpy()]
    for p in net.parameters():
        assert p.grad is not None
        found += [p.grad.numpy(), p.detach().numpy()]
    return found, {record.provider for record in trace.records}


# interpreted, the larger ones take half a minute
SLOW = {("triton", "resnet18"), ("triton", "xception")}


@pytest.mark.parametrize(
    "name, provider",
    [
        pytest.param(
            name,
            provider,
            marks=[mark, *([pytest.mark.slow] if (provider, name) in SLOW else [])],
        )
        for provider, mark in PROVIDERS.items()
        for name in NETS
    ],
)
def test_a_training_step(name: str, provider: str) -> None:
    got, ran = step(name, provider)
    assert ran <= {provider, "array"}
    expected, _ = step(name, "reference")
    scale = max(np.linalg.norm(g) for g in expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert np.linalg.norm(a - b) <= 1e-9 * max(np.linalg.norm(b), 1e-6 * scale)


# What Triton's interpreter runs in a minute each; larger ones take minutes.
INTERPRETED = (
    "alexnet", "conv_autoencoder", "lenet5", "mobilenet_v2", "nin_cifar10",
    "resnet20", "shufflenet_v2_x0_5", "squeezenet1_0",
)  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name, provider",
    [
        pytest.param(name, provider, marks=[mark, *([pytest.mark.slow] * (provider == "triton"))])
        for provider, mark in PROVIDERS.items()
        for name in (INTERPRETED if provider == "triton" else sorted(FIRST.values()))
    ],
)
def test_a_family_equals_pytorch(name: str, provider: str) -> None:
    """One network of each family, small, on one image, on the provider's kernels and no others."""
    entry = model_entry(name)
    net, reference = get_model(name, **reduced(entry)), get_reference(name, **reduced(entry))
    randomise(reference, 4)
    batch = inputs(entry, 1, entry.reduced.size)
    with pycnn.trace() as trace:
        compare_torch(net.eval(), reference.eval(), batch, float32=False, provider=provider).check()
    assert {r.provider for r in trace.records} <= {provider, "array"}


@PROVIDERS["cuda"]
def test_a_full_size_network_runs_on_the_emulator():
    """ResNet-18 at 224 x 224, through the tiled convolution: 1.8 billion multiply-adds."""
    torch = pytest.importorskip("torch")
    reference = get_reference("resnet18").eval()
    net = pycnn.models.resnet18().eval()
    net.load_state_dict(reference.state_dict())
    x = np.random.default_rng(7).standard_normal((1, 3, 224, 224)).astype(np.float32)
    with pycnn.using("cuda", "implicit_gemm"), pycnn.trace() as trace, pycnn.no_grad():
        y = net(pycnn.from_numpy(x)).numpy()
    assert {r.provider for r in trace.records} <= {"cuda", "array"}
    convolutions = [r for r in trace.records if r.primitive == "conv2d_fprop"]
    assert len(convolutions) == 20
    assert {r.algorithm for r in convolutions} == {"implicit_gemm"}
    with torch.no_grad():
        theirs = reference(torch.from_numpy(x)).numpy()
        exact = reference.double()(torch.from_numpy(x).double()).numpy()
    assert np.linalg.norm(y - exact) <= 4 * np.linalg.norm(theirs - exact)
