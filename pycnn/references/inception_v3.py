"""torchvision's Inception v3. At other widths its own classes build it with scaled convolutions,
which learn how many channels come in from a first batch of images.

`count_include_pad=False` is TensorFlow's average pooling in the modules.
"""

from __future__ import annotations

import importlib
import warnings
from functools import partial
from typing import Any

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled
from pycnn.references.torchvision_import import torchvision_models


class _AverageOfTheImage:
    """torch.nn.functional for the modules, whose padded average pools leave the padding out."""

    def __getattr__(self, name: str) -> Any:
        return getattr(nn.functional, name)

    def avg_pool2d(self, x: torch.Tensor, **keywords: Any) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, count_include_pad=False, **keywords)


def _leave_padding_out(module: nn.Module, google: Any) -> None:
    """Run the module's forward with another `F`."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        before, google.F = google.F, _AverageOfTheImage()
        try:
            return type(module).forward(module, x)
        finally:
            google.F = before

    module.forward = forward  # type: ignore[method-assign]


def _lazy(google: Any, width: float) -> list[Any]:
    """torchvision's blocks with scaled outputs and inputs not yet known."""

    class Convolution(google.BasicConv2d):
        def __init__(self, inputs: int, outputs: int, **keywords: Any) -> None:
            super().__init__(1, scaled(outputs, width), **keywords)
            self.conv = nn.LazyConv2d(scaled(outputs, width), bias=False, **keywords)

    class Head(google.InceptionAux):
        def __init__(self, inputs: int, num_classes: int) -> None:
            super().__init__(inputs, num_classes, conv_block=Convolution)
            self.fc = nn.LazyLinear(num_classes)

    letters = [getattr(google, f"Inception{letter}") for letter in "ABCDE"]
    return [Convolution, *(partial(block, conv_block=Convolution) for block in letters), Head]


def inception_v3(
    num_classes: int = 1000,
    width: float = 1.0,
    aux_logits: bool = True,
    transform_input: bool = False,
    count_include_pad: bool = True,
) -> nn.Module:
    check_arguments(num_classes, width)
    torchvision_models()
    google = importlib.import_module("torchvision.models.inception")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lazy modules warn that they are new
        net = google.Inception3(
            num_classes,
            aux_logits,
            transform_input,
            inception_blocks=None if width == 1 else _lazy(google, width),
            init_weights=False,
        )
    if width != 1:
        net.fc = nn.LazyLinear(num_classes)
        with torch.no_grad():
            size = 299 if aux_logits else 75  # the smallest there are
            net(torch.zeros(2, 3, size, size))
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, mean=0.0, std=0.1, a=-2, b=2)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    if not count_include_pad:
        for name, module in net.named_children():
            if name.startswith("Mixed"):
                _leave_padding_out(module, google)
    return net
