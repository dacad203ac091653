"""Inception modules as rows of text, which is how the figures of the papers of v3, v4 and
Inception-ResNet describe them. All three are made of these: convolutions, each with batch norm and
ReLU, one behind the other in branches, the branches side by side.

A row is a list of branches with `|` between them, a branch a list of steps:

    3x3:96           a convolution to 96 channels that keeps the size of the maps
    3x3v:96          without padding ("V" in the figures)
    3x3/2:96         without padding, stride 2
    1x3:256+3x1:256  two convolutions of the same maps, joined; only as the last step
    avg              3x3 average pooling that keeps the size
    max/2            3x3 max pooling, stride 2, without padding
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .. import functional as F
from .. import nn
from ..tensor import Tensor
from .googlenet import BasicConv2d
from .width import scaled

# (branch, its steps, the step's number, "" or "a" or "b") -> the path of the step's layer
Naming = Callable[[str, list[str], int, str], str]

_CONVOLUTION = re.compile(r"(\d)x(\d)(v|/2)?:(\d+)")


class Form(NamedTuple):
    """What the rows leave open: how wide the network is, whether average pools count the padding
    as pixels (they do in PyTorch, not in TensorFlow), and who named the layers."""

    width: float
    count_include_pad: bool
    naming: Naming
    up: str = "conv2d"  # the convolution behind the branches of a residual module


class Scaled(NamedTuple):
    """The row of a residual module, and what its branches are multiplied by."""

    row: str
    scale: float
    activation: str | None = "relu"


Row = str | Mapping[str, str] | Scaled


def timm_names(branch: str, steps: list[str], step: int, fork: str) -> str:
    """branch1, branch1.0 where there are several steps, branch1_0 where the last one forks."""
    if len(steps) == 1:
        return branch
    return f"{branch}{'_' if '+' in steps[-1] else '.'}{step}{fork}"


def layer(text: str, inputs: int, form: Form) -> tuple[nn.Module, int]:
    """The layer of one step, and its channels.

    Raises:
        ValueError: the text is not a step.
    """
    if text == "avg":
        pool = nn.AvgPool2d(3, 1, padding=1, count_include_pad=form.count_include_pad)
        return pool, inputs
    if text == "max/2":
        return nn.MaxPool2d(3, 2), inputs
    found = _CONVOLUTION.fullmatch(text)
    if found is None:
        raise ValueError(f"not a step of an inception module: {text!r}")
    kernel, outputs = (int(found[1]), int(found[2])), scaled(int(found[4]), form.width)
    padding = (0, 0) if found[3] else (kernel[0] // 2, kernel[1] // 2)
    stride = 2 if found[3] == "/2" else 1
    return BasicConv2d(inputs, outputs, kernel, stride=stride, padding=padding), outputs


def enter(net: nn.Module, path: str, module: nn.Module) -> None:
    """Make `module` the submodule at the dotted `path`."""
    *above, name = path.split(".")
    for part in above:
        if part not in dict(net.named_children()):
            net.add_module(part, nn.Sequential())
        net = net.get_submodule(part)
    net.add_module(name, module)


class Mixed(nn.Module):
    """Branches side by side, joined along the channels. `outputs` counts these.

    `row` is text, whose branches are called branch0, branch1, ..., or {name: text of a branch}."""

    def __init__(self, inputs: int, row: str | Mapping[str, str], form: Form) -> None:
        super().__init__()
        if isinstance(row, str):
            row = {f"branch{i}": branch for i, branch in enumerate(row.split("|"))}
        self.outputs = 0
        self._paths: list[list[list[str]]] = []  # of branches, steps, what a step does side by side
        for name, branch in row.items():
            steps, channels = branch.split(), inputs
            paths: list[list[str]] = []
            for i, step in enumerate(steps):
                forks = step.split("+")
                marks = "ab" if len(forks) > 1 else [""]
                found = [layer(text, channels, form) for text in forks]
                paths.append([form.naming(name, steps, i, mark) for mark in marks])
                for path, (module, _) in zip(paths[-1], found):
                    enter(self, path, module)
                channels = sum(outputs for _, outputs in found)
            self._paths.append(paths)
            self.outputs += channels

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for *chain, last in self._paths:
            y = x
            for (path,) in chain:
                y = self.get_submodule(path)(y)
            outputs += [self.get_submodule(path)(y) for path in last]
        return F.cat(outputs, 1)


class Residual(Mixed):
    """x + scale * branches, where a 1x1 convolution with bias and without batch norm brings the
    branches to the channels of x; then ReLU, if any."""

    def __init__(self, inputs: int, row: Scaled, form: Form) -> None:
        super().__init__(inputs, row.row, form)
        self._up = form.up
        self.add_module(form.up, nn.Conv2d(self.outputs, inputs, 1))
        self.outputs, self.scale, self.activation = inputs, row.scale, row.activation

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.scale * self.get_submodule(self._up)(super().forward(x))
        return F.relu(y) if self.activation else y


def build(net: nn.Module, rows: Iterable[tuple[str, Row]], inputs: int, form: Form) -> int:
    """Enter the module of every (path, row) into `net`; returns the channels of the last."""
    for path, row in rows:
        if isinstance(row, str) and "|" not in row:
            module, inputs = layer(row, inputs, form)
        else:
            mixed = (
                Residual(inputs, row, form) if isinstance(row, Scaled) else Mixed(inputs, row, form)
            )
            module, inputs = mixed, mixed.outputs
        enter(net, path, module)
    return inputs


def kaiming_(net: nn.Module) -> None:
    """Initial values of convolutions: normal, of variance 2 / fan-in; biases are zero."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
