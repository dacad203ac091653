"""Every registered model: its counts, and its outputs and gradients against the PyTorch reference.

One model of each family, the first registered, is tested in `make test`; all of them in
`make test-full`."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model, list_models, model_entry
from pycnn.references import get_reference, list_references
from pycnn.testing import compare_torch

from .networks import FIRST, inputs, randomise, reduced

torch = pytest.importorskip("torch")

# in training these norm single pixels, of which one image has one for each channel
_TWO_IMAGES = ("deconvnet", "inception_resnet_v1", "inception_v3")


def every_model() -> list:
    """The names of all models; those beyond the first of a family are slow."""
    return [
        name
        if FIRST[model_entry(name).family] == name
        else pytest.param(name, marks=pytest.mark.slow)
        for name in list_models()
    ]


@pytest.fixture(autouse=True)
def seeded(request):
    """The same weights in every run: a wrong gradient fails with any, and with some a sum lands so
    near a ReLU's zero that float32 takes its other side."""
    seed = zlib.crc32(request.node.name.encode())
    torch.manual_seed(seed)
    pycnn.manual_seed(seed)


@pytest.fixture
def no_initialisation(monkeypatch):
    """Names and shapes need no random numbers, of which VGG-16 would draw 138 million."""
    for module in (pycnn.nn.init, torch.nn.init):
        for name in dir(module):
            if name.endswith("_") and not name.startswith("_"):
                monkeypatch.setattr(module, name, lambda tensor, *args, **kwargs: tensor)


def test_every_model_has_a_reference():
    assert list_models() == list_references()


@pytest.mark.parametrize("name", every_model())
@pytest.mark.usefixtures("no_initialisation")
def test_counts_and_names_at_full_width(name):
    entry = model_entry(name)
    net = get_model(name)
    assert sum(p.numel() for p in net.parameters()) == entry.parameters
    assert len(net.state_dict()) == entry.state_entries
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    theirs = {key: tuple(value.shape) for key, value in get_reference(name).state_dict().items()}
    assert shapes == theirs


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
@pytest.mark.usefixtures("no_initialisation")
def test_multiplications_at_full_size(name):
    entry = model_entry(name)
    net = get_model(name).eval()
    found = pycnn.summary(net, [a.shape for a in entry.example_inputs()])
    assert found.macs == entry.macs


@pytest.mark.parametrize("name", every_model())
def test_training_equals_the_reference(name):
    entry = model_entry(name)
    net, reference = get_model(name, **reduced(entry)), get_reference(name, **reduced(entry))
    randomise(reference, 1)
    report = compare_torch(net, reference, inputs(entry, 2, entry.reduced.size)).check()
    gradients = [r for r in report.rows if (r.dtype, r.kind) == ("float64", "gradient")]
    images = [r for r in gradients if r.name.startswith("input")]
    assert images and len(gradients) == len(list(net.parameters())) + len(images)


@pytest.mark.parametrize("name", every_model())
def test_evaluation_equals_the_reference(name):
    entry = model_entry(name)
    net, reference = get_model(name, **reduced(entry)), get_reference(name, **reduced(entry))
    randomise(reference, 2)
    # several: of the few logits of one image PyTorch's error in float32, the bound, may be luck
    batch = inputs(entry, 4, entry.reduced.size)
    compare_torch(net.eval(), reference.eval(), batch, float32_gradients=False).check()


@pytest.mark.parametrize("name", every_model())
def test_every_parameter_gets_a_gradient(name):
    entry = model_entry(name)
    reference = get_reference(name, **reduced(entry))
    randomise(reference, 3)
    net = get_model(name, **reduced(entry)).eval()
    net.load_state_dict(reference.state_dict())
    batch = [pycnn.from_numpy(a) for a in inputs(entry, 2, entry.reduced.size)]
    y = net(*batch)
    for part in y if isinstance(y, tuple) else [y]:
        (part * pycnn.randn(*part.shape)).sum().backward(retain_graph=True)
    if any(p.grad is None for p in net.parameters()):  # auxiliary heads take part in training alone
        _, *parts = net.train()(*batch)
        losses = [(part * pycnn.randn(*part.shape)).sum() for part in parts]
        sum(losses[1:], losses[0]).backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        gradient = parameter.grad.numpy()
        assert np.isfinite(gradient).all() and gradient.any(), key


@pytest.mark.parametrize("name", every_model())
def test_a_state_dict_loads_in_both_directions(name):
    entry = model_entry(name)
    net, reference = get_model(name, **reduced(entry)), get_reference(name, **reduced(entry))
    net.load_state_dict(reference.state_dict())
    values = {key: torch.from_numpy(v.numpy().copy()) for key, v in net.state_dict().items()}
    reference.load_state_dict(values)


@pytest.mark.parametrize("build", [get_model, get_reference])
@pytest.mark.parametrize("name", every_model())
def test_bad_arguments_are_named(name, build):
    wrong = [("num_classes", value) for value in (0, -3, 2.5, True)]
    wrong += [("width", value) for value in (0, -1.0, float("nan"), float("inf"), "wide")]
    for argument, value in wrong:
        with pytest.raises(ValueError, match=f"{argument} must be .* got"):
            build(name, **{argument: value})


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list_models())
def test_full_size_networks_equal_the_reference(name):
    entry = model_entry(name)
    net, reference = get_model(name), get_reference(name)
    batch = 2 if entry.size < 100 or name in _TWO_IMAGES else 1
    compare_torch(net, reference, inputs(entry, batch, entry.size, entry.num_classes)).check()


def test_the_page_of_models_is_up_to_date():
    """docs/models/README.md holds what `python -m pycnn models --markdown` prints."""
    from click.testing import CliRunner

    from pycnn.cli import main

    page = Path(__file__).parents[2] / "docs" / "models" / "README.md"
    table = page.read_text().split("<!-- table: models -->")[1].split("<!-- end -->")[0].strip()
    assert table == CliRunner().invoke(main, ["models", "--markdown"]).output.strip()
