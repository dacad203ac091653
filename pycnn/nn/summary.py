"""summary(net, input_shape): what each layer of a network outputs, holds, costs and ran on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import dispatch
from ..autograd import no_grad
from ..creation import zeros
from ..tensor import Tensor
from .conv import _Conv, _ConvTranspose
from .linear import Linear
from .module import Module

# kernels that move or combine what a layer's own kernel made are named only if nothing else ran
_SECONDARY = ("array", "elementwise", "reduce", "concat", "split")


@dataclass(frozen=True)
class LayerRow:
    """One call of a module without children.

    `parameters` counts those of a module called before as 0, and `macs` counts multiply-adds of
    convolutions, transposed convolutions and linear layers; `activation_bytes` are the output's.
    `kernels` lists "provider/algorithm" of the primitives that ran, in order."""

    name: str
    kind: str
    output_shape: tuple[int, ...] | tuple[tuple[int, ...], ...]
    parameters: int
    macs: int
    activation_bytes: int
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """What `summary` found; printing it gives a table."""

    rows: tuple[LayerRow, ...]
    parameters: int
    trainable_parameters: int

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        return sum(row.activation_bytes for row in self.rows)

    def __str__(self) -> str:
        header = ("layer", "kind", "output", "parameters", "MACs", "bytes", "kernel")
        lines = [header]
        for row in self.rows:
            lines.append(
                (
                    row.name or "(net)",
                    row.kind,
                    _shape_text(row.output_shape),
                    f"{row.parameters:,}",
                    f"{row.macs:,}",
                    f"{row.activation_bytes:,}",
                    ", ".join(row.kernels) or "-",
                )
            )
        total = (f"{self.parameters:,}", f"{self.macs:,}", f"{self.activation_bytes:,}")
        lines.append(("total", "", "", *total, f"{self.trainable_parameters:,} trainable"))
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        text = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
        rule = "-" * max(map(len, text))
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])


def _aligned(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Cells padded to their widths, the three columns of numbers to the right."""
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.rjust(width) if column in (3, 4, 5) else cell.ljust(width)


def _shape_text(shape: Any) -> str:
    if shape and isinstance(shape[0], tuple):
        return " ".join(map(_shape_text, shape))
    return "x".join(map(str, shape)) or "scalar"


def summary(net: Module, input_shape: Any, *, dtype: Any = None, device: Any = None) -> Summary:
    """Run `net` once in evaluation mode on zeros and say what each of its layers did.

    `input_shape` includes the batch, as (1, 3, 224, 224); a list of shapes gives several inputs.
    `dtype` and `device` default to those of the first parameter. The net is left as it was: its
    training flags, running statistics and hooks, even if the forward raises."""
    first = next(net.parameters(), None)
    if first is not None:
        dtype = first.dtype if dtype is None else dtype
        device = first.device if device is None else device
    several = bool(input_shape) and isinstance(input_shape[0], Sequence)
    shapes = input_shape if several else [input_shape]
    inputs = [zeros(tuple(s), dtype=dtype, device=device or "cpu") for s in shapes]
    rows: list[LayerRow] = []
    with no_grad(), evaluating(net), dispatch.trace() as trace, _watching(net, trace, rows):
        net(*inputs)
    counts = [(p.numel(), p.requires_grad) for p in net.parameters()]
    return Summary(
        tuple(rows),
        parameters=sum(size for size, _ in counts),
        trainable_parameters=sum(size for size, trainable in counts if trainable),
    )


@contextmanager
def evaluating(net: Module) -> Iterator[None]:
    """Every module below `net` in evaluation mode, and each as it was afterwards."""
    flags = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


@contextmanager
def _watching(net: Module, trace: dispatch.Trace, rows: list[LayerRow]) -> Iterator[None]:
    """Adds a row to `rows` whenever a module without children (or `net` itself) was called."""
    seen: set[int] = set()
    starts: dict[int, int] = {}
    handles = []

    def before(module: Module, args: Any) -> None:
        starts[id(module)] = len(trace.records)

    def after(name: str) -> Any:
        def add_row(module: Module, args: Any, kwargs: Any, output: Any) -> None:
            own = 0 if id(module) in seen else sum(p.numel() for p in module.parameters())
            seen.add(id(module))
            records = trace.records[starts[id(module)] :]
            outputs = output if isinstance(output, (tuple, list)) else (output,)
            tensors = [t for t in outputs if isinstance(t, Tensor)]
            sizes = tuple(t.shape for t in tensors)
            rows.append(
                LayerRow(
                    name=name,
                    kind=type(module).__name__,
                    output_shape=sizes[0] if len(sizes) == 1 else sizes,
                    parameters=own,
                    macs=_macs(module, [*args, *kwargs.values()], tensors),
                    activation_bytes=sum(t.nbytes for t in tensors),
                    kernels=_kernels(records),
                )
            )

        return add_row

    try:
        for name, module in net.named_modules():
            if next(module.children(), None) is None:
                handles.append(module.register_forward_pre_hook(before))
                handles.append(module.register_forward_hook(after(name), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _macs(module: Module, args: Sequence[Any], outputs: Sequence[Tensor]) -> int:
    """Multiply-adds of a convolution, a transposed convolution or a linear layer; else 0.

    Taps that fall on padding are counted, as they are in the literature."""
    if isinstance(module, _Conv):
        per_point = math.prod(module.weight.shape[1:])
        points = args[0] if isinstance(module, _ConvTranspose) else outputs[0]
        return points.numel() * per_point
    if isinstance(module, Linear):
        return outputs[0].numel() * module.in_features
    return 0


def _kernels(records: Sequence[dispatch.Record]) -> tuple[str, ...]:
    """The kernels of a layer, each once: the primary ones, or all if there are none."""
    primary = [r for r in records if r.provider != "array" and r.primitive not in _SECONDARY]
    named = (f"{r.provider}/{r.algorithm}" for r in primary or records)
    return tuple(dict.fromkeys(named))
