"""A primitive's ladder, from its naive kernel to the fastest: every rung checked and timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import dispatch
from ..files import replacing
from . import check_kernel, own_kernel, side_by_side
from .side_by_side import Bench, Measured, Rung

SECONDS = 0.3  # that each rung is timed


@dataclass
class Ladder:
    """The rungs of a primitive on a layer: timed ones from slow to fast, then the others."""

    primitive: str
    layer: str
    geometry: str
    dtype: str
    device: str
    rows: list[Measured]

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def timed(self) -> list[Measured]:
        return [row for row in self.rows if row.least is not None]

    def naive(self) -> Measured | None:
        """The slowest naive rung, the slowest of all if none is called so; None without times."""
        own = [row for row in self.timed() if not row.name.startswith("PyTorch")]
        named = [row for row in own if row.name.endswith("/naive")]
        return max(named or own, key=lambda row: row.least or 0.0, default=None)

    def torch(self) -> Measured | None:
        """PyTorch in its faster layout; None where it was not timed."""
        theirs = [row for row in self.timed() if row.name.startswith("PyTorch")]
        return min(theirs, key=lambda row: row.least or 0.0, default=None)

    def times_faster(self, row: Measured, than: Measured | None) -> float | None:
        """How many times as fast `row` is; None where one of them has no time."""
        if row.least is None or than is None or than.least is None:
            return None
        return than.least / row.least


def ladder(
    primitive: str,
    *,
    layer: str | None = None,
    provider: str | None = None,
    dtype: str = "float32",
    batch: int = 1,
    device: str | None = None,
    seconds: float = SECONDS,
    progress: Callable[[str], None] | None = None,
) -> Ladder:
    """Every algorithm of every provider that runs here, on one named layer.

    Each rung's output is compared with the reference's in float64; then they are timed in turn with
    PyTorch's call. Interpreted and emulated rungs are checked on a case of the table, not timed.

    Args:
        primitive: a name of pycnn.dispatch.PRIMITIVES that named layers call.
        layer: of pycnn.study.layers, such as "rn50.l3.3x3"; by default the largest on which the
            naive rungs are quick.
        provider: only its rungs.
        dtype: float32, float64, float16 or bfloat16.
        device: "cpu" or "cuda:0"; by default a GPU where one answers.
        seconds: that each rung is timed.
        progress: told the name of each step.

    Raises:
        ValueError: an argument is none of what is accepted; the message has the choices.
        RuntimeError, ImportError: the provider cannot run here.
    """
    accepted = ("float32", "float64", "float16", "bfloat16")
    if dtype not in accepted:
        raise ValueError(f"dtype: got {dtype!r}, expected one of {', '.join(accepted)}")
    device = own_kernel.known_device(device) or own_kernel.default_device()
    layers = side_by_side.layers_of(primitive, batch)
    problem = (
        side_by_side.usual_layer(layers, device)
        if layer is None
        else side_by_side.named_layer(layers, layer)
    )
    rungs = side_by_side.rungs(primitive, device, provider)
    say = progress or (lambda step: None)
    say(f"{problem.layer}: checked, then timed")
    quick = [rung for rung in rungs if not side_by_side.emulated(rung, device)]
    rows = side_by_side.measure(Bench(problem, dtype, device), quick, seconds)
    for rung in rungs:
        if side_by_side.emulated(rung, device):
            say(f"{rung.name}: checked")
            rows.append(_checked(rung, primitive, dtype))
    rows.sort(key=lambda row: (row.least is None, -(row.least or 0.0)))
    return Ladder(primitive, problem.layer, str(problem.geometry), dtype, device, rows)


def _checked(rung: Rung, primitive: str, dtype: str) -> Measured:
    """An interpreted or emulated rung on the first case of the table that it takes."""
    from ..testing.kernels import harness, problems
    from ..testing.kernels.configurations import Kernel

    how = "interpreted" if rung.provider == "triton" else "emulated"
    entry = Kernel(
        next(
            e
            for e in dispatch.entries(primitive)
            if (e.provider, e.algorithm) == (rung.provider, rung.algorithm)
        )
    )
    reason = "no case has this dtype"
    for case in check_kernel.select(primitive, every=False):
        if dtype not in case.dtypes or case.epilogue is not None:
            continue
        where = f"case {check_kernel.name_of(case)}"
        problem = problems.real_problem(case, dtype)
        try:
            outcome = harness.execute(case, entry, problem)
        except harness.Refused as refusal:
            reason = str(refusal).removeprefix(f"{rung.name}: ")
            continue
        except Exception as raised:
            words = own_kernel.describe_error(raised, "")
            return Measured(rung.name, where, float("inf"), note=words)
        share = harness.share_of_bound(entry, problem, outcome)
        error = max(map(side_by_side.relative_error, outcome.outputs, problem.answers))
        allowed = error / share if share else 0.0
        wrong = harness.wrong_numbers(entry, problem, outcome)
        return Measured(rung.name, where, float("inf") if wrong else error, allowed,
                        note="; ".join([f"{how}: no time", *wrong]))  # fmt: skip
    return Measured(rung.name, "", note=f"refuses: {reason}")


def plot(found: Ladder, path: Path) -> None:
    """Bars of the timed rungs, naive at the top, on a logarithmic axis; .png or .svg."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    rows = found.timed()
    if not rows:
        raise ValueError("no rung has a time to draw")
    figure = Figure(figsize=(8, 0.6 + 0.36 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colours = ["#888888" if row.name.startswith("PyTorch") else "#2b6cb0" for row in rows]
    bars = axes.barh([row.name for row in rows], [1e6 * (row.least or 0) for row in rows],
                     color=colours)  # fmt: skip
    naive = found.naive()
    labels = []
    for row in rows:
        faster = found.times_faster(row, naive)
        labels.append("" if faster is None else f" {faster:,.{0 if faster >= 10 else 1}f}x")
    axes.bar_label(bars, labels)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.set_xlabel("microseconds, least; x: times as fast as the naive rung")
    axes.set_title(f"{found.primitive} on {found.layer}: {found.geometry}, {found.dtype}",
                   fontsize=9)  # fmt: skip
    with replacing(path) as temporary:
        figure.savefig(temporary)
