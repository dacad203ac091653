"""Traces of networks: whose kernel ran when, and the file."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import pycnn
from pycnn import array, nn
from pycnn.study import tracing as module
from pycnn.study.tracing import trace_model


def small():
    pycnn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3)),
        nn.Flatten(),
        nn.Linear(6 * 36, 5),
    )


def traced(**options):
    return trace_model(small(), pycnn.randn(2, 3, 8, 8), **options)


@pytest.mark.parametrize("name, size", [("lenet5", 32), ("resnet18", 64), ("googlenet", 64)])
def test_flops_are_twice_the_macs_of_the_summary(name, size):
    pycnn.manual_seed(0)
    arguments = {} if name == "lenet5" else {"width": 0.125}
    net = pycnn.models.get_model(name, **arguments)
    shape = (2, 1 if name == "lenet5" else 3, size, size)
    found = trace_model(net, pycnn.randn(*shape), backward=False, warmup=0)
    rows = {row.name: row for row in pycnn.summary(net, shape).rows if row.macs}
    flops = dict.fromkeys(rows, 0)
    for call in found.calls:
        if call.record.primitive in ("conv2d_fprop", "gemm"):
            flops[call.layer] += call.record.flops
    assert flops == {layer: 2 * row.macs for layer, row in rows.items()}


def test_backward_calls_belong_to_the_layer_that_went_forward():
    calls = {
        (c.layer, c.record.primitive)
        for c in traced().calls
        if c.phase == "backward" and c.record.provider != "array"
    }
    for layer in ("0", "1.2"):
        assert (layer, "conv2d_wgrad") in calls
    # the gradient of the images is not asked for
    assert ("1.2", "conv2d_dgrad") in calls and ("0", "conv2d_dgrad") not in calls
    assert {layer for layer, primitive in calls if primitive.startswith("batch_norm")} == {"1.0"}
    assert {layer for layer, primitive in calls if primitive == "gemm"} == {"3"}
    assert {layer for layer, _ in calls} <= {"0", "1.0", "1.1", "1.2", "3", "(loss)"}


class Free(nn.Module):
    """A module with functions of its own before, between and after its parts."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)
        self.twice = nn.ReLU()

    def forward(self, x):
        x = self.conv(pycnn.functional.pad(x * 2.0, (1, 1, 1, 1)))
        return self.twice(self.twice(x) + 1.0).tanh()


def test_functions_between_modules_belong_to_the_one_around_them():
    found = trace_model(Free(), pycnn.randn(1, 1, 6, 6).requires_grad_())
    backward = [c for c in found.calls if c.phase == "backward"]
    assert {c.layer for c in backward} == {"(net)", "conv", "twice", "(loss)"}
    convolutions = {c.layer for c in backward if c.record.primitive.startswith("conv2d")}
    assert convolutions == {"conv"}
    order = [s.name for s in found.slices if s.phase == "backward" and s.kind == "ReLU"]
    assert order == ["twice", "twice"]
    names = [s.name for s in found.slices if s.phase == "backward" and s.kind != "pass"]
    assert names == ["(net)", "twice", "twice", "conv"]


def test_rows_add_up():
    found = traced()
    seconds = sum(c.record.seconds for c in found.calls)
    for rows in (found.layers(), found.kernels()):
        assert sum(row.seconds for row in rows) == pytest.approx(seconds)
        assert sum(row.calls for row in rows) == len(found.calls)
        assert sum(row.flops for row in rows) == sum(c.record.flops for c in found.calls)
        assert sum(row.bytes for row in rows) == sum(c.record.bytes for c in found.calls)
    assert 0 < seconds < found.seconds()
    assert found.seconds() == found.seconds("forward") + found.seconds("backward")
    assert [row.name for row in found.layers()][:3] == ["0", "1.0", "1.1"]
    kernels = [row.seconds for row in found.kernels()]
    assert kernels == sorted(kernels, reverse=True)


