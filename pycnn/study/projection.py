"""What a network looks for: first-layer filters, activations, and the deconvnet's way back to the
pixels.

Zeiler, Fergus 2013, arXiv:1311.2901, section 2.1: an activation is followed back to the image
through the layers in reverse. A pooling is undone by putting each value where the maximum was (the
recorded switches), a ReLU passes positive values on, a convolution is followed by the transposed
convolution with the same filters. Biases have no part in it, and normalisation across channels is
passed through, as in the paper. It is not the gradient: that masks by the sign of the forward
pass, this by the sign of what comes back.

The steps are read off the autograd graph of one forward pass, which holds filters and switches.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Function, enable_grad, no_grad
from ..functional.activation import Activation
from ..functional.conv import Conv2d
from ..functional.dropout import Dropout
from ..functional.norm import LocalResponseNorm
from ..functional.pool import MaxPool2d, flat_indices
from ..nn.summary import evaluating
from ..tensor import Tensor

Step = Callable[[Tensor], Tensor]


class Projection(NamedTuple):
    """One activation and what it goes back to."""

    layer: str
    channel: int
    row: int
    column: int
    value: float
    pixels: np.ndarray  # (C, H, W) of the image
    box: tuple[int, int, int, int]  # top, left, bottom, right of the pixels that it saw


class Activations(NamedTuple):
    """What a layer gave for an image, and the way back from it."""

    layer: str
    maps: np.ndarray  # (K, P, Q)
    steps: tuple[tuple[str, Step], ...]  # from the layer to the image: (what it undoes, how)


def first_filters(net: nn.Module) -> tuple[str, np.ndarray]:
    """(name, weights (K, C, R, S)) of the first convolution; ValueError without one."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module.weight.detach().numpy()
    raise ValueError(f"{type(net).__name__} has no Conv2d whose filters could be shown")


def last_convolution(net: nn.Module) -> str:
    """The name of the convolution that was registered last; ValueError without one."""
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    if not names:
        raise ValueError(f"{type(net).__name__} has no Conv2d to project from")
    return names[-1]


def activations(net: nn.Module, image: np.ndarray, layer: str) -> Activations:
    """Run `net` in evaluation mode on `image` (C, H, W) and keep what `layer` gave, with the steps
    back to the image.

    A layer that runs several times gives what it gave last.

    Raises:
        ValueError: there is no such layer or it did not run, it gave no maps, or what lies between
            it and the image is no chain of convolutions, ReLUs and max pools. What `net` raises.
    """
    maps, node = _captured(net, image, layer)
    return Activations(layer, maps, tuple(_steps(node, layer)))


def _captured(net: nn.Module, image: np.ndarray, layer: str) -> tuple[np.ndarray, Any]:
    """(what the layer gave, the Function that made it)."""
    modules = dict(net.named_modules())
    if layer not in modules or not layer:
        names = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
        raise ValueError(f"layer: got {layer!r}; the convolutions are {', '.join(names)}")
    given: list[Any] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        # copied, for the next layer may work in its place
        given[:] = [output._node, output.detach().clone().numpy()] if _is_maps(output) else [None]

    x = Tensor._wrap(np.ascontiguousarray(image[None], np.float32)).requires_grad_()
    handle = modules[layer].register_forward_hook(keep)
    try:
        with enable_grad(), evaluating(net):
            net(x)
    finally:
        handle.remove()
    if len(given) != 2:
        why = "did not run" if not given else "gave no maps (1, K, P, Q)"
        raise ValueError(f"layer: {layer} {why}; a convolution, ReLU or max pool is wanted")
    return given[1][0], given[0]


