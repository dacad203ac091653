"""ShuffleNet: what its two published forms differ in, and what its shuffle is for."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model, list_models
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

from pycnn.references import get_reference  # noqa: E402

SMALL = {"width": 0.25, "num_classes": 4}
# paper's table 1: groups -> outputs of the three stages, complexity in millions (table 2 rounds it)
TABLE = {
    1: (144, 288, 576, 143), 2: (200, 400, 800, 140), 3: (240, 480, 960, 137),
    4: (272, 544, 1088, 133), 8: (384, 768, 1536, 137),
}  # fmt: skip


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("megvii", [False, True])
def test_both_forms_equal_the_reference(groups, megvii):
    name = f"shufflenet_v1_g{groups}_x0_5"
    net = get_model(name, megvii=megvii, **SMALL)
    compare_torch(net, get_reference(name, megvii=megvii, **SMALL), images(2, 3, 45, 64)).check()


def test_the_forms_share_weights_and_differ_in_outputs():
    default = get_model("shufflenet_v1_g3_x0_5", **SMALL).eval()
    megvii = get_model("shufflenet_v1_g3_x0_5", megvii=True, **SMALL).eval()
    state = default.state_dict()
    bias = state.pop("classifier.0.bias")
    megvii.load_state_dict(state)
    x = pycnn.from_numpy(images(2, 3, 64, 64))
    difference = (default(x) - megvii(x) - bias).detach().numpy()
    assert np.abs(difference).max() > 1e-3


@pytest.mark.parametrize("groups", TABLE)
def test_widths_and_complexity_of_table_1(groups):
    net = get_model(f"shufflenet_v1_g{groups}_x1_0").eval()
    *widths, millions = TABLE[groups]
    x, seen = pycnn.zeros(1, 3, 224, 224), []
    with pycnn.no_grad():
        x = net.maxpool(net.first_conv(x))
        for unit in net.features:
            x = unit(x)
            seen.append((x.shape[1], x.shape[2]))
    assert seen == [(widths[0], 28)] * 4 + [(widths[1], 14)] * 8 + [(widths[2], 7)] * 4
    macs = pycnn.summary(net, (1, 3, 224, 224)).macs
    assert abs(macs / 1e6 - millions) < 1.5  # table 2 leaves the last digits to the reader


@pytest.mark.parametrize("name, parameters", [
    ("shufflenet_v1_g3_x0_5", 717_324), ("shufflenet_v1_g3_x1_0", 1_864_728),
    ("shufflenet_v1_g8_x0_5", 1_010_448), ("shufflenet_v1_g8_x1_5", 4_268_952),
])  # fmt: skip
def test_parameters_of_the_authors_repository(name, parameters):
    net = get_model(name, megvii=True)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert len(net.state_dict()) == 295


def test_only_the_first_unit_has_an_ungrouped_convolution():
    for name in (n for n in list_models() if n.startswith("shufflenet_v1")):
        groups = int(name.split("_")[2][1:])
        units = list(get_model(name, width=0.25).features)
        before = [next(iter(unit.branch_main_1.children())).groups for unit in units]
        after = [next(iter(unit.branch_main_2.children())).groups for unit in units]
        assert before == [1] + [groups] * 15, name
        assert after == [groups] * 16, name


@pytest.mark.parametrize("megvii", [False, True])
def test_the_shuffle_lets_every_group_see_every_group(megvii):
    """One input channel reaches all groups of outputs after two stride-1 units, not only its own:
    without a shuffle three groups of 80 channels would never meet."""
    unit = get_model("shufflenet_v1_g3_x1_0", megvii=megvii).eval().features[1]
    for module in unit.modules():
        if isinstance(module, pycnn.nn.Conv2d):
            pycnn.nn.init.constant_(module.weight, 0.1)  # no ReLU stops what arrives
    x = pycnn.zeros(1, 240, 4, 4)
    base = unit(x).detach()
    x[0, :80] = 1.0  # all of the first group
    change = np.abs((unit(x) - base).detach().numpy()).max((0, 2, 3))
    assert [change[part : part + 80].max() > 0 for part in (0, 80, 160)] == [True, True, True]