def test_the_file_nests_and_adds_up(tmp_path):
    found = traced()
    path = tmp_path / "trace.json"
    found.write(path)
    events = json.loads(path.read_text())["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    stack, parents = [], {}
    for i, event in sorted(enumerate(spans), key=lambda e: (e[1]["ts"], -e[1]["dur"], e[0])):
        while stack and event["ts"] >= ends(stack[-1]):
            stack.pop()
        assert not stack or ends(event) <= ends(stack[-1]), "slices overlap without nesting"
        parents[i] = [outer["name"] for outer in stack]
        stack.append(event)
    kernels = [(i, e) for i, e in enumerate(spans) if e["cat"] == "kernel"]
    assert len(kernels) == len(found.calls)
    for i, event in kernels:
        assert parents[i][0] == event["args"]["phase"]
        around = parents[i][1:]
        assert (around[-1] if around else "(loss)") == event["args"]["layer"]
    deep = next(i for i, e in kernels if e["args"]["layer"] == "1.2")
    assert parents[deep] == ["forward", "(net)", "1", "1.2"]
    passes = [e for e in spans if e["cat"] == "pass"]
    assert [e["name"] for e in passes] == ["forward", "backward"]
    total = sum(e["dur"] for _, e in kernels)
    assert total == pytest.approx(1e6 * sum(c.record.seconds for c in found.calls), abs=0.1)
    convolution = next(e for _, e in kernels if e["name"] == "conv2d_fprop")
    assert convolution["args"]["flops"] == 2 * (2 * 4 * 8 * 8) * 27
    assert convolution["args"]["geometry"].startswith("2x3x8x8 -> 4, 3x3")


def ends(event):
    return round(event["ts"] + event["dur"], 3)


def test_inference_records_nothing_and_leaves_the_network():
    net, x = small(), pycnn.randn(2, 3, 8, 8)
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    found = trace_model(net, x, backward=False)
    assert {c.phase for c in found.calls} == {"forward"}
    assert not any(c.record.primitive == "batch_norm_stats" for c in found.calls)
    assert all(m.training and not m._forward_hooks for m in net.modules())
    assert all((before[key] == value.numpy()).all() for key, value in net.state_dict().items())


def test_the_quickest_of_several_runs_is_kept(monkeypatch):
    seconds = iter([1.0, 9.0, 5.0, 7.0])

    def run(net, inputs, backward, recorder):
        recorder.trace.slices.append(module.Slice("forward", "pass", "forward", 0, next(seconds)))

    monkeypatch.setattr(module, "_run", run)
    assert traced(warmup=1, runs=3).seconds() == 5.0
    with pytest.raises(ValueError, match="warmup, runs: got 1 and 0"):
        traced(runs=0)


def test_on_a_gpu_the_time_is_that_between_two_events(monkeypatch):
    log = []

    class Event:
        def record(self):
            log.append("record")

        def synchronize(self):
            log.append("synchronize")

    cuda = SimpleNamespace(Event=Event, get_elapsed_time=lambda start, end: 250.0)
    monkeypatch.setattr(array, "import_cupy", lambda: SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(array, "device_of", lambda a: "cuda:0")
    entry = pycnn.dispatch.Entry(
        "elementwise", "cuda", "direct", lambda *a, **k: log.append("kernel"), None, ("cuda",), None
    )
    recorder = module._Recorder(nn.ReLU())
    x = np.zeros((4, 4), np.float32)
    recorder.call(entry, (x,), x, None, None)
    assert log == ["record", "kernel", "record", "synchronize"]
    (call,) = recorder.trace.calls
    assert call.record.seconds == 0.25 == recorder.records[0].seconds
    assert (call.record.provider, call.record.bytes, call.layer) == ("cuda", 128, "(loss)")


def test_the_command(tmp_path):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from click.testing import CliRunner

    from pycnn.cli import main

    path = tmp_path / "lenet.json"
    command = ["trace", "lenet5", "--batch", "2", "--runs", "1", "--out", str(path)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    for words in ("by layer", "by kernel", "c1", "conv2d_wgrad", "outside kernels", "GFLOP/s"):
        assert words in result.output
    assert "lenet5, 2 x 1 x 32 x 32: forward and backward" in result.output
    assert json.loads(path.read_text())["traceEvents"]
    result = CliRunner().invoke(main, ["trace", "lenet5", "--forward-only", "--runs", "1"])
    assert result.exit_code == 0 and "wgrad" not in result.output
    missing = tmp_path / "no" / "folder.json"
    result = CliRunner().invoke(main, ["trace", "lenet5", "--runs", "1", "--out", str(missing)])
    assert result.exit_code == 1 and "cannot be written" in result.output
