"""Fast R-CNN: its published counts, regions of all kinds, the loss, the mini-batch, detection."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
import pycnn.functional as F
from pycnn.models import get_model
from pycnn.models.fast_rcnn import detect, multi_task_loss, sample_regions
from pycnn.references import get_reference
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

NAMES = ["fast_rcnn_caffenet", "fast_rcnn_vgg_cnn_m_1024", "fast_rcnn_vgg16"]
SMALL = {"width": 0.0625, "num_classes": 4}


def images_and_regions():
    rng = np.random.default_rng(7)
    images = rng.standard_normal((2, 3, 80, 112)).astype(np.float32)
    corners = [(0, 0, 111, 79), (16, 32, 80, 64), (50, 3, 66, 75), (-60, -30, 30, 200)]
    corners += [(300, 10, 340, 60), (90, 60, 40, 20), (48, 48, 48, 48)]
    regions = [(i % 2, *box) for i, box in enumerate(corners)]
    return images, np.array(regions, np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_many_regions_equal_the_reference(name):
    net, reference = get_model(name, **SMALL), get_reference(name, **SMALL)
    compare_torch(net, reference, images_and_regions()).check()


@pytest.mark.parametrize(
    "name, layers, count",
    [
        ("fast_rcnn_caffenet", ["conv1"], 34_944),
        ("fast_rcnn_vgg_cnn_m_1024", ["conv1"], 14_208),
        ("fast_rcnn_vgg16", ["conv1_1", "conv1_2", "conv2_1", "conv2_2"], 260_160),
    ],
)
def test_fixed_layers_are_those_of_the_net_files(name, layers, count, monkeypatch):
    for init in ("kaiming_normal_", "kaiming_uniform_", "uniform_", "normal_"):
        monkeypatch.setattr(pycnn.nn.init, init, lambda tensor, *args, **kwargs: tensor)
    still = {n: p for n, p in get_model(name, fixed=True).named_parameters() if not p.requires_grad}
    assert sorted({n.rpartition(".")[0] for n in still}) == layers
    assert sum(p.numel() for p in still.values()) == count


def test_the_loss_is_the_paper_s():
    rng = np.random.default_rng(1)
    logits, refinements = rng.standard_normal((5, 3)), rng.standard_normal((5, 12)) * 2
    labels, codes = np.array([0, 2, 1, 0, 2]), rng.standard_normal((5, 4))

    def ours(a, b):
        return multi_task_loss(a, b, pycnn.from_numpy(labels), pycnn.from_numpy(codes), 0.7)

    def theirs(a, b):
        total = torch.zeros((), dtype=a.dtype)
        for k, u in enumerate(labels):
            total = total - torch.log_softmax(a[k], 0)[int(u)]
            if u >= 1:
                z = (b[k, 4 * u : 4 * u + 4] - torch.from_numpy(codes[k]).to(a.dtype)).abs()
                total = total + 0.7 * torch.where(z < 1, 0.5 * z * z, z - 0.5).sum()
        return total / len(labels)

    a, b = (pycnn.from_numpy(v.copy()).requires_grad_() for v in (logits, refinements))
    c, d = (torch.from_numpy(v.copy()).requires_grad_() for v in (logits, refinements))
    found, expected = ours(a, b), theirs(c, d)
    assert float(found.detach().numpy()) == pytest.approx(expected.item(), rel=1e-12)
    found.backward()
    expected.backward()
    np.testing.assert_allclose(a.grad.numpy(), c.grad.numpy(), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(b.grad.numpy(), d.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_the_loss_of_background_alone():
    refinements = pycnn.randn(3, 8).requires_grad_()
    logits = pycnn.randn(3, 2).requires_grad_()
    labels = pycnn.zeros(3, dtype=pycnn.int64)
    loss = multi_task_loss(logits, refinements, labels, pycnn.zeros(3, 4))
    loss.backward()
    expected = F.cross_entropy(logits.detach(), labels).numpy()
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-6)
    assert refinements.grad is None or not refinements.grad.numpy().any()


def test_a_mini_batch_has_a_quarter_of_objects():
    pycnn.manual_seed(0)
    rng = np.random.default_rng(0)
    truth = np.array([[10, 10, 60, 60], [100, 20, 180, 90]], np.float32)
    boxes = truth[rng.integers(0, 2, 400)] + rng.uniform(-45, 45, (400, 4)).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    classes = pycnn.tensor([3, 5])
    overlaps = F.box_iou(pycnn.from_numpy(boxes), pycnn.from_numpy(truth)).numpy()
    best = overlaps.max(1)
    assert (best >= 0.5).sum() > 16 and ((best >= 0.1) & (best < 0.5)).sum() > 48
    assert (best < 0.1).any()
    chosen, labels, codes = (
        t.numpy() for t in sample_regions(pycnn.from_numpy(boxes), pycnn.from_numpy(truth), classes)
    )
    assert len(set(chosen.tolist())) == 64
    objects = labels > 0
    assert objects.sum() == 16
    assert (best[chosen[objects]] >= 0.5).all()
    assert ((best[chosen[~objects]] >= 0.1) & (best[chosen[~objects]] < 0.5)).all()
    which = overlaps[chosen].argmax(1)
    assert (labels[objects] == np.array([3, 5])[which[objects]]).all()
    back = F.decode_boxes(pycnn.from_numpy(codes), pycnn.from_numpy(boxes[chosen]))
    np.testing.assert_allclose(back.numpy(), truth[which], rtol=1e-3, atol=1e-3)


def test_few_regions_make_a_small_mini_batch():
    truth = pycnn.tensor([[0.0, 0, 10, 10]])
    regions = pycnn.tensor([[0.0, 0, 10, 10], [0, 0, 10, 4], [50, 50, 60, 60]])
    chosen, labels, _ = sample_regions(regions, truth, pycnn.tensor([2]))
    assert (chosen.tolist(), labels.tolist()) == ([0, 1], [2, 0])


class _Fixed:
    """A network that says what it is told to."""

    def __init__(self, scores, refinements):
        self.answer = pycnn.tensor(scores).log(), pycnn.tensor(refinements)

    def __call__(self, images, regions):
        assert images.ndim == 4 and len(regions) == 1
        return self.answer


def test_detection_refines_clips_and_suppresses_by_class():
    regions = pycnn.tensor([[10.0, 10, 30, 30], [11, 10, 31, 30], [40, 40, 60, 60]])
    scores = [[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.06, 0.04, 0.9]]
    refinements = np.zeros((3, 3, 4), np.float32)
    refinements[2, 2] = [0.5, 0, np.log(2), 0]  # centre 10 to the right, twice as wide
    net = _Fixed(scores, refinements.reshape(3, 12).tolist())
    found = detect(net, pycnn.zeros(3, 50, 70), regions)
    assert found.labels.tolist() == [1, 2, 2]
    np.testing.assert_allclose(found.scores.numpy(), [0.8, 0.9, 0.1], rtol=1e-5)
    expected = [[10, 10, 30, 30], [40, 40, 70, 50], [10, 10, 30, 30]]
    np.testing.assert_allclose(found.boxes.numpy(), expected, rtol=1e-5)


def test_detection_with_a_network():
    net = get_model("fast_rcnn_caffenet", **SMALL).eval()
    images, regions = images_and_regions()
    own = pycnn.from_numpy(regions[:3, 1:].copy())
    found = detect(net, pycnn.from_numpy(images[0]), own, least=0.0)
    assert found.boxes.shape == (len(found.labels), 4)
    assert set(found.labels.tolist()) == {1, 2, 3}
    boxes = found.boxes.numpy()
    assert (boxes >= 0).all() and (boxes[:, 2] <= 112).all() and (boxes[:, 3] <= 80).all()


def test_nothing_is_found_where_there_is_only_background():
    regions = pycnn.tensor([[10.0, 10, 30, 30]])
    found = detect(_Fixed([[1.0]], [[0.0] * 4]), pycnn.zeros(3, 50, 70), regions)
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == found.labels.shape == (0,)


def test_training_lowers_the_loss():
    pycnn.manual_seed(0)
    net = get_model("fast_rcnn_caffenet", **SMALL).eval()
    images, regions = (pycnn.from_numpy(a) for a in images_and_regions())
    labels = pycnn.tensor([1, 2, 3, 0, 0, 0, 1])
    codes = pycnn.randn(7, 4) * 0.1
    optimizer = pycnn.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = multi_task_loss(*net(images, regions), labels, codes)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach().numpy()))
    assert losses[-1] < 0.8 * losses[0]
