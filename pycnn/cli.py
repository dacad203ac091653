"""The command line, `python -m pycnn`: check, models, convert, summary, config, explain, demo,
inspect, tune."""

from __future__ import annotations

import re
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import click
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(
        f"python -m pycnn needs {error.name}, which is not installed: "
        "pip install 'pycnn[cli]' brings click and rich"
    )

from .dispatch import PROVIDERS

if TYPE_CHECKING:
    from .testing import Report, Row


def _console() -> Console:
    # Written to a file or a pipe, a table must not be folded to 80 columns.
    console = Console()
    return console if console.is_terminal else Console(width=140)


def _entry(name: str) -> Any:
    """The model's registry entry; a usage error with the nearest names if there is none."""
    from .models import model_entry

    try:
        return model_entry(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _using(provider: str | None) -> Any:
    """`pycnn.using(provider)`; a usage error for one that is unknown or cannot run here."""
    from . import dispatch, providers

    if provider is None:
        return nullcontext()
    if provider not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise click.BadParameter(f"no provider is called {provider!r}; there are {known}")
    try:
        providers.require(provider)
    except (RuntimeError, ImportError) as error:
        raise click.ClickException(str(error)) from None
    return dispatch.using(provider)


def _need(*modules: str) -> None:
    """A one-sentence error if an optional requirement of a command is not installed."""
    import importlib.util

    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"this command compares with PyTorch and needs {', '.join(missing)}; "
            "pip install 'pycnn[test]' torchvision"
        )


_provider_option = click.option(
    "--provider", help=f"Run on one provider only: {', '.join(PROVIDERS)}."
)
_size_option = click.option(
    "--size", type=click.IntRange(1), help="Height and width of the images; the paper's by default."
)
_width_option = click.option(
    "--width", type=float, default=1.0, show_default=True, help="Scales the channel counts."
)
_batch_option = click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Images at a time."
)
_seed_option = click.option("--seed", type=int, default=0, show_default=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pycnn")
def main() -> None:
    """Convolutional networks on hand-written kernels, checked against PyTorch."""


@main.command()
@click.option("--markdown", is_flag=True, help="Print a table for a page of documentation.")
def models(markdown: bool) -> None:
    """List the models: what their papers and references say of them."""
    from .models import list_models, model_entry

    header = ("model", "paper", "parameters", "MACs", "input", "reference", "checkpoints load")
    rows = []
    for name in list_models():
        entry = model_entry(name)
        shape = f"{entry.channels} x {entry.size} x {entry.size}"
        if entry.inputs is not None:
            shape = _shapes(entry.example_inputs(), first=1)
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
    _console().print(table)


@main.command()
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", help="Check first that the state dict is this model's, entry by entry.")
def convert(source: Path, target: Path, model: str | None) -> None:
    """Write the state dict in SOURCE as TARGET; suffixes name the formats: .safetensors .npz
    .pth."""
    from .serialization import load, save

    try:
        state = load(source)
        if model is not None:
            _entry(model).constructor().load_state_dict(state)
        save(state, target)
    except (ValueError, TypeError, RuntimeError, ImportError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"{target}: {len(state)} tensors, {sum(v.numel() for v in state.values()):,} numbers"
    )


@main.command()
@click.argument("model")
@_size_option
@_batch_option
@_width_option
def summary(model: str, size: int | None, batch: int, width: float) -> None:
    """Show what each layer of MODEL outputs, holds and costs."""
    from .nn import summary as summarize

    entry = _entry(model)
    size = size or entry.size
    net = _build(entry, width)
    inputs = entry.example_inputs(batch, size)
    click.echo(summarize(net, [a.shape for a in inputs] if len(inputs) > 1 else inputs[0].shape))


@main.command()
def config() -> None:
    """Show versions, providers and this machine."""
    from .config import show_config

    show_config()


def _shapes(arrays: Any, first: int = 0) -> str:
    """The arrays' shapes from axis `first` on: 3 x 224 x 224."""
    return ", ".join(" x ".join(map(str, a.shape[first:])) for a in arrays)


def _build(entry: Any, width: float, **arguments: Any) -> Any:
    try:
        return entry.constructor(width=width, **arguments)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@main.command()
@click.argument("what")
@click.option("--model", default="resnet18", show_default=True, help="Where to find the primitive.")
@click.option("--forward-only", is_flag=True, help="Leave the backward pass out.")
@_provider_option
@_size_option
@_batch_option
@_width_option
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
    from . import dispatch, from_numpy, manual_seed
    from .models import list_models
    from .study.explain_model import explain_model

    primitive = what if what in dispatch.PRIMITIVES else None
    if primitive is None and what not in list_models():
        known = f"models: {', '.join(list_models())}; primitives: {', '.join(dispatch.PRIMITIVES)}"
        raise click.BadParameter(f"{what!r} is neither a model nor a primitive. {known}")
    entry = _entry(model if primitive else what)
    size = size or entry.size
    manual_seed(0)
    net = _build(entry, width)
    inputs = [from_numpy(a).requires_grad_() for a in entry.example_inputs(batch, size)]
    with _using(provider):
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


@main.command()
@click.argument("model")
@_provider_option
@_size_option
@_batch_option
@_width_option
@_seed_option
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

    entry = _entry(model)
    using = _using(provider)
    _need("torch", *([] if model in ("lenet5", "xception") else ["torchvision"]))
    import torch

    from .references import get_reference
    from .testing import compare_torch

    size = size or entry.size
    net = _build(entry, width)
    torch.manual_seed(seed)
    reference = get_reference(model, width=width)
    inputs = entry.example_inputs(batch, size, seed=seed)
    target = None
    if entry.inputs is None:
        target = np.random.default_rng(seed).integers(0, entry.num_classes, batch)
    click.echo(
        f"{model}, width {width:g}, {_shapes(inputs)}, "
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
    print_report(_console(), report, report.rows if show_all else report.summary())
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


@main.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Where the picture and the table go.",
)
@_provider_option
@_size_option
@_width_option
@_seed_option
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Timed runs.")
def demo(
    out: Path, provider: str | None, size: int | None, width: float, seed: int, rounds: int
) -> None:
    """Run Xception on a photograph, check it against PyTorch, time its kernels, draw a picture."""
    _need("torch", "skimage", "PIL", "matplotlib")
    using = _using(provider)
    from .demo import run_demo

    with using:
        result = run_demo(out, size or 299, width, seed, rounds, say=click.echo)
    print_report(_console(), result.report, result.report.summary())
    click.echo(result.table)
    click.echo(f"picture: {result.picture}")
    click.echo(f"Xception {'equals' if result.report else 'DIFFERS FROM'} PyTorch")
    if not result.report:
        sys.exit(1)


@main.command()
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
    from .kernels import mode
    from .study import aot, sass

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
        _console().print(table)
    return None


_CUDA_TYPES = {
    "float16": "Float16", "bfloat16": "BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip


def _inspect_cuda(
    kernel: str, number: int, dtype: str | None, layer: str | None, every: bool, form: str
) -> str | None:
    """Shows the CUDA kernels of that name; the reason where there are none to show."""
    from .study import cubins

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
        _console().print(table)
    return None


def _of_dtype(name: str, dtype: str | None) -> bool:
    """Whether an instantiation is for the dtype, or for none."""
    types = set(re.findall(r"\w+", name.partition("<")[2])) & set(_CUDA_TYPES.values())
    return dtype is None or not types or _CUDA_TYPES[dtype] in types


@main.command()
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

    from .kernels import tuning, tuning_rows
    from .study import aot, tune

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
    console = _console()
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
