"""Every shipped configuration of the Triton kernels, compiled ahead of time without a GPU.

`compilations` runs the launchers of a kernel on named layers while launches are only recorded, once
for each configuration, so that what is compiled here is what a GPU would be given. Triton must be
in its compiling mode: run it in a process of its own,

    python -m pycnn.study.aot --kernel conv2d_implicit_gemm --arch 90 --dtype float16 --json
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from .sass import Facts, facts

DTYPES = ("float16", "float32", "float64")
COMPOSED = {"conv2d_im2col"}  # columns, then a product: kernels of two other files


class Shipped(NamedTuple):
    """One configuration of one kernel, as some named layer would launch it."""

    name: str  # "<stem>.<kernel> <tiles> <dtype>": the key of its budget
    layer: str
    compilation: Any
    problem: Any  # of problems.py: the call that launches it


def compile_mode() -> None:
    """Put this process into Triton's compiling mode; RuntimeError if it is too late."""
    os.environ["PYCNN_TRITON"] = "compile"
    from ..kernels import mode

    mode.settle()


def stems() -> list[str]:
    """The stems of the kernels that are registered, but for those composed of others' kernels."""
    from .. import dispatch

    found = {getattr(e.function, "stem", "") for e in dispatch.entries() if e.provider == "triton"}
    return sorted(found - COMPOSED)


def compilations(
    stem: str, dtype: str, every: bool = True, arch: int = 90, batch: int = 32
) -> Iterator[Shipped]:
    """What the kernels of kernels/<stem>.py compile for the named layers in `dtype`: every
    configuration shipped for `arch`, on the layer that it is best at, or, without `every`, what
    each layer would run."""
    from .. import array, dispatch
    from ..kernels import tuning
    from .problems import problems

    entries = [
        e
        for e in dispatch.entries()
        if e.provider == "triton" and getattr(e.function, "stem", None) == stem
    ]
    chosen: dict[str, Shipped] = {}
    near: dict[tuple[str, str], tuple[float, Shipped]] = {}
    for problem in problems(batch):
        for entry in entries:
            if entry.primitive != problem.primitive:
                continue
            inputs, out, epilogue = problem.allocate(dtype)
            operands = tuple(array.describe(a) for a in inputs if a is not None)
            described = None if epilogue is None else epilogue.describe()
            if entry.refuses(problem.geometry, operands, described) is not None:
                continue
            call = (entry, problem.geometry, inputs, out, epilogue, arch)
            launched, asked = _record(*call)
            if not every or not asked:
                for shipped, _ in _named(launched, dtype, problem):
                    chosen.setdefault(shipped.name, shipped)
                continue
            for choice in asked:
                least = choice.cost(choice.chosen)
                for config in choice.kernel.fitting(dtype, arch):
                    cost = choice.cost(config)
                    if math.isinf(cost):  # not for this call
                        continue
                    with tuning.forcing(choice.kernel.name, config):
                        launched, _ = _record(*call)
                    ratio = cost / least if least > 0 else 1.0
                    for shipped, flags in _named(launched, dtype, problem):
                        key = f"{choice.kernel.name} {config}", flags
                        if key not in near or ratio < near[key][0]:
                            near[key] = ratio, shipped
    yield from chosen.values()
    yield from _likely(near)


_LIKELY = 1.5  # times the least estimated cost: what a layer may come to run


def _likely(near: dict[tuple[str, str], tuple[float, Shipped]]) -> Iterator[Shipped]:
    """Of each configuration, for each set of flags, the launch it is best at: those that a layer
    may come to run, and one at least."""
    by_config: dict[str, list[tuple[float, Shipped]]] = {}
    for (config, _), found in near.items():
        by_config.setdefault(config, []).append(found)
    seen = set()
    for group in by_config.values():
        group.sort(key=lambda found: found[0])
        for i, (ratio, shipped) in enumerate(group):
            if (i == 0 or ratio <= _LIKELY) and shipped.name not in seen:
                seen.add(shipped.name)
                yield shipped


def _record(
    entry: Any, geometry: Any, inputs: Any, out: Any, epilogue: Any, arch: int
) -> tuple[list[Any], list[Any]]:
    """(the launches of a call, what it asked of choose()), on an sm_`arch`; nothing runs."""
    from ..kernels import launch, tuning

    with tuning.choosing_for(arch), launch.recording() as launches, tuning.asking() as asked:
        entry.function(*inputs, out=out, geometry=geometry, epilogue=epilogue)
    return list(launches), list(asked)


def _named(launches: list[Any], dtype: str, problem: Any) -> Iterator[tuple[Shipped, str]]:
    """(launch with its name, kernel and flags) for each launch."""
    for what in launches:
        constants = {
            what.kernel.arg_names[path[0]]: _word(value)
            for path, value in what.constexprs.items()
            if len(path) == 1
        }
        tiles = " ".join(f"{key}={value}" for key, value in constants.items())
        where = what.kernel.__module__.rpartition(".")[2]
        kernel = f"{where}.{what.kernel.__name__.lstrip('_')}"
        name = f"{kernel} {dtype} {tiles} warps={what.num_warps} stages={what.num_stages}"
        given = ("True", "False", "None")  # None: an array that is left out
        flags = [f"{key}={value}" for key, value in constants.items() if value in given]
        yield Shipped(name, problem.layer, what, problem), f"{kernel} {flags}"


def _word(value: Any) -> str:
    return getattr(value, "__name__", str(value))


def measure(shipped: Shipped, arch: int) -> tuple[Facts, Any]:
    """(facts, compiled kernel) of a configuration on sm_`arch`."""
    from ..kernels.launch import compile_for

    compiled = compile_for(shipped.compilation, arch)
    found = facts(compiled.asm["cubin"], shipped.compilation.num_warps, compiled.metadata.shared)
    return found, compiled


def main(arguments: list[str] | None = None) -> None:
    import click

    @click.command()
    @click.option("--kernel", "some", multiple=True, help="A kernel's file name; by default all.")
    @click.option("--arch", "archs", type=int, multiple=True, default=(80, 90))
    @click.option("--dtype", "dtypes", multiple=True, default=DTYPES)
    @click.option("--every/--first", default=True, help="Every configuration, or one per call.")
    @click.option("--limit", type=int, help="Stop after so many of each dtype and arch.")
    def run(
        some: tuple[str, ...], archs: tuple[int, ...], dtypes: tuple[str, ...], every: bool,
        limit: int | None,
    ) -> None:  # fmt: skip
        """Compile and print one JSON object a line: name, arch, layer, and the facts."""
        compile_mode()
        for one in some or stems():
            for dtype in dtypes:
                for arch in archs:
                    found = compilations(one, dtype, every, arch)
                    for count, shipped in enumerate(found):
                        if limit is not None and count >= limit:
                            break
                        row: dict[str, Any] = {
                            "name": shipped.name, "arch": arch, "layer": shipped.layer,
                        }  # fmt: skip
                        try:
                            row |= measure(shipped, arch)[0].as_dict()
                        except Exception as error:  # the report names what does not compile
                            row["error"] = f"{type(error).__name__}: {error}"
                        print(json.dumps(row), flush=True)

    run(arguments if arguments is not None else sys.argv[1:], standalone_mode=True)


if __name__ == "__main__":
    main()
