"""TensorFlow's numerics for a network of torchvision's: "same" padding and its batch norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def _add_zeros(conv: nn.Conv2d, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """As many as make ceil(size / stride) outputs, half of them in front, the odd one behind."""
    (x,) = args
    for axis in (2, 3):
        outputs = -(-x.shape[axis] // conv.stride[axis - 2])
        zeros = (outputs - 1) * conv.stride[axis - 2] + conv.kernel_size[axis - 2] - x.shape[axis]
        front, behind = max(zeros, 0) // 2, max(zeros, 0) - max(zeros, 0) // 2
        x = F.pad(x, (0, 0, front, behind) if axis == 2 else (front, behind, 0, 0))
    return (x,)


def as_in_keras(net: nn.Module, momentum: float) -> None:
    """Every convolution pads by itself, and batch norm has epsilon 1e-3."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = (0, 0)
            module.register_forward_pre_hook(_add_zeros)
        elif isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 1e-3, momentum
