"""get_model(weights=...): files of other networks and of other counts of classes."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import pycnn
from pycnn.cli import main
from pycnn.models import get_model
from pycnn.references import get_reference

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """torchvision's ResNet-18 with seven classes, as it is saved."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.manual_seed(0)
    torch.save(get_reference("resnet18", num_classes=7).state_dict(), path)
    return path


def test_a_torchvision_checkpoint_gives_torchvision_s_outputs(checkpoint):
    net = get_model("resnet18", weights=checkpoint, num_classes=7).eval()
    reference = get_reference("resnet18", num_classes=7).eval()
    reference.load_state_dict(torch.load(checkpoint, weights_only=True))
    x = np.random.default_rng(1).standard_normal((1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        expected = reference(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(net(pycnn.from_numpy(x)).detach().numpy(), expected, atol=1e-4)


def test_another_count_of_classes_keeps_the_classifier_fresh(checkpoint):
    state = pycnn.load(checkpoint)
    net = get_model("resnet18", weights=checkpoint, num_classes=3)
    assert net.fc.weight.shape == (3, 512)
    for key, value in net.state_dict().items():
        if not key.startswith("fc."):
            np.testing.assert_array_equal(value.numpy(), state[key].numpy())
    assert get_model("vgg11", num_classes=3, width=0.125).classifier[6].weight.shape[0] == 3


def test_what_is_not_the_network_s_is_listed(checkpoint, tmp_path):
    with pytest.raises(RuntimeError, match="fc.weight"):  # seven classes, not a thousand
        get_model("resnet18", weights=checkpoint)
    with pytest.raises(RuntimeError, match="layer1.0.conv3.weight"):
        get_model("resnet50", weights=checkpoint, num_classes=7)
    state = dict(pycnn.load(checkpoint))
    state.pop("conv1.weight")
    pycnn.save(state, tmp_path / "cut.npz")
    with pytest.raises(RuntimeError, match=r"conv1\.weight"):
        get_model("resnet18", weights=tmp_path / "cut.npz", num_classes=7)


def test_convert_between_formats(checkpoint, tmp_path):
    run = lambda *arguments: CliRunner().invoke(main, ["convert", *map(str, arguments)])
    first, second = tmp_path / "a.safetensors", tmp_path / "b.npz"
    done = run(checkpoint, first)
    assert done.exit_code == 0, done.output
    assert "a.safetensors: 122 tensors" in done.output
    assert run(first, second).exit_code == 0
    ours, theirs = pycnn.load(second), torch.load(checkpoint, weights_only=True)
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key].numpy(), value.numpy())
    wrong = run(checkpoint, tmp_path / "c.npz", "--model", "resnet18")
    assert wrong.exit_code == 1 and "fc.weight" in wrong.output
    assert not (tmp_path / "c.npz").exists()
    assert run(checkpoint, tmp_path / "c.txt").exit_code == 1
