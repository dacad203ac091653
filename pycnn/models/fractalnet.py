"""FractalNet for CIFAR. Larsson, Maire, Shakhnarovich 2017, arXiv:1605.07648, figure 1. Parameter
names follow pytorchcv.

f_1(x) = conv(x);  f_{C+1}(x) = mean(f_C(f_C(x)), conv(x)), with joins that meet made one. Unrolled,
a block of C columns takes 2^(C-1) steps: column j (0 is the deepest) convolves at every 2^j-th, and
those that did so in one step are joined by their mean. Five blocks, each followed by 2x2 pooling:
5 * 2^(C-1) layers deep, without residual connections.

Published forms differ in where a block pools: gustavla/fractalnet each column before its last join
(pooling="columns"), pytorchcv after it ("join"); a mean of maxima is not the maximum of means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import array, nn, random
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, named, register
from .width import check_arguments, scaled

_CHANNELS = (64, 128, 256, 512, 512)
_DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.4)

# name -> columns, parameters, multiply-adds, entries of the state dict
_VARIANTS = {
    "fractalnet": (3, 33_724_618, 845_222_912, 212),
    "fractalnet_40": (4, 76_106_634, 2_036_077_568, 452),
}

Plan = Sequence[Sequence[tuple[int, ...]]]  # block, step -> the columns that are alive there


def _joined(step: int, columns: int) -> list[int]:
    """The columns that convolve at this step, counted from 1: those whose 2^j divides it."""
    return [j for j in range(columns) if step % 2**j == 0]


class FractalDropPath(nn.Module):
    """Section 3.1: which inputs of every join live, drawn once for a batch.

    With probability `global_ratio` a batch keeps one column of the whole network ("global"), else
    every input of every join is lost with probability p, but never the last one ("local").

    In training the draw, otherwise None: everything lives. `held` takes the place of the draw, in
    either mode: a column's number, which makes the network a plain one, or a plan."""

    def __init__(self, p: float, global_ratio: float) -> None:
        super().__init__()
        for name, value in (("drop_path", p), ("global_ratio", global_ratio)):
            if isinstance(value, bool) or not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
        self.p, self.global_ratio = p, global_ratio
        self.held: int | Plan | None = None

    def forward(self, blocks: int, columns: int) -> Plan | None:
        if isinstance(self.held, int):
            return _one_column(self.held, blocks, columns)
        if self.held is not None:
            return self.held
        if not self.training:
            return None
        rng = random.generator()
        if rng.random() < self.global_ratio:
            return _one_column(int(rng.integers(columns)), blocks, columns)
        steps = range(1, 2 ** (columns - 1) + 1)
        return [[self.survivors(_joined(step, columns)) for step in steps] for _ in range(blocks)]

    def survivors(self, inputs: list[int]) -> tuple[int, ...]:
        """Those of a join's inputs that local drop-path leaves: one of them where it would lose
        all, so a single one always."""
        rng = random.generator()
        alive = tuple(j for j in inputs if rng.random() >= self.p)
        return alive or (inputs[int(rng.integers(len(inputs)))],)

    def extra_repr(self) -> str:
        return f"p={self.p}, global_ratio={self.global_ratio}"


def _one_column(column: int, blocks: int, columns: int) -> Plan:
    steps = range(1, 2 ** (columns - 1) + 1)
    block = [(column,) if column in _joined(step, columns) else () for step in steps]
    return [block] * blocks


def _mean(columns: list[Any]) -> Tensor:
    total = columns[0]
    for column in columns[1:]:
        total = total + column
    return total * (1 / len(columns)) if len(columns) > 1 else total


class DropConvBlock(nn.Module):
    """3x3 convolution, dropout, batch norm, ReLU: the order of the authors' net file."""

    def __init__(self, inputs: int, outputs: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        self.dropout = nn.Dropout(dropout)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.dropout(self.conv(x)), activation="relu")


