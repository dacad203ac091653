"""Every model against its PyTorch reference: names, shapes, outputs and gradients."""

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model, model_entry
from pycnn.models.width import scaled
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

# name, arguments, image size: small enough for a test, large enough that no map is a single pixel
SMALL = [
    ("lenet5", {}, 32),
    ("lenet5", {"width": 0.7, "num_classes": 3}, 32),
    ("resnet18", {"width": 0.25, "num_classes": 12}, 48),
    ("resnet50", {"width": 0.125, "num_classes": 12}, 48),
    ("vgg16", {"width": 0.125, "num_classes": 12}, 40),
    ("xception", {"width": 0.125, "num_classes": 12}, 80),
    ("xception", {"width": 0.125, "num_classes": 12, "keras": True}, 75),
]


def case_name(case):
    name, arguments, size = case
    return "-".join([name, *(f"{k}{v}" for k, v in arguments.items()), str(size)])


def images(name, size, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((batch, model_entry(name).channels, size, size)).astype(np.float32)


def shapes(net):
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


@pytest.fixture
def no_initialisation(monkeypatch):
    """Names and shapes need no random numbers, of which VGG-16 would draw 138 million."""
    for module in (pycnn.nn.init, torch.nn.init):
        for name in ("kaiming_uniform_", "kaiming_normal_", "uniform_", "normal_"):
            monkeypatch.setattr(module, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.usefixtures("no_initialisation")
@pytest.mark.parametrize("width", [0.1, 0.3, 1.5])
@pytest.mark.parametrize("name", ["lenet5", "resnet18", "resnet50", "xception"])
def test_scaled_widths_agree_with_the_reference(name, width):
    net = get_model(name, width=width, num_classes=7)
    assert shapes(net) == shapes(get_reference(name, width=width, num_classes=7))


@pytest.mark.usefixtures("no_initialisation")
def test_vgg_hidden_layers_scale_too():
    net = get_model("vgg16", width=0.1, num_classes=7)
    assert shapes(net) == shapes(get_reference("vgg16", width=0.1, num_classes=7))
    assert net.classifier[0].weight.shape == (416, 56 * 7 * 7)
    assert net.classifier[3].weight.shape == (416, 416)


@pytest.mark.parametrize("case", SMALL, ids=case_name)
def test_outputs_and_gradients_equal_the_reference(case):
    name, arguments, size = case
    net, reference = get_model(name, **arguments), get_reference(name, **arguments)
    classes = net(pycnn.zeros(1, model_entry(name).channels, size, size)).shape[1]
    target = np.arange(2) % classes
    report = compare_torch(net, reference, images(name, size), target=target).check()
    gradients = [r for r in report.rows if (r.dtype, r.kind) == ("float64", "gradient")]
    assert len(gradients) == len(list(net.parameters())) + 1


@pytest.mark.parametrize("case", SMALL, ids=case_name)
def test_evaluation_mode_equals_the_reference(case):
    name, arguments, size = case
    torch.manual_seed(0)
    net, reference = get_model(name, **arguments), get_reference(name, **arguments)
    with torch.no_grad():  # running statistics other than the initial ones
        for _ in range(3):
            reference(torch.from_numpy(images(name, size, batch=4)))
    report = compare_torch(net.eval(), reference.eval(), images(name, size, seed=1))
    report.check()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16", "xception"])
def test_convolution_weights_are_channels_last(name):
    net = get_model(name, num_classes=5, width=0.125)
    for module in net.modules():
        if isinstance(module, pycnn.nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=pycnn.channels_last)
    spread = [p for p in net.parameters() if p.ndim == 4 and not p.is_contiguous()]
    assert spread, "no weight is stored other than contiguously"


@pytest.mark.parametrize("name", ["resnet18", "xception", "vgg16"])
def test_initial_weights_have_the_reference_s_spread(name):
    net = get_model(name, num_classes=64, width=0.25)
    reference = get_reference(name, num_classes=64, width=0.25).state_dict()
    for key, value in net.state_dict().items():
        ours, theirs = value.numpy(), reference[key].numpy()
        if ours.size >= 2048:
            assert ours.std() == pytest.approx(theirs.std(), rel=0.15, abs=1e-12), key
        if ours.size and theirs.std() == 0:
            np.testing.assert_array_equal(ours, theirs, err_msg=key)


def test_keras_variant_has_the_original_s_conventions():
    torch_style, keras = (
        get_model("xception", width=0.125),
        get_model("xception", keras=True, width=0.125),
    )
    assert (torch_style.bn1.eps, torch_style.bn1.momentum) == (1e-5, 0.1)
    for net in (keras, get_reference("xception", keras=True, width=0.125)):
        norms = [m for m in net.modules() if type(m).__name__ == "BatchNorm2d"]
        assert len(norms) == 40
        assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}


@pytest.mark.parametrize("height,width", [(74, 74), (37, 37), (19, 20), (20, 19), (3, 2)])
def test_keras_pooling_pads_as_tensorflow(height, width):
    from pycnn.models.xception import _SamePool2d

    x = np.random.default_rng(0).standard_normal((1, 2, height, width))
    got = _SamePool2d()(pycnn.from_numpy(x)).numpy()
    # "same": ceil(n / 2) outputs; the padding that takes is split evenly, the odd one behind
    before, after = [], []
    for size in (height, width):
        total = max(0, ((size + 1) // 2 - 1) * 2 + 3 - size)
        before.append(total // 2)
        after.append(total - total // 2)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(before, after)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    np.testing.assert_array_equal(got, windows.max(axis=(4, 5)))


def test_width_rounds_up_to_a_multiple_of_eight():
    assert [scaled(c, 1) for c in (6, 16, 84, 728)] == [6, 16, 84, 728]
    assert [scaled(c, 0.5) for c in (6, 16, 64, 84, 728)] == [8, 8, 32, 48, 368]
    assert scaled(80, 0.7) == 56  # 80 * 0.7 is 56.00000000000001 in float64
    assert scaled(64, 1e-6) == 8
    assert scaled(64, 2) == 128


def test_unknown_names_get_a_hint():
    with pytest.raises(ValueError, match="'resnet5'; did you mean .*resnet50"):
        get_model("resnet5")
    with pytest.raises(ValueError, match="there are .*lenet5, "):
        get_model("zzzzzzzz")
    with pytest.raises(ValueError, match="no reference network 'resnet5'"):
        get_reference("resnet5")


def test_lenet_refuses_other_images():
    net = get_model("lenet5")
    for shape in [(2, 1, 28, 28), (2, 3, 32, 32), (1, 32, 32)]:
        with pytest.raises(ValueError, match=r"expected \(N, 1, 32, 32\)"):
            net(pycnn.zeros(*shape))


def test_importing_models_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, pycnn; pycnn.models.lenet5(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
