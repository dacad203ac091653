"""Options that turn a network into what another library publishes under the same name: the weights
fit all forms, the outputs do not."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model
from pycnn.models.mobile import SameConv2d
from pycnn.models.residual import ZeroPadShortcut
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

# name, width, options, image: even and odd sides, so that both kinds of padding occur
FORMS = [
    ("nin_cifar10", 0.125, {"padded_pools": True}, (32, 17)),
    ("nin_imagenet", 0.125, {"padded_pools": True}, (100, 83)),
    ("mobilenet_v2", 0.25, {"keras": True}, (64, 49)),
    ("efficientnet_b0", 0.25, {"keras": True}, (64, 49)),
    ("efficientnet_b5", 0.125, {"eps": 1e-5}, (33, 40)),
    ("efficientnet_b0", 0.25, {"keras": True, "eps": 1e-2}, (33, 40)),
    ("shufflenet_v2_x1_0", 0.25, {"ceil_pool": True}, (64, 51)),
    ("squeezenet1_0", 0.25, {"caffe": True}, (47, 64)),
    ("resnet18", 0.125, {"ceil_pool": True}, (48, 41)),
    ("resnet50", 0.125, {"ceil_pool": True, "v1": True}, (48, 41)),
    ("resnet18", 0.125, {"shortcut": "A-middle"}, (48, 41)),
    ("resnet20", 0.5, {"shortcut": "A-middle"}, (16, 21)),
    ("resnet110_stochastic_depth", 0.5, {"shortcut": "A-middle"}, (8, 9)),
    ("preact_resnet18", 0.125, {"stem_norm": True}, (48, 41)),
    ("preact_resnet164", 0.5, {"stem_norm": True}, (8, 9)),
]


def form_name(form):
    name, _, options, _ = form
    return "-".join([name, *(f"{k}_{v}" for k, v in options.items())])


def images(size, batch=2):
    return np.random.default_rng(5).standard_normal((batch, 3, *size)).astype(np.float32)


@pytest.mark.parametrize("form", FORMS, ids=form_name)
def test_a_published_form_equals_its_reference(form):
    name, width, options, size = form
    torch.manual_seed(1)
    arguments = {"width": width, "num_classes": 4, **options}
    net, reference = get_model(name, **arguments), get_reference(name, **arguments)
    compare_torch(net, reference, images(size), float32_gradients=False).check()
    compare_torch(net.eval(), reference.eval(), images(size), float32_gradients=False).check()


@pytest.mark.parametrize("form", FORMS, ids=form_name)
def test_published_forms_differ_in_outputs(form):
    name, width, options, size = form
    pycnn.manual_seed(2)
    common = {"width": width, "num_classes": 4}
    before = {"shortcut": "A"} if "shortcut" in options else {}
    usual = get_model(name, **common, **before).eval()
    other = get_model(name, **common, **options).eval()
    if "stem_norm" not in options:  # which has parameters of its own
        other.load_state_dict(usual.state_dict())
    x = pycnn.from_numpy(images(size))
    a, b = (net.double()(x.double()).detach().numpy() for net in (usual, other))
    assert a.shape == b.shape
    assert np.abs(a - b).max() > 1e-9 * np.abs(a).max()


@pytest.mark.parametrize("kernel, stride", [(3, 2), (5, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("size", [(8, 8), (7, 8), (9, 5), (1, 2)])
def test_same_padding_is_tensorflow_s(kernel, stride, size):
    conv = SameConv2d(2, 4, kernel, stride, groups=2, bias=True)
    x = np.random.default_rng(0).standard_normal((2, 2, *size)).astype(np.float32)
    # "same": ceil(n / stride) outputs; the zeros that takes are split evenly, the odd one behind
    ends = []
    for n in size:
        zeros = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        ends.append((zeros // 2, zeros - zeros // 2))
    padded = torch.from_numpy(np.pad(x, [(0, 0), (0, 0), *ends]))
    weight, bias = (torch.from_numpy(p.detach().numpy().copy()) for p in conv.parameters())
    expected = torch.nn.functional.conv2d(padded, weight, bias, stride, groups=2)
    found = conv(pycnn.from_numpy(x)).detach().numpy()
    assert found.shape[2:] == tuple(-(-n // stride) for n in size)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_keras_s_batch_norm():
    for name, momentum in (("mobilenet_v2", 0.001), ("efficientnet_b0", 0.01)):
        for build in (get_model, get_reference):
            net = build(name, keras=True, width=0.25)
            norms = [m for m in net.modules() if type(m).__name__.startswith("BatchNorm")]
            assert {(m.eps, m.momentum) for m in norms} == {(1e-3, momentum)}


def test_an_epsilon_is_positive():
    for eps in (0, -1e-3, float("nan")):
        with pytest.raises(ValueError, match="eps must be positive, got"):
            get_model("efficientnet_b0", width=0.25, eps=eps)


def test_zeros_at_both_ends_keep_the_maps_in_the_middle():
    x = pycnn.randn(1, 4, 5, 6)
    y = ZeroPadShortcut(4, 9, 2, middle=True)(x).numpy()
    np.testing.assert_array_equal(y[:, 2:6], x.numpy()[:, :, ::2, ::2])
    assert y.shape == (1, 9, 3, 3) and not y[:, :2].any() and not y[:, 6:].any()


def test_preactivation_s_other_stem_has_two_parameters_a_channel_more():
    def count(**options):
        return sum(p.numel() for p in get_model("preact_resnet18", **options).parameters())

    assert count(stem_norm=True) == count() + 128
