"""U-Net in PyTorch: figure 1 of the paper, and milesial/Pytorch-UNet as its README describes it.

The layers are a flat list; `_attach` hangs each one at the name it has in that repository."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


def _attach(root: nn.Module, path: str, layer: nn.Module) -> nn.Module:
    *parents, leaf = path.split(".")
    for name in parents:
        if not hasattr(root, name):
            root.add_module(name, nn.Module())
        root = getattr(root, name)
    root.add_module(leaf, layer)
    return layer


class _UNet(nn.Module):
    def __init__(self, classes: int, width: float, channels: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options
        normed, bilinear = options["batch_norm"], options["bilinear"]
        self.steps: dict[str, list[str]] = {}

        def pair(home: str, ends: list[int]) -> None:
            names = []
            for i in (0, 1):
                place = i * (3 if normed else 2)
                conv = nn.Conv2d(
                    ends[i], ends[i + 1], (3, 3), bias=not normed,
                    padding="same" if options["padded"] else "valid",
                )  # fmt: skip
                nn.init.normal_(conv.weight, std=(2 / (9 * ends[i])) ** 0.5)
                if not normed:
                    nn.init.zeros_(conv.bias)
                _attach(self, f"{home}.double_conv.{place}", conv)
                names.append(f"{home}.double_conv.{place}")
                if normed:
                    bn = f"{home}.double_conv.{place + 1}"
                    _attach(self, bn, nn.BatchNorm2d(ends[i + 1]))
                    names.append(bn)
            self.steps[home] = names

        a, b, c, d, e = (scaled(64 * 2**i, width) for i in range(5))
        if bilinear:
            e = d
        pair("inc", [channels, a, a])
        for i, (k, m) in enumerate([(a, b), (b, c), (c, d), (d, e)], 1):
            pair(f"down{i}.maxpool_conv.1", [k, m, m])
        if bilinear:
            rows = [(d + e, d, c), (c + c, c, b), (b + b, b, a), (a + a, a, a)]
            for i, row in enumerate(rows, 1):
                pair(f"up{i}.conv", list(row))
        else:
            for i, (k, m) in enumerate([(e, d), (d, c), (c, b), (b, a)], 1):
                up = nn.ConvTranspose2d(k, m, kernel_size=2, stride=2)
                nn.init.normal_(up.weight, std=(2 / k) ** 0.5)
                nn.init.zeros_(up.bias)
                _attach(self, f"up{i}.up", up)
                pair(f"up{i}.conv", [2 * m, m, m])
        _attach(self, "outc.conv", nn.Conv2d(a, classes, 1))
        self.drop = nn.Dropout(options["dropout"])

    def _pair(self, home: str, x: torch.Tensor) -> torch.Tensor:
        for name in self.steps[home]:
            layer = self.get_submodule(name)
            x = layer(x)
            if isinstance(layer, nn.BatchNorm2d) or not self.options["batch_norm"]:
                x = x.relu()
        return x

    def _merge(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if not self.options["padded"]:
            rows, columns = x.shape[2:]
            top = (skip.shape[2] - rows) // 2
            left = (skip.shape[3] - columns) // 2
            skip = skip.narrow(2, top, rows).narrow(3, left, columns)
        else:
            tall, wide = (skip.shape[i] - x.shape[i] for i in (2, 3))
            x = F.pad(x, [wide // 2, wide - wide // 2, tall // 2, tall - tall // 2])
        return torch.cat((skip, x), dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self._pair("inc", x)
        two = self._pair("down1.maxpool_conv.1", F.max_pool2d(one, 2))
        three = self._pair("down2.maxpool_conv.1", F.max_pool2d(two, 2))
        four = self.drop(self._pair("down3.maxpool_conv.1", F.max_pool2d(three, 2)))
        x = self.drop(self._pair("down4.maxpool_conv.1", F.max_pool2d(four, 2)))
        for i, skip in enumerate([four, three, two, one], 1):
            if self.options["bilinear"]:
                size = [2 * n for n in x.shape[2:]]
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
            else:
                x = self.get_submodule(f"up{i}.up")(x)
            if self.options["up_relu"]:
                x = x.clamp_min(0)
            x = self._pair(f"up{i}.conv", self._merge(skip, x))
        out: torch.Tensor = self.get_submodule("outc.conv")(x)
        return out


_PAPER = {"padded": False, "batch_norm": False, "bilinear": False, "up_relu": False, "dropout": 0.5}


def unet(num_classes: int = 2, width: float = 1.0, channels: int = 1, **options: Any) -> nn.Module:
    """The network of the paper, or with options that one."""
    check_arguments(num_classes, width)
    if options.keys() - _PAPER.keys():
        raise TypeError(f"unknown options {sorted(options.keys() - _PAPER.keys())}")
    return _UNet(num_classes, width, channels, {**_PAPER, **options})


def unet_padded(
    num_classes: int = 2, width: float = 1.0, channels: int = 3, **options: Any
) -> nn.Module:
    """milesial's."""
    options = {"padded": True, "batch_norm": True, "dropout": 0.0, **options}
    return unet(num_classes, width, channels, **options)


def unet_bilinear(
    num_classes: int = 2, width: float = 1.0, channels: int = 3, **options: Any
) -> nn.Module:
    """milesial's with bilinear=True."""
    return unet_padded(num_classes, width, channels, **{"bilinear": True, **options})
