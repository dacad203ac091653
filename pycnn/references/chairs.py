"""The generator of chairs in PyTorch, from figures 2 and 3: unpooling is an assignment to every
second pixel."""

from __future__ import annotations

import torch
from torch import nn

from pycnn.models.width import check_arguments, scaled


class _Unpool(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        big = x.new_zeros(n, c, h, 2, w, 2)
        big[:, :, :, 0, :, 0] = x
        return big.reshape(n, c, 2 * h, 2 * w)


def _stream(shared: int, maps: list[int], result: int) -> nn.Module:
    stream = nn.ModuleDict({"fc5": nn.Linear(shared, 64 * maps[0])})
    for i, (a, b) in enumerate(zip(maps, [*maps[1:], result], strict=True), 1):
        step = nn.Sequential()
        step.add_module("unpool", _Unpool())
        step.add_module("conv", nn.Conv2d(a, b, 5, padding=2))
        stream[f"uconv{i}"] = step
    return stream


class Chairs(nn.Module):
    def __init__(self, styles: int, width: float) -> None:
        super().__init__()
        n = lambda k: scaled(k, width)
        layers = {}
        for letter, size in {"c": styles, "v": 4, "theta": 28}.items():
            layers[f"fc1_{letter}"] = (size, n(512))
            layers[f"fc2_{letter}"] = (n(512), n(512))
        layers |= {"fc3": (3 * n(512), n(1024)), "fc4": (n(1024), n(1024))}
        for name, sizes in layers.items():
            self.add_module(name, nn.Linear(*sizes))
        self.rgb = _stream(n(1024), [n(256), n(256), n(92), n(92)], 3)
        self.segm = _stream(n(1024), [n(128), n(128), n(48), n(48)], 1)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)

    def _up(self, stream: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        x = stream["fc5"](x).clamp(min=0)
        x = x.view(len(x), -1, 8, 8)
        for i in (1, 2, 3):
            x = torch.relu(stream[f"uconv{i}"](x))
        return stream["uconv4"](x)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = []
        for letter, x in zip(("c", "v", "theta"), inputs, strict=True):
            for step in (1, 2):
                x = torch.relu(self.get_submodule(f"fc{step}_{letter}")(x))
            hidden.append(x)
        x = torch.relu(self.fc4(torch.relu(self.fc3(torch.hstack(hidden)))))
        return self._up(self.rgb, x), self._up(self.segm, x)


def chairs_decoder(num_classes: int = 843, width: float = 1.0) -> nn.Module:
    check_arguments(num_classes, width)
    return Chairs(num_classes, width)
