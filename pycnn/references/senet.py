"""SE-ResNet, SE-ResNeXt and SENet-154 in PyTorch, from section 3 and 6 of the paper and the net
files published with it. The names are those of Cadene's pretrained-models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _Gate(nn.Module):
    """Equations 2 and 3: s = sigmoid(W2 relu(W1 z)), z the mean of each channel."""

    def __init__(self, channels: int, r: int) -> None:
        super().__init__()
        hidden = channels // r or 1
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = x.flatten(2).mean(2)
        z = F.linear(z, self.fc1.weight.flatten(1), self.fc1.bias)
        z = F.linear(z.clamp(min=0), self.fc2.weight.flatten(1), self.fc2.bias)
        return x * z.sigmoid()[:, :, None, None]


class _Residual(nn.Module):
    """relu(shortcut + gate(branch)); `branch` lists "conv1", "bn1", "relu", and so on."""

    def __init__(self, branch: list[nn.Module], shortcut: nn.Sequential | None, r: int) -> None:
        super().__init__()
        numbers = {"Conv2d": 0, "BatchNorm2d": 0}
        self.order = branch
        for module in branch:
            kind = type(module).__name__
            if kind in numbers:
                numbers[kind] += 1
                name = "conv" if kind == "Conv2d" else "bn"
                setattr(self, f"{name}{numbers[kind]}", module)
        self.se_module = _Gate(branch[-1].num_features, r)
        if shortcut is not None:
            self.downsample = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for module in self.order:
            y = module(y)
        y = self.se_module(y)
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


def _conv(i: int, o: int, k: int, s: int = 1, g: int = 1) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, s, (k - 1) // 2, groups=g, bias=False)


def _branch(kind: str, i: int, p: int, s: int, v1: bool) -> list[nn.Module]:
    bn, relu = nn.BatchNorm2d, nn.ReLU
    if kind == "18":
        return [_conv(i, p, 3, s), bn(p), relu(), _conv(p, p, 3), bn(p)]
    a, b, groups = p, p, 1
    if kind == "x":  # 32 groups, 4 wide where p = 64
        groups, a = 32, 32 * (p // 16 or 1)
        b = a
    if kind == "154":  # 64 groups, and half of the channels come out of the first 1x1
        groups, a, b = 64, 64 * (2 * p // 64 or 1), 64 * (4 * p // 64 or 1)
    one, two = (s, 1) if v1 and kind == "50" else (1, s)
    return [
        _conv(i, a, 1, one), bn(a), relu(), _conv(a, b, 3, two, groups), bn(b), relu(),
        _conv(b, 4 * p, 1), bn(4 * p),
    ]  # fmt: skip


class _Net(nn.Module):
    def __init__(
        self, kind: str, counts: str, num_classes: int, width: float, v1: bool, ceil_pool: bool,
        r: int,
    ) -> None:  # fmt: skip
        super().__init__()
        w64 = scaled(64, width)
        self.layer0 = nn.Sequential()
        if kind == "154":
            i = scaled(128, width)
            for n, (a, b, s) in enumerate(((3, w64, 2), (w64, w64, 1), (w64, i, 1)), 1):
                self.layer0.add_module(f"conv{n}", _conv(a, b, 3, s))
                self.layer0.add_module(f"bn{n}", nn.BatchNorm2d(b))
                self.layer0.add_module(f"relu{n}", nn.ReLU())
        else:
            i = w64
            self.layer0.conv1 = _conv(3, i, 7, 2)
            self.layer0.bn1 = nn.BatchNorm2d(i)
            self.layer0.relu1 = nn.ReLU()
        self.ceil_pool = ceil_pool
        for n, count in enumerate(counts.split("-")):
            p = scaled(64 << n, width)
            o = p if kind == "18" else 4 * p
            stage = []
            for u in range(int(count)):
                s = 2 if n and not u else 1
                shortcut = None
                if u == 0 and (s == 2 or i != o):
                    k = 3 if kind == "154" and n else 1
                    shortcut = nn.Sequential(_conv(i, o, k, s), nn.BatchNorm2d(o))
                stage.append(_Residual(_branch(kind, i, p, s, v1), shortcut, r))
                i = o
            setattr(self, f"layer{n + 1}", nn.Sequential(*stage))
        self.drop = nn.Dropout(0.2) if kind == "154" else nn.Identity()
        self.last_linear = nn.Linear(i, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer0(x)
        x = F.max_pool2d(x, 3, 2, ceil_mode=True) if self.ceil_pool else F.max_pool2d(x, 3, 2, 1)
        for n in range(1, 5):
            x = getattr(self, f"layer{n}")(x)
        return self.last_linear(self.drop(x.mean((2, 3))))


def _make(kind: str, counts: str):
    def make(
        num_classes: int = 1000, width: float = 1.0, v1: bool = True, ceil_pool: bool = True,
        reduction: int = 16,
    ) -> nn.Module:  # fmt: skip
        check_arguments(num_classes, width)
        return _Net(kind, counts, num_classes, width, v1, ceil_pool, reduction)

    return make


se_resnet18, se_resnet34 = _make("18", "2-2-2-2"), _make("18", "3-4-6-3")
se_resnet50, se_resnet101 = _make("50", "3-4-6-3"), _make("50", "3-4-23-3")
se_resnet152 = _make("50", "3-8-36-3")
se_resnext50, se_resnext101 = _make("x", "3-4-6-3"), _make("x", "3-4-23-3")
senet154 = _make("154", "3-8-36-3")
