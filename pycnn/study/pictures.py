"""The pictures of projection.py: grids of filters, maps and projections, as PNG."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..files import replacing

_MOST = 64  # maps of a layer that are shown


def _figure(width: float, height: float, title: str) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    return figure


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=110, format="png")


def as_picture(values: np.ndarray, share: float = 1.0) -> np.ndarray:
    """(C, H, W) of any sign as (H, W, 3) between 0 and 1: 0 is grey, the largest size white or
    black; only that `share` of the sizes is told apart. Channels other than three are averaged."""
    if values.shape[0] != 3:
        values = values.mean(axis=0, keepdims=True).repeat(3, axis=0)
    largest = float(np.quantile(np.abs(values), share)) or float(np.abs(values).max()) or 1.0
    return np.clip(0.5 + values / (2 * largest), 0, 1).transpose(1, 2, 0)


def grid(
    pictures: Sequence[np.ndarray], columns: int, gap: int = 1, ground: float = 1.0
) -> np.ndarray:
    """Pictures (H, W, ...) of one size side by side, row after row."""
    height, width, *rest = pictures[0].shape
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *rest)
    whole = np.full(shape, ground, np.float32)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole


def draw_filters(path: str | os.PathLike[str], name: str, weights: np.ndarray, title: str) -> None:
    """The filters (K, C, R, S) of a layer, each on its own scale."""
    columns = math.ceil(math.sqrt(len(weights)))
    whole = grid([as_picture(w) for w in weights], columns)
    shape = " x ".join(map(str, weights.shape))
    figure = _figure(8, 8 * whole.shape[0] / whole.shape[1] + 0.8, title)
    axes = figure.subplots()
    axes.imshow(whole, interpolation="nearest")
    axes.set_title(f"the filters of {name}, {shape}: grey is 0", fontsize=11)
    axes.set_axis_off()
    _save(figure, path)


def draw_activations(
    path: str | os.PathLike[str], layer: str, maps: np.ndarray, photo: np.ndarray, title: str
) -> None:
    """The photograph, and the maps (K, P, Q) with the largest activations, the strongest first."""
    largest = maps.reshape(len(maps), -1).max(axis=1)
    order = np.argsort(-largest, kind="stable")[:_MOST]
    columns = math.ceil(math.sqrt(len(order)))
    least, most = float(maps[order].min()), float(maps[order].max())
    scale = (most - least) or 1.0
    gap = max(1, maps.shape[2] // 20)
    whole = grid([(maps[k] - least) / scale for k in order], columns, gap, ground=np.nan)
    figure = _figure(12.5, 7.6, title)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 2]})
    left.imshow(photo)
    left.set_title(f"the image, {photo.shape[0]} x {photo.shape[1]}", fontsize=11)
    right.imshow(whole, cmap="magma", interpolation="nearest", vmin=0, vmax=1)
    shown = "" if len(order) == len(maps) else f"{len(order)} strongest of "
    shape = " x ".join(map(str, maps.shape[1:]))
    right.set_title(
        f"{layer}: the {shown}{len(maps)} maps, {shape}, from {least:.3g} (black) to {most:.3g}",
        fontsize=11,
    )
    for axes in (left, right):
        axes.set_axis_off()
    _save(figure, path)


def draw_projections(
    path: str | os.PathLike[str], projections: Sequence[Any], photo: np.ndarray, title: str
) -> None:
    """The photograph with a frame around what each activation saw, and for each its projection
    above the piece of the photograph."""
    from matplotlib.patches import Rectangle

    columns = math.ceil(math.sqrt(len(projections)))
    rows = -(-len(projections) // columns)
    figure = _figure(7 + 2.0 * columns, max(6.6, 3.6 * rows), title)
    left, right = figure.subfigures(1, 2, width_ratios=[6, 2.2 * columns])
    axes = left.subplots()
    axes.imshow(photo)
    axes.set_anchor("N")
    axes.set_title(f"what the strongest activations of {projections[0].layer} saw", fontsize=11)
    axes.set_axis_off()
    cells = right.subplots(2 * rows, columns, squeeze=False)
    for cell in cells.flat:
        cell.set_axis_off()
    for i, p in enumerate(projections):
        top, west, bottom, east = p.box
        frame = (west - 0.5, top - 0.5)
        axes.add_patch(
            Rectangle(frame, east - west, bottom - top, fill=False, edgecolor=f"C{i}", linewidth=2)
        )
        above, below = cells[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]
        above.imshow(as_picture(p.pixels[:, top:bottom, west:east], 0.995), interpolation="nearest")
        above.set_title(f"channel {p.channel}: {p.value:.3g}", fontsize=9, color=f"C{i}")
        below.imshow(photo[top:bottom, west:east], interpolation="nearest")
    _save(figure, path)
