"""Regions, boxes and suppression against loops written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import pycnn
import pycnn.functional as F

from .parity import SEED, parity


def c_round(value) -> int:
    return int(math.floor(abs(value) + type(value)(0.5)) * (1 if value >= 0 else -1))


def roi_pool_loops(x, rois, output_size, scale):
    """torchvision's roi_pool, scalar by scalar: the maxima and their places, -1 where there is
    none."""
    real = x.dtype.type
    (P, Q), (_, C, H, W) = output_size, x.shape
    y = np.zeros((len(rois), C, P, Q), x.dtype)
    places = np.full(y.shape, -1)
    for k, (n, *corners) in enumerate(rois):
        x1, y1, x2, y2 = (c_round(real(corner) * real(scale)) for corner in corners)
        tall = real(max(y2 - y1 + 1, 1)) / real(P)
        wide = real(max(x2 - x1 + 1, 1)) / real(Q)
        for c, p, q in np.ndindex(C, P, Q):
            rows = range(
                min(max(int(np.floor(real(p) * tall)) + y1, 0), H),
                min(max(int(np.ceil(real(p + 1) * tall)) + y1, 0), H),
            )
            columns = range(
                min(max(int(np.floor(real(q) * wide)) + x1, 0), W),
                min(max(int(np.ceil(real(q + 1) * wide)) + x1, 0), W),
            )
            for h in rows:
                for w in columns:
                    if places[k, c, p, q] < 0 or x[int(n), c, h, w] > y[k, c, p, q]:
                        y[k, c, p, q], places[k, c, p, q] = x[int(n), c, h, w], h * W + w
    return y, places


def roi_pool_gradient(shape, rois, places, dy):
    N, C, H, W = shape
    dx = np.zeros((N, C, H * W), dy.dtype)
    for k, c, p, q in np.ndindex(dy.shape):
        if places[k, c, p, q] >= 0:
            dx[int(rois[k, 0]), c, places[k, c, p, q]] += dy[k, c, p, q]
    return dx.reshape(shape)


REGIONS = {
    "inside": (16, 16, 80, 100),
    "the whole map": (0, 0, 175, 143),
    "halves are rounded away from zero": (8, 24, 40, 56),
    "negative halves too": (-8, -24, 40, 72),
    "one pixel": (33, 50, 33, 50),
    "smaller than its bins": (30, 30, 50, 60),
    "reaches outside on all sides": (-100, -80, 400, 500),
    "outside to the left": (-300, 10, -200, 60),
    "outside below": (10, 300, 60, 400),
    "ends before it starts": (100, 90, 40, 20),
}


def regions(dtype, names=REGIONS):
    return np.array([(i % 2, *REGIONS[name]) for i, name in enumerate(names)], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output_size", [(6, 6), (7, 7), (1, 1), (3, 5)])
def test_roi_pool_is_the_definition(output_size, dtype):
    rng = np.random.default_rng([SEED, *output_size])
    x = rng.standard_normal((2, 3, 9, 11)).astype(dtype)
    rois = regions(dtype)
    y, places = roi_pool_loops(x, rois, output_size, 1 / 16)
    ours = pycnn.from_numpy(x.copy()).requires_grad_()
    pooled = F.roi_pool(ours, pycnn.from_numpy(rois), output_size, 1 / 16)
    np.testing.assert_array_equal(pooled.detach().numpy(), y)
    dy = rng.standard_normal(y.shape).astype(dtype)
    pooled.backward(pycnn.from_numpy(dy))
    expected = roi_pool_gradient(x.shape, rois, places, dy)
    np.testing.assert_allclose(ours.grad.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_roi_pool_has_the_bins_of_adaptive_pooling_inside_the_map():
    x = np.random.default_rng(SEED).standard_normal((1, 4, 20, 24))
    rois = np.array([[0, 3, 2, 17, 12], [0, 0, 0, 23, 19], [0, 5, 5, 8, 7]], "float64")
    pooled = F.roi_pool(pycnn.from_numpy(x), pycnn.from_numpy(rois), (4, 3)).numpy()
    for k, (_, x1, y1, x2, y2) in enumerate(rois.astype(int)):
        part = pycnn.from_numpy(np.ascontiguousarray(x[:, :, y1 : y2 + 1, x1 : x2 + 1]))
        np.testing.assert_array_equal(pooled[k], F.adaptive_max_pool2d(part, (4, 3)).numpy()[0])


def test_roi_pool_random_regions():
    rng = np.random.default_rng([SEED, 9])
    x = rng.integers(-2, 3, (2, 2, 13, 8)).astype("float32")  # few values: many ties
    corners = rng.uniform(-40, 240, (40, 4))
    rois = np.concatenate([rng.integers(0, 2, (40, 1)), corners], 1).astype("float32")
    y, places = roi_pool_loops(x, rois, (5, 7), 0.0625)
    ours = pycnn.from_numpy(x.copy()).requires_grad_()
    pooled = F.roi_pool(ours, pycnn.from_numpy(rois), (5, 7), 0.0625)
    np.testing.assert_array_equal(pooled.detach().numpy(), y)
    pooled.sum().backward()
    expected = roi_pool_gradient(x.shape, rois, places, np.ones_like(y))
    np.testing.assert_array_equal(ours.grad.numpy(), expected)


def test_roi_pool_edges_are_rounded_in_the_operands_dtype():
    """(p + 1) * (h / P) may pass the integer it stands for in float32, and then does in
    torchvision: every height and count up to 32, at once."""
    for count in range(1, 33):
        x = np.zeros((1, 1, 40, 1), "float32")
        rois = np.array([[0, 0, 0, 0, h - 1] for h in range(1, 33)], "float32")
        x[0, 0, :, 0] = np.arange(40)
        y, _ = roi_pool_loops(x, rois, (count, 1), 1.0)
        pooled = F.roi_pool(pycnn.from_numpy(x), pycnn.from_numpy(rois), (count, 1)).numpy()
        np.testing.assert_array_equal(pooled, y)


def test_roi_pool_takes_lists_of_boxes_and_none_at_all():
    x = pycnn.randn(2, 3, 9, 11)
    boxes = regions("float32")
    lists = [pycnn.from_numpy(boxes[boxes[:, 0] == n][:, 1:].copy()) for n in (0, 1)]
    order = np.concatenate([np.flatnonzero(boxes[:, 0] == n) for n in (0, 1)])
    rows = F.roi_pool(x, pycnn.from_numpy(boxes[order]), 6, 1 / 16)
    np.testing.assert_array_equal(F.roi_pool(x, lists, 6, 1 / 16).numpy(), rows.numpy())
    x.requires_grad_()
    nothing = F.roi_pool(x, pycnn.zeros(0, 5), (2, 3))
    assert nothing.shape == (0, 3, 2, 3)
    nothing.sum().backward()
    assert not x.grad.numpy().any()


def test_roi_pool_of_nan_and_channels_last():
    x = pycnn.randn(1, 2, 6, 6).to(memory_format=pycnn.channels_last)
    x[0, 1, 2, 2] = float("nan")
    box = pycnn.tensor([[0.0, 0, 0, 5, 5]])
    plain = F.roi_pool(x.contiguous(), box, 2).numpy()
    np.testing.assert_array_equal(F.roi_pool(x, box, 2).numpy(), plain)
    assert np.isnan(plain).sum() == 1


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ((torch.zeros(1), None, 2), TypeError, "input"),
        (((3, 4, 4), (1, 5), 2), RuntimeError, "expected \\(N, C, H, W\\)"),
        (((1, 3, 4, 4), (1, 4), 2), RuntimeError, "boxes: expected"),
        (((1, 3, 4, 4), (1, 5), 0), RuntimeError, "output_size"),
    ],
)
def test_roi_pool_refuses(arguments, error, words):
    made = [pycnn.zeros(*a) if isinstance(a, tuple) else a for a in arguments]
    with pytest.raises(error, match=words):
        F.roi_pool(*made)


def test_roi_pool_refuses_other_images_and_dtypes():
    x = pycnn.zeros(2, 1, 4, 4)
    for image in (-1.0, 2.0):
        with pytest.raises(RuntimeError, match="outside the batch of 2"):
            F.roi_pool(x, pycnn.tensor([[image, 0.0, 0, 1, 1]]), 2)
    with pytest.raises(RuntimeError, match="should be the same"):
        F.roi_pool(x, pycnn.zeros(1, 5, dtype="float64"), 2)
    with pytest.raises(RuntimeError, match="1 lists of boxes for 2 images"):
        F.roi_pool(x, [pycnn.zeros(1, 4)], 2)


# --- boxes ----------------------------------------------------------------------------------------


def some_boxes(count, seed=0):
    rng = np.random.default_rng([SEED, seed])
    corners = rng.uniform(0, 50, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 40, (count, 2))], 1)


def test_areas_and_overlaps():
    a, b = some_boxes(7), some_boxes(5, 1)
    b[0] = a[0]
    expected = np.zeros((7, 5))
    for i, j in np.ndindex(7, 5):
        wide = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0])
        tall = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1])
        shared = max(wide, 0) * max(tall, 0)
        areas = [(r[2] - r[0]) * (r[3] - r[1]) for r in (a[i], b[j])]
        expected[i, j] = shared / (sum(areas) - shared)
    found = F.box_iou(pycnn.from_numpy(a), pycnn.from_numpy(b)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found[0, 0] == 1


def test_codes_are_the_paper_s_and_decode_to_the_boxes():
    boxes, targets = some_boxes(6), some_boxes(6, 1)
    codes = F.encode_boxes(pycnn.from_numpy(targets), pycnn.from_numpy(boxes), (10, 10, 5, 5))
    for code, (a1, b1, a2, b2), (x1, y1, x2, y2) in zip(codes.numpy(), targets, boxes, strict=True):
        w, h = x2 - x1, y2 - y1
        expected = [
            10 * ((a1 + a2) / 2 - (x1 + x2) / 2) / w,
            10 * ((b1 + b2) / 2 - (y1 + y2) / 2) / h,
            5 * math.log((a2 - a1) / w),
            5 * math.log((b2 - b1) / h),
        ]
        np.testing.assert_allclose(code, expected, rtol=1e-9, atol=1e-12)
    back = F.decode_boxes(codes, pycnn.from_numpy(boxes), (10, 10, 5, 5))
    np.testing.assert_allclose(back.numpy(), targets, rtol=1e-10)


def test_box_coding_is_torchvision_s():
    from pycnn.references.torchvision_import import torchvision_models

    torchvision_models()
    from torchvision.models.detection._utils import BoxCoder

    coder = BoxCoder((2.0, 3.0, 0.5, 4.0))
    boxes, targets = some_boxes(6), some_boxes(6, 1)
    codes = coder.encode_single(torch.from_numpy(targets), torch.from_numpy(boxes))
    ours = F.encode_boxes(pycnn.from_numpy(targets), pycnn.from_numpy(boxes), coder.weights)
    np.testing.assert_allclose(ours.numpy(), codes.numpy(), rtol=1e-9, atol=1e-12)
    wild = np.random.default_rng(SEED).standard_normal((6, 12)) * 4  # some beyond the limit
    theirs = coder.decode_single(torch.from_numpy(wild), torch.from_numpy(boxes))
    found = F.decode_boxes(
        pycnn.from_numpy(wild.reshape(6, 3, 4)), pycnn.from_numpy(boxes[:, None]), coder.weights
    )
    np.testing.assert_allclose(found.numpy().reshape(6, 12), theirs.numpy(), rtol=1e-9)


def test_boxes_are_clipped_to_height_and_width():
    boxes = pycnn.tensor([[-3.0, -4, 30, 40], [5, 6, 7, 8], [50, 60, 70, 80]])
    clipped = F.clip_boxes_to_image(boxes, (20, 10))
    assert clipped.tolist() == [[0, 0, 10, 20], [5, 6, 7, 8], [10, 20, 10, 20]]


def test_codes_have_gradients():
    boxes = some_boxes(4, 2)

    def loss(F, codes):
        if F is pycnn.functional:
            return F.decode_boxes(codes, pycnn.from_numpy(boxes))
        x1, y1, x2, y2 = torch.from_numpy(boxes).T
        w, h = x2 - x1, y2 - y1
        x, y = (x1 + x2) / 2 + codes[:, 0] * w, (y1 + y2) / 2 + codes[:, 1] * h
        w, h = w * codes[:, 2].exp() / 2, h * codes[:, 3].exp() / 2
        return torch.stack([x - w, y - h, x + w, y + h], 1)

    parity(loss, (4, 4))


# --- non-maximum suppression ----------------------------------------------------------------------


def nms_loops(boxes, scores, threshold):
    """Greedy, one pair at a time."""
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        for j in kept:
            wide = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0])
            tall = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1])
            shared = max(wide, 0) * max(tall, 0)
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])]
            if shared / (sum(areas) - shared) > threshold:
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_nms_is_greedy(threshold):
    boxes = some_boxes(60, 3)
    scores = np.random.default_rng(SEED).integers(0, 20, 60) / 20.0  # with ties
    kept = F.nms(pycnn.from_numpy(boxes), pycnn.from_numpy(scores), threshold)
    assert kept.dtype == pycnn.int64
    assert kept.tolist() == nms_loops(boxes, scores, threshold)


def test_nms_at_the_threshold_and_of_a_chain():
    """An overlap of exactly the threshold stays; what a dropped box covers stays too."""
    half = pycnn.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1]])
    scores = pycnn.tensor([0.9, 0.8])
    assert F.nms(half, scores, 0.5).tolist() == [0, 1]
    assert F.nms(half, scores, 0.49).tolist() == [0]
    chain = pycnn.tensor([[0.0, 0, 10, 1], [4, 0, 14, 1], [8, 0, 18, 1]])
    assert F.nms(chain, pycnn.tensor([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]
    assert F.nms(pycnn.zeros(0, 4), pycnn.zeros(0), 0.5).shape == (0,)
    with pytest.raises(RuntimeError, match="expected boxes"):
        F.nms(half, pycnn.zeros(3), 0.5)


def test_four_weights_of_a_code():
    boxes = pycnn.tensor([[10.0, 10, 30, 30]])
    for call in (F.encode_boxes, F.decode_boxes):
        with pytest.raises(ValueError, match=r"weights: got \(1, 2\), expected four numbers"):
            call(boxes, boxes, (1, 2))
