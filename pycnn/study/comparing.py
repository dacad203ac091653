"""compare_models(names): parameters, multiply-adds, memory and time of networks side by side."""

from __future__ import annotations

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..autograd import no_grad
from ..files import replacing
from ..nn.summary import evaluating, summary
from ..optim import SGD
from ..random import manual_seed
from ..tensor import Tensor
from .explain_model import total
from .owners import functions_of, tensors_in
from .retained import retained_bytes


class Compared(NamedTuple):
    """What one network costs for a batch."""

    name: str
    inputs: tuple[tuple[int, ...], ...]  # their shapes, with the batch
    parameters: int
    macs: int  # of convolutions and linear layers, as nn.summary counts them
    retained: int  # bytes that autograd keeps for the backward pass of a training step
    peak: int  # bytes of arrays alive at one time during inference, parameters and inputs apart
    forward: float  # seconds of inference, the median
    step: float  # seconds of a training step, the median


def compare_models(
    names: Sequence[str],
    batch: int = 1,
    size: int | None = None,
    width: float = 1.0,
    rounds: int = 5,
    say: Callable[[str], Any] = lambda name: None,
) -> list[Compared]:
    """Build and measure each registered network, one after the other.

    Args:
        names: of pycnn.models.list_models().
        batch, size, width: of the inputs and the channels; each network's own size by default.
        rounds: timed runs of each kind, after one to warm up.
        say: told each name before its turn.

    Raises:
        ValueError: no or an unknown name, or an argument out of range. What a network raises on
            inputs of a size that it cannot take.
    """
    from ..models import model_entry

    if not names:
        raise ValueError("names: got none, expected at least one model")
    if rounds < 1:
        raise ValueError(f"rounds: got {rounds}, expected 1 or more")
    entries = [model_entry(name) for name in names]
    found = []
    for entry in entries:
        say(entry.name)
        manual_seed(0)
        net = entry.constructor(width=width)
        arrays = entry.example_inputs(batch, size)
        found.append(measure_net(entry.name, net, [Tensor._wrap(a) for a in arrays], rounds))
    return found


def measure_net(name: str, net: Any, inputs: Sequence[Tensor], rounds: int = 5) -> Compared:
    """One row for any network; it ends with its parameters as they were."""
    shapes = tuple(tuple(t.shape) for t in inputs)
    known = summary(net, list(shapes))
    optimizer = SGD(net.parameters(), lr=0.0, momentum=0.9)  # the weights stay, the work is done

    def infer() -> None:
        with no_grad():
            net(*inputs)

    def step() -> None:
        optimizer.zero_grad()
        total(net(*inputs)).backward()
        optimizer.step()

    with evaluating(net):
        peak = _peak(infer)
        forward = _median(infer, rounds)
    kept = retained(net, *inputs)
    return Compared(
        name, shapes, known.parameters, known.macs, kept, peak, forward, _median(step, rounds)
    )


def retained(net: Any, *inputs: Tensor) -> int:
    """Bytes that autograd keeps of one forward pass of `net`, in the mode it is in: what the
    Functions retain, each memory once, without parameters, buffers and inputs."""
    outputs = [t._node for t in tensors_in(net(*inputs))]
    nodes = sorted(functions_of(outputs), key=lambda node: node.sequence)
    buffers = [buffer for _, buffer in net.named_buffers()]
    return sum(retained_bytes(nodes, [*inputs, *net.parameters(), *buffers]))


def _peak(run: Callable[[], Any]) -> int:
    """Bytes of Python's and NumPy's memory that `run` has allocated at one time; what kernels
    allocate for themselves is not seen."""
    run()  # what is made once and kept
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start(1)
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()


def _median(run: Callable[[], Any], rounds: int) -> float:
    samples = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples[1:])


def plot(rows: Sequence[Compared], path: str | os.PathLike[str]) -> None:
    """Bars of every number, a panel each, written as PNG; complete or not there.

    ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: tuple[tuple[str, tuple[tuple[str, str, list[float]], ...]], ...] = (
        ("parameters, millions", (("", "#2a6f97", [r.parameters / 1e6 for r in rows]),)),
        ("multiply-adds, billions", (("", "#2a6f97", [r.macs / 1e9 for r in rows]),)),
        (
            "activations, MB",
            (
                ("kept for backward", "#e07a3f", [r.retained / 1e6 for r in rows]),
                ("peak in inference", "#2a6f97", [r.peak / 1e6 for r in rows]),
            ),
        ),
        (
            "milliseconds",
            (
                ("training step", "#e07a3f", [r.step * 1e3 for r in rows]),
                ("inference", "#2a6f97", [r.forward * 1e3 for r in rows]),
            ),
        ),
    )
    figure = Figure(figsize=(15, 1.8 + 0.55 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True)
    for each, (title, series) in zip(axes, panels):
        for i, (label, color, values) in enumerate(series):
            thick = 0.76 / len(series)
            places = [row + (i - (len(series) - 1) / 2) * thick for row in range(len(rows))]
            bars = each.barh(places, values, thick, color=color, label=label)
            each.bar_label(bars, [f"{v:.3g}" for v in values], padding=3, fontsize=8)
        each.set_title(title, fontsize=11, loc="left")
        each.margins(x=0.18)
        each.spines[["top", "right"]].set_visible(False)
        if len(series) > 1:
            each.legend(
                frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2
            )
    shapes = [", ".join(" x ".join(map(str, shape)) for shape in r.inputs) for r in rows]
    labels = [f"{r.name}\n{shape}" for r, shape in zip(rows, shapes)]
    axes[0].set_yticks(range(len(rows)), labels)
    axes[0].invert_yaxis()
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=110, format="png")
