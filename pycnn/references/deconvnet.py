"""DeconvNet in PyTorch, from `stage_1_train.prototxt`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _DeconvNet(nn.Module):
    """Rows of the net file: (kind, layer, its batch norm, inputs, outputs, kernel)."""

    def __init__(self, classes: int, width: float) -> None:
        super().__init__()
        self.down: list[list[str]] = []
        self.up: list[list[str]] = []
        before = 3
        for block, text in enumerate(["64 64", "128 128"] + ["256 " * 3] + ["512 " * 3] * 2, 1):
            row = []
            for i, count in enumerate(text.split(), 1):
                after = scaled(int(count), width)
                self._layer(f"conv{block}_{i}", f"bn{block}_{i}", nn.Conv2d, before, after, 3, 1)
                row += [f"conv{block}_{i}", f"bn{block}_{i}"]
                before = after
            self.down.append(row)
        wide = scaled(4096, width)
        self._layer("fc6", "bnfc6", nn.Conv2d, before, wide, 7, 0)
        self._layer("fc7", "bnfc7", nn.Conv2d, wide, wide, 1, 0)
        self._layer("fc6_deconv", "fc6_deconv_bn", nn.ConvTranspose2d, wide, before, 7, 0)
        texts = ["512 512 512", "512 512 256", "256 256 128", "128 64", "64 64"]
        for block, text in zip((5, 4, 3, 2, 1), texts):
            row = []
            for i, count in enumerate(text.split(), 1):
                after = scaled(int(count), width)
                names = f"deconv{block}_{i}", f"debn{block}_{i}"
                self._layer(*names, nn.ConvTranspose2d, before, after, 3, 1)
                row += names
                before = after
            self.up.append(row)
        self.seg_score = nn.Conv2d(before, classes, 1)

    def _layer(self, name, norm, kind, before, after, kernel, padding) -> None:
        self.add_module(name, kind(before, after, kernel, padding=padding))
        self.add_module(norm, nn.BatchNorm2d(after))

    def _run(self, x: torch.Tensor, names: list[str]) -> torch.Tensor:
        for layer, norm in zip(names[::2], names[1::2]):
            x = F.relu(self.get_submodule(norm)(self.get_submodule(layer)(x)))
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shapes, switches = [], []
        for row in self.down:
            x = self._run(x, row)
            shapes.append(x.shape)
            x, where = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
            switches.append(where)
        x = self._run(x, ["fc6", "bnfc6", "fc7", "bnfc7", "fc6_deconv", "fc6_deconv_bn"])
        for row in self.up:
            x = F.max_unpool2d(x, switches.pop(), 2, 2, output_size=shapes.pop()[2:])
            x = self._run(x, row)
        out: torch.Tensor = self.seg_score(x)
        return out


def deconvnet(num_classes: int = 21, width: float = 1.0) -> nn.Module:
    check_arguments(num_classes, width)
    return _DeconvNet(num_classes, width)
