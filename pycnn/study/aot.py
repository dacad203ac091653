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


class Shipped(NamedTuple):
    """One configuration of one kernel, as some named layer would launch it."""

    name: str  # "<stem>.<kernel> <tiles> <dtype>": the key of its budget
    layer: str
    compilation: Any


def compile_mode() -> None:
    """Put this process into Triton's compiling mode; RuntimeError if it is too late."""
    os.environ["PYCNN_TRITON"] = "compile"
    from ..kernels import mode

    mode.settle()


def stems() -> list[str]:
    """The stems of the kernels that are registered."""
    from .. import dispatch

    return sorted(
        {getattr(e.function, "stem", "") for e in dispatch.entries() if e.provider == "triton"}
    )


def compilations(
    stem: str, dtype: str, every: bool = True, arch: int = 90, batch: int = 32
) -> Iterator[Shipped]:
    """What the kernels of kernels/<stem>.py compile for the named layers in `dtype`: every
    configuration shipped for `arch`, or, without `every`, the one that each call would choose
    first."""
    from .. import array, dispatch
    from ..kernels import tuning
    from .problems import problems

    seen: set[str] = set()
    entries = [
        e
        for e in dispatch.entries()
        if e.provider == "triton" and getattr(e.function, "stem", None) == stem
    ]
    for problem in problems(batch):
        for entry in entries:
            if entry.primitive != problem.primitive:
                continue
            inputs, out, epilogue = problem.allocate(dtype)
            operands = tuple(array.describe(a) for a in inputs if a is not None)
            described = None if epilogue is None else epilogue.describe()
            if entry.refuses(problem.geometry, operands, described) is not None:
                continue

            def run(entry: Any = entry, call: Any = (problem, inputs, out, epilogue)) -> Any:
                problem, inputs, out, epilogue = call
                with tuning.choosing_for(arch):
                    return _record(entry, problem.geometry, inputs, out, epilogue)

            launched, asked = run()
            for choice in asked if every else ():
                for config in choice.kernel.fitting(dtype, arch):
                    if math.isinf(choice.cost(config)):  # not for this call
                        continue
                    name = choice.kernel.name
                    with tuning.forcing(name, config):
                        yield from _fresh(run()[0], seen, dtype, problem.layer, name, config)
            if not every or not asked:
                yield from _fresh(launched, seen, dtype, problem.layer, "", None)


def _record(entry: Any, geometry: Any, inputs: Any, out: Any, epilogue: Any) -> Any:
    from ..kernels import launch, tuning

    with launch.recording() as launches, tuning.asking() as asked:
        entry.function(*inputs, out=out, geometry=geometry, epilogue=epilogue)
    return list(launches), list(asked)


def _fresh(
    launches: list[Any], seen: set[str], dtype: str, layer: str, name: str, config: Any
) -> Iterator[Shipped]:
    """The launches not met before: one for each kernel, set of constants and configuration."""
    for what in launches:
        constants = {
            what.kernel.arg_names[path[0]]: _word(value)
            for path, value in what.constexprs.items()
            if len(path) == 1
        }
        tiles = " ".join(f"{key}={value}" for key, value in constants.items())
        where = what.kernel.__module__.rpartition(".")[2]
        key = f"{where}.{what.kernel.__name__.lstrip('_')} {dtype} {tiles} warps={what.num_warps} "
        key += f"stages={what.num_stages}"
        # of a configuration the first layer that runs it with the same flags stands for the others
        flags = [f"{k}={v}" for k, v in constants.items() if v in ("True", "False")]
        met = f"{where}.{what.kernel.__name__} {name} {config} {flags}"
        if config is None:
            met = key
        if met not in seen and key not in seen:
            seen.update((met, key))
            yield Shipped(key, layer, what)


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
    @click.option("--kernel", "stem", help="A kernel's file name; all of them by default.")
    @click.option("--arch", "archs", type=int, multiple=True, default=(80, 90))
    @click.option("--dtype", "dtypes", multiple=True, default=DTYPES)
    @click.option("--every/--first", default=True, help="Every configuration, or one per call.")
    @click.option("--limit", type=int, help="Stop after so many of each dtype and arch.")
    def run(
        stem: str | None, archs: tuple[int, ...], dtypes: tuple[str, ...], every: bool,
        limit: int | None,
    ) -> None:  # fmt: skip
        """Compile and print one JSON object a line: name, arch, layer, and the facts."""
        compile_mode()
        for one in [stem] if stem else stems():
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
