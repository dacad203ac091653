"""The demonstration: Xception on a photograph, checked against PyTorch, timed, drawn.

The weights are random but the same on both sides: the demonstration is about equal numbers and the
kernels that make them, not about naming what is in the picture.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import array, dispatch, models
from .files import replacing
from .functional import cross_entropy
from .tensor import Tensor
from .testing import Report, compare_torch, to_torch
from .testing.networks import FLOAT64_GATE

_TARGET = 285  # ImageNet's "Egyptian cat"
_BUDGET = 30.0  # seconds after which no further round is timed

# families of work; _pycnn_family and _torch_family sort kernels and operators into them
_FAMILIES = (
    "1x1 convolution, forward",
    "1x1 convolution, backward",
    "depthwise convolution, forward",
    "depthwise convolution, backward",
    "other convolution, forward",
    "other convolution, backward",
    "batch norm, forward",
    "batch norm, backward",
    "pooling",
)
_OTHER = "other kernels"
_OUTSIDE = "outside kernels"


@dataclass
class Timing:
    """Seconds of a forward and backward pass in float32.

    `whole` is the median of plain passes; `families` takes one further pass apart, which was
    traced, and adds up to the time that pass took.
    """

    whole: float
    families: dict[str, float]
    label: str
    rounds: int


@dataclass
class DemoResult:
    """What the demonstration found and where its files are."""

    report: Report
    picture: Path
    table_file: Path
    table: str


def photograph(size: int, file: str | os.PathLike[str] | None = None) -> np.ndarray:
    """A file's photograph, or scikit-image's of a cat, (size, size, 3) uint8, cropped square and
    resized. OSError for a file that is no picture."""
    from PIL import Image

    if file is None:
        from skimage import data

        image = Image.fromarray(data.chelsea())
    else:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def as_input(photo: np.ndarray) -> np.ndarray:
    """(1, 3, H, W) float32 in [-1, 1], as Xception takes it."""
    return np.ascontiguousarray(photo.transpose(2, 0, 1)[None], np.float32) / 127.5 - 1


def run_demo(
    out: Path,
    size: int = 299,
    width: float = 1.0,
    seed: int = 0,
    rounds: int = 5,
    say: Callable[[str], Any] = print,
) -> DemoResult:
    """Run it all and write `xception.png` and `kernels.txt` into the folder `out`.

    Args:
        out: made if it is not there; files appear in it complete or not at all.
        size, width: of the image and of the network's channels.
        seed: of the weights.
        rounds: timed after one to warm up; fewer on a machine that takes long over them.
        say: told what is going on, a line at a time.

    Raises:
        ImportError: PyTorch, scikit-image, Pillow or matplotlib is missing.
    """
    import torch

    from .references import get_reference

    out.mkdir(parents=True, exist_ok=True)
    photo = photograph(size)
    x, target = as_input(photo), np.array([_TARGET])
    torch.manual_seed(seed)
    reference = get_reference("xception", width=width)
    net = models.xception(width=width)
    count = sum(p.numel() for p in net.parameters())
    say(f"Xception: {count:,} parameters, a photograph of {size} x {size}, forward and backward")
    say("comparing with PyTorch in float64 and float32, same weights ...")
    report = compare_torch(net, reference, x, target=target)
    say("timing pycnn and PyTorch in turn, float32 ...")
    with _buffers_kept(net), _buffers_kept(reference):
        ours, theirs, trace, saliency = _time_both(net, reference, x, target, rounds)
    threads = torch.get_num_threads()
    table = (
        f"{trace.table()}\n\nforward and backward, median of {ours.rounds}, {threads} threads: "
        f"pycnn {ours.whole:.3f} s, PyTorch {theirs.whole:.3f} s ({theirs.label}, its faster "
        f"layout): {theirs.whole / ours.whole:.2f} of PyTorch's speed\n\n"
        + _family_table(ours, theirs)
    )
    table_file, picture = out / "kernels.txt", out / "xception.png"
    with replacing(table_file) as path:
        path.write_text(table + "\n", encoding="utf-8")
    with replacing(picture) as path:
        _draw(path, photo, saliency, report, ours, theirs, width)
    return DemoResult(report, picture.resolve(), table_file.resolve(), table)


@contextmanager
def _buffers_kept(net: Any) -> Any:
    """Batch norm's running statistics end as they were."""
    kept = [(b, b.detach().clone()) for _, b in net.named_buffers()]
    try:
        yield
    finally:
        net.zero_grad()
        for buffer, before in kept:
            buffer.copy_(before)


