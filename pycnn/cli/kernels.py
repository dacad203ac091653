"""Commands about kernels: explain, inspect, tune."""

from __future__ import annotations

import re

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
@click.argument("kernel")
@click.option(
    "--provider",
    type=click.Choice(["triton", "cuda"]),
    help="Whose kernel of that name; by default all there are.",
)
@click.option("--arch", default="sm_90", show_default=True, help="The architecture to compile for.")
@click.option(
    "--dtype",
    type=click.Choice(["float16", "bfloat16", "float32", "float64"]),
    help="By default float16 for Triton, and every dtype for CUDA.",
)
@click.option("--layer", help="Only what this named layer launches (Triton), e.g. vgg.c3_2.")
@click.option("--every", is_flag=True, help="Triton: every shipped configuration, not the chosen.")
@click.option("--ptx", "form", flag_value="ptx", help="Print the PTX.")
@click.option("--sass", "form", flag_value="sass", help="Print the machine code.")
@click.option("--resources", "form", flag_value="resources", default=True, help="The default.")
def inspect(
    kernel: str, provider: str | None, arch: str, dtype: str | None, layer: str | None, every: bool,
    form: str,
) -> None:  # fmt: skip
    """Compile kernels/KERNEL.py or csrc/cuda/KERNEL.cu without a GPU and show what they became."""
    number = re.fullmatch(r"(?:sm_)?(\d+)a?", arch)
    if number is None:
        raise click.BadParameter(f"--arch: got {arch!r}, expected sm_80, sm_90 ...")
    reasons = [
        show(kernel, int(number[1]), dtype, layer, every, form)
        for name, show in (("triton", _inspect_triton), ("cuda", _inspect_cuda))
        if provider in (None, name)
    ]
    if None not in reasons:
        raise click.ClickException("; ".join(map(str, reasons)))


def _inspect_triton(
    kernel: str, arch: int, dtype: str | None, layer: str | None, every: bool, form: str
) -> str | None:
    """Shows the Triton kernels of that name; the reason where there are none to show."""
    from ..kernels import mode
    from ..study import aot, sass

    if mode.why_not() is not None:
        return f"Triton: {mode.why_not()}"
    try:
        aot.compile_mode()
    except RuntimeError as error:
        return f"Triton: {error}"
    if kernel not in aot.stems():
        return f"no Triton kernel is called {kernel!r}; there are {', '.join(aot.stems())}"
    dtype = dtype or "float16"
    table = Table("Triton kernel", "layer", "regs", "spills", "shared", "instr", "wide", "loop",
                  "ratio")  # fmt: skip
    for shipped in aot.compilations(kernel, dtype, every, arch):
        if layer is not None and shipped.layer.split()[0] != layer:
            continue
        facts, compiled = aot.measure(shipped, arch)
        if form != "resources":
            text = compiled.asm["ptx"]
            click.echo(f"// {shipped.name} on {shipped.layer}")
            click.echo(text if form == "ptx" else sass.disassemble(compiled.asm["cubin"])[1])
        counts = " ".join(f"{name}:{count}" for name, count in facts.counts.items())
        table.add_row(
            f"{shipped.name}\n{counts}", shipped.layer, str(facts.registers), str(facts.spills),
            str(facts.shared), str(facts.instructions), f"{facts.wide_accesses:.2f}",
            str(facts.loop), f"{facts.issue_ratio:.2f}",
        )  # fmt: skip
    if not table.row_count:
        return f"no named layer runs Triton's {kernel} in {dtype}" + (
            f" as {layer}" if layer else ""
        )
    if form == "resources":
        make_console().print(table)
    return None


_CUDA_TYPES = {
    "float16": "Float16", "bfloat16": "BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip


def _inspect_cuda(
    kernel: str, number: int, dtype: str | None, layer: str | None, every: bool, form: str
) -> str | None:
    """Shows the CUDA kernels of that name; the reason where there are none to show."""
    from ..study import cubins

    if layer is not None:
        return "a CUDA kernel is compiled once for all layers, and has none to name (--layer)"
    reason = cubins.why_not()
    if reason is not None:
        return f"CUDA: {reason}"
    files = cubins.files_of(kernel)
    if not files:
        return f"no CUDA kernel is called {kernel!r}; there are {', '.join(cubins.stems())}"
    arch = cubins.normalized(number)
    table = Table("CUDA kernel", "regs", "spills", "shared", "instr", "wide", "uses")
    try:
        for stem in files:
            if form == "ptx":
                click.echo(cubins.compile_source(stem, arch, "ptx").decode())
            elif form == "sass":
                for name, function in cubins.functions(stem, arch):
                    if _of_dtype(name, dtype):
                        click.echo(f"// {name} on sm_{arch}\n{function.sass}")
            else:
                for name, facts in cubins.kernels(stem, arch):
                    if _of_dtype(name, dtype):
                        table.add_row(
                            name, str(facts.registers), str(facts.spills), str(facts.shared),
                            str(facts.instructions), f"{facts.wide_accesses:.2f}",
                            " ".join(facts.uses),
                        )  # fmt: skip
    except RuntimeError as error:
        raise click.ClickException(f"{kernel} does not compile:\n{error}") from None
    if form == "resources":
        table.title = f"sm_{arch}, CUDA {cubins.version()}"
        make_console().print(table)
    return None


def _of_dtype(name: str, dtype: str | None) -> bool:
    """Whether an instantiation is for the dtype, or for none."""
    types = set(re.findall(r"\w+", name.partition("<")[2])) & set(_CUDA_TYPES.values())
    return dtype is None or not types or _CUDA_TYPES[dtype] in types


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
