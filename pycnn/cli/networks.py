"""Commands about networks: models, convert, summary, config, check, demo."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from .common import (
    batch_option,
    build,
    find_model,
    make_console,
    need,
    provider_option,
    seed_option,
    shapes_of,
    size_option,
    using_provider,
    width_option,
)  # fmt: skip

if TYPE_CHECKING:
    from ..testing import Report, Row


@click.command()
@click.option("--markdown", is_flag=True, help="Print a table for a page of documentation.")
def models(markdown: bool) -> None:
    """List the models: what their papers and references say of them."""
    from ..models import list_models, model_entry

    header = ("model", "paper", "parameters", "MACs", "input", "reference", "checkpoints load")
    rows = []
    for name in list_models():
        entry = model_entry(name)
        shape = f"{entry.channels} x {entry.size} x {entry.size}"
        if entry.inputs is not None:
            shape = shapes_of(entry.example_inputs(), first=1)
        rows.append(
            (name, entry.paper, f"{entry.parameters:,}", f"{entry.macs:,}", shape, entry.reference,
             f"strictly, {entry.checkpoints}" if entry.checkpoints else "-")
        )  # fmt: skip
    if markdown:
        click.echo("| " + " | ".join(header) + " |")
        click.echo("| --- | --- | ---: | ---: | --- | --- | --- |")
        for row in rows:
            click.echo("| " + " | ".join(row) + " |")
        return
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    make_console().print(table)


@click.command()
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", help="Check first that the state dict is this model's, entry by entry.")
def convert(source: Path, target: Path, model: str | None) -> None:
    """Write the state dict in SOURCE as TARGET; suffixes name the formats: .safetensors .npz
    .pth."""
    from ..serialization import load, save

    try:
        state = load(source)
        if model is not None:
            find_model(model).constructor().load_state_dict(state)
        save(state, target)
    except (ValueError, TypeError, RuntimeError, ImportError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"{target}: {len(state)} tensors, {sum(v.numel() for v in state.values()):,} numbers"
    )


@click.command()
@click.argument("model")
@size_option
@batch_option
@width_option
def summary(model: str, size: int | None, batch: int, width: float) -> None:
    """Show what each layer of MODEL outputs, holds and costs."""
    from ..nn import summary as summarize

    entry = find_model(model)
    size = size or entry.size
    net = build(entry, width)
    inputs = entry.example_inputs(batch, size)
    click.echo(summarize(net, [a.shape for a in inputs] if len(inputs) > 1 else inputs[0].shape))


@click.command()
def config() -> None:
    """Show versions, providers and this machine."""
    from ..config import show_config

    show_config()


@click.command()
@click.argument("model")
@provider_option
@size_option
@batch_option
@width_option
@seed_option
@click.option("--all", "show_all", is_flag=True, help="Show every tensor, not the worst of a kind.")
def check(
    model: str,
    provider: str | None,
    size: int | None,
    batch: int,
    width: float,
    seed: int,
    show_all: bool,
) -> None:
    """Check MODEL against PyTorch with the same weights; exit with an error if they differ.

    In float64: logits, loss, running statistics, every parameter's gradient and the input's. In
    float32: logits. The network is in training mode with dropout off.
    """
    import numpy as np

    entry = find_model(model)
    using = using_provider(provider)
    need("torch", *([] if model in ("lenet5", "xception") else ["torchvision"]))
    import torch

    from ..references import get_reference
    from ..testing import compare_torch

    size = size or entry.size
    net = build(entry, width)
    torch.manual_seed(seed)
    reference = get_reference(model, width=width)
    inputs = entry.example_inputs(batch, size, seed=seed)
    target = None
    if entry.inputs is None:
        target = np.random.default_rng(seed).integers(0, entry.num_classes, batch)
    click.echo(
        f"{model}, width {width:g}, {shapes_of(inputs)}, "
        f"{provider or 'the default'} provider, seed {seed}"
    )
    start = time.perf_counter()
    try:
        with using:
            report = compare_torch(net, reference, inputs, target=target, seed=seed)
    except (ValueError, RuntimeError) as error:
        hint = (
            "" if size == entry.size else f"--size {size} where {model} is made for {entry.size}: "
        )
        raise click.ClickException(f"{hint}{type(error).__name__}: {error}") from None
    print_report(make_console(), report, report.rows if show_all else report.summary())
    seconds = time.perf_counter() - start
    click.echo(f"{model} {'equals' if report else 'DIFFERS FROM'} PyTorch ({seconds:.1f} s)")
    if not report:
        sys.exit(1)


def print_report(console: Console, report: Report, rows: list[Row]) -> None:
    """A table of the rows, then the problems that no row shows."""
    counts: dict[tuple[str, str], int] = {}
    for row in report.rows:
        counts[row.dtype, row.kind] = counts.get((row.dtype, row.kind), 0) + 1
    table = Table("dtype", "compared", "worst", "shape", "error", "bound", "PyTorch's own", "")
    for row in rows:
        count = counts[row.dtype, row.kind]
        table.add_row(
            row.dtype,
            row.kind if count == 1 else f"{count} {row.kind}s",
            row.name,
            " x ".join(str(n) for n in row.shape) or "scalar",
            f"{row.error:.2e}",
            "shown only" if row.bound is None else f"{row.bound:.2e}",
            "" if row.torch_error is None else f"{row.torch_error:.2e}",
            "" if row.bound is None else "ok" if row.ok else "FAILS",
        )
    console.print(table)
    for problem in report.problems:
        console.print(problem, markup=False)


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Where the picture and the table go.",
)
@provider_option
@size_option
@width_option
@seed_option
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Timed runs.")
def demo(
    out: Path, provider: str | None, size: int | None, width: float, seed: int, rounds: int
) -> None:
    """Run Xception on a photograph, check it against PyTorch, time its kernels, draw a picture."""
    need("torch", "skimage", "PIL", "matplotlib")
    using = using_provider(provider)
    from ..demo import run_demo

    with using:
        result = run_demo(out, size or 299, width, seed, rounds, say=click.echo)
    print_report(make_console(), result.report, result.report.summary())
    click.echo(result.table)
    click.echo(f"picture: {result.picture}")
    click.echo(f"Xception {'equals' if result.report else 'DIFFERS FROM'} PyTorch")
    if not result.report:
        sys.exit(1)
