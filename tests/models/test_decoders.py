"""The generator of chairs, and the encoder-decoder with every way to enlarge maps."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
import pycnn.functional as F
from pycnn.models import get_model
from pycnn.models.chairs import generation_loss
from pycnn.models.encoder_decoder import UPSAMPLINGS
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("kind", UPSAMPLINGS)
def test_every_way_to_enlarge_equals_torch_also_at_odd_sizes(kind, skips):
    arguments = {
        "num_classes": 3, "upsampling": kind, "skips": skips, "planes": (8, 16), "width": 1.0,
    }  # fmt: skip
    net = get_model("encoder_decoder", **arguments)
    reference = get_reference("encoder_decoder", **arguments)
    images = np.random.default_rng(0).standard_normal((2, 3, 21, 14)).astype(np.float32)
    report = compare_torch(net, reference, images).check()
    assert net(pycnn.from_numpy(images)).shape == (2, 3, 21, 14)
    names = {row.name for row in report.rows if row.kind == "gradient"}
    assert ("enlarge.0.up.weight" in names) == (kind == "transposed")


def test_the_ways_to_enlarge_differ():
    images = pycnn.randn(1, 3, 16, 16)
    state, outputs = None, {}
    for kind in UPSAMPLINGS:
        net = get_model("encoder_decoder", width=0.125, num_classes=2, upsampling=kind).eval()
        if state is None:
            state = net.state_dict()
        net.load_state_dict(state, strict=kind != "transposed")
        outputs[kind] = net(images).detach().numpy()
    for a in UPSAMPLINGS:
        for b in UPSAMPLINGS:
            assert a == b or np.abs(outputs[a] - outputs[b]).max() > 1e-4, (a, b)


def test_unknown_arguments_are_named():
    with pytest.raises(ValueError, match="upsampling must be one of nearest, .* got 'cubic'"):
        get_model("encoder_decoder", upsampling="cubic")
    for planes in ((), (8, 0)):
        with pytest.raises(ValueError, match="planes must be"):
            get_model("encoder_decoder", planes=planes)


# --- chairs ---------------------------------------------------------------------------------------


def test_the_chairs_have_the_sizes_of_figure_2():
    net = get_model("chairs_decoder", num_classes=809, width=0.125)  # all an eighth
    shapes = {}
    for name, module in net.named_modules():
        module.register_forward_hook(
            lambda module, args, y, name=name: (
                shapes.update({name: y.shape}) if isinstance(y, pycnn.Tensor) else None
            )
        )
    with pycnn.no_grad():
        rgb, segm = net(pycnn.zeros(1, 809), pycnn.zeros(1, 4), pycnn.zeros(1, 28))
    assert (rgb.shape, segm.shape) == ((1, 3, 128, 128), (1, 1, 128, 128))
    for branch in ("c", "v", "theta"):
        assert shapes[f"fc1_{branch}"] == shapes[f"fc2_{branch}"] == (1, 512 // 8)
    assert shapes["fc3"] == shapes["fc4"] == (1, 1024 // 8)
    assert shapes["rgb.fc5"] == (1, 8 * 8 * 256 // 8)
    sides = [shapes[f"rgb.uconv{i}"][2] for i in (1, 2, 3, 4)]
    assert sides == [16, 32, 64, 128]
    assert all(module.kernel_size == (5, 5) for module in net.modules()
               if isinstance(module, pycnn.nn.Conv2d))  # fmt: skip


def test_a_one_hot_style_is_a_row_of_the_first_layer():
    net = get_model("chairs_decoder", width=0.0625, num_classes=6).eval()
    style = pycnn.zeros(1, 6)
    style[0, 4] = 1.0
    hidden = net.fc1_c(style).detach().numpy()
    row = net.fc1_c.weight.detach().numpy()[:, 4] + net.fc1_c.bias.detach().numpy()
    np.testing.assert_allclose(hidden[0], row, rtol=1e-6)


def test_the_loss_weighs_pixels_ten_times():
    rng = np.random.default_rng(0)
    a, b, c, d = (pycnn.from_numpy(rng.standard_normal((2, n, 4, 4))) for n in (3, 1, 3, 1))
    expected = (10 * ((a - c) ** 2).sum() + ((b - d) ** 2).sum()) / 2
    np.testing.assert_allclose(generation_loss(a, b, c, d).numpy(), expected.numpy(), rtol=1e-12)


# --- unpooling by fixed position ------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, (6, 12), (7, 13), (5, 10), (2, 3, 7, 11)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_fixed_unpooling_writes_to_corners(size, channels_last):
    x = np.random.default_rng(1).standard_normal((2, 3, 3, 4))
    ours = pycnn.from_numpy(x.copy())
    if channels_last:
        ours = ours.to(memory_format=pycnn.channels_last)
    ours.requires_grad_()
    y = F.fixed_unpool2d(ours, (2, 3), size)
    height, width = (6, 12) if size is None else size[-2:]
    expected = np.zeros((2, 3, height, width))
    for p, q in np.ndindex(3, 4):
        expected[:, :, 2 * p, 3 * q] = x[:, :, p, q]
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    dy = np.random.default_rng(2).standard_normal(expected.shape)
    y.backward(pycnn.from_numpy(dy))
    np.testing.assert_array_equal(ours.grad.numpy(), dy[:, :, :6:2, :12:3][:, :, :3, :4])


def test_fixed_unpooling_of_an_image_and_what_it_refuses():
    assert F.fixed_unpool2d(pycnn.ones(1, 2, 2), 2).tolist() == [
        [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    ]
    assert repr(pycnn.nn.FixedUnpool2d(2)) == "FixedUnpool2d(kernel_size=(2, 2))"
    with pytest.raises(ValueError, match="output_size"):
        F.fixed_unpool2d(pycnn.ones(1, 2, 2), 2, (8, 4))
    with pytest.raises(RuntimeError, match="3d or 4d"):
        F.fixed_unpool2d(pycnn.ones(2, 2), 2)
