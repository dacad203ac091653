"""The ladder: every rung checked against float64, timed in turn, from slow to fast."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("torch")

import torch
from click.testing import CliRunner

from pycnn import dispatch
from pycnn.benchmarks import clock as clocks
from pycnn.benchmarks import measure
from pycnn.cli import main
from pycnn.study import problems, side_by_side, torch_calls
from pycnn.study.ladder import ladder, plot


@pytest.fixture
def clock(monkeypatch):
    """Naive rungs take 8 s, PyTorch 2 s and 3 s, the others 1 s, if they are called."""

    def interleaved(functions, seconds):
        for function in functions.values():
            function()
        times = {}
        for name in functions:
            least = 8.0 if name.endswith("naive") else 1.0
            least = {"PyTorch, contiguous": 3.0, "PyTorch, channels-last": 2.0}.get(name, least)
            times[name] = measure.Times(least, least, 2 * least, 3 * least)
        return times

    monkeypatch.setattr(clocks, "interleaved", interleaved)
    monkeypatch.setattr(measure.Idle, "wait", lambda self: 0.5)


def test_rungs_from_slow_to_fast(clock, tmp_path):
    found = ladder("conv2d_fprop", layer="fcn.up2", provider="reference", device="cpu")
    assert found.ok and found.layer == "fcn.up2"
    assert found.geometry == str(problems.conv2d_of(problems.layers.CONVOLUTIONS["fcn.up2"], 1))
    names = [row.name for row in found.timed()]
    assert names[:3] == ["reference/naive", "PyTorch, contiguous", "PyTorch, channels-last"]
    assert set(names[3:]) == {"reference/direct", "reference/im2col"}
    assert all(0 < row.error < row.allowed < 1e-4 for row in found.rows if row.error is not None)
    fast = found.timed()[-1]
    assert found.naive().name == "reference/naive"
    assert found.times_faster(fast, found.naive()) == 8
    assert found.torch().name == "PyTorch, channels-last"
    assert found.times_faster(fast, found.torch()) == 2
    plot(found, tmp_path / "ladder.svg")
    drawn = ElementTree.parse(tmp_path / "ladder.svg").getroot()
    assert drawn.tag.endswith("svg")


def test_a_wrong_rung_is_not_timed(clock, monkeypatch):
    def half(x, *, out, geometry, epilogue):
        out[...] = 0

    for kernel in dispatch.entries("avg_pool2d_fprop"):
        if (kernel.provider, kernel.algorithm) == ("reference", "naive"):
            wrong = kernel._replace(function=half)
            group = [wrong if e is kernel else e for e in dispatch._table["avg_pool2d_fprop"]]
            monkeypatch.setitem(dispatch._table, "avg_pool2d_fprop", group)
    found = ladder("avg_pool2d_fprop", layer="adaptive7x7", provider="reference", device="cpu")
    by_name = {row.name: row for row in found.rows}
    assert not found.ok and not by_name["reference/naive"].ok
    assert by_name["reference/naive"].least is None and by_name["reference/direct"].ok
    assert "wrong" in by_name["reference/naive"].note


def test_refusals_exceptions_and_what_is_emulated(clock, monkeypatch):
    def raises(*arrays, **named):
        raise RuntimeError("no such thing")

    broken = side_by_side.Rung("reference", "broken", dispatch.refuses_nothing, raises)
    usual = side_by_side.rungs
    monkeypatch.setattr(side_by_side, "rungs", lambda *arguments: [*usual(*arguments), broken])
    found = ladder("conv2d_wgrad", layer="xcep.dw19", device="cpu")
    by_name = {row.name: row for row in found.rows}
    assert by_name["reference/broken"].note == "RuntimeError: no such thing" and not found.ok
    if "native/pointwise" in by_name:
        assert by_name["native/pointwise"].note.startswith("refuses: the filter is not 1x1")
    for provider, how in (("triton", "interpreted"), ("cuda", "emulated")):
        rows = [row for row in found.rows if row.name.startswith(f"{provider}/")]
        assert all(row.least is None for row in rows), "their time is that of an emulation"
        if rows:
            judged = [row for row in rows if not row.note.startswith("refuses")]
            assert {row.note for row in judged} == {f"{how}: no time"}
            assert all(row.ok and row.error < 1e-5 for row in judged)


@pytest.mark.parametrize(
    "primitive",
    [
        "conv2d_fprop", "conv2d_dgrad", "conv2d_wgrad", "gemm", "im2col", "col2im",
        "max_pool2d_fprop", "softmax_fprop", "add_activation", "elementwise", "reduce", "concat",
    ],
)  # fmt: skip
def test_pytorchs_call_computes_the_primitive(primitive):
    problem = side_by_side.layers_of(primitive)[0]
    bench = side_by_side.Bench(problem, "float32", "cpu")
    calls = bench.torch_calls()
    assert calls, f"{primitive} has an opponent"
    for call in calls.values():
        got = call()
        assert isinstance(got, torch.Tensor)
        # float32 sums of up to 2304 products against float64's
        error = np.abs(got.double().numpy() - bench.truth[0]).max()
        assert error <= 1e-5 * np.abs(bench.truth[0]).max()


def test_an_epilogue_or_uneven_padding_has_no_opponent():
    g = problems.conv2d_of(problems.layers.CONVOLUTIONS["fcn.up2"], 1)
    x, w = torch.zeros(g.x_shape), torch.zeros(g.w_shape)
    assert torch_calls.torch_call("conv2d_fprop", g, [x, w], None) is not None
    fused = dispatch.Epilogue(activation="relu")
    assert torch_calls.torch_call("conv2d_fprop", g, [x, w], fused) is None
    uneven = type(g)(**{n: getattr(g, n) for n in g._fields} | {"pad_top": 1})
    assert torch_calls.torch_call("conv2d_fprop", uneven, [x, w], None) is None


def test_layers_are_sorted_and_the_usual_one_is_quick():
    found = side_by_side.layers_of("conv2d_fprop")
    assert [side_by_side.cost(p) for p in found] == sorted(map(side_by_side.cost, found))
    assert not any("fused" in p.layer for p in found)
    usual = side_by_side.usual_layer(found, "cpu")
    assert side_by_side.cost(usual) <= 8e7 < side_by_side.cost(found[-1])
    assert side_by_side.usual_layer(found[-1:], "cpu") is found[-1]


def test_the_command(clock, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(main, ["ladder", *map(str, arguments)])

    picture = tmp_path / "ladder.png"
    done = run("softmax_fprop", "--provider", "reference", "--device", "cpu", "--plot", picture)
    assert done.exit_code == 0, done.output
    assert "softmax_fprop on" in done.output and "reference/direct" in done.output
    assert "others kept up to 0.5 cores busy" in done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    for arguments, words in (
        (("conv3d",), "primitive: got 'conv3d'"),
        (("conv2d_fprop", "--layer", "none"), "layer: got 'none', expected one of"),
        (("softmax_fprop", "--plot", "a.gif"), "expected a .png or .svg file"),
        (("softmax_fprop", "--provider", "none"), "provider: got 'none'"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2 and words in " ".join(done.output.split()), done.output