def _time_both(
    net: Any, reference: Any, x: np.ndarray, target: np.ndarray, rounds: int
) -> tuple[Timing, Timing, dispatch.Trace, np.ndarray]:
    """Interleaved passes after one to warm up; then one of each that is taken apart."""
    import torch
    from torch.nn import functional as torch_functional

    def ours() -> np.ndarray:
        net.zero_grad()
        image = Tensor._wrap(x.copy()).requires_grad_()
        cross_entropy(net(image), Tensor._wrap(target)).backward()
        return array.to_device(image.grad._data, "cpu")  # type: ignore[union-attr]

    labels = to_torch(target)

    def theirs(layout: Any) -> None:
        reference.zero_grad()
        image = to_torch(x).to(memory_format=layout).requires_grad_()
        torch_functional.cross_entropy(reference(image), labels).backward()

    layouts = {
        "contiguous": torch.contiguous_format,
        "channels-last": torch.channels_last,
    }
    seconds: dict[str, list[float]] = {"pycnn": [], **{name: [] for name in layouts}}
    begun = time.perf_counter()
    for round_number in range(rounds + 1):
        if round_number > 1 and time.perf_counter() - begun > _BUDGET:
            break
        runs: list[tuple[str, Callable[[], Any]]] = [("pycnn", ours)]
        runs += [(name, partial(theirs, layout)) for name, layout in layouts.items()]
        for name, run in runs:
            if name != "pycnn":
                reference.to(memory_format=layouts[name])
            start = time.perf_counter()
            run()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    best = min(layouts, key=lambda name: medians[name])
    start = time.perf_counter()
    with dispatch.trace() as trace:
        saliency = ours()
    traced = time.perf_counter() - start
    reference.to(memory_format=layouts[best])
    # Kineto's profiler would write more lines of its own to stderr than this one does.
    with (
        _silent_stderr(),
        torch.autograd.profiler.profile(use_kineto=False, record_shapes=True) as profile,
    ):
        start = time.perf_counter()
        theirs(layouts[best])
        profiled = time.perf_counter() - start
    reference.to(memory_format=torch.contiguous_format)
    timed = len(seconds["pycnn"])
    mine = Timing(medians["pycnn"], _pycnn_families(trace, traced), "pycnn", timed)
    other = Timing(medians[best], _torch_families(profile, profiled), best, timed)
    return mine, other, trace, saliency


