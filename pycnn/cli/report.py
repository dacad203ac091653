"""The command report."""

from __future__ import annotations

from pathlib import Path

import click

from .common import need


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/report"),
    show_default=True,
    help="Where report.html and the pictures go.",
)
@click.option(
    "--readme",
    is_flag=True,
    help="Only make the tables of README.md and docs/ anew, from the committed results.",
)
@click.option(
    "--code",
    "code_seconds",
    type=click.FloatRange(0),
    default=0.0,
    help="Spend so many seconds on compiling kernels, and show their PTX and machine code.",
)
def report(files: tuple[Path, ...], out: Path, readme: bool, code_seconds: float) -> None:
    """Make tables, pictures and one HTML page of results: of FILES, by default of the committed."""
    from ..study import report
    from ..study.report import results, tables

    if readme and files:
        raise click.UsageError(
            "--readme takes no FILES: the documents hold what is committed in benchmarks/results"
        )
    if readme and not tables.names():
        raise click.ClickException(f"--readme needs pycnn's source tree; {results.ROOT} is none")
    try:
        if readme:
            for path in tables.write():
                click.echo(f"written to {path}")
            return
        need(
            "jinja2", "matplotlib", "markdown_it", "pygments",
            does="draws and sets a page", install="'pycnn[bench]'",
        )  # fmt: skip
        chosen = list(files) or results.committed()
        if not chosen:
            raise click.UsageError(f"no FILES were given, and {results.folder()} holds none")
        for path in report.write(chosen, out, code_seconds, say=click.echo):
            click.echo(f"written to {path}")
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
