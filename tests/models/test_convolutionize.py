"""Linear layers as convolutions: equal to the classifier, and to the classifier slid over a larger
image."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn import nn
from pycnn.models import convolutionize, get_model

# name -> width, the classifier's image, total stride
NETS = {
    "lenet5": (1.0, 32, 4),
    "lenet_tutorial": (1.0, 32, 4),
    "vgg11": (0.0625, 224, 32),
    "alexnet": (0.0625, 224, 32),
    "alexnet_2012": (0.0625, 227, 32),
    "caffenet": (0.0625, 227, 32),
    "zfnet": (0.0625, 224, 32),
}


def build(name: str):
    pycnn.manual_seed(7)
    net = get_model(name, width=NETS[name][0], num_classes=5).double().eval()
    for p in net.parameters():
        if p.ndim == 1:  # biases that begin at zero would hide their loss
            p.data.copy_(pycnn.randn(*p.shape).double() * 0.1)
    return net


def images(net, rows: int, columns: int, batch: int = 1):
    first = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
    rng = np.random.default_rng(0)
    return pycnn.from_numpy(rng.standard_normal((batch, first.in_channels, rows, columns)))


def assert_close(a, b) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)


def assert_slides(net, size: int, stride: int) -> None:
    """Every output is the classifier's on the crop of the image that begins there."""
    sliding = convolutionize(net)
    x = images(net, size + 2 * stride, size + stride)
    found = sliding(x)
    assert found.shape == (1, 5, 3, 2)
    for i in range(3):
        for j in range(2):
            crop = x[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
            assert_close(found[:, :, i, j], net(crop.contiguous()))


@pytest.mark.parametrize("name", NETS)
def test_it_equals_the_classifier_on_its_own_image(name):
    net = build(name)
    x = images(net, NETS[name][1], NETS[name][1], batch=2)
    found = convolutionize(net)(x)
    assert found.shape == (2, 5, 1, 1)
    assert_close(found.flatten(1), net(x))


@pytest.mark.parametrize("name", ["lenet5", "lenet_tutorial"])
def test_without_padding_it_is_the_classifier_slid_over_the_image(name):
    assert_slides(build(name), *NETS[name][1:])


@pytest.mark.parametrize("name, size", [("vgg11", 342), ("alexnet", 355)])
def test_networks_stripped_of_padding_slide_too(name, size):
    """Sizes that leave the maps of 7 x 7 and 6 x 6 which the linear layers expect."""
    net = build(name)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = (0, 0)
    assert_slides(net, size, 32)


@pytest.mark.parametrize("name, window", [("vgg11", 7), ("alexnet", 6)])
def test_padded_networks_slide_their_linear_layers_over_the_maps(name, window):
    net = build(name)
    x = images(net, 224 + 64, 224 + 32)
    maps, found = net.features(x), convolutionize(net)(x)
    assert found.shape == (1, 5, 3, 2)
    for i in range(3):
        for j in range(2):
            seen = maps[:, :, i : i + window, j : j + window]
            assert_close(found[:, :, i, j], net.classifier(seen.flatten(1)))


def test_global_pooling_needs_the_size():
    net = get_model("resnet18", width=0.125, num_classes=5).double().eval()
    with pytest.raises(ValueError, match="size: needed, avgpool averages over all pixels"):
        convolutionize(net)
    sliding = convolutionize(net, 64)
    x = images(net, 64, 64, batch=2)
    assert_close(sliding(x).flatten(1), net(x))
    wide = images(net, 64, 128)
    maps = net.layer4(
        net.layer3(net.layer2(net.layer1(net.maxpool(net.bn1(net.conv1(wide)).relu()))))
    )
    found = sliding(wide)
    assert found.shape == (1, 5, 1, 3)
    for j in range(3):
        assert_close(found[:, :, 0, j], net.fc(maps[:, :, :, j : j + 2].mean((2, 3))))


def test_maps_that_are_not_square_need_the_size():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 2 * 3, 5))
    with pytest.raises(ValueError, match="size: needed, 24 inputs of 3 are no square maps"):
        convolutionize(net)
    x = pycnn.randn(2, 1, 4, 5)
    sliding = convolutionize(net, (4, 5))
    assert sliding[3].kernel_size == (2, 3)
    np.testing.assert_allclose(
        sliding(x).flatten(1).detach().numpy(), net(x).detach().numpy(), rtol=1e-4, atol=1e-5
    )


def test_names_shapes_and_the_classifier_stay():
    net = get_model("vgg16", width=0.0625, num_classes=5)
    sliding = convolutionize(net)
    state, before = sliding.state_dict(), net.state_dict()
    assert state.keys() == before.keys()
    assert state["classifier.0.weight"].shape == (256, 32, 7, 7)
    assert state["classifier.3.weight"].shape == (256, 256, 1, 1)
    assert sliding.training and isinstance(net.classifier[0], nn.Linear)
    kept = before["features.0.weight"].numpy().copy()
    sliding.features[0].weight.data.fill_(0)
    np.testing.assert_array_equal(net.features[0].weight.detach().numpy(), kept)


def test_what_cannot_be_converted_is_refused():
    with pytest.raises(
        ValueError, match=r"net: LeNet5Of1998 is no nn.Sequential and has no layers_in_order"
    ):
        convolutionize(get_model("lenet5_1998"))
    with pytest.raises(ValueError, match="0: a linear layer without a Flatten before it"):
        convolutionize(nn.Sequential(nn.Linear(3, 4)))
    with pytest.raises(ValueError, match="has no linear layer behind a Flatten"):
        convolutionize(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(ValueError, match="1: no counterpart of BatchNorm1d in convolutions"):
        convolutionize(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 4)))


def test_an_image_too_small_is_refused():
    with pytest.raises(ValueError, match="too small: 4 x 7 maps .* which need 7 x 7"):
        convolutionize(build("vgg11"))(images(build("vgg11"), 128, 224))
