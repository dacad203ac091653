"""ResNet's options and what they share with the plain networks."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model
from pycnn.models.residual import ZeroPadShortcut
from pycnn.references import get_reference
from pycnn.testing import compare_torch

X = np.random.default_rng(3).standard_normal((2, 3, 40, 40)).astype(np.float32)
SMALL = {"width": 0.125, "num_classes": 4}


@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet18", {"shortcut": "A"}),
        ("resnet18", {"shortcut": "C"}),
        ("resnet50", {"v1": True}),
        ("resnet50", {"shortcut": "A"}),
        ("resnet50", {"shortcut": "C", "v1": True}),
    ],
)
def test_options_equal_the_reference(name, options):
    net, reference = (build(name, **SMALL, **options) for build in (get_model, get_reference))
    compare_torch(net, reference, X, float32_gradients=False).check()


def count(name, **options):
    return sum(p.numel() for p in get_model(name, **SMALL, **options).parameters())


def test_option_a_has_the_parameters_of_the_plain_network():
    for depth in (18, 34):
        assert count(f"resnet{depth}", shortcut="A") == count(f"plain{depth}")
    assert count("resnet18", shortcut="A") < count("resnet18") < count("resnet18", shortcut="C")


def test_v1_moves_the_stride_and_nothing_else():
    first, second = get_model("resnet50", **SMALL), get_model("resnet50", v1=True, **SMALL)
    second.load_state_dict(first.state_dict())
    for net, strides in ((first, (1, 2)), (second, (2, 1))):
        block = net.layer2[0]
        assert (block.conv1.stride[0], block.conv2.stride[0]) == strides
    x = pycnn.from_numpy(X)
    a, b = first.eval()(x), second.eval()(x)
    assert a.shape == b.shape
    assert not np.allclose(a.detach().numpy(), b.detach().numpy())
    macs = [pycnn.summary(net, (1, 3, 64, 64)).macs for net in (first, second)]
    assert macs[0] > macs[1]


def test_a_zero_padded_shortcut_is_an_identity():
    x = pycnn.randn(2, 3, 5, 5)
    y = ZeroPadShortcut(3, 7, 2)(x).numpy()
    np.testing.assert_array_equal(y[:, :3], x.numpy()[:, :, ::2, ::2])
    assert y.shape == (2, 7, 3, 3) and not y[:, 3:].any()


def test_an_unknown_shortcut_is_named():
    with pytest.raises(ValueError, match="shortcut must be one of A, A-middle, B, C, got .D."):
        get_model("resnet18", shortcut="D")