class FractalBlock(nn.Module):
    """The columns of a block, by steps: blocks.block{step}.subblock{1 + column}."""

    def __init__(self, inputs: int, outputs: int, columns: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.columns = columns
        self.blocks = nn.Sequential()
        for step in range(1, 2 ** (columns - 1) + 1):
            level = nn.Sequential()
            for j in _joined(step, columns):
                before = inputs if step == 2**j else outputs
                conv = DropConvBlock(before, outputs, bias, dropout)
                level.add_module(f"subblock{j + 1}", conv)
            self.blocks.add_module(f"block{step}", level)

    def forward(
        self, x: Tensor, plan: Sequence[tuple[int, ...]] | None,
        pool: Callable[[Tensor], Tensor] | None,
    ) -> Tensor:  # fmt: skip
        """`pool` is what the columns pass before their last join. A column that is not alive at a
        join is not computed there."""
        inputs: list[Tensor | None] = [x] * self.columns
        last = len(self.blocks) - 1
        for step, level in enumerate(self.blocks):
            convolutions = list(level.children())
            alive = range(len(convolutions)) if plan is None else plan[step]
            found = [convolutions[j](inputs[j]) for j in alive]
            if pool is not None and step == last:
                found = [pool(y) for y in found]
            inputs[: len(convolutions)] = [_mean(found) if found else None] * len(convolutions)
        joined = inputs[0]
        assert joined is not None  # every plan leaves one input of the last join
        return joined


class FractalUnit(nn.Module):
    """A block and its 2x2 pooling."""

    def __init__(self, block: FractalBlock, pooling: str) -> None:
        super().__init__()
        self.block = block
        self.pool = nn.MaxPool2d(2)
        self.pooling = pooling

    def forward(self, x: Tensor, plan: Sequence[tuple[int, ...]] | None) -> Tensor:
        if self.pooling == "columns":
            return self.block(x, plan, self.pool)
        return self.pool(self.block(x, plan, None))


class FractalNet(nn.Module):
    """(N, 3, H, W) images, 32 x 32 in the paper and at least as large, to (N, num_classes)."""

    def __init__(
        self, columns: int, num_classes: int, width: float, pooling: str, bias: bool,
        drop_path: FractalDropPath,
    ) -> None:  # fmt: skip
        super().__init__()
        self.columns = columns
        self.drop_path = drop_path
        self.features = nn.Sequential()
        channels = 3
        for i, (outputs, dropout) in enumerate(zip(_CHANNELS, _DROPOUT, strict=True), 1):
            outputs = scaled(outputs, width)
            block = FractalBlock(channels, outputs, columns, bias, dropout)
            self.features.add_module(f"unit{i}", FractalUnit(block, pooling))
            channels = outputs
        self.output = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                # Caffe's "xavier": uniform, of variance 1 / fan-in
                nn.init.kaiming_uniform_(module.weight, nonlinearity="linear")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        units = list(self.features.children())
        plan = self.drop_path(len(units), self.columns)
        for i, unit in enumerate(units):
            x = unit(x, None if plan is None else plan[i])
        return self.output(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _constructor(name: str) -> Callable[..., FractalNet]:
    default, parameters, macs, entries = _VARIANTS[name]

    def make(
        num_classes: int = 10, width: float = 1.0, columns: int = default,
        pooling: str = "columns", drop_path: float = 0.15, global_ratio: float = 0.5,
        bias: bool = False,
    ) -> FractalNet:  # fmt: skip
        check_arguments(num_classes, width)
        if isinstance(columns, bool) or not isinstance(columns, int) or columns < 1:
            raise ValueError(f"columns must be an integer of at least 1, got {columns!r}")
        if pooling not in ("columns", "join"):
            raise ValueError(f"pooling must be one of columns, join, got {pooling!r}")
        paths = FractalDropPath(drop_path, global_ratio)
        net = FractalNet(columns, num_classes, width, pooling, bias, paths)
        return net.to(memory_format=array.channels_last)

    layers = 5 * 2 ** (default - 1)
    doc = f"""FractalNet of {default} columns and {layers} layers: {parameters:,} parameters.

    Args:
        num_classes, width: see docs/models/README.md; 0.25 gives the paper's narrow networks.
        columns: of every block.
        pooling: of "columns" before a block's last join, or of the "join".
        drop_path: the rate at which local drop-path loses an input of a join.
        global_ratio: of batches that see one column only; the others have local drop-path.
        bias: whether convolutions have biases, as the authors' net file; the batch norm behind
            them makes them redundant.

    Raises:
        ValueError: `num_classes` or `columns` below 1, `width` not positive, `drop_path` or
            `global_ratio` outside [0, 1], or another word for `pooling`.
    """
    return register(
        "Larsson et al. 2017", parameters, macs, entries, size=32, num_classes=10,
        reference="pytorchcv" if default == 3 else "the paper", reduced=Reduced(0.125, 32),
    )(named(make, name, doc))  # fmt: skip


fractalnet = _constructor("fractalnet")
fractalnet_40 = _constructor("fractalnet_40")

__all__ = ["FractalDropPath", "FractalNet", *_VARIANTS]
