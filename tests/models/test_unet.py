"""U-Net: its sizes, crops, options and start."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pycnn
from pycnn import nn
from pycnn.models import get_model
from pycnn.models.unet import Up
from pycnn.references import get_reference
from pycnn.testing import compare_torch

SMALL = {"width": 0.0625, "num_classes": 3}


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(4).standard_normal(shape).astype(np.float32)


def test_layers_and_sizes_of_figure_1():
    """572 to 388 through 23 convolutions, and the crops of its four skips."""
    net = get_model("unet", width=0.01).eval()
    weighted = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    assert len(weighted) == 23
    rows = pycnn.summary(net, (1, 1, 572, 572)).rows
    kinds = ("Conv2d", "ConvTranspose2d", "MaxPool2d")
    sides = [row.output_shape[2] for row in rows if row.kind in kinds]
    down = [570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28]
    up = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388]
    assert sides == down + up


@pytest.mark.parametrize(
    "options, shape",
    [
        ({"up_relu": True}, (1, 1, 188, 204)),
        ({"batch_norm": True, "bilinear": True}, (2, 1, 188, 188)),
        ({"padded": True}, (1, 1, 37, 21)),
        ({"padded": True, "bilinear": True}, (1, 1, 16, 33)),
        ({"padded": True, "batch_norm": True, "channels": 3}, (2, 3, 33, 47)),
    ],
)
def test_options_equal_the_reference(options, shape):
    net, reference = (build("unet", **options, **SMALL) for build in (get_model, get_reference))
    compare_torch(net, reference, images(*shape), float32=False).check()


def test_skips_are_cropped_in_their_middle():
    net = get_model("unet", **SMALL)
    pixels = pycnn.arange(8 * 10 * 12, dtype=pycnn.float32).reshape(1, 8, 10, 12)
    seen = []
    up = net.up4
    up.up.register_forward_hook(lambda m, a, y: y * 0)
    up.conv.register_forward_hook(lambda m, a, y: seen.append(a[0]))
    assert isinstance(up, Up)
    with pycnn.no_grad():
        up(pycnn.zeros(1, up.up.in_channels, 3, 4), pixels)
    np.testing.assert_array_equal(seen[0].numpy()[:, :8], pixels.numpy()[:, :, 2:8, 2:10])
    assert not seen[0].numpy()[:, 8:].any()


def test_start():
    """Section 3: the standard deviation is sqrt(2 / N), N the inputs of a unit; no bias."""
    net = get_model("unet", width=0.25)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            taps = 1 if module.kernel_size == (2, 2) else math.prod(module.kernel_size)
            wanted = math.sqrt(2 / (module.in_channels * taps))
            if module.weight.numel() > 1000:
                assert abs(module.weight.detach().numpy().std() / wanted - 1) < 0.1
            assert not module.bias.detach().numpy().any()


def test_the_two_lowest_levels_drop_out():
    net = get_model("unet", **SMALL)
    calls = []
    net.dropout.register_forward_hook(lambda m, a, y: calls.append(a[0].shape))
    net(pycnn.zeros(1, 1, 188, 188))
    assert [shape[1:] for shape in calls] == [(32, 16, 16), (64, 4, 4)]


@pytest.mark.parametrize("size, near", [(187, "188"), (572 + 8, "572 or 588"), (64, "188")])
def test_uneven_sizes_are_refused(size, near):
    net = get_model("unet", **SMALL)
    with pytest.raises(ValueError, match=f"x: got {size} pixels.* such as {near}$"):
        net(pycnn.zeros(1, 1, 572, size))


def test_other_bad_images_are_refused():
    with pytest.raises(ValueError, match=r"x: got shape .* expected \(N, 1, H, W\)"):
        get_model("unet", **SMALL)(pycnn.zeros(1, 3, 572, 572))
    with pytest.raises(ValueError, match="x: got 15 pixels, expected at least 16"):
        get_model("unet_padded", **SMALL)(pycnn.zeros(1, 3, 32, 15))
