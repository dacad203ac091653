"""The autograd graph: parsed back from DOT, drawn as SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import pycnn
from pycnn import nn
from pycnn.autograd import Function
from pycnn.study.graph import autograd_graph
from pycnn.study.retained import retained_bytes

SVG = "{http://www.w3.org/2000/svg}"
NODE = re.compile(r'^  (\w+) \[label="(.*?)", fillcolor="(#\w+)"(.*)\];$', re.M)
EDGE = re.compile(r'^  (\w+) -> (\w+) \[tooltip="(.*)"\];$', re.M)


class Small(nn.Module):
    """A weight used twice, a shortcut, a constant beside it, and two outputs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.idle = nn.Linear(2, 2)

    def forward(self, x):
        y = self.conv(x)
        z = self.conv(y) + x
        return z.relu(), z * 2.0


def graph_of(net, *shapes, grad=True):
    inputs = [pycnn.ones(*shape) for shape in shapes]
    return autograd_graph(net, *[t.requires_grad_() for t in inputs] if grad else inputs)


def parsed(text):
    assert text.startswith("digraph ") and text.endswith("}\n")
    nodes = {name: label.split("\\n") for name, label, _, _ in NODE.findall(text)}
    edges = [(a, b, shape) for a, b, shape in EDGE.findall(text)]
    assert len(nodes) + len(edges) == text.count("\n") - 4, "a line was not understood"
    assert {end for edge in edges for end in edge[:2]} <= nodes.keys()
    return nodes, edges


