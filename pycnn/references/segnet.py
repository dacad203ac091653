"""SegNet in PyTorch, from `segnet_train.prototxt`: MaxPool2d(return_indices) and MaxUnpool2d."""

from __future__ import annotations

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled

# name and channels of every convolution of the net file, 0 for the classes
_NET_FILE = """
conv1_1 64 conv1_2 64 pool conv2_1 128 conv2_2 128 pool conv3_1 256 conv3_2 256 conv3_3 256 pool
conv4_1 512 conv4_2 512 conv4_3 512 pool conv5_1 512 conv5_2 512 conv5_3 512 pool
upsample conv5_3_D 512 conv5_2_D 512 conv5_1_D 512
upsample conv4_3_D 512 conv4_2_D 512 conv4_1_D 256
upsample conv3_3_D 256 conv3_2_D 256 conv3_1_D 128
upsample conv2_2_D 128 conv2_1_D 64 upsample conv1_2_D 64 conv1_1_D 0
"""


class _SegNet(nn.Module):
    def __init__(self, classes: int, width: float) -> None:
        super().__init__()
        words, before = _NET_FILE.split(), 3
        self.plan = [w for w in words if not w.isdigit()]
        for name, count in zip(words, words[1:]):
            if count.isdigit():
                after = scaled(int(count), width) if int(count) else classes
                conv = nn.Conv2d(before, after, 3, padding=1)
                nn.init.kaiming_normal_(conv.weight)
                self.add_module(name, conv)
                if int(count):
                    self.add_module(name + "_bn", nn.BatchNorm2d(after))
                before = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stack = []
        for word in self.plan:
            if word == "pool":
                shape = x.shape
                x, where = nn.MaxPool2d(2, 2, ceil_mode=True, return_indices=True)(x)
                stack.append((where, shape))
            elif word == "upsample":
                where, shape = stack.pop()
                x = nn.MaxUnpool2d(2, 2)(x, where, output_size=shape)
            else:
                x = self.get_submodule(word)(x)
                if word != "conv1_1_D":
                    x = torch.relu(self.get_submodule(word + "_bn")(x))
        return x


def segnet(num_classes: int = 11, width: float = 1.0) -> nn.Module:
    check_arguments(num_classes, width)
    return _SegNet(num_classes, width)
