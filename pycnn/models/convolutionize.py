"""Turn a classifier into a network of convolutions, which scores every place of an image of any
size. Sermanet et al. 2013, arXiv:1312.6229; Long et al. 2015, arXiv:1411.4038, figure 2.

A linear layer that reads C maps of R x S pixels is a convolution of that kernel; the linear layers
behind it are 1x1 convolutions.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from typing import Any

from .. import array, nn
from ..autograd import no_grad
from ..creation import zeros
from ..nn.summary import evaluating
from ..tensor import Tensor

__all__ = ["convolutionize"]


class _Window(nn.Conv2d):
    """The first linear layer, sliding."""

    def forward(self, x: Tensor, **fused: Any) -> Tensor:  # type: ignore[override]
        if x.shape[2] < self.kernel_size[0] or x.shape[3] < self.kernel_size[1]:
            maps, needed = "{} x {}".format(*x.shape[2:]), "{} x {}".format(*self.kernel_size)
            raise ValueError(
                f"x: the image is too small: {maps} maps before the linear layers, "
                f"which need {needed}"
            )
        return super().forward(x, **fused)


def convolutionize(net: nn.Module, size: int | tuple[int, int] | None = None) -> nn.Sequential:
    """A copy of a classifier whose linear layers are convolutions.

    On an image of the classifier's own size the copy's (N, classes, 1, 1) output is the logits. On
    a larger one output (i, j) is what the linear layers make of the window of maps that begins at
    (i, j). Without padding in front of them that is the classifier slid over the image in steps of
    its total stride; padded, it differs from it where a crop of the image would have been padded.

    Args:
        net: an `nn.Sequential` with a Flatten in front of its linear layers, or a network with a
            method `layers_in_order()`, a list of (name, module): LeNet, AlexNet, ZFNet, VGG and
            ResNet have it.
        size: the classifier's own image, where its layers do not tell: of a global average pooling,
            or maps that are not square.

    Returns:
        An `nn.Sequential` with the classifier's names; a linear layer's weight has become
        (outputs, C, R, S) or (outputs, inputs, 1, 1).

    Raises:
        ValueError: nothing to convert, a layer that has no counterpart, or `size` is missing.
    """
    if hasattr(net, "layers_in_order"):
        layers: list[tuple[str, nn.Module]] = net.layers_in_order()
    elif isinstance(net, nn.Sequential):
        layers = list(net.named_children())
    else:
        raise ValueError(
            f"net: {type(net).__name__} is no nn.Sequential and has no layers_in_order()"
        )
    shapes = {} if size is None else _map_shapes(layers, size)
    conversion = _Conversion(shapes)
    found = nn.Sequential(OrderedDict((n, conversion.of(m, n)) for n, m in layers))
    if conversion.window is None:
        raise ValueError(f"net: {type(net).__name__} has no linear layer behind a Flatten")
    return found.to(memory_format=array.channels_last).train(net.training)


def _map_shapes(
    layers: list[tuple[str, nn.Module]], size: int | tuple[int, int]
) -> dict[str, tuple[int, ...]]:
    """The shape in front of each pooling and Flatten on an image of the classifier's own size."""
    net = nn.Sequential(OrderedDict(layers))
    shapes: dict[str, tuple[int, ...]] = {}
    handles = []
    for name, module in net.named_modules():
        if isinstance(module, (nn.AdaptiveAvgPool2d, nn.Flatten)):

            def note(module: Any, args: Any, name: str = name) -> None:
                shapes[name] = args[0].shape

            handles.append(module.register_forward_pre_hook(note))
    first = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
    rows, columns = (size, size) if isinstance(size, int) else size
    image = zeros(1, first.in_channels, rows, columns)
    try:
        with no_grad(), evaluating(net):
            net(image.to(first.weight.device, first.weight.dtype))
    finally:
        for handle in handles:
            handle.remove()
    return shapes


class _Conversion:
    """Converts layers in order. `window` is the kernel of the next linear layer: that of the maps
    behind a Flatten, then 1x1; None before."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.window: tuple[int, int] | None = None
        self.channels = 0
        self.pooled: tuple[int, int] | None = None  # by an adaptive pooling that was left out

    def of(self, module: nn.Module, name: str) -> nn.Module:
        if isinstance(module, nn.Sequential):
            parts = ((n, self.of(m, f"{name}.{n}")) for n, m in module.named_children())
            return nn.Sequential(OrderedDict(parts))
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self._sliding_pool(module, name)
        if isinstance(module, nn.Flatten):
            return self._flatten(name)
        if isinstance(module, nn.Linear):
            return self._convolution(module, name)
        if isinstance(module, (nn.BatchNorm1d, nn.LayerNorm)):
            raise ValueError(f"{name}: no counterpart of {type(module).__name__} in convolutions")
        for inner in module.modules():
            if isinstance(inner, nn.Conv2d):
                self.channels = inner.out_channels
        return copy.deepcopy(module)

    def _sliding_pool(self, module: nn.AdaptiveAvgPool2d, name: str) -> nn.Module:
        """A pooling to one pixel slides with stride 1; one to the maps' own size does nothing."""
        wanted = module.output_size
        target = (wanted, wanted) if isinstance(wanted, int) else tuple(wanted)
        if name not in self.shapes:
            if target == (1, 1):
                raise ValueError(f"size: needed, {name} averages over all pixels")
            self.pooled = target
            return nn.Identity()
        maps = self.shapes[name][2:]
        self.pooled = target
        if target == maps:
            return nn.Identity()
        if target == (1, 1):
            return nn.AvgPool2d(maps, 1)
        raise ValueError(f"size: {name} averages maps of {maps} to {target}")

    def _flatten(self, name: str) -> nn.Module:
        if name in self.shapes:
            self.channels = self.shapes[name][1]
            _, _, rows, columns = self.shapes[name]
            self.pooled = (rows, columns)
        self.window = self.pooled or (0, 0)
        return nn.Identity()

    def _convolution(self, linear: nn.Linear, name: str) -> nn.Conv2d:
        if self.window is None:
            raise ValueError(f"{name}: a linear layer without a Flatten before it")
        inputs, outputs = linear.in_features, linear.out_features
        if self.window == (0, 0):
            side = math.isqrt(inputs // max(self.channels, 1))
            self.window = (side, side)
        rows, columns = self.window
        if inputs % (rows * columns) or self.channels not in (0, inputs // (rows * columns)):
            raise ValueError(f"size: needed, {inputs} inputs of {name} are no square maps")
        kind = _Window if rows * columns > 1 else nn.Conv2d
        weight = linear.weight
        layer = kind(
            inputs // (rows * columns), outputs, self.window, bias=linear.bias is not None,
            dtype=weight.dtype, device=weight.device,
        )  # fmt: skip
        with no_grad():
            layer.weight.copy_(weight.detach().reshape(layer.weight.shape))
            if layer.bias is not None and linear.bias is not None:
                layer.bias.copy_(linear.bias.detach())
        self.window, self.channels = (1, 1), 0
        return layer