def test_a_small_graph_line_by_line():
    nodes, edges = parsed(graph_of(Small(), (1, 2, 4, 4)).dot())
    shape = "1 x 2 x 4 x 4"
    assert nodes == {
        "f0": ["Conv2d", "conv", f"-> {shape}"],
        "f1": ["Conv2d", "conv", f"-> {shape}", "keeps 128 bytes"],
        "f2": ["Add", "(net)", f"-> {shape}"],
        "f3": ["Relu", "(net)", f"-> {shape}", "keeps 128 bytes"],
        "f4": ["MulScalar", "(net)", f"-> {shape}"],
        "i0": ["input", shape],
        "p0": ["conv.weight", "2 x 2 x 3 x 3"],
        "o0": ["output", shape],
        "o1": ["output", shape],
    }
    assert sorted(edges) == sorted(
        [
            ("i0", "f0", shape), ("p0", "f0", "2 x 2 x 3 x 3"), ("f0", "f1", shape),
            ("p0", "f1", "2 x 2 x 3 x 3"), ("f1", "f2", shape), ("i0", "f2", shape),
            ("f2", "f3", shape), ("f2", "f4", shape), ("f3", "o0", shape), ("f4", "o1", shape),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("name, size", [("lenet5", 32), ("resnet18", 48), ("googlenet", 64)])
def test_real_networks(name, size):
    pycnn.manual_seed(0)
    net = pycnn.models.get_model(name, **({} if name == "lenet5" else {"width": 0.125}))
    graph = graph_of(net, (1, 1 if name == "lenet5" else 3, size, size))
    nodes, edges = parsed(graph.dot())
    leaves = {label[0]: label[1] for key, label in nodes.items() if key[0] == "p"}
    assert leaves == {n: " x ".join(map(str, p.shape)) for n, p in net.named_parameters()}
    # what is computed depends on what came before it alone
    functions = [(a, b) for a, b, _ in edges if a[0] == b[0] == "f"]
    assert all(int(a[1:]) < int(b[1:]) for a, b in functions)
    # every Function but the last of each output is used
    used = {a for a, _, _ in edges}
    assert used == nodes.keys() - {n for n in nodes if n[0] == "o"}
    modules = dict(net.named_modules())
    owned = {label[1] for key, label in nodes.items() if key[0] == "f"}
    assert owned <= {*modules, "(net)"}
    kinds = {label[1]: label[0] for key, label in nodes.items() if key[0] == "f"}
    convolutions = {n for n, m in modules.items() if isinstance(m, nn.Conv2d)}
    assert convolutions <= kinds.keys()
    assert all(kinds[n].startswith("Conv2d") for n in convolutions)


def test_an_output_of_several_has_its_own_shape():
    class Halves(Function):
        def forward(self, x):
            return x[:, :1].copy(), x[:, 1:].copy()

    class Parts(nn.Module):
        def forward(self, x):
            a, b = Halves()(x)
            return a * b

    nodes, edges = parsed(graph_of(Parts(), (2, 4)).dot())
    assert nodes["f0"] == ["Halves", "(net)", "-> 2 x 1, 2 x 3"]
    assert [e for e in edges if e[0] == "f0"] == [("f0", "f1", "2 x 1"), ("f0", "f1", "2 x 3")]


def test_the_text_is_the_same_every_time():
    first, second = (graph_of(Small(), (1, 2, 4, 4)) for _ in range(2))
    assert first.dot() == second.dot() and first.svg() == second.svg()


def test_labels_are_quoted():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_parameter('a"b\\', nn.Parameter(pycnn.ones(2)))

        def forward(self, x):
            return x * getattr(self, 'a"b\\')

    text = graph_of(Odd(), (2,)).dot()
    assert 'label="a\\"b\\\\\\n2"' in text
    assert ElementTree.fromstring(graph_of(Odd(), (2,)).svg().encode()) is not None


def rectangles(root):
    """id -> x, y, width, height of every box."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        found[group.get("id")] = [float(rect.get(k)) for k in ("x", "y", "width", "height")]
    return found


@pytest.mark.parametrize("name, size", [("resnet18", 48), ("googlenet", 64), ("unet", 188)])
def test_the_drawing_overlaps_nowhere_and_runs_downwards(name, size):
    net = pycnn.models.get_model(name, width=0.125)
    graph = graph_of(net, (1, 1 if name == "unet" else 3, size, size))
    root = ElementTree.fromstring(graph.svg().encode())
    boxes = rectangles(root)
    assert boxes.keys() == {node.id for node in graph.nodes}
    width, height = float(root.get("width")), float(root.get("height"))
    names = list(boxes)
    corners = np.array([boxes[n] for n in names])
    left, top, right, bottom = *corners.T[:2], *(corners[:, :2] + corners[:, 2:]).T
    assert (left > 0).all() and (top > 0).all() and (right < width).all()
    assert (bottom < height).all()
    apart = (
        (right[:, None] <= left) | (right <= left[:, None])
        | (bottom[:, None] <= top) | (bottom <= top[:, None])
    )  # fmt: skip
    assert (apart | np.eye(len(names), dtype=bool)).all()
    for source, target, _ in graph.edges:
        if source[0] != "p":
            assert boxes[source][1] + boxes[source][3] < boxes[target][1]
    # a line for each edge; each begins and ends at its boxes
    paths = [p.get("d") for p in root.iter(f"{SVG}path") if p.get("marker-end")]
    assert len(paths) == len(graph.edges)
    starts = {tuple(map(float, re.match(r"M([\d.]+),([\d.]+)", d).groups())) for d in paths}
    for source, _, _ in graph.edges:
        x, y, w, h = boxes[source]
        end = (x + w, y + h / 2) if source[0] == "p" else (x + w / 2, y + h)
        assert min(abs(a - end[0]) + abs(b - end[1]) for a, b in starts) < 0.1
    for group in root.iter(f"{SVG}g"):
        x, y, w, h = boxes[group.get("id")]
        for text in group.findall(f"{SVG}text"):
            assert float(text.get("x")) + 7.2 * len(text.text) <= x + w
            assert y < float(text.get("y")) < y + h


def test_a_weight_used_again_is_drawn_once():
    root = ElementTree.fromstring(graph_of(Small(), (1, 2, 4, 4)).svg().encode())
    assert [g.get("id") for g in root.iter(f"{SVG}g")].count("p0") == 1
    dashed = [p for p in root.iter(f"{SVG}path") if p.get("stroke-dasharray")]
    assert len(dashed) == 1


def test_what_is_kept_counts_each_memory_once():
    x = pycnn.ones(4, 8).requires_grad_()
    w = pycnn.ones(8, 8).requires_grad_()
    y = x @ w
    z = y.tanh()
    out = z * y
    nodes = [out._node.edges[1][0], out._node.edges[0][0], out._node]
    assert [type(n).__name__ for n in nodes] == ["Gemm", "Unary", "Mul"]
    # the product keeps x and w, which live on anyway; tanh its result; mul that and y
    assert retained_bytes(nodes, [x, w]) == [0, 128, 128]
    assert retained_bytes(nodes, [w]) == [128, 128, 128]
    # a view keeps the whole of what it looks at
    part = (pycnn.ones(10, 10).requires_grad_() * 1.0)[:2]
    square = part * part
    assert retained_bytes([square._node]) == [400]


def test_the_command_and_the_file(tmp_path):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from click.testing import CliRunner

    from pycnn.cli import main

    def run(*arguments):
        return CliRunner().invoke(main, ["graph", *map(str, arguments)])

    printed = run("lenet5")
    assert printed.exit_code == 0 and "c1.weight" in printed.output
    for ending in ("dot", "svg"):
        path = tmp_path / f"lenet.{ending}"
        assert run("lenet5", "--out", path).exit_code == 0
        text = path.read_text()
        assert text == printed.output if ending == "dot" else "<svg" in text
    wrong = run("lenet5", "--out", tmp_path / "lenet.png")
    assert wrong.exit_code == 2 and "expected .dot, .gv, .svg" in wrong.output.replace("\n", " ")
    assert not (tmp_path / "lenet.png").exists()


def test_nothing_recorded_is_an_error():
    with pytest.raises(ValueError, match="ReLU: nothing that it gave requires gradients"):
        graph_of(nn.ReLU(), (2,), grad=False)


def test_the_tools_are_found_by_name():
    import pycnn.study

    for name in ("autograd_graph", "compare_models", "trace_model", "visualize"):
        assert callable(getattr(pycnn.study, name)) and getattr(pycnn.study, name).__doc__
    name = "nothing"
    with pytest.raises(AttributeError, match="'pycnn.study' has no attribute 'nothing'"):
        getattr(pycnn.study, name)
