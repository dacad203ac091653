"""Networks side by side: the numbers against hand computations, NumPy's own books, and the plot."""

from __future__ import annotations

import gc
import json
import tracemalloc

import pytest

import pycnn
from pycnn import nn
from pycnn.study import comparing as module
from pycnn.study.comparing import Compared, compare_models, measure_net, retained


def test_a_tiny_network_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 4, 3, padding=1, bias=False),
    )
    row = measure_net("tiny", net, [pycnn.ones(1, 3, 32, 32)], rounds=1)
    assert row.inputs == ((1, 3, 32, 32),)
    assert row.parameters == 9 * (3 * 8 + 8 * 8 + 8 * 4)
    assert row.macs == 32 * 32 * row.parameters
    # the input of the second and of the third convolution; that of the first is not the net's
    assert row.retained == 2 * 8 * 32 * 32 * 4
    # one convolution's input and output; Python's own objects come on top
    assert 0 <= row.peak - 2 * 8 * 32 * 32 * 4 < 10_000
    assert 0 < row.forward and 0 < row.step


def test_what_each_kind_of_layer_keeps():
    x = pycnn.ones(2, 4, 8, 8)
    size = x.nbytes
    pool = nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2))
    # a byte for the place of each maximum; the convolution's input is the network's
    assert retained(pool, x) == size // 4 // 4
    # relu keeps its result, where the next convolution keeps the same
    assert retained(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1)), x) == size
    with pycnn.no_grad():
        assert retained(pool, x) == 0


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "densenet40_k12"])
def test_what_is_kept_is_what_numpy_has_allocated(name):
    pycnn.manual_seed(0)
    net = pycnn.models.get_model(name, width=0.25)
    x = pycnn.randn(2, 3, 64, 64)
    net(x)
    claimed = retained(net, x)
    gc.collect()
    tracemalloc.start(1)
    try:
        before = tracemalloc.take_snapshot()
        output = net(x)
        gc.collect()
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    arrays = [tracemalloc.DomainFilter(inclusive=True, domain=389047)]  # NumPy's
    held = sum(
        sign * sum(trace.size for trace in snapshot.filter_traces(arrays).traces)
        for sign, snapshot in ((1, after), (-1, before))
    )
    outputs = output if isinstance(output, tuple) else (output,)
    own = sum(t.nbytes for t in outputs if t is not None)
    # but for the output, and vectors of batch norm that are replaced by others
    assert claimed <= held <= 1.01 * claimed + own + 50_000


def test_the_weights_stay():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))
    before = [p.detach().numpy().copy() for p in net.parameters()]
    measure_net("net", net, [pycnn.randn(2, 1, 6, 6)], rounds=1)
    assert all((a == p.detach().numpy()).all() for a, p in zip(before, net.parameters()))
    assert net.training


def test_inference_is_inference_and_a_step_is_one():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(pycnn.ones(2))

        def forward(self, x):
            seen.append((self.training, pycnn.is_grad_enabled()))
            return x * self.weight

    measure_net("spy", Spy(), [pycnn.ones(2)], rounds=2)
    # the summary; twice for the peak and thrice for the time; what is kept; three steps
    assert seen == [(False, False)] * 6 + [(True, True)] * 4


def test_registered_networks_and_bad_arguments():
    names = []
    (row,) = compare_models(["lenet5"], batch=3, rounds=1, say=names.append)
    assert names == ["lenet5"] and row.inputs == ((3, 1, 32, 32),)
    known = pycnn.models.model_entry("lenet5")
    assert (row.parameters, row.macs) == (known.parameters, 3 * known.macs)
    with pytest.raises(ValueError, match="names: got none"):
        compare_models([])
    with pytest.raises(ValueError, match="rounds: got 0"):
        compare_models(["lenet5"], rounds=0)
    with pytest.raises(ValueError, match="lenet6.*lenet5"):
        compare_models(["lenet6"])


def rows():
    shapes = ((1, 3, 224, 224),)
    return [
        Compared("small", shapes, 10**6, 10**8, 10**6, 10**5, 0.001, 0.004),
        Compared("large", shapes, 9 * 10**6, 2 * 10**9, 5 * 10**6, 10**6, 0.010, 0.040),
    ]


def test_the_plot_shows_every_number(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figures = []
    original = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), original(self, *a, **k))
    )
    module.plot(rows(), tmp_path / "compare.png")
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    widths = [[bar.get_width() for bar in axes.patches] for axes in figure.axes]
    assert widths == [
        [1.0, 9.0], [0.1, 2.0], [1.0, 5.0, 0.1, 1.0], pytest.approx([4.0, 40.0, 1.0, 10.0]),
    ]  # fmt: skip
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["small\n1 x 3 x 224 x 224", "large\n1 x 3 x 224 x 224"]


def test_the_command(tmp_path, monkeypatch):
    for needed in ("click", "rich", "matplotlib"):
        pytest.importorskip(needed)
    from click.testing import CliRunner

    from pycnn.cli import main

    out = tmp_path / "new"
    command = ["compare", "lenet5", "--rounds", "1", "--out", str(out)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "61,706" in result.output and "kept MB" in result.output
    assert sorted(p.name for p in out.iterdir()) == ["compare.json", "compare.png"]
    (row,) = json.loads((out / "compare.json").read_text())
    assert row["parameters"] == 61_706 and row["retained"] > 0 and row["step"] > 0
    assert CliRunner().invoke(main, ["compare", "lenet6"]).exit_code == 2
    result = CliRunner().invoke(main, ["compare", "lenet5", "--size", "64"])
    assert result.exit_code == 1 and "expected (N, 1, 32, 32)" in result.output
