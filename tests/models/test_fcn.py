"""FCN: its sizes and crops, fixed interpolation, and what it takes over from VGG-16."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn import nn
from pycnn.models import bilinear_, convolutionize, get_model
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

NAMES = ("fcn32s", "fcn16s", "fcn8s", "fcn8s_at_once")
SMALL = {"width": 0.0625, "num_classes": 4}


@pytest.mark.parametrize("name, fixed", list(zip(NAMES, (1_806_336, 458_640, 127_008, 127_008))))
def test_interpolation_is_fixed_as_published(name, fixed):
    """134,346,581, 134,357,354 and 134,362,751 of the parameters are trained."""
    net = get_model(name, width=0.0625)
    assert sum(p.numel() for p in net.parameters() if not p.requires_grad) == fixed
    learned = get_model(name, width=0.0625, fixed_upsampling=False)
    assert all(p.requires_grad for p in learned.parameters())
    x = pycnn.randn(1, 3, 9, 9)
    net(x).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in net.parameters())


def test_sizes_at_500_pixels():
    rows = pycnn.summary(get_model("fcn8s", width=0.01), (1, 3, 500, 500)).rows
    sides: dict[str, list[int]] = {}
    for row in rows:
        sides.setdefault(row.name, []).append(row.output_shape[2])
    assert sides["pool"] == [349, 175, 88, 44, 22]
    names = ("score_fr", "upscore2", "upscore_pool4", "upscore8")
    assert [sides[name][0] for name in names] == [16, 34, 70, 568]


@pytest.mark.parametrize(
    "name, size", [("fcn32s", (1, 1)), ("fcn16s", (20, 43)), ("fcn8s", (1, 1)), ("fcn8s", (8, 33))]
)
def test_images_of_any_size(name, size):
    net, reference = (build(name, **SMALL).eval() for build in (get_model, get_reference))
    x = np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)
    report = compare_torch(net, reference, x, float32=False).check()
    assert report.rows[0].shape == (1, 4, *size)


@pytest.mark.parametrize("kernel, stride", [(4, 2), (16, 8), (64, 32), (3, 2)])
def test_bilinear_weights_interpolate(kernel, stride):
    """Inside the maps they do what F.interpolate does; at the edge they fade."""
    layer = nn.ConvTranspose2d(2, 2, kernel, stride, kernel // 4 + kernel % 2, bias=False)
    bilinear_(layer.weight)
    weight = layer.weight.detach().numpy()
    assert not weight[0, 1].any() and not weight[1, 0].any()
    x = pycnn.randn(1, 2, 5, 6)
    up = layer(x).detach().numpy()
    if kernel % 2:  # corners aligned
        expected = nn.functional.interpolate(x, up.shape[2:], mode="bilinear", align_corners=True)
        inside = slice(None)
    else:
        expected = nn.functional.interpolate(x, scale_factor=stride, mode="bilinear")
        inside = slice(stride // 2, -(stride // 2))
        assert np.abs(up - expected.numpy()).max() > 1e-3
    found = up[:, :, inside, inside]
    np.testing.assert_allclose(found, expected.numpy()[:, :, inside, inside], atol=1e-5)


def test_bilinear_needs_square_weights():
    with pytest.raises(ValueError, match=r"weight: got shape \[2, 3, 4, 4\]"):
        bilinear_(pycnn.zeros(2, 3, 4, 4))


def test_at_once_is_8s_with_smaller_scores():
    """Scaling a pool by 0.01 or 0.0001 is scaling the weights that score it."""
    reference = get_reference("fcn8s", **SMALL)
    once, plain = (get_model(name, **SMALL).double().eval() for name in ("fcn8s_at_once", "fcn8s"))
    for net in (once, plain):
        net.load_state_dict(reference.double().state_dict())
    x = pycnn.randn(1, 3, 20, 30).double()
    assert np.abs(once(x).detach().numpy() - plain(x).detach().numpy()).max() > 1e-6
    with pycnn.no_grad():
        plain.score_pool4.weight.copy_(plain.score_pool4.weight * 0.01)
        plain.score_pool3.weight.copy_(plain.score_pool3.weight * 0.0001)
    np.testing.assert_allclose(once(x).detach().numpy(), plain(x).detach().numpy(), atol=1e-12)


def test_scores_start_at_zero_and_dropout_drops():
    net = get_model("fcn16s", **SMALL)
    x = pycnn.randn(1, 3, 16, 16)
    assert not net(x).detach().numpy().any()
    net.load_state_dict(get_reference("fcn16s", **SMALL).state_dict())
    first, second = net(x).detach().numpy(), net(x).detach().numpy()
    assert np.abs(first - second).max() > 0
    net.eval()
    np.testing.assert_array_equal(net(x).detach().numpy(), net(x).detach().numpy())


def test_vgg16_is_taken_over():
    """fc6 and fc7 are VGG's linear layers, convolutionized."""
    classifier = get_model("vgg16", width=0.0625, num_classes=7)
    net = get_model("fcn32s", **SMALL)
    net.load_vgg16(classifier.state_dict())
    sliding = convolutionize(classifier)
    pairs = [(net.fc6, sliding.classifier[0]), (net.fc7, sliding.classifier[3])]
    pairs += [(net.conv1_1, sliding.features[0]), (net.conv5_3, sliding.features[-2])]
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine.weight.detach().numpy(), theirs.weight.detach().numpy())
        np.testing.assert_array_equal(mine.bias.detach().numpy(), theirs.bias.detach().numpy())
    with pytest.raises(KeyError, match="8 convolutions, expected 13"):
        net.load_vgg16(get_model("vgg11", width=0.0625).state_dict())
    with pytest.raises(ValueError, match="features.5.weight: got shape .* expected .8, 8, 3, 3"):
        net.load_vgg16(get_model("vgg16", width=0.125).state_dict())


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 8, 8), (1, 3, 0, 8)])
def test_bad_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"x: got shape .* expected \(N, 3, H, W\)"):
        get_model("fcn32s", **SMALL)(pycnn.zeros(*shape))
