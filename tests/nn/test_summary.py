"""summary: its numbers against counts by hand, and that it leaves the network as it was."""

import numpy as np
import pytest

import pycnn
from pycnn import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1)
        self.norm = nn.BatchNorm2d(8)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2, bias=False)
        self.relu = nn.ReLU()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 6, 5))

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        return self.head(self.relu(self.up(x)))


def test_numbers():
    net = Net()
    net.head[1].bias.requires_grad_(False)
    report = pycnn.summary(net, (2, 3, 8, 6))
    rows = {row.name: row for row in report.rows}
    assert [row.name for row in report.rows] == [
        "conv",
        "norm",
        "relu",
        "up",
        "relu",
        "head.0",
        "head.1",
    ]
    assert rows["conv"].output_shape == (2, 8, 4, 3)
    assert rows["conv"].parameters == 3 * 8 * 9 + 8
    assert rows["conv"].macs == 2 * 8 * 4 * 3 * 27
    assert rows["conv"].activation_bytes == 4 * 2 * 8 * 4 * 3
    assert rows["norm"].parameters == 16
    assert rows["norm"].macs == 0
    assert rows["up"].output_shape == (2, 4, 8, 6)
    assert rows["up"].macs == 2 * 8 * 4 * 3 * (4 * 4)
    assert rows["head.1"].kind == "Linear"
    assert rows["head.1"].macs == 2 * 5 * 192
    assert report.parameters == sum(p.numel() for p in net.parameters())
    assert report.trainable_parameters == report.parameters - 5
    assert report.macs == sum(row.macs for row in report.rows)
    assert report.activation_bytes == sum(row.activation_bytes for row in report.rows)
    for name in ("conv", "norm", "up", "head.1"):
        assert rows[name].kernels, name
        assert all("/" in kernel for kernel in rows[name].kernels)
    assert rows["head.0"].kernels == ()


def test_kernel_column_follows_the_provider():
    with pycnn.using("reference"):
        report = pycnn.summary(nn.Conv2d(3, 4, 3), (1, 3, 5, 5))
    (row,) = report.rows
    assert row.name == ""
    assert all(kernel.startswith("reference/") for kernel in row.kernels)


def test_text():
    text = str(pycnn.summary(Net(), (2, 3, 8, 6)))
    lines = text.split("\n")
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "MACs", "bytes", "kernel"]
    assert len(lines) == 2 + 7 + 2
    assert lines[2].split()[:6] == ["conv", "Conv2d", "2x8x4x3", "224", "5,184", "768"]
    assert lines[-1].split()[0] == "total"
    assert max(map(len, lines)) < 120


def test_grouped_and_shared_layers():
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    report = pycnn.summary(nn.Sequential(conv, conv), (1, 4, 5, 5))
    assert [row.name for row in report.rows] == ["0", "0"]
    assert [row.parameters for row in report.rows] == [72, 0]
    assert [row.macs for row in report.rows] == [4 * 25 * 18] * 2
    assert report.parameters == 72


def test_several_inputs_outputs_and_dtype():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2, dtype=pycnn.float64)

        def forward(self, a, b):
            return self.linear(a), self.linear(input=b)

    report = pycnn.summary(Two(), [(4, 3), (5, 3)])
    assert [row.output_shape for row in report.rows] == [(4, 2), (5, 2)]
    assert report.activation_bytes == 8 * (8 + 10)
    pool = nn.MaxPool2d(2, return_indices=True)
    (row,) = pycnn.summary(pool, (1, 1, 4, 4)).rows
    assert row.output_shape == ((1, 1, 2, 2), (1, 1, 2, 2))


def _state(net):
    flags = [m.training for m in net.modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()]
    return flags, hooks, {k: v.numpy().copy() for k, v in net.state_dict().items()}


def _assert_undisturbed(net, before):
    after = _state(net)
    assert after[:2] == before[:2]
    for key, value in after[2].items():
        np.testing.assert_array_equal(value, before[2][key])


def test_net_is_left_as_it_was():
    net = Net()
    net.norm.eval()
    calls = []
    net.conv.register_forward_hook(lambda m, args, out: calls.append(1))
    before = _state(net)
    pycnn.summary(net, (2, 3, 8, 6))
    assert calls == [1]
    _assert_undisturbed(net, before)
    assert all(p.grad is None for p in net.parameters())


def test_net_is_left_as_it_was_when_its_forward_raises():
    net = Net()
    before = _state(net)
    with pytest.raises(RuntimeError):
        pycnn.summary(net, (2, 3, 50, 50))
    _assert_undisturbed(net, before)
    with pycnn.trace() as trace:
        pass
    assert trace.records == []
