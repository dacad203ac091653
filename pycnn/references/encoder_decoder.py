"""Encoder-decoders in PyTorch, written recursively: a level encodes, has the next one work on the
half-sized maps, and decodes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from pycnn.models.width import check_arguments, scaled


def _conv(inputs: int, outputs: int) -> nn.Module:
    layer = nn.Module()
    layer.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    layer.bn = nn.BatchNorm2d(outputs)
    layer.forward = lambda x: F.relu(layer.bn(layer.conv(x)))  # type: ignore[method-assign]
    return layer


class EncoderDecoder(nn.Module):
    def __init__(self, classes: int, planes: list[int], upsampling: str, skips: bool) -> None:
        super().__init__()
        self.upsampling, self.skips, self.depth = upsampling, skips, len(planes)
        self.encoder = nn.ModuleList(
            _conv(a, b) for a, b in zip([3, *planes[:-1]], planes, strict=True)
        )
        down = planes[::-1]
        self.enlarge = nn.ModuleList()
        for n in down:
            holder = nn.Module()
            if upsampling == "transposed":
                holder.up = nn.ConvTranspose2d(n, n, 2, stride=2)
            self.enlarge.append(holder)
        self.decoder = nn.ModuleList(
            _conv(2 * a if skips else a, b)
            for a, b in zip(down, [*down[1:], down[-1]], strict=True)
        )
        self.classifier = nn.Conv2d(planes[0], classes, 1)

    def _bigger(self, x: torch.Tensor, like: torch.Tensor, at: torch.Tensor, step: int):
        size = like.shape[-2:]
        if self.upsampling == "nearest":
            return F.interpolate(x, size=size)
        if self.upsampling in ("bilinear", "bicubic"):
            return F.interpolate(x, size=size, mode=self.upsampling, align_corners=False)
        if self.upsampling == "transposed":
            return self.enlarge[step].up(x, output_size=size)
        if self.upsampling == "unpool_index":
            return nn.MaxUnpool2d(2, 2)(x, at, output_size=size)
        big = x.new_zeros(*x.shape[:2], *size)
        big[..., : 2 * x.shape[-2] : 2, : 2 * x.shape[-1] : 2] = x
        return big

    def _level(self, i: int, x: torch.Tensor) -> torch.Tensor:
        if i == self.depth:
            return x
        maps = self.encoder[i].forward(x)
        small, at = F.max_pool2d(maps, 2, 2, return_indices=True)
        step = self.depth - 1 - i
        x = self._bigger(self._level(i + 1, small), maps, at, step)
        return self.decoder[step].forward(torch.cat((maps, x), dim=1) if self.skips else x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self._level(0, x))


def encoder_decoder(
    num_classes: int = 21,
    width: float = 1.0,
    upsampling: str = "nearest",
    skips: bool = False,
    planes: Sequence[int] = (64, 128, 256),
) -> nn.Module:
    check_arguments(num_classes, width)
    return EncoderDecoder(num_classes, [scaled(n, width) for n in planes], upsampling, skips)
