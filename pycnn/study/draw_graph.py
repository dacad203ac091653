"""An autograd graph drawn in layers, as SVG, by our own means.

Sugiyama, Tagawa, Toda 1981, in its simplest form. Functions stand in rows: below everything they
were computed from. An edge over several rows passes through a point of each. Rows are ordered by
the middle of what each box is joined to, then boxes move as close to it as their neighbours allow.
Parameters stand to the left of the first Function that uses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from .draw import CHARACTER, LINE, clean, colour_of, document, number, rendered

_PAD, _GAP, _ROW = 8.0, 24.0, 34.0  # inside a box, between boxes, between rows
_SWEEPS = 12  # over the rows, down and up in turn
_STIFF = 8.0  # how much more a point of a long edge resists being moved than a box
_LEAF, _END = "#ffffff", "#e4e4e4"


def colour(node: Any) -> str:
    """The colour of a node's box."""
    if node.kind == "function":
        return colour_of(node.name)
    return _LEAF if node.kind == "parameter" else _END


@dataclass(eq=False)
class _Place:
    """A box, with the parameters at its left, or a point of a long edge."""

    node: Any = None  # None: a point
    row: int = 0
    leaves: list[Any] = field(default_factory=list)
    above: list[_Place] = field(default_factory=list)
    below: list[_Place] = field(default_factory=list)
    x: float = 0.0  # of the middle of the box
    order: float = 0.0

    @property
    def width(self) -> float:
        return _width(self.node.lines) if self.node is not None else 0.0

    @property
    def height(self) -> float:
        if self.node is None:
            return 0.0
        leaves = sum(_height(leaf.lines[:1]) + 4 for leaf in self.leaves)
        return max(_height(self.node.lines), leaves)

    @property
    def left(self) -> float:
        """From the middle to the left end of everything."""
        leaves = max((_width([_leaf_text(leaf)]) for leaf in self.leaves), default=-_GAP)
        return self.width / 2 + leaves + _GAP if self.node is not None else 0.0

    @property
    def right(self) -> float:
        return self.width / 2


def _width(lines: Any) -> float:
    return max(len(line) for line in lines) * CHARACTER + 2 * _PAD


def _height(lines: Any) -> float:
    return len(lines) * LINE + _PAD


def _leaf_text(leaf: Any) -> str:
    return f"{leaf.name.rpartition('.')[2]}  {leaf.lines[-1]}"


def draw_graph(graph: Any) -> str:
    """The text of an SVG file that shows a Graph of graph.py."""
    rows, chains, shared = _layered(graph)
    _ordered(rows)
    _placed(rows)
    return _drawn(rows, chains, shared)


# --- rows -----------------------------------------------------------------------------------------


def _layered(graph: Any) -> tuple[list[list[_Place]], list[list[_Place]], list[tuple[Any, _Place]]]:
    """(rows, the places each edge passes, parameters' further uses)."""
    nodes = {node.id: node for node in graph.nodes}
    places = {node.id: _Place(node) for node in graph.nodes if node.kind != "parameter"}
    home: dict[str, _Place] = {}
    shared, edges = [], []
    for edge in graph.edges:
        target = places[edge.target]
        if edge.source in places:
            edges.append((places[edge.source], target))
        elif edge.source in home:
            shared.append((nodes[edge.source], target))
        else:
            home[edge.source] = target
            target.leaves.append(nodes[edge.source])
    # the edges are in the order of the forward pass: a source's own come before it is used
    for source, target in edges:
        target.row = max(target.row, source.row + 1)
    for place in places.values():
        if place.node.kind == "input":
            used = [target.row for source, target in edges if source is place]
            place.row = min(used, default=1) - 1
    chains = []
    for source, target in edges:
        points = [_Place(row=row) for row in range(source.row + 1, target.row)]
        chain = [source, *points, target]
        for upper, lower in zip(chain, chain[1:]):
            upper.below.append(lower)
            lower.above.append(upper)
        chains.append(chain)
    rows: list[list[_Place]] = [[] for _ in range(1 + max(p.row for p in places.values()))]
    for place in (*places.values(), *(p for chain in chains for p in chain[1:-1])):
        rows[place.row].append(place)
    return rows, chains, shared


def _ordered(rows: list[list[_Place]]) -> None:
    """Sorts each row by the middle of what its places are joined to, above and below in turn."""
    for row in rows:
        for i, place in enumerate(row):
            place.order = float(i)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            for place in row:
                joined = place.above if down else place.below
                if joined:
                    place.order = sum(p.order for p in joined) / len(joined)
            row.sort(key=lambda place: place.order)
            for i, place in enumerate(row):
                place.order = float(i)


