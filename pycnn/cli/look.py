"""Commands that look at networks: trace, graph, compare, visualize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from .common import (
    batch_option,
    build,
    find_model,
    make_console,
    need,
    provider_option,
    shapes_of,
    size_option,
    using_provider,
    width_option,
)  # fmt: skip


def _net_and_inputs(model: str, batch: int, size: int | None, width: float) -> tuple[Any, Any]:
    """The network and its inputs, as Tensors, from a fixed seed."""
    from .. import from_numpy, manual_seed

    entry = find_model(model)
    manual_seed(0)
    net = build(entry, width)
    return net, [from_numpy(a) for a in entry.example_inputs(batch, size or entry.size)]


@click.command()
@click.argument("model")
@provider_option
@batch_option
@size_option
@width_option
@click.option("--forward-only", is_flag=True, help="Inference: evaluation mode, nothing recorded.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True,
              help="Traced after one to warm up; the quickest is shown.")  # fmt: skip
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write Chrome's trace events, for ui.perfetto.dev or chrome://tracing.",
)
def trace(
    model: str, provider: str | None, batch: int, size: int | None, width: float,
    forward_only: bool, runs: int, out: Path | None,
) -> None:  # fmt: skip
    """Show what every layer and every kernel of MODEL takes: time, bytes, FLOPs."""
    from .. import dispatch
    from ..study.tracing import trace_model

    net, inputs = _net_and_inputs(model, batch, size, width)
    with using_provider(provider):
        try:
            found = trace_model(net, *inputs, backward=not forward_only, runs=runs)
        except (dispatch.NoKernel, ValueError, RuntimeError) as error:
            raise click.ClickException(str(error)) from None
    console = make_console()
    whole = found.seconds()
    for title, header, rows in (
        ("by layer", ("layer", "module"), found.layers()),
        ("by kernel", ("primitive", "kernel"), found.kernels()),
    ):
        table = Table(*header, title=title)
        for name in ("calls", "forward ms", "backward ms", "share", "MB", "GFLOP", "GB/s",
                     "GFLOP/s"):  # fmt: skip
            table.add_column(name, justify="right")
        for row in rows:
            per = max(row.seconds, 1e-12)
            table.add_row(
                row.name, row.kind, str(row.calls), f"{row.forward * 1e3:.3f}",
                f"{row.backward * 1e3:.3f}", f"{row.seconds / whole:.1%}",
                f"{row.bytes / 1e6:.2f}", f"{row.flops / 1e9:.3f}", f"{row.bytes / per / 1e9:.1f}",
                f"{row.flops / per / 1e9:.1f}",
            )  # fmt: skip
        outside = {
            phase: found.seconds(phase) - sum(getattr(row, phase) for row in rows)
            for phase in ("forward", "backward")
        }
        table.add_row(
            "outside kernels", "", "", *(f"{s * 1e3:.3f}" for s in outside.values()),
            f"{sum(outside.values()) / whole:.1%}", *[""] * 4,
        )  # fmt: skip
        console.print(table)
    passes = "forward" if forward_only else "forward and backward"
    click.echo(f"{model}, {shapes_of([t._data for t in inputs])}: {passes} {whole * 1e3:.2f} ms")
    if out is not None:
        _write(lambda: found.write(out), out)


def _write(write: Any, path: Path) -> None:
    try:
        write()
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error}") from None
    click.echo(f"written: {path}")


@click.command()
@click.argument("model")
@batch_option
@size_option
@width_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it there: DOT to a .dot or .gv file, a picture to .svg; by default DOT is printed.",
)
def graph(model: str, batch: int, size: int | None, width: float, out: Path | None) -> None:
    """Show the autograd graph of MODEL: Functions, leaves and their shapes, and what is kept."""
    from ..study.graph import autograd_graph

    net, inputs = _net_and_inputs(model, batch, size, width)
    try:
        found = autograd_graph(net, *[t.requires_grad_() for t in inputs])
    except (ValueError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    if out is None:
        click.echo(found.dot(), nl=False)
        return
    try:
        _write(lambda: found.write(out), out)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("models", nargs=-1, required=True)
@provider_option
@batch_option
@size_option
@width_option
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Timed runs.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write compare.png and compare.json into this folder.",
)
def compare(
    models: tuple[str, ...], provider: str | None, batch: int, size: int | None, width: float,
    rounds: int, out: Path | None,
) -> None:  # fmt: skip
    """Compare MODELS: parameters, multiply-adds, activation memory, measured time."""
    import json

    from rich.console import Console

    from .. import dispatch
    from ..files import replacing
    from ..study.comparing import compare_models, plot

    for name in models:
        find_model(name)
    if out is not None:
        need("matplotlib", does="draws a plot", install="matplotlib")
    with using_provider(provider), Console(stderr=True).status("") as status:
        try:
            rows = compare_models(models, batch, size, width, rounds, status.update)
        except (ValueError, RuntimeError, dispatch.NoKernel) as error:
            raise click.ClickException(f"{type(error).__name__}: {error}") from None
    table = Table("model", "input")
    for title in ("parameters", "MACs", "kept MB", "peak MB", "inference ms", "step ms"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row.name, ", ".join(" x ".join(map(str, s)) for s in row.inputs),
            f"{row.parameters:,}", f"{row.macs:,}", f"{row.retained / 1e6:.2f}",
            f"{row.peak / 1e6:.2f}", f"{row.forward * 1e3:.2f}", f"{row.step * 1e3:.2f}",
        )  # fmt: skip
    make_console().print(table)
    click.echo(
        "kept: by autograd for the backward pass. peak: arrays alive at one time in inference. "
        f"Times are medians of {rounds}."
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _write(lambda: plot(rows, out / "compare.png"), out / "compare.png")
        with replacing(out / "compare.json") as path:
            path.write_text(json.dumps([row._asdict() for row in rows], indent=1), encoding="utf-8")
        click.echo(f"written: {out / 'compare.json'}")


@click.command()
@click.argument("model")
@click.option("--image", type=click.Path(dir_okay=False, path_type=Path),
              help="A photograph; by default scikit-image's of a cat.")  # fmt: skip
@click.option("--layer", help="Whose activations, e.g. features.10; the last convolution's.")
@click.option("--weights", type=click.Path(dir_okay=False, path_type=Path),
              help="The state dict: .safetensors, .npz, .pth; random numbers without.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=9, show_default=True,
              help="Strongest channels that are projected to the pixels.")  # fmt: skip
@provider_option
@size_option
@width_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out"),
              show_default=True, help="Where the pictures go.")  # fmt: skip
def visualize(
    model: str, image: Path | None, layer: str | None, weights: Path | None, top: int,
    provider: str | None, size: int | None, width: float, out: Path,
) -> None:  # fmt: skip
    """Draw MODEL's first filters, a layer's activations, and their way back to the pixels.

    The way back is the deconvnet's of Zeiler and Fergus 2013, for convolutions, ReLUs and max pools
    in a chain: alexnet, zfnet, vgg16, nin_imagenet ...
    """
    need(
        "matplotlib", "PIL", *([] if image else ["skimage"]),
        does="draws pictures", install="matplotlib pillow scikit-image",
    )  # fmt: skip
    from .. import dispatch, manual_seed
    from ..demo import photograph
    from ..serialization import load
    from ..study.projection import as_input, visualize

    entry = find_model(model)
    manual_seed(0)
    net = build(entry, width)
    try:
        if weights is not None:
            net.load_state_dict(load(weights))
        photo = photograph(size or entry.size, image)
        state = f"weights of {weights.name}" if weights else "randomly initialised weights"
        with using_provider(provider):
            found = visualize(
                net, photo, as_input(photo, entry), out, layer, f"{model}, {state}", top
            )
    except (ValueError, RuntimeError, TypeError, OSError, dispatch.NoKernel) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{model}, {state}, {found.layer}")
    for p in found.projections:
        top_, left, bottom, right = p.box
        click.echo(
            f"  channel {p.channel} at row {p.row}, column {p.column}: {p.value:.4g}, from pixels "
            f"{top_}-{bottom - 1} x {left}-{right - 1}"
        )
    for path in found.files:
        click.echo(f"written: {path}")
    if found.why_not is not None:
        raise click.ClickException(f"no projection: {found.why_not}")
