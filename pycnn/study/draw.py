"""draw(net): the block diagram of a network, as SVG."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

from .. import nn
from ..autograd import no_grad
from ..creation import zeros
from ..files import replacing
from ..nn.summary import evaluating
from ..tensor import Tensor

LINE, CHARACTER = 16.0, 7.25  # a line of text, and the widest a character of its font gets
_PAD, _GAP = 10.0, 14.0  # inside a box, and between two
_SHADOW = 4.0  # what the boxes behind a folded one stick out
_LONGEST = 72  # characters of a line; the tooltip has all
_CONTAINER, _OTHER = "#f4f4f2", "#ffffff"
_COLOURS = (  # by a part of the class's name, first come first served
    (("Pool", "Upsample", "Upsampling", "Enlarge"), "#f6dccb"),
    (("Conv", "Linear", "Embedding"), "#cfe0f5"),
    (("Norm",), "#d7ecd3"),
    (("Dropout", "StochasticDepth", "DropPath"), "#e6e0ee"),
    (("ReLU", "Relu", "Gelu", "Silu", "Sigmoid", "Tanh", "Softmax", "LU"), "#fbeec2"),
)

Shapes = dict[int, list[str]]  # id of a module -> what each of its calls gave


@dataclass
class _Box:
    """A module: its text, what is in it, how many like it stand for, and where it goes."""

    lines: list[str]
    title: str
    colour: str
    inside: list[_Box] = field(default_factory=list)
    count: int = 1
    chained: bool = False  # what is inside runs in this order
    width: float = 0.0
    height: float = 0.0

    def measure(self) -> None:
        """Sets width and height, from the inside out."""
        for box in self.inside:
            box.measure()
        widths = [len(line) * CHARACTER for line in self.lines]
        self.width = max([*widths, *(box.outer for box in self.inside)]) + 2 * _PAD
        self.height = len(self.lines) * LINE + 2 * _PAD
        self.height += sum(box.tall + _GAP for box in self.inside)

    @property
    def outer(self) -> float:
        return self.width + self._behind

    @property
    def tall(self) -> float:
        return self.height + self._behind

    @property
    def _behind(self) -> float:
        return 2 * _SHADOW if self.count > 1 else 0.0


def draw(
    net: nn.Module,
    input_shape: Any = None,
    path: str | os.PathLike[str] | None = None,
) -> str:
    """Draw the modules of `net` as nested boxes, in the order in which they were registered.

    A line says a module's name, class and arguments; runs of identical neighbours are one box with
    their number. Arrows join the modules of a Sequential, whose order is that of the computation.

    Args:
        net: any module.
        input_shape: with the batch, as (1, 3, 224, 224), or a list of shapes of several inputs: the
            network is then run once on zeros, in evaluation mode, and every box says what the
            module gave. A module that is called several times says what it gave first and last.
        path: where to write the file too; it is complete or not there.

    Returns:
        The text of the SVG file.

    Raises:
        TypeError: `net` is no Module. OSError: the file cannot be written. What `net` raises.
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"draw(): net must be a Module, not {type(net).__name__}")
    shapes: Shapes = {}
    inputs: list[tuple[int, ...]] = []
    if input_shape is not None:
        several = bool(input_shape) and isinstance(input_shape[0], Sequence)
        inputs = [tuple(shape) for shape in (input_shape if several else [input_shape])]
        _run(net, inputs, shapes)
    root = _box("", net, shapes, "")
    root.lines[0] += f"   {sum(p.numel() for p in net.parameters()):,} parameters"
    if inputs:
        root.lines.insert(1, "input " + ", ".join(map(_text, inputs)))
    text = _svg(root)
    if path is not None:
        with replacing(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return text


# --- shapes ---------------------------------------------------------------------------------------


def _run(net: nn.Module, inputs: list[tuple[int, ...]], shapes: Shapes) -> None:
    first = next(net.parameters(), None)
    dtype, device = (None, "cpu") if first is None else (first.dtype, first.device)
    tensors = [zeros(shape, dtype=dtype, device=device) for shape in inputs]
    with no_grad(), evaluating(net), _watching(net, shapes):
        net(*tensors)


@contextmanager
def _watching(net: nn.Module, shapes: Shapes) -> Iterator[None]:
    def note(module: nn.Module, args: Any, output: Any) -> None:
        parts = output if isinstance(output, (tuple, list)) else (output,)
        text = ", ".join(_text(part.shape) for part in parts if isinstance(part, Tensor))
        shapes.setdefault(id(module), []).append(text)

    handles = [module.register_forward_hook(note) for module in net.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _shape_line(calls: list[str]) -> str:
    if calls[0] == calls[-1]:
        return f"-> {calls[0]}"
    return f"-> {calls[0]} ... {calls[-1]}"


# --- boxes ----------------------------------------------------------------------------------------


def _box(name: str, module: nn.Module, shapes: Shapes, path: str) -> _Box:
    inside = []
    children = list(module.named_children())
    for _, run in groupby(children, lambda child: _identity(child[1], shapes)):
        same = list(run)
        (first, child), (last, _) = same[0], same[-1]
        label = first if len(same) == 1 else f"{first} ... {last}"
        box = _box(label, child, shapes, f"{path}.{label}" if path else label)
        box.count = len(same)
        if box.count > 1:
            box.lines[0] = f"{box.count} x   {box.lines[0]}"
        inside.append(box)
    kind = type(module).__name__
    text = f"{name}: {kind}" if name else kind
    extra = " ".join(module.extra_repr().split())
    if extra:
        text += f"({extra})"
    lines = [text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."]
    if shapes.get(id(module)):
        lines.append(_shape_line(shapes[id(module)]))
    title = f"{path}: {text.removeprefix(f'{name}: ')}" if path else text
    chained = isinstance(module, nn.Sequential)
    return _Box(lines, title, _colour(module), inside, chained=chained)


def _identity(module: nn.Module, shapes: Shapes) -> Any:
    """Equal for modules that look and measure the same."""
    parameters = tuple(
        (name, p.shape) for name, p in module.named_parameters(recurse=False) if p is not None
    )
    below = tuple((name, _identity(child, shapes)) for name, child in module.named_children())
    calls = tuple(shapes.get(id(module), ()))
    return type(module), module.extra_repr(), parameters, calls, below


def _colour(module: nn.Module) -> str:
    if next(module.children(), None) is not None:
        return _CONTAINER
    return colour_of(type(module).__name__)


def colour_of(kind: str) -> str:
    """The colour of a class of modules or Functions."""
    for parts, colour in _COLOURS:
        if any(part in kind for part in parts):
            return colour
    return _OTHER


# --- the file -------------------------------------------------------------------------------------


def number(value: float) -> str:
    """A coordinate as the file has it."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def clean(text: str) -> str:
    """Without the characters that XML has no way to write."""
    return "".join(
        c if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else "?" for c in text
    )  # fmt: skip


def document(width: float, height: float) -> ElementTree.Element:
    """An empty picture with a white ground, whose lines may end in marker-end="url(#arrow)"."""
    across, down = number(width), number(height)
    svg = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg", "width": across, "height": down,
            "viewBox": f"0 0 {across} {down}", "font-family": "monospace", "font-size": "12",
        },
    )  # fmt: skip
    defs = ElementTree.SubElement(svg, "defs")
    arrow = ElementTree.SubElement(
        defs, "marker",
        {"id": "arrow", "markerWidth": "8", "markerHeight": "8", "refX": "6", "refY": "3",
         "orient": "auto"},
    )  # fmt: skip
    ElementTree.SubElement(arrow, "path", {"d": "M0,0 L6,3 L0,6 z", "fill": "#555555"})
    ElementTree.SubElement(svg, "rect", {"width": across, "height": down, "fill": "#ffffff"})
    return svg


def rendered(svg: ElementTree.Element) -> str:
    """The text of the file."""
    ElementTree.indent(svg)
    text = ElementTree.tostring(svg, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _svg(root: _Box) -> str:
    root.measure()
    svg = document(root.width + 2 * _PAD, root.height + 2 * _PAD)
    _place(svg, root, _PAD, _PAD)
    return rendered(svg)


def _place(parent: ElementTree.Element, box: _Box, x: float, y: float) -> None:
    group = ElementTree.SubElement(parent, "g")
    ElementTree.SubElement(group, "title").text = clean(box.title)
    for behind in (2, 1, 0) if box.count > 1 else (0,):
        ElementTree.SubElement(
            group, "rect",
            {"x": number(x + behind * _SHADOW), "y": number(y + behind * _SHADOW),
             "width": number(box.width), "height": number(box.height), "rx": "4",
             "fill": box.colour, "stroke": "#555555"},
        )  # fmt: skip
    y += _PAD
    for i, line in enumerate(box.lines):
        y += LINE
        place = {"x": number(x + _PAD), "y": number(y - 4)}
        shape = line.startswith(("-> ", "input "))
        text = ElementTree.SubElement(group, "text", place | ({"fill": "#555555"} if shape else {}))
        if i == 0 and box.inside:
            text.set("font-weight", "bold")
        text.text = clean(line)
    before = None
    for inner in box.inside:
        y += _GAP
        left = x + (box.width - inner.outer) / 2
        if before is not None and box.chained:
            middle = number(x + box.width / 2)
            ElementTree.SubElement(
                group, "line",
                {"x1": middle, "x2": middle, "y1": number(before), "y2": number(y),
                 "stroke": "#555555", "marker-end": "url(#arrow)"},
            )  # fmt: skip
        _place(group, inner, left, y)
        y += inner.tall
        before = y


__all__ = ["draw"]
