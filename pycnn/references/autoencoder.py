"""The autoencoders in PyTorch, layer after layer as archs/mnist.json of
ElieAljalbout/Clustering-with-Deep-learning and Caffe's mnist_autoencoder.prototxt list them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _Repeating(nn.Module):
    def __init__(self, code: int, width: float, output: str) -> None:
        super().__init__()
        a, b = scaled(32, width), scaled(64, width)
        layers = {
            "conv1": nn.Conv2d(1, a, 3, padding="same"),
            "conv2": nn.Conv2d(a, b, 3, padding="same"),
            "fc1": nn.Linear(49 * b, 49 * b),
            "embedding": nn.Linear(49 * b, code),
            "fc2": nn.Linear(code, 49 * b),
            "deconv2": nn.ConvTranspose2d(b, a, 3, 1, 1),
            "deconv1": nn.ConvTranspose2d(a, 1, 3, 1, 1),
        }
        for name, layer in layers.items():
            self.add_module(name, layer)
        pool, repeat = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="nearest")
        self.after = {
            "conv1": [nn.ReLU(), pool],
            "conv2": [nn.ReLU(), pool, nn.Flatten()],
            "fc1": [nn.ReLU()],
            "embedding": [nn.ReLU()],
            "fc2": [nn.ReLU(), nn.Unflatten(1, (b, 7, 7)), repeat],
            "deconv2": [nn.ReLU(), repeat],
            "deconv1": [nn.ReLU()] if output == "relu" else [],
        }

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name, layer in self.named_children():
            for step in (layer, *self.after[name]):
                x = step(x)
            if name == "embedding":
                self.code = x
        return x


class _Unpooling(nn.Module):
    def __init__(self, code: int, width: float, output: str) -> None:
        super().__init__()
        c = scaled(50, width)
        self.output = output
        rows = [(1, c, 5), (c, c, 5), (c, code, 4)]
        for i, (name, row) in enumerate(zip(("conv1", "conv2", "embedding"), rows), 1):
            self.add_module(name, nn.Conv2d(*row, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(row[1]))
        for i, row in enumerate([(code, c, 4), (c, c, 5)]):
            self.add_module(f"deconv{3 - i}", nn.ConvTranspose2d(*row, bias=False))
            self.add_module(f"bn{4 + i}", nn.BatchNorm2d(row[1]))
        self.deconv1 = nn.ConvTranspose2d(c, 1, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x, where1 = F.max_pool2d(x, 2, return_indices=True)
        x = F.relu(self.bn2(self.conv2(x)))
        x, where2 = F.max_pool2d(x, 2, return_indices=True)
        x = self.bn4(self.deconv3(self.bn3(self.embedding(x))))
        x = F.relu(self.bn5(self.deconv2(F.max_unpool2d(x, where2, 2))))
        x = self.deconv1(F.max_unpool2d(x, where1, 2))
        return x.clamp(min=0) if self.output == "relu" else x


class _Centres(nn.Module):
    def __init__(self, count: int, dimensions: int) -> None:
        super().__init__()
        self.clusters = nn.Parameter(torch.randn(count, dimensions) * 0.3)


class _Clustering(nn.Module):
    def __init__(self, count: int, width: float, output: str) -> None:
        super().__init__()
        self.autoencoder = _Repeating(scaled(32, width), width, output)
        self.clustering = _Centres(count, scaled(32, width))

    def forward(self, x: torch.Tensor):
        image = self.autoencoder(x)
        mu, z = self.clustering.clusters, self.autoencoder.code
        del self.autoencoder.code
        # |z - mu|^2 = |z|^2 - 2 <z, mu> + |mu|^2
        squares = (z**2).sum(1, keepdim=True) - 2 * z @ mu.T + (mu**2).sum(1)
        q = F.normalize(1 / (1 + squares), p=1, dim=1)
        return (q, image) if self.training else q


class _Dense(nn.Module):
    def __init__(self, code: int, width: float) -> None:
        super().__init__()
        a, b, c = (scaled(n, width) for n in (1000, 500, 250))
        self.encode1, self.encode2 = nn.Linear(784, a), nn.Linear(a, b)
        self.encode3, self.encode4 = nn.Linear(b, c), nn.Linear(c, code)
        self.decode4, self.decode3 = nn.Linear(code, c), nn.Linear(c, b)
        self.decode2, self.decode1 = nn.Linear(b, a), nn.Linear(a, 784)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = torch.sigmoid
        code = self.encode4(s(self.encode3(s(self.encode2(s(self.encode1(x.flatten(1))))))))
        return self.decode1(s(self.decode2(s(self.decode3(s(self.decode4(code)))))))


def _network(kind: type, default: int):
    def make(num_classes: int = default, width: float = 1.0, output: str = "relu") -> nn.Module:
        check_arguments(num_classes, width)
        net: nn.Module = kind(num_classes, width, output)
        return net

    return make


conv_autoencoder = _network(_Repeating, 32)
conv_autoencoder_unpool = _network(_Unpooling, 120)
deep_clustering = _network(_Clustering, 10)


def mnist_autoencoder(num_classes: int = 30, width: float = 1.0) -> nn.Module:
    check_arguments(num_classes, width)
    return _Dense(num_classes, width)
