"""FractalNet: the fractal unrolled, both pooling orders, local and global drop-path."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import pycnn
from pycnn.models import get_model
from pycnn.models.fractalnet import FractalDropPath, _joined, _one_column
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

from pycnn.references import get_reference  # noqa: E402

SMALL = {"width": 0.125, "num_classes": 4}


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def local_plan(columns, seed):
    pycnn.manual_seed(seed)
    return FractalDropPath(0.4, 0.0)(5, columns)


def check(columns, pooling, held, **options):
    arguments = {"columns": columns, "pooling": pooling, **SMALL, **options}
    net, reference = get_model("fractalnet", **arguments), get_reference("fractalnet", **arguments)
    net.drop_path.held = reference.drop_path.held = held
    compare_torch(net, reference, images(2, 3, 32, 32), float32_gradients=False).check()
    return net


@pytest.mark.parametrize("pooling", ["columns", "join"])
def test_training_with_the_same_local_draws_equals_the_reference(pooling):
    check(3, pooling, local_plan(3, 1))


@pytest.mark.parametrize("column", [0, 2])
def test_training_with_the_same_column_equals_the_reference(column):
    check(3, "columns", column, bias=True)


def test_four_columns_with_local_draws_equal_the_reference():
    check(4, "columns", local_plan(4, 2))


def test_both_pooling_orders_differ_and_equal_the_reference():
    """A mean of maxima is not the maximum of means, unless one column is left."""
    nets = [get_model("fractalnet", pooling=p, **SMALL).eval() for p in ("columns", "join")]
    nets[1].load_state_dict(nets[0].state_dict())
    x = pycnn.from_numpy(images(2, 3, 32, 32))
    first, second = (net(x).detach().numpy() for net in nets)
    assert np.abs(first - second).max() > 1e-2 * np.abs(first).max()
    for net in nets:
        net.drop_path.held = 1
    first, second = (net(x).detach().numpy() for net in nets)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    check(2, "join", None)


def test_joins_of_the_published_generator():
    """gustavla/fractalnet, three columns: the two deeper ones join at step 2, all at step 4."""
    assert [_joined(step, 3) for step in (1, 2, 3, 4)] == [[0], [0, 1], [0], [0, 1, 2]]
    assert [len(_joined(step, 4)) for step in range(1, 9)] == [1, 2, 1, 3, 1, 2, 1, 4]


@pytest.mark.parametrize("column", range(3))
def test_global_drop_path_leaves_a_plain_network(column):
    """Column j of C is 2^(C-1-j) convolutions per block; the others are not computed."""
    net = get_model("fractalnet", **SMALL)
    net.drop_path.held = column
    x = pycnn.from_numpy(images(2, 3, 32, 32))
    with pycnn.no_grad():
        plain = x
        for unit in net.features:
            for step, level in enumerate(unit.block.blocks, 1):
                if step % 2**column == 0:
                    layer = list(level.children())[column]
                    plain = pycnn.functional.relu(layer.bn.eval()(layer.conv(plain)))
            plain = pycnn.functional.max_pool2d(plain, 2)
        plain = net.output(plain.flatten(1)).numpy()
    y = net.eval()(x)
    np.testing.assert_allclose(y.detach().numpy(), plain, rtol=1e-5, atol=1e-6)
    y.sum().backward()
    used = sum(p.grad is not None for key, p in net.named_parameters() if "conv.weight" in key)
    assert used == 5 * 2 ** (2 - column)


def test_evaluation_joins_everything_by_its_mean():
    net = get_model("fractalnet", columns=2, **SMALL).eval()
    block = net.features[0].block
    x = pycnn.from_numpy(images(2, 3, 8, 8))
    with pycnn.no_grad():
        (first,) = block.blocks[0].children()
        deep, shallow = block.blocks[1].children()
        expected = (deep(first(x)).numpy() + shallow(x).numpy()) / 2
        found = block(x, None, None).numpy()
        dropped = block(x, [(0,), (1,)], None).numpy()
        shallow_alone = shallow(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(dropped, shallow_alone)  # the mean of the living, not of all
    assert net.drop_path(5, 2) is None


def test_local_drop_path_leaves_one_input_and_hits_its_rate():
    pycnn.manual_seed(3)
    p, paths, count = 0.4, FractalDropPath(0.4, 0.0), 6000
    draws = [paths.survivors([0, 1, 2]) for _ in range(count)]
    seen = {alive: draws.count(alive) / count for alive in set(draws)}
    for alive in product([False, True], repeat=3):
        inputs = tuple(j for j in range(3) if alive[j])
        expected = p ** (3 - len(inputs)) * (1 - p) ** len(inputs)
        if len(inputs) == 1:
            expected += p**3 / 3  # where all were lost, one of them stays
        if not inputs:
            assert () not in seen
            continue
        assert abs(seen[inputs] - expected) < 5 * np.sqrt(expected / count), inputs
    assert {paths.survivors([0]) for _ in range(100)} == {(0,)}  # no join, no loss


def test_half_of_the_batches_see_one_column():
    pycnn.manual_seed(4)
    net = get_model("fractalnet", **SMALL)
    plans = [net.drop_path(5, 3) for _ in range(1000)]
    single = [_one_column(column, 5, 3) for column in range(3)]
    counts = [plans.count(plan) for plan in single]
    assert abs(sum(counts) - 500) < 70
    assert min(counts) > 100
    net.eval()
    assert net.drop_path(5, 3) is None


def test_draws_repeat_after_a_seed():
    paths = FractalDropPath(0.15, 0.5)
    found = []
    for seed in (1, 1, 2):
        pycnn.manual_seed(seed)
        found.append([paths(5, 4) for _ in range(4)])
    assert found[0] == found[1] != found[2]


# the paper's narrow networks for CIFAR-100: 0.3, 0.8, 2.1, 4.8, 10.2 and 21.1 million
@pytest.mark.parametrize("columns, parameters", [
    (1, 258_660), (2, 848_820), (3, 2_127_780), (4, 4_784_340), (5, 10_196_100), (6, 21_118_260),
])  # fmt: skip
@pytest.mark.usefixtures("no_draws")
def test_parameters_by_columns(columns, parameters):
    net = get_model("fractalnet", columns=columns, width=0.25, num_classes=100, bias=True)
    assert sum(p.numel() for p in net.parameters()) == parameters
    layers = sum(len(list(unit.block.blocks)) for unit in net.features)
    assert layers == 5 * 2 ** (columns - 1)


@pytest.fixture
def no_draws(monkeypatch):
    monkeypatch.setattr(pycnn.nn.init, "kaiming_uniform_", lambda tensor, **kwargs: tensor)


@pytest.mark.parametrize("wrong", [
    {"columns": 0}, {"columns": 2.0}, {"pooling": "average"}, {"drop_path": 1.5},
    {"global_ratio": -0.1},
])  # fmt: skip
def test_wrong_options_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be .* got"):
        get_model("fractalnet", **wrong)
