"""autograd_graph(net, x): what the backward pass of a network will walk over, as DOT and SVG.

Drawn in the direction of the forward pass: parameters and inputs, the Functions that were recorded,
what came out. The backward pass runs against the arrows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..autograd import Function
from ..files import replacing
from ..tensor import Tensor
from .owners import functions_of, tensors_in, watching
from .retained import retained_bytes

FUNCTION, PARAMETER, INPUT, OUTPUT = "function", "parameter", "input", "output"


class Node(NamedTuple):
    """A box of the graph."""

    id: str  # f0, f1 ... in order of the forward pass; p0 ..., i0 ..., o0 ...
    kind: str  # function, parameter, input or output
    name: str  # a Function's class; a parameter's name
    lines: tuple[str, ...]  # the name, the module it belongs to, shapes, what it keeps
    details: str  # geometry and arguments, for a tooltip


class Edge(NamedTuple):
    """From what made an array to what used it."""

    source: str
    target: str
    shape: tuple[int, ...]


@dataclass
class Graph:
    """The autograd graph of one forward pass."""

    title: str
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    def dot(self) -> str:
        """The graph in Graphviz's language, the same text for the same network."""
        from .draw_graph import colour

        lines = [
            f"digraph {_quoted(self.title)} {{",
            "  rankdir=TB;",
            '  node [shape=box, style=filled, fontname="monospace", fontsize=10];',
        ]
        for node in self.nodes:
            shape = ", shape=ellipse" if node.kind in (PARAMETER, INPUT) else ""
            lines.append(
                f"  {node.id} [label={_quoted(*node.lines)}, fillcolor={_quoted(colour(node))}"
                f"{shape}, tooltip={_quoted(node.details or node.name)}];"
            )
        for edge in self.edges:
            lines.append(
                f"  {edge.source} -> {edge.target} [tooltip={_quoted(_text(edge.shape))}];"
            )
        return "\n".join([*lines, "}", ""])

    def svg(self) -> str:
        """The graph drawn in layers, as the text of an SVG file."""
        from .draw_graph import draw_graph

        return draw_graph(self)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write DOT to a .dot or .gv file, a picture to .svg; complete or not there. ValueError for
        any other ending."""
        ending = os.path.splitext(path)[1]
        writers = {".dot": self.dot, ".gv": self.dot, ".svg": self.svg}
        if ending not in writers:
            raise ValueError(f"path: got {os.fspath(path)!r}, expected {', '.join(writers)}")
        text = writers[ending]()
        with replacing(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def autograd_graph(net: Any, *inputs: Tensor) -> Graph:
    """Run `net` forward on `inputs`, as they are, and describe what it recorded.

    Parameters and the inputs that require gradients are leaves; what requires none is not part of
    the graph. A Function's box says what it computes and for which module, the shape it gives and
    how many bytes it alone keeps for the backward pass.

    Raises:
        ValueError: nothing was recorded. What `net` raises.
    """
    with watching(net) as owners:
        outputs = list(tensors_in(net(*inputs)))
    functions = functions_of([t._node for t in outputs])
    if not functions:
        raise ValueError(f"{type(net).__name__}: nothing that it gave requires gradients")
    functions.sort(key=lambda node: node.sequence)
    names = {id(p): name for name, p in net.named_parameters()}
    buffers = [buffer for _, buffer in net.named_buffers()]
    kept = retained_bytes(functions, [*inputs, *net.parameters(), *buffers])
    graph = Graph(type(net).__name__)
    ids: dict[int, str] = {id(f): f"f{i}" for i, f in enumerate(functions)}
    leaves: dict[int, Tensor] = {}
    for f, size in zip(functions, kept):
        graph.nodes.append(_function(ids[id(f)], f, owners.path(f)[-1:], size))
        for edge in f.edges:
            if edge is None:
                continue
            source, index = edge
            if id(source) not in ids:
                leaves[id(source)] = source
                kind = "p" if id(source) in names else "i"
                ids[id(source)] = f"{kind}{sum(n.id[0] == kind for n in graph.nodes)}"
                graph.nodes.append(_leaf(ids[id(source)], source, names.get(id(source))))
            shape = source._outputs[index][0] if isinstance(source, Function) else source.shape
            graph.edges.append(Edge(ids[id(source)], ids[id(f)], tuple(shape)))
    for i, t in enumerate(t for t in outputs if t._node is not None):
        name = f"o{i}"
        graph.nodes.append(Node(name, OUTPUT, "output", ("output", _text(t.shape)), ""))
        graph.edges.append(Edge(ids[id(t._node)], name, tuple(t.shape)))
    return graph


def _function(name: str, f: Function, path: tuple[str, ...], kept: int) -> Node:
    kind = f.name.removesuffix("Backward")
    activation = getattr(f, "activation", None)
    title = f"{kind} + {activation}" if activation else kind
    shapes = ", ".join(_text(shape) for shape, _, _ in f._outputs)
    lines = (title, *path, f"-> {shapes}", *([f"keeps {_bytes(kept)}"] if kept else []))
    geometry = getattr(f, "geometry", None)
    return Node(name, FUNCTION, kind, lines, "" if geometry is None else str(geometry))


def _leaf(name: str, t: Tensor, parameter: str | None) -> Node:
    if parameter is None:
        return Node(name, INPUT, "input", ("input", _text(t.shape)), "")
    return Node(name, PARAMETER, parameter, (parameter, _text(t.shape)), "")


def _text(shape: Any) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _bytes(count: int) -> str:
    for unit, size in (("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _quoted(*lines: str) -> str:
    text = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return f'"{text}"'
