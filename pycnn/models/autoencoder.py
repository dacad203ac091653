"""Autoencoders for digits, and a clustering head on one of them.

Aljalbout, Golkov, Siddiqui, Cremers 2018, arXiv:1801.07648: the two networks of archs/mnist.json of
ElieAljalbout/Clustering-with-Deep-learning, with the decoders its builder derives, mirrored; the
head has soft assignments to cluster centres, which are parameters (Xie, Girshick, Farhadi 2016,
arXiv:1511.06335, equations 1 to 3). `mnist_autoencoder` is the fully connected network of BVLC
Caffe's examples, after Hinton, Salakhutdinov 2006.

An autoencoder has no classes: its `num_classes` is the length of its code, the clustering network's
the count of its clusters.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import array, nn, random
from .. import functional as F
from ..creation import from_numpy, zeros
from ..tensor import Tensor
from .registry import Reduced, register
from .width import check_arguments, scaled

_SIDE = 28  # of the images: the dense layers and the 4x4 convolution fit no others
_OUTPUTS = ("relu", "linear")


class ConvAutoencoder(nn.Module):
    """(N, 1, 28, 28) images to their reconstructions: c-3-32, pool, c-3-64, pool, fc, fc-`code`.
    The way back repeats pixels where the way there pooled."""

    def __init__(self, code: int, width: float, output: str) -> None:
        super().__init__()
        first, second = scaled(32, width), scaled(64, width)
        self.shape = (second, _SIDE // 4, _SIDE // 4)
        hidden = math.prod(self.shape)
        self.conv1 = nn.Conv2d(1, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.fc1 = nn.Linear(hidden, hidden)
        self.embedding = nn.Linear(hidden, code)
        self.fc2 = nn.Linear(code, hidden)
        self.deconv2 = nn.ConvTranspose2d(second, first, 3, padding=1)
        self.deconv1 = nn.ConvTranspose2d(first, 1, 3, padding=1)
        self.output = output
        _glorot(self)

    def encode(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) images to (N, code)."""
        x = F.max_pool2d(self.conv1(x, activation="relu"), 2)
        x = F.max_pool2d(self.conv2(x, activation="relu"), 2)
        return F.relu(self.embedding(F.relu(self.fc1(x.flatten(1)))))

    def decode(self, code: Tensor) -> Tensor:
        """(N, code) to (N, 1, 28, 28) images."""
        x = F.relu(self.fc2(code)).reshape(-1, *self.shape)
        x = F.relu(self.deconv2(F.interpolate(x, scale_factor=2)))
        x = self.deconv1(F.interpolate(x, scale_factor=2))
        return F.relu(x) if self.output == "relu" else x

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class UnpoolingAutoencoder(nn.Module):
    """(N, 1, 28, 28) images to their reconstructions: c-5-50, pool, c-5-50, pool, c-4-`code`, with
    batch norm. The way back puts maxima where they came from."""

    def __init__(self, code: int, width: float, output: str) -> None:
        super().__init__()
        maps = scaled(50, width)
        self.conv1 = nn.Conv2d(1, maps, 5, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 5, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.embedding = nn.Conv2d(maps, code, 4, bias=False)
        self.bn3 = nn.BatchNorm2d(code)
        self.deconv3 = nn.ConvTranspose2d(code, maps, 4, bias=False)
        self.bn4 = nn.BatchNorm2d(maps)
        self.deconv2 = nn.ConvTranspose2d(maps, maps, 5, bias=False)
        self.bn5 = nn.BatchNorm2d(maps)
        self.deconv1 = nn.ConvTranspose2d(maps, 1, 5)
        self.output = output
        _glorot(self)

    def encode(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(N, 1, 28, 28) images to (N, code, 1, 1), and the places of both pools' maxima."""
        x, first = self._pool(self.bn1(self.conv1(x), activation="relu"))
        x, second = self._pool(self.bn2(self.conv2(x), activation="relu"))
        return self.bn3(self.embedding(x)), (first, second)

    def _pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.max_pool2d(x, 2, return_indices=True)

    def decode(self, code: Tensor, places: tuple[Tensor, Tensor]) -> Tensor:
        """What `encode` returned to (N, 1, 28, 28) images."""
        x = F.max_unpool2d(self.bn4(self.deconv3(code)), places[1], 2)
        x = self.bn5(self.deconv2(x), activation="relu")
        x = self.deconv1(F.max_unpool2d(x, places[0], 2))
        return F.relu(x) if self.output == "relu" else x

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(*self.encode(x))


class SoftAssignment(nn.Module):
    """(N, D) codes to (N, K): q_ij = 1 / (1 + |z_i - mu_j|^2), divided by its sum over j. Student's
    t with one degree of freedom, as in t-SNE."""

    def __init__(self, clusters: int, dimensions: int) -> None:
        super().__init__()
        self.clusters = nn.Parameter(zeros(clusters, dimensions))
        nn.init.xavier_uniform_(self.clusters)

    def forward(self, z: Tensor) -> Tensor:
        apart = z.unsqueeze(1) - self.clusters
        q = 1 / (1 + (apart * apart).sum(2))
        return q / q.sum(1, keepdim=True)


class ClusteringOutputs(NamedTuple):
    """What the network returns in training mode."""

    assignments: Tensor
    reconstruction: Tensor


class DeepClustering(nn.Module):
    """(N, 1, 28, 28) images to (N, clusters) soft assignments, in training mode to
    ClusteringOutputs."""

    def __init__(self, clusters: int, width: float, output: str) -> None:
        super().__init__()
        code = scaled(32, width)
        self.autoencoder = ConvAutoencoder(code, width, output)
        self.clustering = SoftAssignment(clusters, code)

    def forward(self, x: Tensor) -> Tensor | ClusteringOutputs:
        z = self.autoencoder.encode(x)
        q = self.clustering(z)
        return ClusteringOutputs(q, self.autoencoder.decode(z)) if self.training else q


def target_distribution(q: Tensor) -> Tensor:
    """What assignments are pulled to, F.kl_div(q.log(), p, reduction="sum"): q squared by the size
    of each cluster, rows made to sum to 1; not differentiated."""
    fixed: Any = q.detach()
    p = fixed * fixed / fixed.sum(0)
    return p / p.sum(1, keepdim=True)


def kmeans_loss(z: Tensor, clusters: Tensor) -> Tensor:
    """The mean distance of codes to their nearest cluster centre."""
    apart = z.unsqueeze(1) - clusters
    return (apart * apart).sum(2).amin(1).sqrt().mean()


class DenseAutoencoder(nn.Module):
    """(N, 1, 28, 28) images to (N, 784) logits of their pixels: 1000-500-250-code and back,
    sigmoids between, the code linear."""

    def __init__(self, code: int, width: float) -> None:
        super().__init__()
        sizes = [_SIDE * _SIDE, *(scaled(units, width) for units in (1000, 500, 250)), code]
        for i in range(1, 5):
            self.add_module(f"encode{i}", nn.Linear(sizes[i - 1], sizes[i]))
        for i in range(4, 0, -1):
            self.add_module(f"decode{i}", nn.Linear(sizes[i], sizes[i - 1]))
        for layer in self.children():
            # Caffe's gaussian filler with sparse: 15: N(0, 1), about 15 inputs kept per unit
            nn.init.normal_(layer.weight)
            outputs, inputs = layer.weight.shape
            kept = random.generator().random((outputs, inputs)) < 15 / outputs
            layer.weight.detach().mul_(from_numpy(kept.astype(np.float32)))
            nn.init.zeros_(layer.bias)

    def encode(self, x: Tensor) -> Tensor:
        """Images to (N, code)."""
        x = x.flatten(1)
        for i in (1, 2, 3):
            x = F.sigmoid(getattr(self, f"encode{i}")(x))
        return self.encode4(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encode(x)
        for i in (4, 3, 2):
            x = F.sigmoid(getattr(self, f"decode{i}")(x))
        return self.decode1(x)


def _glorot(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _check(num_classes: int, width: float, output: str) -> None:
    check_arguments(num_classes, width)
    if output not in _OUTPUTS:
        raise ValueError(f"output must be one of {', '.join(_OUTPUTS)}, got {output!r}")


_PAPER, _REFERENCE = "Aljalbout et al. 2018", "ElieAljalbout/Clustering-with-Deep-learning"
# A ReLU behind a single map may be zero everywhere.
_REDUCED = {"output": "linear"}


@register(
    _PAPER, 10_079_073, 17_712_128, 14, channels=1, size=_SIDE, num_classes=32,
    reference=_REFERENCE, reduced=Reduced(0.25, _SIDE, {"num_classes": 32, **_REDUCED}),
)  # fmt: skip
def conv_autoencoder(
    num_classes: int = 32, width: float = 1.0, output: str = "relu"
) -> ConvAutoencoder:
    """c-3-32_p_c-3-64_p_fc-32: 10,079,073 parameters.

    Args:
        num_classes: the length of the code.
        width: see docs/models/README.md.
        output: "relu" as published, or "linear".

    Raises:
        ValueError: `num_classes` below 1, `width` not positive, or another `output`.
    """
    _check(num_classes, width, output)
    net = ConvAutoencoder(num_classes, width, output)
    return net.to(memory_format=array.channels_last)


@register(
    _PAPER, 320_141, 9_632_000, 32, channels=1, size=_SIDE, num_classes=120, reference=_REFERENCE,
    reduced=Reduced(0.25, _SIDE, _REDUCED),
)  # fmt: skip
def conv_autoencoder_unpool(
    num_classes: int = 120, width: float = 1.0, output: str = "relu"
) -> UnpoolingAutoencoder:
    """c-5-6_p_c-5-16_p_c-4-120, which has 50 maps where its name says 6 and 16: 320,141
    parameters. Arguments as `conv_autoencoder`.

    Raises:
        ValueError: `num_classes` below 1, `width` not positive, or another `output`.
    """
    _check(num_classes, width, output)
    net = UnpoolingAutoencoder(num_classes, width, output)
    return net.to(memory_format=array.channels_last)


@register(
    _PAPER, 10_079_393, 13_773_312, 15, channels=1, size=_SIDE, num_classes=10,
    reference=_REFERENCE, reduced=Reduced(0.25, _SIDE, _REDUCED),
)  # fmt: skip
def deep_clustering(
    num_classes: int = 10, width: float = 1.0, output: str = "relu"
) -> DeepClustering:
    """`conv_autoencoder` with `num_classes` cluster centres among its codes of 32.

    Raises:
        ValueError: `num_classes` below 1, `width` not positive, or another `output`.
    """
    _check(num_classes, width, output)
    net = DeepClustering(num_classes, width, output)
    return net.to(memory_format=array.channels_last)


@register(
    "Hinton, Salakhutdinov 2006", 2_837_314, 2_833_000, 16, channels=1, size=_SIDE,
    num_classes=30, reference="BVLC mnist_autoencoder", reduced=Reduced(0.125, _SIDE),
)  # fmt: skip
def mnist_autoencoder(num_classes: int = 30, width: float = 1.0) -> DenseAutoencoder:
    """784-1000-500-250-30 and back: 2,837,314 parameters. `num_classes` is the length of the code.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return DenseAutoencoder(num_classes, width)


__all__ = [
    "ClusteringOutputs", "ConvAutoencoder", "DeepClustering", "DenseAutoencoder", "SoftAssignment",
    "UnpoolingAutoencoder", "conv_autoencoder", "conv_autoencoder_unpool", "deep_clustering",
    "kmeans_loss", "mnist_autoencoder", "target_distribution",
]  # fmt: skip
