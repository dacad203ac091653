"""FractalNet in PyTorch by its expansion rule, equation 1 of arXiv:1605.07648.

Where the other side counts steps, this one recurses: a fractal of C columns is a fractal of C - 1
after another, beside one convolution. Names are those of pytorchcv, which number the steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pycnn.models.width import check_arguments, scaled


class FractalDropPath(nn.Module):
    """For each block a map from a join's step to the columns that live; {} where all do."""

    def __init__(self, p: float, global_ratio: float) -> None:
        super().__init__()
        self.p, self.global_ratio = p, global_ratio
        self.held = None

    def draw(self, columns: int) -> list[dict[int, set[int]]]:
        inputs = {s: {j for j in range(columns) if s % 2**j == 0} for s in _steps(columns)}
        chosen = self.held
        if chosen is not None and not isinstance(chosen, int):
            return [dict(enumerate(map(set, block), 1)) for block in chosen]
        if chosen is None and not self.training:
            return [{}] * 5
        if chosen is None and float(torch.rand(())) < self.global_ratio:
            chosen = int(torch.randint(columns, ()))
        if chosen is not None:
            return [{s: {int(chosen)} & j for s, j in inputs.items()}] * 5
        return [{s: self._left(sorted(j)) for s, j in inputs.items()} for _ in range(5)]

    def _left(self, inputs: list[int]) -> set[int]:
        lots = torch.rand(len(inputs))
        left = {j for j, lot in zip(inputs, lots) if lot >= self.p}
        return left if left and len(inputs) > 1 else {inputs[int(lots.argmax())]}


def _steps(columns: int) -> range:
    return range(1, 2 ** (columns - 1) + 1)


def _mean(branches: list[torch.Tensor | None]) -> torch.Tensor | None:
    live = [b for b in branches if b is not None]
    return torch.stack(live).mean(0) if live else None


class _Fractal(nn.Module):
    def __init__(self, before: int, after: int, columns: int, p: float, bias: bool) -> None:
        super().__init__()
        self.columns, self.p = columns, p
        self.blocks = nn.ModuleDict()
        for step in _steps(columns):
            self.blocks[f"block{step}"] = level = nn.ModuleDict()
            for j in range(columns):
                if step % 2**j == 0:
                    source = before if step == 2**j else after
                    conv = nn.Conv2d(source, after, 3, 1, 1, bias=bias)
                    level[f"subblock{j + 1}"] = nn.ModuleDict(
                        {"conv": conv, "dropout": nn.Dropout(p), "bn": nn.BatchNorm2d(after)}
                    )

    def branches(self, x, columns: int, done: int, live: dict[int, set[int]]) -> list:
        """The inputs of the join that a fractal of `columns` ends in, `done` steps into the block,
        the deepest first; None for those that are dead."""
        deepest = []
        end = done + 2 ** (columns - 1)
        if columns > 1:
            half = 2 ** (columns - 2)
            middle = _mean(self.branches(x, columns - 1, done, live))
            deepest = self.branches(middle, columns - 1, done + half, live)
        if columns - 1 not in live.get(end, {columns - 1}):
            return [*deepest, None]
        layer = self.blocks[f"block{end}"][f"subblock{columns}"]
        return [*deepest, F.relu(layer["bn"](layer["dropout"](layer["conv"](x))))]


class _Net(nn.Module):
    def __init__(self, columns: int, classes: int, width: float, pooling: str, bias: bool) -> None:
        super().__init__()
        self.columns, self.pooling = columns, pooling
        self.features = nn.ModuleDict()
        before = 3
        for i, (after, p) in enumerate(zip((64, 128, 256, 512, 512), (0.0, 0.1, 0.2, 0.3, 0.4))):
            after = scaled(after, width)
            fractal = _Fractal(before, after, columns, p, bias)
            self.features[f"unit{i + 1}"] = nn.ModuleDict({"block": fractal})
            before = after
        self.output = nn.Linear(before, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for unit, live in zip(self.features.values(), self.drop_path.draw(self.columns)):
            branches = unit["block"].branches(x, self.columns, 0, live)
            if self.pooling == "columns":
                x = _mean([b if b is None else F.max_pool2d(b, 2) for b in branches])
            else:
                x = F.max_pool2d(_mean(branches), 2)
        return self.output(x.mean((2, 3)))


def _network(default: int):
    def make(
        num_classes: int = 10,
        width: float = 1.0,
        columns: int = default,
        pooling: str = "columns",
        drop_path: float = 0.15,
        global_ratio: float = 0.5,
        bias: bool = False,
    ) -> nn.Module:
        check_arguments(num_classes, width)
        net = _Net(columns, num_classes, width, pooling, bias)
        net.drop_path = FractalDropPath(drop_path, global_ratio)
        return net

    return make


fractalnet = _network(3)
fractalnet_40 = _network(4)
