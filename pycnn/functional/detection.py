"""Detection: regions of interest, boxes and their coding, non-maximum suppression.

Boxes are rows (x1, y1, x2, y2) in pixels of the image. Names and rules are torchvision.ops'.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..creation import full_like
from ..dispatch import run_array
from ..geometry import pair
from ..tensor import Tensor
from ._common import check_floating, check_same_dtype, check_tensor
from ._joining import cat, stack
from .elementwise import clamp, exp, log, maximum, minimum
from .indexing import scatter_sum
from .shape import unbind

__all__ = [
    "box_area", "box_iou", "clip_boxes_to_image", "decode_boxes", "encode_boxes", "nms", "roi_pool",
]  # fmt: skip

# No box is decoded as more than this many times wider or taller than the one it is relative to.
LARGEST_LOG_RATIO = math.log(1000.0 / 16)


# --- RoI pooling ----------------------------------------------------------------------------------


class RoIPool(Function):
    """The maximum of every bin of every region; keeps where in its plane each one was."""

    output_size: tuple[int, int]
    spatial_scale: float

    def forward(self, x: Array, rois: Array) -> Array:
        y, self.images, self.places = run_array(
            "roi_pool", _pooled, x, rois, self.output_size, self.spatial_scale
        )
        self.shape = x.shape
        return y

    def backward(self, dy: Array) -> tuple[Array, None]:
        return run_array("roi_pool", self._scattered, dy), None

    def _scattered(self, dy: Array) -> Array:
        N, C, H, W = self.shape
        xp = array.xp(dy)
        places = self.places.reshape(*dy.shape[:2], dy.shape[2] * dy.shape[3])
        filled = places >= 0
        dy = xp.where(filled, dy.reshape(places.shape), dy.dtype.type(0))
        key = (self.images[:, None, None], xp.arange(C)[:, None], places * filled)
        return scatter_sum((N, C, H * W), key, dy, unique=False).reshape(self.shape)


def _pooled(
    x: Array, rois: Array, output_size: tuple[int, int], spatial_scale: float
) -> tuple[Array, Array, Array]:
    """The pooled maps, the image of each region, and the flat place h*W + w of each maximum, -1 for
    an empty bin."""
    (_, C, H, W), (P, Q), K = x.shape, output_size, len(rois)
    xp = array.xp(x, rois)
    regions = array.to_device(rois, "cpu")
    images = regions[:, 0].astype(np.int64)
    if K and not ((images >= 0) & (images < len(x))).all():
        raise RuntimeError(f"roi_pool(): a region's image is outside the batch of {len(x)}")
    y = xp.zeros((K, C, P, Q), x.dtype)
    places = xp.full((K, C, P, Q), -1, np.int64)
    for k, (x1, y1, x2, y2) in enumerate(_on_the_map(regions[:, 1:], spatial_scale)):
        rows, columns = _bins(y1, y2, P, H, x.dtype), _bins(x1, x2, Q, W, x.dtype)
        if rows is None or columns is None:
            continue
        (h, tall), (w, wide) = rows, columns
        h, w = xp.asarray(h)[:, None, :, None], xp.asarray(w)[None, :, None, :]
        windows = x[images[k]][:, h, w].reshape(C, P, Q, -1)
        best = windows.argmax(-1)
        flat = xp.broadcast_to(h * W + w, (P, Q, h.shape[2], w.shape[3])).reshape(P * Q, -1)
        place = flat[xp.arange(P * Q), best.reshape(C, -1)].reshape(C, P, Q)
        filled = xp.asarray(tall[:, None] & wide)
        maxima = xp.take_along_axis(windows, best[..., None], -1)[..., 0]
        y[k] = xp.where(filled, maxima, x.dtype.type(0))
        places[k] = xp.where(filled, place, -1)
    return y, xp.asarray(images), places


def _on_the_map(boxes: np.ndarray, spatial_scale: float) -> list[list[int]]:
    """Corners scaled in the boxes' own dtype and rounded, halves away from zero as C's round."""
    scaled = boxes * boxes.dtype.type(spatial_scale)
    whole = np.trunc(scaled)
    whole += np.where(np.abs(scaled - whole) >= 0.5, np.sign(scaled), 0).astype(whole.dtype)
    return np.clip(whole.astype(np.float64), -(2.0**31), 2.0**31).astype(np.int64).tolist()


def _bins(
    first: int, last: int, count: int, size: int, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray] | None:
    """The indices of `count` bins from `first` to `last` inclusive, cut at the map, and which bins
    are not empty; None if all are.

    Row p lists bin p's indices, its last one repeated up to the longest bin's length: that changes
    no maximum and not which of equals is first. Edges are computed in `dtype`."""
    length = dtype.type(max(last - first + 1, 1)) / dtype.type(count)
    p = np.arange(count + 1).astype(dtype)
    start = np.clip(np.floor(p[:-1] * length).astype(np.int64) + first, 0, size)
    stop = np.clip(np.ceil(p[1:] * length).astype(np.int64) + first, 0, size)
    longest = int((stop - start).max(initial=0))
    if longest == 0:
        return None
    indices = np.minimum(start[:, None] + np.arange(longest), stop[:, None] - 1)
    return np.clip(indices, 0, size - 1), stop > start


def roi_pool(
    input: Tensor, boxes: Tensor | list[Tensor], output_size: Any, spatial_scale: float = 1.0
) -> Tensor:
    """y[k,c,p,q] = max of input[n_k, c] over bin (p, q) of region k; 0 where the bin is empty.

    Corners are multiplied by `spatial_scale` and rounded; the region includes both. Of its h rows,
    bin p of P has those from floor(p*h/P) up to ceil((p+1)*h/P), as in adaptive_max_pool2d, cut at
    the border of the map. Products and quotients are of the operands' dtype, as in torchvision:
    where they round, an edge may lie one further. NaN wins over every number. The gradient goes to
    the first maximum of each bin; `boxes` have none.

    Args:
        input: (N, C, H, W), floating point.
        boxes: (K, 5) rows (image, x1, y1, x2, y2), or for each image its (L, 4) boxes; of input's
            dtype.
        output_size: an int, or (P, Q).
        spatial_scale: pixels of the map per pixel of the image.
    Returns:
        (K, C, P, Q)
    Raises:
        TypeError: an argument of the wrong type.
        RuntimeError: shapes that do not fit, a region of no image, another dtype.
    Source: Girshick 2015, arXiv:1504.08083, section 2.1.
    """
    op = "roi_pool"
    check_tensor(input, "input", op)
    if isinstance(boxes, (list, tuple)):
        boxes = _with_images(boxes, input)
    check_tensor(boxes, "boxes", op)
    check_floating(input, "input", op)
    check_same_dtype(op, input=input, boxes=boxes)
    if input.ndim != 4 or not input.shape[2] or not input.shape[3]:
        raise RuntimeError(f"{op}(): expected (N, C, H, W) with pixels, got {list(input.shape)}")
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise RuntimeError(
            f"{op}(): boxes: expected (K, 5) or a list of (L, 4), got {list(boxes.shape)}"
        )
    sizes = pair(output_size, "output_size", 1, op)
    return RoIPool(output_size=sizes, spatial_scale=float(spatial_scale))(input, boxes.detach())


def _with_images(boxes: list[Tensor] | tuple[Tensor, ...], input: Tensor) -> Tensor:
    """Lists of boxes, one for each image, as rows that name their image."""
    if len(boxes) != len(input):
        raise RuntimeError(f"roi_pool(): {len(boxes)} lists of boxes for {len(input)} images")
    rows = []
    for image, part in enumerate(boxes):
        check_tensor(part, "boxes", "roi_pool")
        if part.ndim != 2 or part.shape[1] != 4:
            raise RuntimeError(f"roi_pool(): boxes: expected (L, 4), got {list(part.shape)}")
        rows.append(cat([full_like(part.narrow(1, 0, 1), image), part], 1))
    return cat(rows) if rows else input.reshape(0, 5)


# --- boxes ----------------------------------------------------------------------------------------


def _corners(boxes: Tensor, name: str, op: str) -> Iterator[Any]:
    check_tensor(boxes, name, op)
    if not boxes.ndim or boxes.shape[-1] != 4:
        raise RuntimeError(f"{op}(): {name}: expected (..., 4), got {list(boxes.shape)}")
    return iter(unbind(boxes, -1))


def box_area(boxes: Tensor) -> Tensor:
    """(x2 - x1) * (y2 - y1) of (..., 4) boxes.

    Raises:
        TypeError: `boxes` is no Tensor. RuntimeError: its last dimension is not 4.
    """
    x1, y1, x2, y2 = _corners(boxes, "boxes", "box_area")
    return (x2 - x1) * (y2 - y1)


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Area of the intersection over area of the union, for every pair: (N, 4), (M, 4) to (N, M).

    Raises:
        TypeError: no Tensor. RuntimeError: a last dimension that is not 4.
    """
    check_tensor(boxes1, "boxes1", "box_iou")
    x1, y1, x2, y2 = _corners(boxes1.unsqueeze(1), "boxes1", "box_iou")
    u1, v1, u2, v2 = _corners(boxes2, "boxes2", "box_iou")
    width = clamp(minimum(x2, u2).sub(maximum(x1, u1)), min=0)
    height = clamp(minimum(y2, v2).sub(maximum(y1, v1)), min=0)
    shared = width.mul(height)
    return shared / (box_area(boxes1).unsqueeze(1) + box_area(boxes2) - shared)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 4) boxes with x between 0 and the width, y between 0 and the height of `size`.

    Raises:
        TypeError: `boxes` is no Tensor, `size` no integers. RuntimeError: the boxes' last dimension
            is not 4, or a size is negative.
    """
    x1, y1, x2, y2 = _corners(boxes, "boxes", "clip_boxes_to_image")
    height, width = pair(size, "size", 0, "clip_boxes_to_image")
    limits = ((x1, width), (y1, height), (x2, width), (y2, height))
    return stack([clamp(corner, 0, limit) for corner, limit in limits], -1)


def _centre(boxes: Tensor, name: str, op: str) -> tuple[Any, Any, Any, Any]:
    x1, y1, x2, y2 = _corners(boxes, name, op)
    width, height = x2 - x1, y2 - y1
    return x1 + width * 0.5, y1 + height * 0.5, width, height


def _check_weights(weights: Any, op: str) -> None:
    if not isinstance(weights, Sequence) or len(weights) != 4:
        raise ValueError(f"{op}(): weights: got {weights!r}, expected four numbers")


def encode_boxes(
    targets: Tensor, boxes: Tensor, weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """Where `targets` are relative to `boxes`: ((tx - x)/w, (ty - y)/h, log(tw/w), log(th/h)),
    centres and sizes, each times its weight.

    Shapes (..., 4) broadcast. Source: Girshick et al. 2014, arXiv:1311.2524, appendix C.

    Raises:
        TypeError: no Tensor. RuntimeError: a last dimension that is not 4.
        ValueError: not four weights.
    """
    _check_weights(weights, "encode_boxes")
    x, y, w, h = _centre(boxes, "boxes", "encode_boxes")
    tx, ty, tw, th = _centre(targets, "targets", "encode_boxes")
    codes = [(tx - x) / w, (ty - y) / h, log(tw / w), log(th / h)]
    return stack([code.mul(weight) for code, weight in zip(codes, weights, strict=True)], -1)


def decode_boxes(
    codes: Tensor, boxes: Tensor, weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """The boxes that `encode_boxes` gives `codes` relative to `boxes`; at most 62.5 times as wide
    or tall as those.

    Raises:
        TypeError: no Tensor. RuntimeError: a last dimension that is not 4.
        ValueError: not four weights.
    """
    _check_weights(weights, "decode_boxes")
    x, y, w, h = _centre(boxes, "boxes", "decode_boxes")
    parts = _corners(codes, "codes", "decode_boxes")
    dx, dy, dw, dh = (part / weight for part, weight in zip(parts, weights, strict=True))
    x, y = x + dx * w, y + dy * h
    w, h = (exp(clamp(d, max=LARGEST_LOG_RATIO)).mul(size) * 0.5 for d, size in ((dw, w), (dh, h)))
    return stack([x - w, y - h, x + w, y + h], -1)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The boxes that no better one overlaps by more than `iou_threshold`, best first.

    A box is dropped by a kept one only; of equal scores the first is better. Runs on the CPU.

    Args:
        boxes: (N, 4).
        scores: (N,)
        iou_threshold: an intersection over union.
    Returns:
        int64 indices into boxes.
    Raises:
        TypeError: an argument of the wrong type. RuntimeError: shapes that do not fit.
    """
    check_tensor(boxes, "boxes", "nms")
    check_tensor(scores, "scores", "nms")
    check_same_dtype("nms", boxes=boxes, scores=scores)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise RuntimeError(
            f"nms(): expected boxes (N, 4) and scores (N,), got {list(boxes.shape)} and "
            f"{list(scores.shape)}"
        )
    kept = run_array("nms", _kept, boxes._data, scores._data, float(iou_threshold))
    return Tensor._wrap(kept)


def _kept(boxes: Array, scores: Array, threshold: float) -> Array:
    device = array.device_of(boxes)
    x1, y1, x2, y2 = array.to_device(boxes, "cpu").T
    areas = (x2 - x1) * (y2 - y1)
    left = np.argsort(-array.to_device(scores, "cpu"), kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        width = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        height = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            overlap = shared / (areas[best] + areas[left] - shared)
        left = left[~(overlap > threshold)]
    return array.to_device(np.array(kept, dtypes.int64), device)
