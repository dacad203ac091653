"""Commands about the choice of kernels: explain, tune."""

from __future__ import annotations

import click
from rich.table import Table

from .common import (
    batch_option,
    build,
    find_model,
    make_console,
    provider_option,
    size_option,
    using_provider,
    width_option,
)  # fmt: skip


@click.command()
@click.argument("what")
@click.option("--model", default="resnet18", show_default=True, help="Where to find the primitive.")
@click.option("--forward-only", is_flag=True, help="Leave the backward pass out.")
@provider_option
@size_option
@batch_option
@width_option
def explain(
    what: str,
    model: str,
    forward_only: bool,
    provider: str | None,
    size: int | None,
    batch: int,
    width: float,
) -> None:
    """Say which kernel is chosen and why others are not: WHAT is a model or a primitive.

    A model is run once, forward and backward. A primitive is explained by the calls that --model
    makes of it.
    """
    from .. import dispatch, from_numpy, manual_seed
    from ..models import list_models
    from ..study.explain_model import explain_model

    primitive = what if what in dispatch.PRIMITIVES else None
    if primitive is None and what not in list_models():
        known = f"models: {', '.join(list_models())}; primitives: {', '.join(dispatch.PRIMITIVES)}"
        raise click.BadParameter(f"{what!r} is neither a model nor a primitive. {known}")
    entry = find_model(model if primitive else what)
    size = size or entry.size
    manual_seed(0)
    net = build(entry, width)
    inputs = [from_numpy(a).requires_grad_() for a in entry.example_inputs(batch, size)]
    with using_provider(provider):
        try:
            found = explain_model(net, *inputs, backward=not forward_only)
        except dispatch.NoKernel as error:
            raise click.ClickException(str(error)) from None
    if primitive:
        found = [e for e in found if e.primitive == primitive]
        if not found:
            click.echo(f"{entry.name} makes no call of {primitive}; the kernels registered for it:")
            for known_kernel in dispatch.entries(primitive):
                devices = ", ".join(known_kernel.devices)
                click.echo(f"  {known_kernel.provider}/{known_kernel.algorithm} on {devices}")
            return
    for e in found:
        click.echo(f"{e.calls} x {e.text}")
        if e.layers:
            click.echo(f"     in {', '.join(e.layers)}")


@click.command()
@click.argument("kernel", required=False)
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["float16", "bfloat16", "float32", "float64"]),
    help="May be repeated; float16 and float32 by default.",
)
@click.option(
    "--batch", type=click.IntRange(1), default=32, show_default=True, help="Images at a time."
)
@click.option("--limit", type=click.IntRange(1), help="Stop after so many measurements.")
def tune(kernel: str | None, dtypes: tuple[str, ...], batch: int, limit: int | None) -> None:
    """Measure which tiles are fastest on this GPU, for kernels/KERNEL.py or for every kernel.

    The kernels run the named layers; what has a row already is left out. Rows go to the user's
    cache, from which later processes read them.
    """
    from rich.progress import Progress

    from ..kernels import tuning, tuning_rows
    from ..study import aot, tune

    reason = tune.why_not()
    if reason is not None:
        raise click.ClickException(reason)
    if kernel is not None and kernel not in aot.stems():
        raise click.BadParameter(
            f"no Triton kernel is called {kernel!r}; there are {', '.join(aot.stems())}"
        )
    gpu = tuning.current_gpu()
    assert gpu is not None, "why_not() has looked"
    todo = [
        c for dtype in dtypes or ("float16", "float32") for c in tune.calls(kernel, dtype, batch)
    ]
    table = Table("kernel", "dtype", "key", "fastest", "us", "the model's choice", "us", "gain")
    notes: list[str] = []
    console = make_console()
    with Progress(console=console) as progress:
        task = progress.add_task("", total=len(todo))

        def step(label: str) -> None:
            progress.update(task, advance=1, description=label)

        try:
            for label, found in tune.tune(todo, gpu, tune.GPUClock(), tune.software(), limit, step):
                if isinstance(found, str):
                    notes.append(f"{label}: {found}")
                    continue
                notes += [f"{label}: {c}: {why}" for c, why in found.failed.items()]
                table.add_row(*found.words())
        except OSError as error:
            raise click.ClickException(f"the cache cannot be written: {error}") from None
    console.print(table)
    for note in notes:
        console.print(note, markup=False)
    click.echo(f"{table.row_count} rows for {gpu.name} in {tuning_rows.cache_file(gpu)}")
