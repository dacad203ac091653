"""torchvision's GoogLeNet, also with scaled channels, and the paper's from table 1."""

from __future__ import annotations

import importlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


def _module() -> Any:
    torchvision_models()
    return importlib.import_module("torchvision.models.googlenet")


def googlenet(num_classes: int = 1000, width: float = 1.0, aux_logits: bool = True) -> nn.Module:
    """torchvision's, its parts built again where `width` is not 1."""
    check_arguments(num_classes, width)
    google = _module()
    net = google.GoogLeNet(num_classes, aux_logits=aux_logits, init_weights=False)
    if width != 1:
        w = lambda c: scaled(c, width)
        conv = google.BasicConv2d
        net.conv1 = conv(3, w(64), kernel_size=7, stride=2, padding=3)
        net.conv2 = conv(w(64), w(64), kernel_size=1)
        net.conv3 = conv(w(64), w(192), kernel_size=3, padding=1)
        channels = w(192)
        for name, block in list(net.named_children()):
            if not name.startswith("inception"):
                continue
            a, b, c, d = block.branch1, block.branch2, block.branch3, block.branch4
            layers = (a, b[0], b[1], c[0], c[1], d[1])
            widths = [w(layer.conv.out_channels) for layer in layers]
            setattr(net, name, google.Inception(channels, *widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
            if name in ("inception4a", "inception4d") and aux_logits:
                aux = google.InceptionAux(channels, num_classes)
                aux.conv = conv(channels, w(128), kernel_size=1)
                aux.fc1 = nn.Linear(w(128) * 16, w(1024))
                aux.fc2 = nn.Linear(w(1024), num_classes)
                setattr(net, "aux1" if name == "inception4a" else "aux2", aux)
        net.fc = nn.Linear(channels, num_classes)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, mean=0.0, std=0.01, a=-2, b=2)
    return net


class _Paper(nn.Module):
    """Table 1 and the text of section 5; names of parameters as torchvision has them."""

    def __init__(self, num_classes: int, width: float, aux: bool) -> None:
        super().__init__()
        w = lambda c: scaled(c, width)
        self.conv1 = nn.Conv2d(3, w(64), 7, 2, 3)
        self.conv2 = nn.Conv2d(w(64), w(64), 1)
        self.conv3 = nn.Conv2d(w(64), w(192), 3, 1, 1)
        table = """
            3a  64  96 128 16  32  32 | 3b 128 128 192 32  96  64 | 4a 192  96 208 16  48  64
            4b 160 112 224 24  64  64 | 4c 128 128 256 24  64  64 | 4d 112 144 288 32  64  64
            4e 256 160 320 32 128 128 | 5a 256 160 320 32 128 128 | 5b 384 192 384 48 128 128"""
        channels, self.places = w(192), []
        for row in table.strip().replace("\n", "|").split("|"):
            place, *numbers = row.split()
            a, r3, b, r5, c, p = (w(int(n)) for n in numbers)
            block = nn.Module()
            block.branch1 = nn.Conv2d(channels, a, 1)
            block.branch2 = nn.ModuleList([nn.Conv2d(channels, r3, 1), nn.Conv2d(r3, b, 3, 1, 1)])
            block.branch3 = nn.ModuleList([nn.Conv2d(channels, r5, 1), nn.Conv2d(r5, c, 5, 1, 2)])
            block.branch4 = nn.ModuleList([nn.Identity(), nn.Conv2d(channels, p, 1)])
            setattr(self, f"inception{place}", block)
            self.places.append(place)
            channels = a + b + c + p
            if aux and place in ("4a", "4d"):
                head = nn.Module()
                head.conv = nn.Conv2d(channels, w(128), 1)
                head.fc1 = nn.Linear(w(128) * 16, w(1024))
                head.fc2 = nn.Linear(w(1024), num_classes)
                setattr(self, "aux1" if place == "4a" else "aux2", head)
        self.dropout, self.aux_dropout = nn.Dropout(0.4), nn.Dropout(0.7)
        self.fc = nn.Linear(channels, num_classes)

    def _head(self, head: Any, x: torch.Tensor) -> torch.Tensor:
        x = head.conv(F.avg_pool2d(x, 5, 3)).relu().flatten(1)
        return head.fc2(self.aux_dropout(head.fc1(x).relu()))

    def forward(self, x: torch.Tensor) -> Any:
        pool = lambda t: F.max_pool2d(t, 3, 2, ceil_mode=True)
        norm = lambda t: F.local_response_norm(t, 5, 1e-4, 0.75, 1.0)
        x = norm(pool(self.conv1(x).relu()))
        x = pool(norm(self.conv3(self.conv2(x).relu()).relu()))
        heads: list[Any] = []
        for place in self.places:
            if place in ("4a", "5a"):
                x = pool(x)
            block = getattr(self, f"inception{place}")
            x = torch.cat(
                [
                    block.branch1(x),
                    block.branch2[1](block.branch2[0](x).relu()),
                    block.branch3[1](block.branch3[0](x).relu()),
                    block.branch4[1](F.max_pool2d(x, 3, 1, 1)),
                ],
                1,
            ).relu()
            if place in ("4a", "4d"):
                heads.insert(0, getattr(self, "aux1" if place == "4a" else "aux2", None))
                if heads[0] is not None and self.training:
                    heads[0] = self._head(heads[0], x)
        logits = self.fc(self.dropout(x.mean((2, 3))))
        return (logits, *heads) if self.training and heads[0] is not None else logits


def googlenet_2014(
    num_classes: int = 1000, width: float = 1.0, aux_logits: bool = True
) -> nn.Module:
    check_arguments(num_classes, width)
    net = _Paper(num_classes, width, aux_logits)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(module.weight)
            nn.init.constant_(module.bias, 0.2 if isinstance(module, nn.Conv2d) else 0)
    return net
