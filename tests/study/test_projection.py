"""Filters, activations, and the way back to the pixels against PyTorch and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycnn
from pycnn import nn
from pycnn.study import pictures
from pycnn.study.projection import (
    activations,
    as_input,
    first_filters,
    last_convolution,
    project,
    strongest,
    visualize,
)

CLOSE = 1e-5  # of the largest number: a few float32 sums, in another order than the other side's


def image(channels=3, size=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((channels, size, size)).astype(np.float32)


def weighted(net, seed=0):
    rng = np.random.default_rng(seed)
    for p in net.parameters():
        p.detach().copy_(pycnn.from_numpy(rng.standard_normal(p.shape).astype(np.float32)))
    return net


def test_by_hand():
    """1x1 filters, a 2x2 pool between: each value goes back times its filters, to where the maximum
    was, and what is negative at a ReLU stops there."""
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 1, 1, bias=False)
    )
    with pycnn.no_grad():
        net[0].weight.copy_(pycnn.tensor([-2.0, 1.0]).reshape(2, 1, 1, 1))
        net[3].weight.copy_(pycnn.tensor([3.0, -1.0]).reshape(1, 2, 1, 1))
    net[3].requires_grad_(False)
    x = np.array([[[1, -1, 0, 0], [-5, 4, 0, -1], [0, 0, 0, 0], [0, 0, 0, 0]]], np.float32)
    found = activations(net, x, "3")
    # the maxima are 10 = -2 * -5 and 4 of the first window, 2 = -2 * -1 and 0 of the second
    assert found.maps.tolist() == [[[3.0 * 10 - 4, 3.0 * 2], [0.0, 0.0]]]
    assert strongest(found) == [(0, 0, 0)]
    p = project(found, 0, 0, 0)
    expected = np.zeros((1, 4, 4))
    expected[0, 1, 0] = 26 * 3 * -2  # nothing at the 4, where -26 came to the ReLU
    assert p.pixels.tolist() == expected.tolist()
    assert (p.value, p.box) == (26.0, (0, 0, 2, 2))
    assert project(found, 0, 0, 1).box == (0, 2, 2, 4)
    assert [label for label, _ in found.steps] == [
        "convolution 1x2x2x2 -> 1, 1x1 stride 1x1",
        "max pool 1x2x4x4 -> 2x2, 2x2 stride 2x2 pad 0x0",
        "relu",
        "convolution 1x1x4x4 -> 2, 1x1 stride 1x1",
    ]


def plain():
    return weighted(
        nn.Sequential(
            nn.Conv2d(3, 6, 5, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1, groups=2), nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, dilation=2, padding=1), nn.ReLU(),
        )
    )  # fmt: skip


@pytest.mark.parametrize("layer", ["6", "5", "3", "2", "0"])
def test_it_is_the_gradient_whose_relus_look_at_the_gradient_alone(layer):
    torch = pytest.importorskip("torch")

    class Rectify(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clamp(min=0)

        @staticmethod
        def backward(context, dy):
            return dy.clamp(min=0)

    net, x = plain(), image()
    theirs = [
        torch.nn.Conv2d(3, 6, 5, 2, 1), None, torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(6, 8, 3, padding=1, groups=2), None,
        torch.nn.Conv2d(8, 8, 3, dilation=2, padding=1), None,
    ]  # fmt: skip
    value = inputs = torch.from_numpy(x[None].copy()).requires_grad_()
    for i, module in enumerate(theirs[: int(layer) + 1]):
        if hasattr(module, "weight"):
            module.weight.data = torch.from_numpy(net[i].weight.detach().numpy().copy())
            module.bias.data = torch.from_numpy(net[i].bias.detach().numpy().copy())
        value = module(value) if module is not None else Rectify.apply(value)
    found = activations(net, x, layer)
    maps = value[0].detach().numpy()
    np.testing.assert_allclose(found.maps, maps, rtol=0, atol=CLOSE * np.abs(maps).max())
    for place in strongest(found, 3):
        seed = torch.zeros_like(value)
        seed[0][place] = value[0][place].detach()
        (gradient,) = torch.autograd.grad(value, inputs, seed, retain_graph=True)
        p = project(found, *place)
        wanted = gradient[0].numpy()
        np.testing.assert_allclose(p.pixels, wanted, rtol=0, atol=CLOSE * np.abs(wanted).max())
        assert np.abs(wanted).max() > 0
        top, left, bottom, right = p.box
        outside = p.pixels.copy()
        outside[:, top:bottom, left:right] = 0
        assert not outside.any()


def test_a_relu_inside_the_convolution_is_one():
    class Fused(nn.Module):
        def __init__(self, parts):
            super().__init__()
            self.a, self.pool, self.b = parts[0], parts[2], parts[3]

        def forward(self, x):
            return self.b(self.pool(self.a(x, activation="relu")), activation="relu")

    apart = plain()[:5]
    x = image()
    one, two = activations(apart, x, "4"), activations(Fused(apart), x, "b")
    assert [label for label, _ in one.steps] == [label for label, _ in two.steps]
    for place in strongest(one, 3):
        wanted = project(one, *place).pixels
        got = project(two, *place).pixels
        np.testing.assert_allclose(got, wanted, rtol=0, atol=CLOSE * np.abs(wanted).max())


@pytest.mark.parametrize(
    "name, layer, size",
    # known receptive fields: ZFNet's and VGG-16's last maps, AlexNet's third
    [("zfnet", "conv5", 139), ("vgg16", "features.28", 196), ("alexnet", "features.6", 99)],
)
def test_real_networks_see_as_much_as_is_known(name, layer, size):
    pycnn.manual_seed(0)
    net = pycnn.models.get_model(name, width=0.125)
    x = image(size=224)
    found = activations(net, x, layer)
    p = project(found, *strongest(found)[0][:1], *(n // 2 for n in found.maps.shape[1:]))
    top, left, bottom, right = p.box
    assert bottom - top == right - left == size
    assert p.pixels.shape == x.shape
    # what lies outside does not matter, what lies inside does
    changed = x.copy()
    changed[:, :top], changed[:, bottom:] = 9, 9
    changed[:, :, :left], changed[:, :, right:] = -9, -9
    place = p.channel, p.row, p.column
    assert activations(net, changed, layer).maps[place] == pytest.approx(p.value, rel=CLOSE)
    changed = x.copy()
    changed[:, top + size // 3 : bottom - size // 3] *= -1
    assert activations(net, changed, layer).maps[place] != pytest.approx(p.value, rel=1e-2)


@pytest.mark.parametrize(
    "name", ["alexnet", "alexnet_2012", "caffenet", "zfnet", "vgg11", "vgg11_lrn", "nin_imagenet"]
)
def test_chains_go_back_from_their_last_convolution(name):
    pycnn.manual_seed(0)
    entry = pycnn.models.model_entry(name)
    net = entry.constructor(width=0.0625)
    size = entry.reduced.size
    found = activations(net, image(size=size), last_convolution(net))
    assert project(found, *strongest(found)[0]).pixels.shape == (3, size, size)
    undone = [label.split()[0] for label, _ in found.steps]
    assert undone.count("convolution") == sum(isinstance(m, nn.Conv2d) for m in net.modules())
    assert undone[-1] == "convolution"


@pytest.mark.parametrize(
    "name, layer, words",
    [
        ("resnet18", "layer1.0.conv2", "there is BatchNorm"),
        ("vgg11_bn", "features.4", "there is BatchNorm"),
        ("nin_cifar10", None, "there is AvgPool2d"),
        ("squeezenet1_1", "features.6.squeeze", "there is Concat"),
        ("squeezenet1_1", "classifier", "gave no maps"),
        ("alexnet", "classifier.1", "gave no maps"),
        (
            "alexnet",
            "features.99",
            "got 'features.99'; the convolutions are features.0, features.3",
        ),
        ("googlenet", "aux1.conv.conv", "did not run"),
    ],
)
def test_what_cannot_be_followed_is_an_error(name, layer, words):
    entry = pycnn.models.model_entry(name)
    net = entry.constructor(width=0.0625)
    x = image(size=entry.reduced.size)
    if words == "gave no maps" and name == "squeezenet1_1":
        net.classifier.append(nn.Flatten())
    with pytest.raises(ValueError, match=words):
        activations(net, x, layer or last_convolution(net))


def test_other_refusals():
    class Shortcut(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return self.conv(x, residual=x)

    with pytest.raises(ValueError, match="adds a shortcut"):
        activations(Shortcut(), image(), "conv")
    with pytest.raises(ValueError, match="ends in tanh"):
        activations(pycnn.models.lenet5(), image(1, 32), "c1")
    uneven = nn.Sequential(nn.Conv2d(3, 3, 2, padding="same"))
    with pytest.raises(ValueError, match="pads its sides unevenly"):
        activations(uneven, image(), "0")
    found = activations(plain(), image(), "0")
    with pytest.raises(ValueError, match=r"channel, row, column: got \(6, 0, 0\)"):
        project(found, 6, 0, 0)
    for function in (first_filters, last_convolution):
        with pytest.raises(ValueError, match="Sequential has no Conv2d"):
            function(nn.Sequential(nn.ReLU()))


def test_the_network_is_left_as_it_was():
    net = plain()
    net.append(nn.BatchNorm2d(8))
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    activations(net, image(), "5")
    assert all(m.training and not m._forward_hooks for m in net.modules())
    assert all((before[key] == value.numpy()).all() for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_photographs_become_inputs():
    entry = pycnn.models.model_entry
    photo = np.zeros((2, 2, 3), np.uint8)
    photo[0, 1] = (255, 0, 0)
    x = as_input(photo, entry("alexnet"))
    np.testing.assert_allclose(x[:, 0, 1], (np.array([1, 0, 0]) - [0.485, 0.456, 0.406])
                               / [0.229, 0.224, 0.225], rtol=1e-5)  # fmt: skip
    assert as_input(photo, entry("zfnet"))[:, 0, 1].tolist() == [1, -1, -1]
    assert as_input(photo, entry("lenet5")).shape == (1, 2, 2)
    with pytest.raises(ValueError, match="fast_rcnn_caffenet takes other than one photograph"):
        as_input(photo, entry("fast_rcnn_caffenet"))


def test_pictures_of_numbers():
    values = np.array([[[-2.0, 0.0]], [[1.0, 2.0]], [[0.0, 0.0]]])
    assert pictures.as_picture(values).tolist() == [[[0.0, 0.75, 0.5], [0.5, 1.0, 0.5]]]
    assert pictures.as_picture(values[:2])[0, 0].tolist() == [0.25] * 3
    assert (pictures.as_picture(np.zeros((3, 2, 2))) == 0.5).all()
    tiles = [np.full((2, 3), float(i)) for i in range(3)]
    whole = pictures.grid(tiles, 2, ground=-1.0)
    assert whole.shape == (5, 7)
    assert whole[:2, :3].max() == 0 and (whole[:2, 4:] == 1).all() and (whole[3:, :3] == 2).all()
    assert (whole[2] == -1).all() and (whole[:, 3] == -1).all() and (whole[3:, 4:] == -1).all()


def test_the_files(tmp_path):
    pytest.importorskip("matplotlib")
    photo = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    found = visualize(plain(), photo, image(), tmp_path / "new", count=2)
    assert found.layer == "5" and found.why_not is None and len(found.projections) == 2
    names = ["activations.png", "filters.png", "projection.png"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == names
    for path in found.files:
        assert Path(path).read_bytes().startswith(b"\x89PNG")
    net = nn.Sequential(*plain(), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
    found = visualize(net, photo, image(), tmp_path / "two")
    assert "there is BatchNorm" in found.why_not and found.projections == ()
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == names[:2]


def test_the_command(tmp_path):
    for needed in ("click", "rich", "matplotlib", "PIL"):
        pytest.importorskip(needed)
    from click.testing import CliRunner
    from PIL import Image

    from pycnn.cli import main

    def run(*arguments):
        return CliRunner().invoke(main, ["visualize", *map(str, arguments)])

    photo = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    options = ("--image", photo, "--size", 71, "--width", 0.125, "--out", tmp_path / "out")
    weights = tmp_path / "weights.npz"
    pycnn.save(pycnn.models.alexnet(width=0.125).state_dict(), weights)
    result = run("alexnet", *options, "--layer", "features.6", "--top", 2, "--weights", weights)
    assert result.exit_code == 0, result.output
    assert "alexnet, weights of weights.npz, features.6" in result.output
    assert result.output.count("channel") == 2
    assert len(list((tmp_path / "out").iterdir())) == 3
    result = run("resnet18", *options)
    assert result.exit_code == 1
    assert "resnet18, randomly initialised weights" in result.output
    assert "no projection: layer: layer4.1.conv2 cannot be followed back" in result.output
    result = run("alexnet", *options, "--image", tmp_path / "none.png")
    assert (
        result.exit_code == 1 and "none.png" in result.output and "Traceback" not in result.output
    )


def test_the_built_in_photograph():
    pytest.importorskip("skimage")
    from pycnn.demo import photograph

    assert photograph(32).shape == (32, 32, 3)
    assert photograph(32).std() > 20