def _is_maps(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4


def project(found: Activations, channel: int, row: int, column: int) -> Projection:
    """Follow one activation of `found` back to the pixels, every other of the layer set to 0.

    ValueError for a place that is not in the maps."""
    place = (channel, row, column)
    if not all(0 <= at < size for at, size in zip(place, found.maps.shape)):
        raise ValueError(
            f"channel, row, column: got {place}, expected less than {found.maps.shape}"
        )
    signal = np.zeros((1, *found.maps.shape), np.float32)
    signal[0][place] = found.maps[place]
    back, reach = Tensor._wrap(signal), _Reach(place[1], place[2])
    with no_grad():
        for _, step in found.steps:
            back = step(back)
            reach.grow(step)
    pixels = back.numpy()[0]
    box = reach.within(*pixels.shape[1:])
    return Projection(found.layer, *place, float(found.maps[place]), pixels, box)


def strongest(found: Activations, count: int = 1) -> list[tuple[int, int, int]]:
    """(channel, row, column) of the largest activation of each channel, the strongest channels
    first; of equal ones the first."""
    flat = found.maps.reshape(found.maps.shape[0], -1)
    order = np.argsort(-flat.max(axis=1), kind="stable")[:count]
    places = [np.unravel_index(int(flat[k].argmax()), found.maps.shape[1:]) for k in order]
    return [(int(k), int(row), int(column)) for k, (row, column) in zip(order, places)]


# --- one layer back -------------------------------------------------------------------------------


def _steps(node: Any, layer: str) -> list[tuple[str, Step]]:
    """The steps from a Function back to the image; ValueError where there is no single way."""
    steps: list[tuple[str, Step]] = []
    while isinstance(node, Function):
        reason = _why_not(node)
        if reason is not None:
            raise ValueError(
                f"layer: {layer} cannot be followed back to the pixels, for on the way {reason}; "
                "a deconvnet undoes convolutions, ReLUs and max pools in a chain"
            )
        steps += _undo(node)
        node = node.edges[0][0]
    return steps


def _why_not(node: Function) -> str | None:
    """Why a deconvnet cannot undo a Function, or None."""
    label = f"{node.name.removesuffix('Backward')} {getattr(node, 'geometry', '')}".strip()
    if isinstance(node, Conv2d):
        g = node.geometry
        if node.activation not in (None, "relu"):
            return f"{label} ends in {node.activation}"
        if node.edges[3] is not None:
            return f"{label} adds a shortcut"
        if g.pad_top != g.pad_bottom or g.pad_left != g.pad_right:
            return f"{label} pads its sides unevenly"
    elif isinstance(node, Activation):
        if node.form.name != "relu":
            return f"there is {node.form.name}"
    elif isinstance(node, MaxPool2d):
        if node.geometry.adaptive or (node.geometry.dilation_h, node.geometry.dilation_w) != (1, 1):
            return f"{label} is adaptive or dilated"
    elif not isinstance(node, (LocalResponseNorm, Dropout)):
        return f"there is {label}"
    return None


def _undo(node: Function) -> list[tuple[str, Step]]:
    if isinstance(node, Activation):
        return [("relu", F.relu)]
    if isinstance(node, MaxPool2d):
        return [(f"max pool {node.geometry}", _Unpool(node.geometry, node.retained[0]))]
    if isinstance(node, Conv2d):
        g = node.geometry
        steps: list[tuple[str, Step]] = [(f"convolution {g}", _Transpose(g, node.retained[1]))]
        return [("relu", F.relu), *steps] if node.activation else steps
    return []


class _Unpool:
    """Each value to where the maximum of its window was."""

    def __init__(self, geometry: Any, offsets: Any) -> None:
        self.geometry = geometry
        self.indices = Tensor._wrap(flat_indices(offsets, geometry))

    def __call__(self, y: Tensor) -> Tensor:
        g = self.geometry
        return F.max_unpool2d(
            y, self.indices, (g.R, g.S), (g.stride_h, g.stride_w), (g.pad_h, g.pad_w),
            output_size=(g.H, g.W),
        )  # fmt: skip


class _Transpose:
    """The transposed convolution with the same filters."""

    def __init__(self, geometry: Any, weight: Any) -> None:
        self.geometry, self.weight = geometry, Tensor._wrap(weight)

    def __call__(self, y: Tensor) -> Tensor:
        g = self.geometry
        short = [
            size - ((out - 1) * stride - 2 * pad + dilation * (taps - 1) + 1)
            for size, out, stride, pad, dilation, taps in (
                (g.H, g.P, g.stride_h, g.pad_top, g.dilation_h, g.R),
                (g.W, g.Q, g.stride_w, g.pad_left, g.dilation_w, g.S),
            )
        ]
        return F.conv_transpose2d(
            y, self.weight, None, g.stride, (g.pad_top, g.pad_left), tuple(short), g.G, g.dilation
        )


class _Reach:
    """The rows and columns of a layer that one activation above depends on."""

    def __init__(self, row: int, column: int) -> None:
        self.rows, self.columns = (row, row), (column, column)

    def grow(self, step: Step) -> None:
        if not isinstance(step, (_Unpool, _Transpose)):
            return
        g = step.geometry
        pads = (g.pad_h, g.pad_w) if isinstance(step, _Unpool) else (g.pad_top, g.pad_left)
        self.rows = _before(self.rows, g.stride_h, pads[0], (g.R - 1) * g.dilation_h)
        self.columns = _before(self.columns, g.stride_w, pads[1], (g.S - 1) * g.dilation_w)

    def within(self, height: int, width: int) -> tuple[int, int, int, int]:
        """top, left, bottom, right, the latter two outside, clipped to the image."""
        (top, bottom), (left, right) = self.rows, self.columns
        return max(top, 0), max(left, 0), min(bottom + 1, height), min(right + 1, width)


def _before(span: tuple[int, int], stride: int, pad: int, reach: int) -> tuple[int, int]:
    return span[0] * stride - pad, span[1] * stride - pad + reach


# --- images ---------------------------------------------------------------------------------------


def as_input(photo: np.ndarray, entry: Any) -> np.ndarray:
    """A photograph (H, W, 3) uint8 as the registered network's image (C, H, W) float32: as its
    checkpoints expect it, or between -1 and 1.

    ValueError for a network that takes no image of one or three channels."""
    if entry.inputs is not None or entry.channels not in (1, 3):
        raise ValueError(f"{entry.name} takes other than one photograph")
    x = photo.astype(np.float32) / 255
    if entry.channels == 1:
        x = x.mean(axis=2, keepdims=True)
    if entry.normalisation is None:
        x = 2 * x - 1
    else:
        mean, std = (np.array(v, np.float32) for v in entry.normalisation)
        x = (x - mean) / std
    return np.ascontiguousarray(x.transpose(2, 0, 1))


class Visualized(NamedTuple):
    """The files that `visualize` wrote, and what they show."""

    files: tuple[str, ...]
    layer: str
    projections: tuple[Projection, ...]
    why_not: str | None  # why there is no projection


def visualize(
    net: nn.Module,
    photo: np.ndarray,
    image: np.ndarray,
    out: str | os.PathLike[str],
    layer: str | None = None,
    title: str = "",
    count: int = 9,
) -> Visualized:
    """Draw filters.png, activations.png and projection.png into the folder `out`.

    Args:
        net: its layers are those of `activations`.
        photo: (H, W, 3) uint8, shown beside; image: the same as `net` takes it.
        layer: whose activations; by default the last convolution.
        title: put over each picture. count: of the strongest channels that are projected.

    Raises:
        ValueError: see `activations`; the filters and activations are drawn first, and only a
            missing way back to the pixels leaves them as all there is (`why_not`).
        ImportError: matplotlib is missing. OSError: a file cannot be written.
    """
    from . import pictures

    os.makedirs(out, exist_ok=True)
    layer = layer or last_convolution(net)
    name, weights = first_filters(net)
    maps, node = _captured(net, image, layer)
    files = [os.path.join(out, f"{kind}.png") for kind in ("filters", "activations", "projection")]
    pictures.draw_filters(files[0], name, weights, title)
    pictures.draw_activations(files[1], layer, maps, photo, title)
    try:
        found = Activations(layer, maps, tuple(_steps(node, layer)))
    except ValueError as error:
        return Visualized(tuple(files[:2]), layer, (), str(error))
    projections = tuple(project(found, *place) for place in strongest(found, count))
    pictures.draw_projections(files[2], projections, photo, title)
    return Visualized(tuple(files), layer, projections, None)
