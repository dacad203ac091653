"""Commands that study kernels: study check, ladder."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.table import Table

from . import study_check
from .common import batch_option, make_console, provider_option
from .study_check import warn_if_busy


@click.group()
def study() -> None:
    """Kernels of your own: hold one to pycnn's cases and time it."""


study.add_command(study_check.check)


@click.command()
@click.argument("primitive")
@click.option("--layer", help="A named layer, e.g. rn50.l3.3x3; by default one that suits.")
@provider_option
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "float64", "float16", "bfloat16"]),
)
@batch_option
@click.option("--device", help="cpu or cuda:0; by default a GPU where one answers.")
@click.option(
    "--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="A .png or .svg."
)
def ladder(
    primitive: str,
    layer: str | None,
    provider: str | None,
    dtype: str,
    batch: int,
    device: str | None,
    picture: Path | None,
) -> None:
    """Show PRIMITIVE from its naive kernel to the fastest, each checked and timed side by side."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from ..study import ladder as ladders

    console = make_console()
    if picture is not None and picture.suffix not in (".png", ".svg"):
        raise click.BadParameter(f"--plot: got {str(picture)!r}, expected a .png or .svg file")
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), transient=True,
                  console=console) as progress:  # fmt: skip
        task = progress.add_task(primitive)
        try:
            found = ladders.ladder(
                primitive, layer=layer, provider=provider, dtype=dtype, batch=batch, device=device,
                progress=lambda step: progress.update(task, description=step),
            )  # fmt: skip
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        except (RuntimeError, ImportError) as error:
            raise click.ClickException(str(error)) from None
    naive, torch = found.naive(), found.torch()
    table = Table(
        "rung", "error", "least", "median",
        "x " + (naive.name if naive else "naive"), "x PyTorch", "",
        title=f"{primitive} on {found.layer}: {found.geometry}, {dtype}, {found.device}",
    )  # fmt: skip
    for row in found.rows:
        table.add_row(
            row.name, _number(row.error, "{:.1e}"), _time(row.least),
            _time(row.seconds["p50"] if row.seconds else None),
            _number(found.times_faster(row, naive), "{:,.2f}"),
            _number(found.times_faster(row, torch), "{:.3f}"),
            f"{row.note} ({row.layer})" if row.layer not in ('', found.layer) else row.note,
        )  # fmt: skip
    console.print(table)
    warn_if_busy([row.others_busy for row in found.rows])
    if picture is not None:
        ladders.plot(found, picture)
        click.echo(f"picture: {picture}")
    if not found.ok:
        click.echo("a rung is WRONG")
        sys.exit(1)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, least in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= least:
            return f"{seconds / least:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