def _placed(rows: list[list[_Place]]) -> None:
    """Sets x: each place as near to the middle of those it is joined to as its row allows."""
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(2 * _SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            wanted = []
            for place in row:
                joined = (place.above if down else place.below) or [place]
                wanted.append(sum(p.x for p in joined) / len(joined))
            _spread(row, wanted)


def _spread(row: list[_Place], wanted: list[float]) -> None:
    """The x nearest to `wanted`, in the sum of squares, that keep the row's order and gaps.

    Without the gaps taken off, the x may not decrease: pool adjacent violators."""
    offsets = [0.0]
    for before, place in zip(row, row[1:]):
        offsets.append(offsets[-1] + before.right + _GAP + place.left)
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for place, x, offset in zip(row, wanted, offsets):
        mean, weight, count = x - offset, 1.0 if place.node is not None else _STIFF, 1
        while pools and pools[-1][0] > mean:
            m, w, c = pools.pop()
            mean, weight, count = (m * w + mean * weight) / (w + weight), w + weight, c + count
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for place, mean, offset in zip(row, means, offsets):
        place.x = mean + offset


# --- the picture ----------------------------------------------------------------------------------


def _drawn(
    rows: list[list[_Place]], chains: list[list[_Place]], shared: list[tuple[Any, _Place]]
) -> str:
    places = [place for row in rows for place in row]
    least = min(place.x - place.left for place in places)
    for place in places:
        place.x += _GAP - least
    tops, y = [], _GAP
    for row in rows:
        tops.append(y)
        y += max(place.height for place in row) + _ROW
    svg = document(max(place.x + place.right for place in places) + _GAP, y - _ROW + _GAP)
    heights = [max(place.height for place in row) for row in rows]
    for chain in chains:
        _edge(svg, chain, tops, heights)
    ends: dict[str, tuple[float, float]] = {}  # of the parameters: where their arrows begin
    for place in places:
        if place.node is not None:
            top = tops[place.row] + (heights[place.row] - place.height) / 2
            _cell(svg, place, top, ends)
    for leaf, target in shared:
        x, y = ends[leaf.id]
        left, middle = target.x - target.width / 2, tops[target.row] + heights[target.row] / 2
        _path(svg, f"M{number(x)},{number(y)} L{number(left)},{number(middle)}", dashed=True)
    return rendered(svg)


def _edge(
    svg: ElementTree.Element, chain: list[_Place], tops: list[float], heights: list[float]
) -> None:
    """A curve from box to box, upright through the points between."""
    source, target = chain[0], chain[-1]
    middle = tops[source.row] + heights[source.row] / 2
    x, y = source.x, middle + _height(source.node.lines) / 2
    steps = [f"M{number(x)},{number(y)}"]
    for place in chain[1:]:
        top = tops[place.row]
        if place is target:
            top += (heights[place.row] - _height(place.node.lines)) / 2
        bend = max(_ROW / 2, (top - y) / 2)
        steps.append(
            f"C{number(x)},{number(y + bend)} {number(place.x)},{number(top - bend)} "
            f"{number(place.x)},{number(top)}"
        )
        x, y = place.x, top
        if place is not target:
            y += heights[place.row]
            steps.append(f"L{number(x)},{number(y)}")
    _path(svg, " ".join(steps))


def _path(svg: ElementTree.Element, steps: str, dashed: bool = False) -> None:
    attributes = {"d": steps, "fill": "none", "stroke": "#555555", "marker-end": "url(#arrow)"}
    if dashed:
        attributes["stroke-dasharray"] = "4 3"
    ElementTree.SubElement(svg, "path", attributes)


def _cell(
    svg: ElementTree.Element, place: _Place, top: float, ends: dict[str, tuple[float, float]]
) -> None:
    """A Function, input or output, and its parameters beside it."""
    node = place.node
    height, left = _height(node.lines), place.x - place.width / 2
    box_top = top + (place.height - height) / 2
    _box(svg, node, node.lines, left, box_top, place.width, height)
    each = _height([""])
    y = box_top + height / 2 - (len(place.leaves) * (each + 4) - 4) / 2
    for leaf in place.leaves:
        line = _leaf_text(leaf)
        wide = _width([line])
        _box(svg, leaf, [line], left - _GAP - wide, y, wide, each)
        middle = y + each / 2
        ends[leaf.id] = left - _GAP, middle
        inside = min(max(middle, box_top + 4), box_top + height - 4)
        _path(svg, f"M{number(left - _GAP)},{number(middle)} L{number(left)},{number(inside)}")
        y += each + 4


def _box(
    svg: ElementTree.Element, node: Any, lines: Any, x: float, y: float, width: float, height: float
) -> None:
    group = ElementTree.SubElement(svg, "g", {"id": node.id})
    title = "\n".join([*node.lines, *([node.details] if node.details else [])])
    ElementTree.SubElement(group, "title").text = clean(title)
    ElementTree.SubElement(
        group, "rect",
        {"x": number(x), "y": number(y), "width": number(width), "height": number(height),
         "rx": "4" if node.kind == "function" else number(min(height / 2, 12)),
         "fill": colour(node), "stroke": "#555555"},
    )  # fmt: skip
    for i, line in enumerate(lines):
        place = {"x": number(x + _PAD), "y": number(y + _PAD / 2 + LINE * (i + 1) - 4)}
        text = ElementTree.SubElement(group, "text", place)
        if i == 0 and node.kind == "function":
            text.set("font-weight", "bold")
        elif i:
            text.set("fill", "#555555")
        text.text = clean(line)
