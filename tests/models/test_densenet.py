"""DenseNet with one buffer per block, and the published differences between depths."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model

SMALL = {"width": 0.25, "num_classes": 4}


@pytest.mark.parametrize("name, size", [("densenet121", 64), ("densenet40_k12", 12)])
@pytest.mark.parametrize("training", [True, False])
def test_one_buffer_changes_neither_outputs_nor_gradients(name, size, training):
    x = pycnn.from_numpy(np.random.default_rng(0).standard_normal((2, 3, size, size)))
    found = []
    state = get_model(name, **SMALL).state_dict()
    for efficient in (False, True):
        net = get_model(name, memory_efficient=efficient, **SMALL).double()
        net.load_state_dict(state)
        net.train(training)
        images = x.clone().requires_grad_()
        y = net(images)
        (y * y).sum().backward()
        arrays = [y.detach(), images.grad, *(p.grad for p in net.parameters()), *net.buffers()]
        found.append([a.numpy() for a in arrays])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_one_buffer_holds_less():
    """What stays alive between forward and backward."""
    x = pycnn.randn(2, 3, 32, 32)
    held = []
    for efficient in (False, True):
        net = get_model("densenet40_k12", memory_efficient=efficient)
        before = pycnn.memory_stats()["allocated"]
        y = net(x)
        held.append(pycnn.memory_stats()["allocated"] - before)
        del y
    assert held[1] < 0.75 * held[0]


def test_layers_of_the_121_and_the_264():
    """117 + 3 + 1 = 121 layers with weights; the "264" has 265."""
    for name, layers in (("densenet121", 121), ("densenet264", 265)):
        net = get_model(name, width=0.25)
        kinds = (pycnn.nn.Conv2d, pycnn.nn.Linear)
        assert sum(isinstance(m, kinds) for m in net.modules()) == layers
