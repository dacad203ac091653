"""A problem's rows of results: ours beside every opponent, judged by the roof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch, set_num_threads
from .harness import Clock, Contender, Measured, Pool, Turns, compare
from .measure import Idle
from .problem import LAYOUTS, Bind, Problem
from .roof import Roof


class Asked(NamedTuple):
    """Whose kernel: a provider, and of it one algorithm or its own choice."""

    provider: str
    algorithm: str | None = None

    def __str__(self) -> str:
        return "pycnn " + "/".join(filter(None, self))


class Setting(NamedTuple):
    """What the rows of a run have in common."""

    roof: Roof
    clock: Clock  # ours
    threads: int | None  # None on a GPU
    seconds: float  # for each contender
    torch_clock: Clock | None = None  # PyTorch's, where it is another
    launched_clock: Clock | None = None  # of what brings its own CUDA graphs
    device: str = "cpu"
    cache: str = "warm"
    layout: str = "channels-last"  # ours
    against: str = "torch"  # or none
    idle: Idle | None = None
    shipped: Callable[[Any, int], Sequence[Turns]] | None = None
    note: Callable[[str], None] = lambda text: None


def measure(problem: Problem, asked: Sequence[Asked], setting: Setting) -> list[dict[str, Any]]:
    """A row for each of `asked` that can run the problem; what cannot is noted.

    Raises:
        Caught: a kernel of ours does not compute what it is timed for.
        TooFast: a time is below the physical floor.
    """
    if setting.threads is not None:
        _set_threads(setting.threads)
    pool = Pool(problem, setting.device)
    ours = []
    for one in asked:
        contender = Contender(
            str(one), pool, problem.ours(), setting.layout, setting.clock, tensors=False,
            scope=partial(dispatch.using, *one),
        )  # fmt: skip
        if (one.algorithm is None or _takes(contender, setting)) and _can_run(
            contender, setting, (dispatch.NoKernel,)
        ):
            ours.append(contender)
    if not ours:
        return []
    others = opponents(problem, pool, setting)
    busy = setting.idle.wait() if setting.idle is not None else 0.0
    found = compare([*ours, *others], setting.seconds)
    rows = []
    for contender in ours:
        chosen = _chosen(contender, problem)
        row = _row(problem, contender.name, chosen, found, [o.name for o in others], setting)
        rows.append(row | {"others_busy": busy})
    for other in others:
        _judge(problem, other.name, found[other.name], None, setting)
    return rows


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    set_num_threads(threads)


class _Dry(dispatch.Trace):
    """Chooses kernels and runs none."""

    def call(self, *arguments: Any) -> None:
        pass


def _takes(contender: Contender, setting: Setting) -> bool:
    """Whether the kernels asked for take the problem, found out without running them."""
    with contender.scope(), dispatch.trace(_Dry()), np.errstate(all="ignore"):
        try:
            contender.bind(*contender.given[0])()
        except dispatch.NoKernel as error:
            setting.note(f"{contender.name}: {error}")
            return False
    return True


def _can_run(contender: Turns, setting: Setting, refusals: tuple[type[Exception], ...]) -> bool:
    try:
        contender.rehearse()
    except refusals as error:
        setting.note(f"{contender.name}: {str(error).splitlines()[0]}")
        return False
    return True


def opponents(problem: Problem, pool: Pool, setting: Setting) -> list[Turns]:
    """Those that can run the problem and do so right; of the others a note says why not."""
    if setting.against == "none":
        return []
    clock = setting.torch_clock or setting.clock
    candidates: list[tuple[str, str, Bind | None, Clock]] = []
    for layout in LAYOUTS:
        candidates.append(("PyTorch", layout, problem.theirs(layout), clock))
        if setting.device == "cpu":
            continue
        if problem.forced is not None:
            candidates.append(("cuDNN", layout, problem.forced(layout), clock))
        if problem.compiled is not None:
            own = setting.launched_clock or clock
            name = "torch.compile(max-autotune)"
            candidates.append((name, layout, problem.compiled(layout), own))
    found: list[Turns] = []
    for name, layout, bind, its_clock in candidates:
        if bind is not None:
            one = Contender(f"{name}, {layout}", pool, bind, layout, its_clock)
            if _can_run(one, setting, (RuntimeError, NotImplementedError)):
                found.append(one)
    if setting.shipped is not None and setting.threads is not None:
        found += setting.shipped(problem.key, setting.threads)
    return found


def _chosen(contender: Contender, problem: Problem) -> str:
    """The algorithms that a call runs, in order."""
    if problem.primitive is None:  # a network runs everything
        return ""
    with contender.scope():
        call = contender.bind(*contender.given[0])
        with dispatch.trace() as trace:
            call()
    used = [r.algorithm for r in trace.records if r.provider != "array"]
    return " + ".join(dict.fromkeys(used))


def _judge(
    problem: Problem, name: str, measured: Measured, algorithm: str | None, setting: Setting
) -> None:
    where = "" if setting.threads is None else f", {setting.threads} threads"
    setting.roof.refuse(
        measured.times.least,
        problem.least_bytes,
        problem.least_flops(algorithm),
        problem.key.dtype,
        f"{problem.key}{where}, {name}",
    )


def _row(
    problem: Problem,
    name: str,
    algorithm: str,
    found: dict[str, Measured],
    others: Sequence[str],
    setting: Setting,
) -> dict[str, Any]:
    mine, key = found[name], problem.key
    known = algorithm or None
    _judge(problem, name, mine, known, setting)
    least = mine.times.least
    memory, compute = setting.roof.parts(problem.least_bytes, problem.least_flops(known), key.dtype)
    opponent = min(others, key=lambda n: found[n].times.least, default=None)
    theirs = None if opponent is None else found[opponent].times
    row = {
        "suite": key.suite,
        "name": key.name,
        "primitive": problem.primitive,
        "pass": key.direction,
        "batch": key.batch,
        "threads": setting.threads,
        "geometry": problem.geometry,
        "dtype": key.dtype,
        "layout": setting.layout,
        "cache": setting.cache,
        "provider": name.removeprefix("pycnn ").partition("/")[0],
        "algorithm": algorithm,
        "seconds": mine.times._asdict(),
        "gflops": problem.flops / least / 1e9,
        "gbytes_per_second": problem.bytes / least / 1e9,
        "percent_of_roof": 100 * max(memory, compute) / least,
        "bound": "memory" if memory >= compute else "compute",
        "flops": int(problem.flops),
        "bytes": int(problem.bytes),
        "error": mine.error,
        "opponent": opponent,
        "opponent_seconds": None if theirs is None else theirs._asdict(),
        "opponents": {n: found[n].times._asdict() for n in others},
        "ratio": None if theirs is None else theirs.least / least,
        "ratio_of_medians": None if theirs is None else theirs.p50 / mine.times.p50,
    }
    return row if problem.size is None else row | {"size": problem.size}
