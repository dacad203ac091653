"""SegNet and DeconvNet: odd sizes, places of the maxima, start, refused images."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn import nn
from pycnn.models import get_model
from pycnn.references import get_reference
from pycnn.testing import compare_torch

SMALL = {"width": 0.0625, "num_classes": 4}


@pytest.mark.parametrize(
    "name, shape",
    [("segnet", (2, 3, 45, 34)), ("segnet", (2, 3, 33, 1)), ("deconvnet", (1, 3, 193, 226))],
)
def test_odd_sizes(name, shape):
    net, reference = (build(name, **SMALL).eval() for build in (get_model, get_reference))
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    report = compare_torch(net, reference, x, float32=False).check()
    assert report.rows[0].shape == (shape[0], 4, *shape[2:])


@pytest.mark.parametrize("name, size", [("segnet", 40), ("deconvnet", 200)])
def test_values_return_to_the_places_of_the_maxima(name, size, monkeypatch):
    """Every unpooling has the places of the pooling of its own level, and that level's size."""
    pooled, unpooled = [], []
    net = get_model(name, **SMALL).eval()
    net.pool.register_forward_hook(lambda m, a, y: pooled.append((y[1], a[0].shape[2:])))
    original = F.max_unpool2d

    def unpool(x, indices, kernel, output_size):
        y = original(x, indices, kernel, output_size=output_size)
        unpooled.append((indices, y.shape[2:]))
        return y

    monkeypatch.setattr(F, "max_unpool2d", unpool)
    net(pycnn.randn(1, 3, size, size))
    assert len(pooled) == len(unpooled) == 5
    for (before, size_before), (after, size_after) in zip(pooled, reversed(unpooled)):
        assert before is after and size_before == size_after


@pytest.mark.slow
@pytest.mark.usefixtures("no_random_start")
def test_segnet_at_its_own_size():
    """360 x 480, where Caffe's pooling of 45 rows leaves 23: 106.7 billion multiply-adds."""
    found = pycnn.summary(get_model("segnet"), (1, 3, 360, 480))
    assert found.macs == 106_712_432_640
    assert found.rows[-1].output_shape == (1, 11, 360, 480)
    pools = [row.output_shape[0][2:] for row in found.rows if row.kind == "MaxPool2d"]
    assert pools == [(180, 240), (90, 120), (45, 60), (23, 30), (12, 15)]


@pytest.fixture
def no_random_start(monkeypatch):
    for name in ("normal_", "uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


def test_starts():
    """SegNet's is He's; DeconvNet's new layers have a standard deviation of 0.01."""
    segnet, deconvnet = (get_model(name, width=0.125) for name in ("segnet", "deconvnet"))
    for layer, expected in [
        (segnet.conv2_2_D, np.sqrt(2 / (9 * 16))),
        (deconvnet.deconv4_1, 0.01),
        (deconvnet.fc6_deconv, 0.01),
    ]:
        assert abs(layer.weight.detach().numpy().std() / expected - 1) < 0.1
        assert not layer.bias.detach().numpy().any()


def test_bad_images_are_refused():
    segnet, deconvnet = (get_model(name, **SMALL) for name in ("segnet", "deconvnet"))
    for net in (segnet, deconvnet):
        for shape in ((1, 4, 224, 224), (3, 224, 224)):
            with pytest.raises(ValueError, match=r"x: got shape .* expected \(N, 3, H, W\)"):
                net(pycnn.zeros(*shape))
    with pytest.raises(ValueError, match="x: got 192 pixels, expected at least 193"):
        deconvnet(pycnn.zeros(1, 3, 224, 192))
