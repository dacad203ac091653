"""The command about time: bench."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from .common import make_console, need


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _numbers(name: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _words(text))
    except ValueError:
        raise click.BadParameter(f"--{name}: got {text!r}, expected numbers such as 1,8") from None


@click.command()
@click.argument("what")
@click.option("--suite", default="full", show_default=True, help="full, or smoke: a few of each.")
@click.option("--providers", help="Whose kernels, e.g. native,reference; the device's by default.")
@click.option("--against", default="torch", show_default=True, help="torch, or none.")
@click.option("--dtype", default="float32", show_default=True, help="E.g. float32,bfloat16.")
@click.option("--batches", help="E.g. 1,8 instead of the suite's own.")
@click.option("--passes", help="Of fprop,dgrad,wgrad,forward,backward.")
@click.option("--threads", help="E.g. 1,2; one and all cores by default, all for smoke.")
@click.option("--only", help="Parts of names of suites and problems, e.g. rn50,pooling.")
@click.option("--layout", default="channels-last", show_default=True, help="Of our arrays.")
@click.option("--device", help="cpu or cuda; a GPU where there is one.")
@click.option("--seconds", type=float, help="For each contender of a problem.")
@click.option("--patience", type=float, help="Seconds to wait, in all, for an idle machine.")
@click.option("--tf32", is_flag=True, help="On a GPU: float32 in TF32, on both sides.")
@click.option("--out", type=Path, help="The file of results; auto names one by the machine.")
def bench(
    what: str,
    suite: str,
    providers: str | None,
    against: str,
    dtype: str,
    batches: str | None,
    passes: str | None,
    threads: str | None,
    only: str | None,
    layout: str,
    device: str | None,
    seconds: float | None,
    patience: float | None,
    tf32: bool,
    out: Path | None,
) -> None:
    """Time WHAT beside PyTorch: ops, nets, memory, kernelbench, or a kernel such as
    conv2d_depthwise.

    Every timed output is checked. With --out an interrupted run goes on where it stopped.
    """
    need("torch")
    if out is not None or what == "memory":
        need("jsonschema", *(["torchvision"] if what == "nets" else []))
    from ..benchmarks.bench import Options, Run
    from ..benchmarks.harness import Caught
    from ..benchmarks.roof import TooFast

    console = make_console()
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        notes: dict[str, None] = {}
        try:
            options = Options(
                what, suite, _words(providers) or None, against, _words(dtype),
                _numbers("batches", batches), _words(passes) or Options.passes,
                _numbers("threads", threads) or None, _words(only), layout, device, seconds,
                patience, tf32,
            )  # fmt: skip
            run = Run(options, out, lambda text: notes.setdefault(text))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        task = progress.add_task("measuring", total=run.total)

        def step(name: str, rows: list[dict[str, Any]]) -> None:
            progress.update(task, advance=1, description=name)
            for row in rows:
                progress.console.print(_line(row), highlight=False, soft_wrap=True)

        try:
            rows = run.go(step)
        except (Caught, TooFast) as error:
            kept = (
                "" if out is None else "; the rows before it are kept, the next run goes on there"
            )
            raise click.ClickException(f"{error}{kept}") from None
    if not rows:
        click.echo(f"none of the {run.total} problems is one that {what} runs")
    for note in notes:
        console.print(f"left out: {note}", markup=False, highlight=False)
    for line in _means(rows):
        console.print(line, highlight=False)
    if run.out is not None:
        console.print(f"written to {run.out}", highlight=False)


def _line(row: dict[str, Any]) -> str:
    """A row on a line of the terminal."""
    if row["suite"] == "memory":
        grown = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in row["grown"].items())
        return f"memory {row['name']}  {grown}, ratio {row['ratio']:.2f}"
    name = f"{row['suite']} {row['name']} {row['pass']}"
    where = row["cache"] if row["threads"] is None else f"{row['threads']}T"
    kernel = "/".join(filter(None, (row["provider"], row["algorithm"])))
    against = ""
    if row["opponent"] is not None:
        theirs = row["opponent_seconds"]["least"] * 1e3
        against = f"  {row['opponent']} {theirs:.3f} ms  ratio {row['ratio']:.2f}"
    return (
        f"{name:44} N{row['batch']} {where} {row['seconds']['least'] * 1e3:9.3f} ms "
        f"{row['percent_of_roof']:4.0f} % of {row['bound']} roof  {kernel}{against}  "
        f"error {row['error']:.0e}"
    )


def _means(rows: list[dict[str, Any]]) -> list[str]:
    """The geometric mean of the ratios of each suite and pass."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        if row["ratio"] is not None:
            name = f"{row['suite']} {row.get('pass', '')} {row.get('provider', '')}".strip()
            groups.setdefault(name, []).append(row["ratio"])
    return [
        f"{name:40} ratio to the fastest opponent: geometric mean "
        f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}, least {min(ratios):.2f}, "
        f"of {len(ratios)}"
        for name, ratios in groups.items()
    ]
