"""The references themselves: torchvision's at width 1, and consistent with themselves below."""

import subprocess
import sys

import pytest

from pycnn.references import get_reference

torch = pytest.importorskip("torch")


def torchvision_models():
    from pycnn.references.torchvision_import import torchvision_models

    return torchvision_models()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16"])
def test_full_width_is_torchvision_s_own_network(name):
    theirs = getattr(torchvision_models(), name)(num_classes=3)
    ours = get_reference(name, num_classes=3)
    assert type(ours) is type(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_scaled_construction_at_almost_width_one_is_torchvision_s(name):
    # A width that rounds back to every channel count goes through the scaled construction.
    torch.manual_seed(0)
    scaled = get_reference(name, num_classes=5, width=1 - 1e-9).eval()
    theirs = getattr(torchvision_models(), name)(num_classes=5).eval()
    theirs.load_state_dict(scaled.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(scaled(x), theirs(x))


@pytest.mark.slow
def test_scaled_vgg_at_almost_width_one_is_torchvision_s():
    vgg = get_reference("vgg16", num_classes=5, width=1 - 1e-9).eval()
    theirs = torchvision_models().vgg16(num_classes=5).eval()
    theirs.load_state_dict(vgg.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(vgg(x), theirs(x))


def test_xception_has_the_paper_s_thirty_six_convolutions():
    net = get_reference("xception", width=0.125)
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    shortcuts = [key for key, _ in net.named_modules() if key.endswith(".skip")]
    separable = [m for m in convolutions if m.groups > 1]
    assert len(shortcuts) == 4
    assert len(separable) == 34
    assert len(convolutions) - len(shortcuts) - len(separable) == 36


def test_xception_s_maps_have_the_sizes_of_figure_5():
    net = get_reference("xception", width=0.125).eval()
    sizes = {}
    for name, module in net.named_modules():
        if name in ("conv1", "conv2", "block1", "block2", "block3", "block11", "block12", "conv4"):
            module.register_forward_hook(
                lambda module, args, y, name=name: sizes.update({name: tuple(y.shape[2:])})
            )
    with torch.no_grad():
        net(torch.zeros(1, 3, 299, 299))
    sides = {name: size[0] for name, size in sizes.items()}
    assert sides == {
        "conv1": 149,
        "conv2": 147,
        "block1": 74,
        "block2": 37,
        "block3": 19,
        "block11": 19,
        "block12": 10,
        "conv4": 10,
    }


def test_torchvision_is_importable_in_a_fresh_process():
    code = (
        "from pycnn.references.torchvision_import import torchvision_models as m\n"
        "assert m() is m()\nimport torchvision; torchvision.ops"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
