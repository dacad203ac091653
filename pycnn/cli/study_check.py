"""python -m pycnn study check: a user's kernel and the table of cases."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ..study.check_report import CaseRow, CheckReport
from .common import make_console, need

_COLOURS = {"ok": "green", "refused": "yellow", "not run": "dim"}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--primitive", help="What it computes; by default what its kernel is called after.")
@click.option("--kernel", help="The function, or the name given to PYCNN_KERNEL.")
@click.option("--all", "every", is_flag=True, help="Large and slow cases too, all dtypes, layouts.")
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["float32", "float64", "float16", "bfloat16"]),
    help="These only; may be repeated.",
)
@click.option("--case", "cases", default="", help="The cases whose name holds this.")
@click.option("--seed", type=int, help="Of the numbers; a failure prints the one that repeats it.")
@click.option("--device", help="cpu or cuda:0; by default a GPU, if any, for Triton and CUDA.")
@click.option("--bench", is_flag=True, help="Then time it beside pycnn and PyTorch.")
@click.option(
    "--timeout", type=click.FloatRange(min=1.0), default=60.0, show_default=True,
    help="Seconds that one run may take.",
)  # fmt: skip
def check(
    file: Path,
    primitive: str | None,
    kernel: str | None,
    every: bool,
    dtypes: tuple[str, ...],
    cases: str,
    seed: int | None,
    device: str | None,
    bench: bool,
    timeout: float,
) -> None:
    """Hold the kernel in FILE, .py (Triton's too) or .cu, to the cases of its primitive.

    Exits with 1 if it fails one: then the first is named, and how to repeat it."""
    need("torch")
    from rich.progress import Progress

    from ..study import check as check_kernel

    console = make_console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(file.name, total=None)

        def step(done: int, total: int, row: CaseRow) -> None:
            progress.update(task, completed=done, total=total, description=row.case)

        try:
            report = check_kernel(
                file, primitive, name=kernel, every=every, dtypes=dtypes or None, cases=cases,
                seed=seed, device=device, bench=bench, timeout=timeout, progress=step,
            )  # fmt: skip
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    print_cases(console, report)
    if report.times:
        print_times(console, report)
    console.print(report.message(), markup=False, highlight=False, soft_wrap=True)
    if not report:
        sys.exit(1)


def print_cases(console: Console, report: CheckReport) -> None:
    """A row per case; errors are shares of what they may be."""
    table = Table("case", "geometry", "verdict", "runs", "error / allowed", "why")
    for row in report.rows:
        errors = ", ".join(f"{dtype} {share:.2f}" for dtype, share in row.errors.items())
        verdict = row.verdict
        if row.refused and not row.failed and row.refused < row.runs:
            verdict = f"{row.verdict}, {row.refused} refused"
        colour = _COLOURS.get(row.verdict, "bold red")
        table.add_row(
            row.case, row.geometry, f"[{colour}]{verdict}[/]", str(row.runs), errors,
            f"{row.where}: {row.line}" if row.where else row.line,
        )  # fmt: skip
    console.print(table)


def warn_if_busy(shares: list[float]) -> None:
    """Says so if others used the machine while it was timed."""
    from ..study.side_by_side import BUSY

    most = max(shares, default=0.0)
    if most > BUSY:
        click.echo(f"others kept up to {most:.1f} cores busy: the times are too long")


def print_times(console: Console, report: CheckReport) -> None:
    """A row per layer: least times, and pycnn's and PyTorch's over the user's."""
    table = Table(
        "layer", "error", "yours, us", "pycnn, us", "its kernel", "PyTorch, us",
        "x pycnn", "x PyTorch", "",
    )  # fmt: skip

    def micro(seconds: float | None) -> str:
        return "" if seconds is None else f"{seconds * 1e6:.1f}"

    def ratio(other: float | None, own: float | None) -> str:
        return "" if other is None or own is None else f"{other / own:.2g}"

    for t in report.times:
        if "layer" not in t:
            table.add_row(t["note"], *[""] * 8)
            continue
        table.add_row(
            t["layer"], "" if t["error"] is None else f"{t['error']:.1e}",
            micro(t["own"]), micro(t["ours"]), t["kernel"], micro(t["torch"]),
            ratio(t["ours"], t["own"]), ratio(t["torch"], t["own"]), t["note"],
        )  # fmt: skip
    console.print(table)
    warn_if_busy([t.get("others_busy", 0.0) for t in report.times])
