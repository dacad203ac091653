"""BN-Inception in PyTorch: the net file, layer by layer, and what runs such a file.

Ioffe, Szegedy 2015, arXiv:1502.03167, figure 5; the numbers and names are those of the Caffe net
file, and with `slim=True` TF-slim's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class Layer(NamedTuple):
    """A line of the net file: what it computes from which blobs."""

    name: str
    kind: str  # convolution, depthwise, pointwise (with bias, no norm), max, average, concat
    bottoms: tuple[str, ...]
    outputs: int = 0
    kernel: int = 1
    stride: int = 1
    pad: int = 0


def _net_file(slim: bool) -> list[Layer]:
    net: list[Layer] = []

    def conv(name: str, bottom: str, outputs: int, kernel: int = 1, stride: int = 1) -> str:
        net.append(Layer(name, "convolution", (bottom,), outputs, kernel, stride, kernel // 2))
        return name

    def pool(name: str, kind: str, bottom: str, stride: int) -> str:
        net.append(Layer(name, kind, (bottom,), 0, 3, stride, 0 if stride == 2 else 1))
        return name

    def inception(name: str, bottom: str, text: str) -> str:
        name = f"inception_{name}"
        numbers = [int(number) for number in text.split()]
        stride = 1 if len(numbers) == 6 else 2
        first = [numbers.pop(0)] if stride == 1 else []
        r3, n3, rd, nd, *projection = numbers
        tops = [conv(f"{name}_1x1", bottom, n) for n in first]
        reduced = conv(f"{name}_3x3_reduce", bottom, r3)
        tops.append(conv(f"{name}_3x3", reduced, n3, 3, stride))
        reduced = conv(f"{name}_double_3x3_reduce", bottom, rd)
        reduced = conv(f"{name}_double_3x3_1", reduced, nd, 3)
        tops.append(conv(f"{name}_double_3x3_2", reduced, nd, 3, stride))
        kind = "max" if stride == 2 or name.endswith("5b") else "average"
        last = pool(f"{name}_pool", kind, bottom, stride)
        tops += [conv(f"{name}_pool_proj", last, n) for n in projection] or [last]
        net.append(Layer(f"{name}_output", "concat", tuple(tops)))
        return f"{name}_output"

    top = "data"
    if slim:
        net.append(Layer("conv1_7x7_s2_depthwise", "depthwise", ("data",), 24, 7, 2, 3))
        net.append(Layer("conv1_7x7_s2", "pointwise", ("conv1_7x7_s2_depthwise",), 64))
        top = "conv1_7x7_s2"
    else:
        top = conv("conv1_7x7_s2", "data", 64, 7, 2)
    top = pool("pool1_3x3_s2", "max", top, 2)
    top = conv("conv2_3x3", conv("conv2_3x3_reduce", top, 64), 192, 3)
    top = pool("pool2_3x3_s2", "max", top, 2)
    top = inception("3a", top, "64  64  64  64  96  32")
    top = inception("3b", top, "64  64  96  64  96  64")
    top = inception("3c", top, "   128 160  64  96    ")
    top = inception("4a", top, "224 64  96  96 128 128")
    top = inception("4b", top, "192 96 128  96 128 128")
    top = inception("4c", top, f"160 128 160 128 160 {96 if slim else 128}")
    top = inception("4d", top, f"96 128 192 160 192 {96 if slim else 128}")
    top = inception("4e", top, "   128 192 192 256    ")
    top = inception("5a", top, "352 192 320 160 224 128")
    top = inception("5b", top, "352 192 320 192 224 128")
    return net


class BNInception(nn.Module):
    def __init__(self, num_classes: int, width: float, slim: bool) -> None:
        super().__init__()
        self.net, self.slim = _net_file(slim), slim
        channels = {"data": 3}
        for layer in self.net:
            inputs = sum(channels[bottom] for bottom in layer.bottoms)
            channels[layer.name] = inputs
            geometry = (layer.kernel, layer.stride, layer.pad)
            if layer.kind == "depthwise":
                channels[layer.name] = layer.outputs
                depthwise = nn.Conv2d(inputs, layer.outputs, *geometry, groups=inputs, bias=False)
                self.add_module(layer.name, depthwise)
            elif layer.kind == "pointwise":
                channels[layer.name] = scaled(layer.outputs, width)
                self.add_module(layer.name, nn.Conv2d(inputs, channels[layer.name], 1))
            elif layer.kind == "convolution":
                channels[layer.name] = outputs = scaled(layer.outputs, width)
                self.add_module(layer.name, nn.Conv2d(inputs, outputs, *geometry, bias=not slim))
                norm = nn.BatchNorm2d(outputs, eps=1e-3 if slim else 1e-5)
                self.add_module(layer.name + "_bn", norm)
        self.last_linear = nn.Linear(channels[self.net[-1].name], num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        blobs = {"data": x}
        for layer in self.net:
            bottoms = [blobs[bottom] for bottom in layer.bottoms]
            geometry = (layer.kernel, layer.stride, layer.pad)
            if layer.kind == "concat":
                top = torch.cat(bottoms, 1)
            elif layer.kind == "max":
                top = F.max_pool2d(bottoms[0], *geometry, ceil_mode=True)
            elif layer.kind == "average":
                top = F.avg_pool2d(
                    bottoms[0], *geometry, ceil_mode=True, count_include_pad=not self.slim
                )
            else:
                top = self.get_submodule(layer.name)(bottoms[0])
                if layer.kind == "convolution":
                    top = self.get_submodule(layer.name + "_bn")(top)
                if layer.kind != "depthwise":
                    top = top.relu()
            blobs[layer.name] = top
        return self.last_linear(blobs[self.net[-1].name].mean((2, 3)))


def inception_bn(num_classes: int = 1000, width: float = 1.0, slim: bool = False) -> BNInception:
    check_arguments(num_classes, width)
    return BNInception(num_classes, width, slim)
