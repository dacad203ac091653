"""Fast R-CNN on its three trunks. Girshick 2015, arXiv:1504.08083, and the net files published with
it, whose layers' names the parameters have.

A trunk turns the image into maps once; every region of interest is pooled from them to a fixed size
and classified, and its box refined, by two sibling layers. Regions come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import array, nn
from .. import functional as F
from ..autograd import no_grad
from ..creation import arange, randperm
from ..tensor import Tensor
from .registry import Reduced, named, register
from .vgg import STAGES_16
from .width import check_arguments, scaled

SPATIAL_SCALE = 1 / 16  # the strides of each trunk up to its last maps


class Conv(NamedTuple):
    """A convolution and its ReLU."""

    name: str
    planes: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1


class Pool(NamedTuple):
    """A maximum pooling whose sizes are rounded up, as Caffe does."""

    name: str
    kernel: int = 3
    padding: int = 0


class Norm(NamedTuple):
    """Local response normalisation over 5 channels."""

    name: str
    alpha: float
    k: float


class Net(NamedTuple):
    """A published net file: its trunk, the layers that training leaves as they are, bins along each
    axis of a region, widths of the hidden layers."""

    trunk: tuple[Conv | Pool | Norm, ...]
    fixed: int  # the first convolutions
    bins: int
    hidden: tuple[int, int]


def _vgg16() -> tuple[Conv | Pool, ...]:
    layers: list[Conv | Pool] = []
    for stage, (planes, count) in enumerate(STAGES_16, 1):
        layers += [Conv(f"conv{stage}_{i}", planes) for i in range(1, count + 1)]
        layers.append(Pool(f"pool{stage}", 2))
    return tuple(layers[:-1])  # regions are pooled instead


_NETS = {
    "CaffeNet": Net(
        (
            Conv("conv1", 96, 11, 4, 5), Pool("pool1", padding=1), Norm("norm1", 1e-4, 1.0),
            Conv("conv2", 256, 5, 1, 2, 2), Pool("pool2", padding=1), Norm("norm2", 1e-4, 1.0),
            Conv("conv3", 384), Conv("conv4", 384, groups=2), Conv("conv5", 256, groups=2),
        ),
        1, 6, (4096, 4096),
    ),
    "VGG_CNN_M_1024": Net(
        (
            Conv("conv1", 96, 7, 2, 0), Norm("norm1", 5e-4, 2.0), Pool("pool1"),
            Conv("conv2", 256, 5, 2, 1), Norm("norm2", 5e-4, 2.0), Pool("pool2"),
            Conv("conv3", 512), Conv("conv4", 512), Conv("conv5", 512),
        ),
        1, 6, (4096, 1024),
    ),
    "VGG16": Net(_vgg16(), 4, 7, (4096, 4096)),
}  # fmt: skip
# constructor -> net file, parameters, multiply-adds of a 600 x 1000 image and one region, entries
_VARIANTS = {
    "fast_rcnn_caffenet": ("CaffeNet", 57_298_409, 9_272_180_608, 18),
    "fast_rcnn_vgg_cnn_m_1024": ("VGG_CNN_M_1024", 86_333_161, 20_632_090_144, 18),
    "fast_rcnn_vgg16": ("VGG16", 134_690_729, 183_989_231_616, 34),
}


class FastRCNN(nn.Module):
    """(N, 3, H, W) images and (K, 5) regions (image, x1, y1, x2, y2) to (K, num_classes) logits and
    (K, 4 * num_classes) refinements of the boxes, four for each class; class 0 is the background.

    Regions may also be a list with the (L, 4) boxes of each image."""

    def __init__(self, variant: str, num_classes: int, width: float, fixed: bool) -> None:
        super().__init__()
        net = _NETS[variant]
        channels = 3
        for layer in net.trunk:
            if isinstance(layer, Conv):
                outputs = scaled(layer.planes, width)
                module: nn.Module = nn.Conv2d(
                    channels, outputs, layer.kernel, layer.stride, layer.padding,
                    groups=layer.groups,
                )  # fmt: skip
                channels = outputs
            elif isinstance(layer, Pool):
                module = nn.MaxPool2d(layer.kernel, 2, layer.padding, ceil_mode=True)
            else:
                module = nn.LocalResponseNorm(5, alpha=layer.alpha, beta=0.75, k=layer.k)
            setattr(self, layer.name, module)
        self.trunk = tuple(layer.name for layer in net.trunk)
        self.roi_pool = nn.RoIPool(net.bins, SPATIAL_SCALE)
        first, second = (scaled(features, width) for features in net.hidden)
        self.fc6 = nn.Linear(channels * net.bins**2, first)
        self.fc7 = nn.Linear(first, second)
        self.dropout = nn.Dropout(0.5)
        self.cls_score = nn.Linear(second, num_classes)
        self.bbox_pred = nn.Linear(second, 4 * num_classes)
        self._initialise()
        convolutions = [module for module in self.children() if isinstance(module, nn.Conv2d)]
        for module in convolutions[: net.fixed if fixed else 0]:
            module.requires_grad_(False)

    def _initialise(self) -> None:
        """The two heads as in section 2.3; the rest, which starts from a classifier's weights
        there, keeps the variance of what passes through."""
        for module in self.children():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.cls_score.weight, 0, 0.01)
        nn.init.normal_(self.bbox_pred.weight, 0, 0.001)

    def maps(self, images: Tensor) -> Tensor:
        """What the trunk makes of images: 1/16 of their height and width."""
        x = images
        for name in self.trunk:
            layer = getattr(self, name)
            x = layer(x, activation="relu") if isinstance(layer, nn.Conv2d) else layer(x)
        return x

    def forward(self, images: Tensor, regions: Any) -> tuple[Tensor, Tensor]:
        x = self.roi_pool(self.maps(images), regions).flatten(1)
        x = self.dropout(F.relu(self.fc6(x)))
        x = self.dropout(F.relu(self.fc7(x)))
        return self.cls_score(x), self.bbox_pred(x)


def multi_task_loss(
    logits: Tensor, refinements: Tensor, labels: Tensor, codes: Tensor, weight: float = 1.0
) -> Tensor:
    """Cross-entropy of the classes, plus `weight` times the smooth L1 loss of the refinements of
    each region's own class, background left out; both are means over all K regions (section 2.3).

    Args:
        logits, refinements: what the network gives.
        labels: (K,) int64, 0 for the background.
        codes: (K, 4), F.encode_boxes of the true boxes relative to the regions.
    """
    count = len(logits)
    own = refinements.reshape(count, -1, 4)[arange(count, device=logits.device), labels]
    objects = labels.nonzero().reshape(-1)
    boxes = F.smooth_l1_loss(own[objects], F.index_select(codes, 0, objects), reduction="sum")
    return F.cross_entropy(logits, labels).add(boxes.mul(weight / max(count, 1)))


def sample_regions(
    regions: Tensor, truth: Tensor, classes: Tensor, count: int = 64, foreground: float = 0.25
) -> tuple[Tensor, Tensor, Tensor]:
    """An image's part of a mini-batch (section 2.3): at most `foreground` * `count` of its regions
    that overlap a true box by at least half, the rest of those whose best overlap is from 0.1 to
    below 0.5.

    Args:
        regions, truth: (L, 4) and (G, 4) boxes, G at least 1; `classes` (G,) int64, from 1 on.
    Returns:
        the places of the regions chosen, their labels (0 for the background), and their codes.
    """
    overlaps = F.box_iou(regions, truth)
    best, which = overlaps.max(1)
    objects = (best >= 0.5).nonzero().reshape(-1)
    others = ((best < 0.5) & (best >= 0.1)).nonzero().reshape(-1)
    objects = _any_of(objects, round(foreground * count))
    others = _any_of(others, count - len(objects))
    chosen = F.cat([objects, others])
    nearest = which[chosen]
    is_object = arange(len(chosen), device=chosen.device).lt(len(objects))
    labels = F.index_select(classes, 0, nearest).mul(is_object)
    targets = F.index_select(truth, 0, nearest)
    return chosen, labels, F.encode_boxes(targets, F.index_select(regions, 0, chosen))


def _any_of(places: Tensor, count: int) -> Tensor:
    order = randperm(len(places), device=places.device)
    return F.index_select(places, 0, order.narrow(0, 0, min(count, len(places))))


class Detection(NamedTuple):
    """What was found in an image, best first for each class."""

    boxes: Tensor  # (D, 4)
    scores: Tensor  # (D,) probabilities
    labels: Tensor  # (D,) classes


def detect(
    net: FastRCNN, image: Tensor, regions: Tensor, least: float = 0.05, overlap: float = 0.3
) -> Detection:
    """Run a trained network on one (3, H, W) image and its (L, 4) regions: refined boxes inside the
    image, with a probability of at least `least`, non-maximum suppression at `overlap` for each
    class by itself.

    Raises:
        RuntimeError: shapes that do not fit.
    """
    with no_grad():
        logits, refinements = net(image.unsqueeze(0), [regions])
        scores: Any = F.softmax(logits, 1)
        codes = refinements.reshape(len(regions), -1, 4)
        boxes: Any = F.decode_boxes(codes, regions.unsqueeze(1))
        boxes = F.clip_boxes_to_image(boxes, image.shape[-2:])  # type: ignore[arg-type]
        nothing = arange(0, device=image.device)
        found = [(boxes[:0, 0], scores[:0, 0], nothing)]  # there may be no class but the background
        for label in range(1, scores.shape[1]):
            likely = (scores[:, label] >= least).nonzero().reshape(-1)
            kept = likely[F.nms(boxes[likely, label], scores[likely, label], overlap)]
            found.append((boxes[kept, label], scores[kept, label], kept * 0 + label))
    return Detection(*(F.cat(list(part)) for part in zip(*found, strict=True)))


def example_inputs(
    rng: np.random.Generator, batch: int, size: int, num_classes: int
) -> tuple[np.ndarray, ...]:
    """Images of `size` rows and 5/3 as many columns, and a region in each."""
    height, width = size, size * 5 // 3
    images = rng.standard_normal((batch, 3, height, width)).astype(np.float32)
    regions = np.empty((batch, 5), np.float32)
    for i in range(batch):
        regions[i] = (i, 0.1 * width, 0.2 * height, (0.7 + 0.2 * i) * width, 0.9 * height)
    return images, regions


def _constructor(name: str) -> Callable[..., FastRCNN]:
    variant, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 21, width: float = 1.0, fixed: bool = False) -> FastRCNN:
        check_arguments(num_classes, width)
        net = FastRCNN(variant, num_classes, width, fixed)
        return net.to(memory_format=array.channels_last)

    doc = f"""Fast R-CNN on {variant}: {parameters:,} parameters with 20 classes and the background.

    With `fixed` the first layers, which the paper does not train further, get no gradient.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    enter = register(
        "Girshick 2015", parameters, macs, entries, size=600, num_classes=21,
        reference=f"rbgirshick/fast-rcnn {variant}", inputs=example_inputs,
        reduced=Reduced(0.125, 96),
    )  # fmt: skip
    return enter(named(make, name, doc))


fast_rcnn_caffenet = _constructor("fast_rcnn_caffenet")
fast_rcnn_vgg_cnn_m_1024 = _constructor("fast_rcnn_vgg_cnn_m_1024")
fast_rcnn_vgg16 = _constructor("fast_rcnn_vgg16")

__all__ = ["Detection", "FastRCNN", "detect", "multi_task_loss", "sample_regions", *_VARIANTS]