@contextmanager
def _silent_stderr() -> Any:
    """What is written to the process's standard error inside is lost."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _pycnn_families(trace: dispatch.Trace, whole: float) -> dict[str, float]:
    families = dict.fromkeys([*_FAMILIES, _OTHER, _OUTSIDE], 0.0)
    for record in trace.records:
        families[_pycnn_family(record)] += record.seconds
    return _filled(families, whole)


def _pycnn_family(record: dispatch.Record) -> str:
    name, g = record.primitive, record.geometry
    if name.startswith("conv2d"):
        return _convolution(g.w_shape, backward=name != "conv2d_fprop")
    if name.startswith("batch_norm"):
        forward = name in ("batch_norm_stats", "batch_norm_apply")
        return "batch norm, forward" if forward else "batch norm, backward"
    return "pooling" if "pool2d" in name else _OTHER


def _torch_families(profile: Any, whole: float) -> dict[str, float]:
    families = dict.fromkeys([*_FAMILIES, _OTHER, _OUTSIDE], 0.0)
    for event in profile.key_averages(group_by_input_shape=True):
        family = _torch_family(event.key, event.input_shapes)
        families[family] += event.self_cpu_time_total / 1e6
    return _filled(families, whole)


def _torch_family(operator: str, shapes: Any) -> str:
    """The family of an operator: what it is called, and the shape of its weight, which follows the
    image, or the image and its gradient."""
    backward = "backward" in operator.lower()
    if "conv" in operator:
        weights = [s for s in shapes[: 3 if backward else 2] if len(s) == 4]
        return _convolution(weights[-1], backward) if weights else _OTHER
    if "batch_norm" in operator:
        return "batch norm, backward" if backward else "batch norm, forward"
    return "pooling" if "pool" in operator else _OTHER


def _convolution(w_shape: Any, backward: bool) -> str:
    """The family of a convolution with weights (K, C/G, R, S)."""
    k, c, r, s = w_shape
    kind = "depthwise" if c == 1 and k > 1 else "1x1" if r == s == 1 else "other"
    return f"{kind} convolution, {'backward' if backward else 'forward'}"


def _filled(families: dict[str, float], whole: float) -> dict[str, float]:
    """The rest of the pass: Python, allocation, waiting for a core."""
    families[_OUTSIDE] = max(0.0, whole - sum(families.values()))
    return families


def _family_table(ours: Timing, theirs: Timing) -> str:
    """Each family's time on both sides, its share of ours, and the ratio: above 1, pycnn is
    faster."""
    whole = sum(ours.families.values())
    lines = [
        f"{'milliseconds of one traced pass':32} {'pycnn':>8} {'share':>6} {'PyTorch':>8} "
        f"{'ratio':>6}"
    ]
    for family, seconds in ours.families.items():
        other = theirs.families[family]
        ratio = f"{other / seconds:6.2f}" if seconds > 0 and family != _OUTSIDE else ""
        lines.append(
            f"{family:32} {seconds * 1e3:8.1f} {seconds / whole:6.1%} {other * 1e3:8.1f} {ratio:>6}"
        )
    return "\n".join(lines)


def _draw(
    path: Path,
    photo: np.ndarray,
    saliency: np.ndarray,
    report: Report,
    ours: Timing,
    theirs: Timing,
    width: float,
) -> None:
    """The picture: photograph, input gradient, time by family, error of every gradient."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    FigureCanvasAgg(figure)
    (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(
        2, 2, gridspec_kw={"width_ratios": [1, 1.9]}
    )
    verdict = "equal to PyTorch" if report else "NOT equal to PyTorch"
    scale = "" if width == 1 else f" at width {width:g}"
    figure.suptitle(f"Xception{scale} on a photograph: {verdict}", fontsize=15)
    top_left.imshow(photo)
    top_left.set_title(f"the input, {photo.shape[0]} x {photo.shape[1]}", fontsize=11)
    bottom_left.imshow(_saliency_picture(saliency), cmap="magma")
    bottom_left.set_title("|d loss / d pixel|, by pycnn, random weights", fontsize=11)
    for axes in (top_left, bottom_left):
        axes.set_axis_off()
    _draw_times(top_right, ours, theirs)
    _draw_errors(bottom_right, report)
    figure.savefig(path, dpi=110, format="png")


def _saliency_picture(gradient: np.ndarray) -> np.ndarray:
    """The gradient's size per pixel, clipped at its 99th percentile."""
    strength = np.sqrt((gradient[0].astype(np.float64) ** 2).sum(axis=0))
    return np.minimum(strength, np.percentile(strength, 99))


def _draw_times(axes: Any, ours: Timing, theirs: Timing) -> None:
    names = list(ours.families)
    for offset, timing, color in ((-0.2, ours, "#2a6f97"), (0.2, theirs, "#e07a3f")):
        label = "pycnn" if timing is ours else f"PyTorch ({timing.label})"
        values = [timing.families[name] * 1e3 for name in names]
        places = np.arange(len(names)) + offset
        bars = axes.barh(places, values, 0.38, color=color)
        bars.set_label(f"{label}: median {timing.whole * 1e3:,.0f} ms")
        axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("milliseconds of one traced pass, float32, one image, forward and backward")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("where the time goes", fontsize=11, loc="left")


def _draw_errors(axes: Any, report: Report) -> None:
    judged, shown = (
        [r for r in report.rows if (r.dtype, r.kind) == (dtype, "gradient")]
        for dtype in ("float64", "float32")
    )
    series = (
        ("PyTorch, float32, its worse layout", "#e07a3f", [r.torch_error or 0.0 for r in shown]),
        ("pycnn, float32", "#9fc5d8", [r.error for r in shown]),
        ("pycnn, float64", "#2a6f97", [r.error for r in judged]),
    )
    for label, color, errors in series:
        axes.scatter(range(len(errors)), np.maximum(errors, 1e-17), s=9, color=color, label=label)
    axes.axhline(FLOAT64_GATE, color="#c1121f", linewidth=1)
    axes.text(0, FLOAT64_GATE * 1.5, f"float64 gate {FLOAT64_GATE:g}", color="#c1121f", fontsize=9)
    axes.set_yscale("log")
    axes.set_xlabel("parameter, from the first layer to the last, then the input")
    axes.set_ylabel("relative error of its gradient")
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    logits = report.worst("float64", "output")
    detail = "" if logits is None else f"; logits differ by {logits.error:.1e}"
    axes.set_title(f"every gradient against float64 PyTorch{detail}", fontsize=11)
