"""Network in network in PyTorch, layer after layer as in the published net files."""

from __future__ import annotations

from torch import nn

from pycnn.models.width import check_arguments, scaled


class _Conv(nn.Conv2d):
    def forward(self, x):
        return super().forward(x).relu()


def _net(*layers: nn.Module) -> nn.Module:
    net = nn.Module()
    net.features = nn.Sequential(*layers)
    net.forward = lambda x: net.features(x).mean((2, 3))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, 0.05)
            nn.init.zeros_(module.bias)
    return net


def _pooling(pool: type[nn.Module], padded: bool) -> nn.Module:
    """3x3 with stride 2: at 32 pixels 16 either way, padded at both ends or at the far one."""
    return pool(3, 2, 1) if padded else pool(3, 2, ceil_mode=True)  # type: ignore[call-arg]


def nin_cifar10(num_classes: int = 10, width: float = 1.0, padded_pools: bool = False) -> nn.Module:
    check_arguments(num_classes, width)
    a, b, c = (scaled(planes, width) for planes in (192, 160, 96))
    first = [_Conv(3, a, 5, padding=2), _Conv(a, b, 1), _Conv(b, c, 1)]
    second = [_Conv(c, a, 5, padding=2), _Conv(a, a, 1), _Conv(a, a, 1)]
    third = [_Conv(a, a, 3, padding=1), _Conv(a, a, 1), _Conv(a, num_classes, 1)]
    return _net(
        *first, _pooling(nn.MaxPool2d, padded_pools), nn.Dropout(),
        *second, _pooling(nn.AvgPool2d, padded_pools), nn.Dropout(), *third,
    )  # fmt: skip


def nin_imagenet(
    num_classes: int = 1000, width: float = 1.0, padded_pools: bool = False
) -> nn.Module:
    check_arguments(num_classes, width)
    a, b, c, d = (scaled(planes, width) for planes in (96, 256, 384, 1024))
    pool = lambda: _pooling(nn.MaxPool2d, padded_pools)
    return _net(
        _Conv(3, a, 11, 4), _Conv(a, a, 1), _Conv(a, a, 1), pool(),
        _Conv(a, b, 5, 1, 2), _Conv(b, b, 1), _Conv(b, b, 1), pool(),
        _Conv(b, c, 3, 1, 1), _Conv(c, c, 1), _Conv(c, c, 1), pool(), nn.Dropout(0.5),
        _Conv(c, d, 3, 1, 1), _Conv(d, d, 1), _Conv(d, num_classes, 1),
    )  # fmt: skip
