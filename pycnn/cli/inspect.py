"""The command inspect: what the compilers made of a kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from .common import make_console

Show = Callable[..., str | None]


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
    help="By default float16; CUDA's kernels are listed for every dtype.",
)
@click.option("--layer", help="Only what this named layer launches, e.g. vgg.c3_2.")
@click.option("--every", is_flag=True, help="Triton: every shipped configuration, not the chosen.")
@click.option(
    "--sms", type=click.IntRange(1), help="Multiprocessors of the GPU; sm_90: 132, an H100's."
)
@click.option("--source", "form", flag_value="source", help="Print the source; compile nothing.")
@click.option(
    "--refusals",
    "form",
    flag_value="refusals",
    help="Print which named layers it takes, and why not others; compile nothing.",
)
@click.option("--ttir", "form", flag_value="ttir", help="Triton: print the IR it begins with.")
@click.option("--ttgir", "form", flag_value="ttgir", help="Triton: print the IR with layouts.")
@click.option("--llir", "form", flag_value="llir", help="Triton: print LLVM's IR.")
@click.option("--ptx", "form", flag_value="ptx", help="Print the PTX.")
@click.option("--sass", "form", flag_value="sass", help="Print the machine code.")
@click.option("--resources", "form", flag_value="resources", default=True, help="The default.")
def inspect(
    kernel: str, provider: str | None, arch: str, dtype: str | None, layer: str | None, every: bool,
    sms: int | None, form: str,
) -> None:  # fmt: skip
    """Compile kernels/KERNEL.py or csrc/cuda/KERNEL.cu without a GPU and show what they became.

    By default: the layers it is compiled for, registers, occupancy, bytes in flight, waves, and
    what it refuses.
    """
    number = re.fullmatch(r"(?:sm_)?(\d+)a?", arch)
    if number is None:
        raise click.BadParameter(f"--arch: got {arch!r}, expected sm_80, sm_90 ...")
    from ..study import occupancy

    try:
        occupancy.limits_of(int(number[1]))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if form == "source":
        _source(kernel, provider)
        return
    if form != "refusals":
        reasons = [
            show(kernel, int(number[1]), dtype, layer, every, sms, form)
            for name, show in (("triton", _triton), ("cuda", _cuda))
            if provider in (None, name)
        ]
        if None not in reasons:
            raise click.ClickException("; ".join(map(str, reasons)))
    if form in ("refusals", "resources"):
        _refusals(kernel, provider, dtype or "float16", layer)


def _triton(
    kernel: str, arch: int, dtype: str | None, layer: str | None, every: bool, sms: int | None,
    form: str,
) -> str | None:  # fmt: skip
    """Shows the Triton kernels of that name; the reason where there are none to show."""
    from ..kernels import mode
    from ..study import aot, resources

    if mode.why_not() is not None:
        return f"Triton: {mode.why_not()}"
    try:
        aot.compile_mode()
    except RuntimeError as error:
        return f"Triton: {error}"
    if kernel not in aot.stems():
        return f"no Triton kernel is called {kernel!r}; there are {', '.join(aot.stems())}"
    dtype = dtype or "float16"
    compiled = resources.of_triton(
        kernel, dtype, arch, layer=layer, every=every, multiprocessors=sms
    )
    found = []
    for one in _progress(compiled, f"Triton compiles {kernel}"):
        found.append(one)
        if form != "resources":
            click.echo(f"// {one.name} on {one.layer}\n{one.texts[form]}")
    if not found:
        as_ = f" as {layer}" if layer else ""
        return f"no named layer runs Triton's {kernel} in {dtype}{as_}"
    if form == "resources":
        import triton

        _tables("Triton kernel", found, arch, f"sm_{arch}, Triton {triton.__version__}", sms)
    return None


def _cuda(
    kernel: str, arch: int, dtype: str | None, layer: str | None, every: bool, sms: int | None,
    form: str,
) -> str | None:  # fmt: skip
    """Shows the CUDA kernels of that name; the reason where there are none to show."""
    from ..study import cubins, resources

    if form in resources.IRS:
        return f"nvcc shows no IR before PTX (--ptx instead of --{form})"
    reason = cubins.why_not()
    if reason is not None:
        return f"CUDA: {reason}"
    files = cubins.files_of(kernel)
    if not files:
        return f"no CUDA kernel is called {kernel!r}; there are {', '.join(cubins.stems())}"
    name = cubins.normalized(arch)
    found = []
    launched, unknown = _launches(kernel, dtype or "float16", layer)
    if layer is not None and not launched:
        return unknown or f"no CUDA kernel of {kernel!r} runs {layer} in {dtype or 'float16'}"
    called = {launch.kernel for launch in launched}
    try:
        if form == "ptx":
            for stem in _progress(files, f"nvcc compiles {kernel}"):
                click.echo(cubins.compile_source(stem, name, "ptx").decode())
            return None
        for one in _progress(resources.of_cuda(kernel, arch, dtype), f"nvcc compiles {kernel}"):
            if layer is not None and one.name.partition(".")[2] not in called:
                continue
            found.append(one)
            if form == "sass":
                click.echo(f"// {one.name} on sm_{name}\n{one.texts['sass']}")
    except RuntimeError as error:
        raise click.ClickException(f"{kernel} does not compile:\n{error}") from None
    if form == "resources":
        _tables("CUDA kernel", found, arch, f"sm_{name}, CUDA {cubins.version()}", sms)
        if unknown:
            make_console().print(f"grid and waves: {unknown}")
        elif launched:
            _launched(launched, found, arch, sms)
    return None


def _launches(kernel: str, dtype: str, layer: str | None) -> tuple[list[Any], str | None]:
    """What the named layers launch of a CUDA kernel; or why that is not known."""
    from ..study import launches

    reason = launches.why_not()
    return ([], reason) if reason else (list(launches.launches(kernel, dtype, layer)), None)


def _launched(launched: list[Any], found: list[Any], arch: int, sms: int | None) -> None:
    """What named layers launch of the kernels `found`, and how that fills the GPU."""
    from ..study.occupancy import limits_of, occupancy, waves

    numbers = {one.name.partition(".")[2]: i for i, one in enumerate(found, 1)}
    count = sms or limits_of(arch).multiprocessors
    table = Table("layer", "primitive", "algorithm", "#", "grid", "block", "dynamic shared",
                  "blocks", "occupancy", "waves", "wave efficiency",
                  title="launched for the named layers, batch 32")  # fmt: skip
    for launch in launched:
        number = numbers.get(launch.kernel)
        sizes = _size(launch.grid), _size(launch.block), f"{launch.shared:,}"
        cells = [launch.kernel.partition("<")[0], *sizes, "", "", "", ""]
        if number is not None:
            facts = found[number - 1].facts
            threads = math.prod(launch.block)
            held = occupancy(arch, threads, facts.registers, facts.shared + launch.shared)
            cells[0], cells[4:6] = str(number), [str(held.blocks), f"{held.share:.0%}"]
            if held.blocks:
                filled = waves(launch.grid, held.blocks, count)
                cells[6:] = [f"{filled.number:.2f}", f"{filled.efficiency:.1%}"]
        table.add_row(launch.layer, launch.primitive, launch.algorithm, *cells)
    make_console().print(table)


def _size(axes: tuple[int, ...]) -> str:
    """Without the axes of 1 at the end."""
    kept = list(axes)
    while len(kept) > 1 and kept[-1] == 1:
        kept.pop()
    return " x ".join(f"{n:,}" for n in kept)


def _progress(items: Any, what: str) -> Iterator[Any]:
    """The items, with their number so far on the terminal."""
    console = Console(stderr=True)
    with console.status(what) as status:
        for count, item in enumerate(items, 1):
            yield item
            status.update(f"{what}: {count}")


def _tables(title: str, found: list[Any], arch: int, compiler: str, sms: int | None) -> None:
    """What each kernel is made of, and what a multiprocessor holds of it."""
    from ..study.occupancy import limits_of

    console = make_console()
    limits = limits_of(arch)
    layers = any(one.layer for one in found)
    made = Table("#", title, *["layer"] * layers, "regs", "spills", "shared", "instr", "wide",
                 *(["loop", "ratio"] if layers else ["uses"]), title=compiler)  # fmt: skip
    count = sms or limits.multiprocessors
    gpu = f"{count} of them" if sms else f"{limits.gpu}: {count}"
    held = Table("#", "threads", "blocks", "warps", "occupancy", "held by", "KiB in flight",
                 *(["grid", "waves", "wave efficiency"] if layers else ["blocks a wave"]),
                 title=f"on a multiprocessor of sm_{arch} ({gpu})")  # fmt: skip
    for number, one in enumerate(found, 1):
        facts = one.facts
        counts = " ".join(f"{name}:{count}" for name, count in facts.counts.items())
        tail = [str(facts.loop), f"{facts.issue_ratio:.2f}"] if layers else [" ".join(facts.uses)]
        made.add_row(
            str(number), f"{one.name}\n{counts}" if layers else one.name, *[one.layer] * layers,
            str(facts.registers), str(facts.spills), str(facts.shared), str(facts.instructions),
            f"{facts.wide_accesses:.2f}", *tail,
        )  # fmt: skip
        held.add_row(
            str(number), str(one.threads), str(one.held.blocks),
            f"{one.held.warps} of {one.held.most_warps}", f"{one.held.share:.0%}", one.held.limit,
            f"{one.in_flight / 1024:.1f}",
            *(_wave_cells(one) if layers else [f"{one.held.blocks * count:,}"]),
        )  # fmt: skip
    console.print(made)
    console.print(held)
    if not layers:
        console.print(
            "threads: the most its launch bounds allow. Dynamic shared memory is its launcher's, "
            "and not counted here."
        )
        return
    shown = {(one.primitive, one.layer): one.geometry for one in found}
    table = Table("layer", "primitive", "geometry", title="compiled for")
    for (primitive, layer), geometry in shown.items():
        table.add_row(layer, primitive, geometry)
    console.print(table)


def _wave_cells(one: Any) -> list[str]:
    grid = " x ".join(f"{n:,}" for n in one.grid)
    if one.waves is None:
        return [grid, "-", "-"]
    return [grid, f"{one.waves.number:.2f}", f"{one.waves.efficiency:.1%}"]


def _source(kernel: str, provider: str | None) -> None:
    from ..study import resources

    paths = [
        path
        for path in resources.sources(kernel)
        if provider in (None, "triton" if path.suffix == ".py" else "cuda")
    ]
    if not paths:
        from ..study import aot, cubins

        names = ", ".join(sorted({*aot.stems(), *cubins.stems()}))
        raise click.ClickException(f"no kernel is called {kernel!r}; there are {names}")
    for path in paths:
        mark = "#" if path.suffix == ".py" else "//"
        click.echo(f"{mark} --- {path.parent.name}/{path.name}\n{path.read_text(encoding='utf-8')}")


def _refusals(kernel: str, provider: str | None, dtype: str, layer: str | None) -> None:
    from ..study import resources

    table = Table("kernel", "primitives", "answer", "named layers",
                  title=f"what it takes, in {dtype}, both memory formats")  # fmt: skip
    for said in resources.answers(kernel, dtype):
        layers = [one for one in said.layers if layer is None or one.split()[0] == layer]
        if provider in (None, said.kernel.partition("/")[0]) and layers:
            answer = "takes" if said.reason is None else f"refuses: {said.reason}"
            if said.reason is not None and len(said.layers) > 1 and re.search(r"\d", said.reason):
                answer += f" (so {said.layers[0]})"
            table.add_row(said.kernel, "\n".join(said.primitives), answer, ", ".join(layers))
    if table.row_count:
        make_console().print(table)
    else:
        click.echo(f"no registered kernel of {kernel} is asked about a named layer")
