"""FCN-32s, 16s, 8s in PyTorch, from the published net files; their layers keep their names.

The score layers start at random here, not at zero: a comparison of zeros would show nothing."""

from __future__ import annotations

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled


def _interpolation(classes: int, kernel: int, stride: int, fixed: bool) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(classes, classes, kernel, stride, bias=False)
    half = kernel / 2
    line = torch.tensor([(half - abs(i + 0.5 - half)) / half for i in range(kernel)])
    patch = line[:, None] * line[None, :]
    with torch.no_grad():
        layer.weight.zero_()
        for c in range(classes):
            layer.weight[c, c] = patch
    layer.weight.requires_grad = not fixed
    return layer


class _FCN(nn.Module):
    def __init__(self, classes: int, width: float, stride: int, at_once: bool, fixed: bool) -> None:
        super().__init__()
        self.at_once = at_once
        w = [scaled(c, width) for c in (64, 128, 256, 512, 4096)]
        conv = lambda a, b, pad=1: nn.Conv2d(a, b, 3, padding=pad)
        self.conv1_1, self.conv1_2 = conv(3, w[0], 100), conv(w[0], w[0])
        self.conv2_1, self.conv2_2 = conv(w[0], w[1]), conv(w[1], w[1])
        self.conv3_1, self.conv3_2, self.conv3_3 = (
            conv(w[1], w[2]),
            *(conv(w[2], w[2]) for _ in "ab"),
        )
        self.conv4_1, self.conv4_2, self.conv4_3 = (
            conv(w[2], w[3]),
            *(conv(w[3], w[3]) for _ in "ab"),
        )
        self.conv5_1, self.conv5_2, self.conv5_3 = (conv(w[3], w[3]) for _ in "abc")
        for module in self.children():
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
        self.fc6, self.fc7 = nn.Conv2d(w[3], w[4], 7), nn.Conv2d(w[4], w[4], 1)
        self.score_fr = nn.Conv2d(w[4], classes, 1)
        self.drop = nn.Dropout(0.5)
        if stride == 32:
            self.upscore = _interpolation(classes, 64, 32, fixed)
            return
        self.score_pool4 = nn.Conv2d(w[3], classes, 1)
        self.upscore2 = _interpolation(classes, 4, 2, fixed)
        if stride == 16:
            self.upscore16 = _interpolation(classes, 32, 16, fixed)
            return
        self.score_pool3 = nn.Conv2d(w[2], classes, 1)
        self.upscore_pool4 = _interpolation(classes, 4, 2, fixed)
        self.upscore8 = _interpolation(classes, 16, 8, fixed)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows, columns = image.shape[-2:]
        pool = nn.MaxPool2d(2, 2, ceil_mode=True)
        drop = self.drop
        x = pool(self.conv1_2(self.conv1_1(image).relu()).relu())
        x = pool(self.conv2_2(self.conv2_1(x).relu()).relu())
        third = pool(self.conv3_3(self.conv3_2(self.conv3_1(x).relu()).relu()).relu())
        fourth = pool(self.conv4_3(self.conv4_2(self.conv4_1(third).relu()).relu()).relu())
        fifth = pool(self.conv5_3(self.conv5_2(self.conv5_1(fourth).relu()).relu()).relu())
        score = self.score_fr(drop(self.fc7(drop(self.fc6(fifth).relu())).relu()))
        if hasattr(self, "upscore"):
            return self.upscore(score)[:, :, 19 : 19 + rows, 19 : 19 + columns]
        if self.at_once:
            third, fourth = third * 0.0001, fourth * 0.01
        up = self.upscore2(score)
        h, w = up.shape[-2:]
        up = up + self.score_pool4(fourth)[:, :, 5 : 5 + h, 5 : 5 + w]
        if hasattr(self, "upscore16"):
            return self.upscore16(up)[:, :, 27 : 27 + rows, 27 : 27 + columns]
        up = self.upscore_pool4(up)
        h, w = up.shape[-2:]
        up = up + self.score_pool3(third)[:, :, 9 : 9 + h, 9 : 9 + w]
        return self.upscore8(up)[:, :, 31 : 31 + rows, 31 : 31 + columns]


def _of(stride: int, at_once: bool = False):
    def make(num_classes: int = 21, width: float = 1.0, fixed_upsampling: bool = True) -> nn.Module:
        check_arguments(num_classes, width)
        return _FCN(num_classes, width, stride, at_once, fixed_upsampling)

    return make


fcn32s, fcn16s, fcn8s, fcn8s_at_once = _of(32), _of(16), _of(8), _of(8, at_once=True)
