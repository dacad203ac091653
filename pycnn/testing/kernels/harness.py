"""Running one kernel on one problem in guarded memory, and judging what it made of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import array, dispatch, dtypes
from .case import Case
from .configurations import Kernel, configured
from .memory import (
    LAYOUTS,
    Placed,
    place,
    poison,
    poisoned_workspaces,
    shut_to_sanitizers,
)
from .problems import SEED, Problem, error_ratio

# (provider, algorithm) -> the error allowed, relative to the largest output
APPROXIMATE = {("native", "winograd"): 2e-5}


@contextlib.contextmanager
def only(provider: str) -> Iterator[None]:
    """Every kernel of another provider raises, through the table and through its module."""

    def refuse(entry: dispatch.Entry) -> Callable[..., None]:
        def poisoned(*args: Any, **kwargs: Any) -> None:
            raise AssertionError(
                f"a test of {provider} ran {entry.provider}/{entry.algorithm} of {entry.primitive}"
            )

        return poisoned

    table = dict(dispatch._table)
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for primitive, group in table.items():
            others = [e for e in group if e.provider != provider]
            if not others:
                continue
            dispatch._table[primitive] = [
                e if e.provider == provider else e._replace(function=refuse(e)) for e in group
            ]
            for e in others:
                module, name = sys.modules.get(e.function.__module__), e.function.__name__
                if getattr(module, name, None) is e.function:
                    replaced.append((module, name, e.function))
                    setattr(module, name, refuse(e))
        dispatch.select.cache_clear()
        yield
    finally:
        dispatch._table.update(table)
        for module, name, function in replaced:
            setattr(module, name, function)
        dispatch.select.cache_clear()


class Refused(Exception):
    """The kernel does not take a problem; the message is its reason."""


def through_dispatch(
    case: Case, entry: Kernel, inputs: Any, out: Any, epilogue: dispatch.Epilogue | None
) -> None:
    """The kernel as pycnn runs it, asked for by its names; every other provider is poisoned."""
    with (
        only(entry.provider),
        dispatch.using(entry.provider, entry.algorithm),
        dispatch.trace() as trace,
    ):
        dispatch.run(case.primitive, *inputs, out=out, geometry=case.geometry, epilogue=epilogue)
    ran = [(r.provider, r.algorithm) for r in trace.records if r.primitive == case.primitive]
    assert (entry.provider, entry.algorithm) in ran, f"dispatch ran {ran}"


def directly(
    case: Case, entry: Kernel, inputs: Any, out: Any, epilogue: dispatch.Epilogue | None
) -> None:
    """The kernel alone, for one that is not in the table."""
    entry.function(*inputs, out=out, geometry=case.geometry, epilogue=epilogue)


@dataclass
class Outcome:
    outputs: tuple[np.ndarray, ...]
    damage: list[str]


def execute(
    case: Case,
    entry: Kernel,
    problem: Problem,
    layouts: tuple[str, str] = LAYOUTS[0],
    device: str = "cpu",
    guarded: bool = False,
    call: Callable[..., None] = through_dispatch,
    seed: int = SEED,
) -> Outcome:
    """Run one kernel on a problem by `call`; Refused with its reason where it refuses. `seed` is of
    the bytes around the arrays, which are looked at afterwards if they are `guarded`."""
    rng = np.random.default_rng(seed)
    placed = [None if a is None else place(a, layouts[0], rng, device) for a in problem.inputs]
    outs = [
        place(poison(y.shape, dtype), layouts[1], rng, device)
        for y, dtype in zip(problem.answers, problem.out_dtypes, strict=True)
    ]
    extra: list[Placed] = []
    epilogue = None
    if problem.epilogue is not None:
        parts: dict[str, Any] = {}
        for name, a in zip(dispatch.Epilogue._fields, problem.epilogue[:4]):
            if a is not None:
                extra.append(place(a, layouts[0], rng, device))
                parts[name] = extra[-1].view
        epilogue = dispatch.Epilogue(**parts, activation=problem.epilogue.activation)
    views = [None if p is None else p.view for p in placed]
    operands = tuple(array.describe(v) for v in views if v is not None)
    reason = entry.refuses(
        case.geometry, operands, None if epilogue is None else epilogue.describe()
    )
    if reason is not None:
        raise Refused(f"{entry.provider}/{entry.algorithm}: {reason}")
    out = tuple(p.view for p in outs) if problem.many else outs[0].view
    everything = [p for p in (*placed, *outs, *extra) if p is not None]
    shut = everything if entry.provider == "cuda" else []
    with poisoned_workspaces(), configured(entry), shut_to_sanitizers(shut):
        call(case, entry, views, out, epilogue)
    damage = []
    if guarded:
        for kind, group, whole in (
            ("output", outs, False),
            ("input", placed, True),
            ("epilogue", extra, True),
        ):
            for i, p in enumerate(group):
                changed = 0 if p is None else p.damage(whole)
                if changed:
                    where = "bytes outside" if kind == "output" else "bytes of"
                    damage.append(f"{changed} {where} {kind} {i} changed")
    return Outcome(tuple(_values(p.view) for p in outs), damage)


def execute_unless_refused(*arguments: Any, **how: Any) -> Outcome | None:
    """`execute`, and None where the kernel refuses."""
    try:
        return execute(*arguments, **how)
    except Refused:
        return None


def _values(view: Any) -> np.ndarray:
    host = view if isinstance(view, np.ndarray) else view.get()
    with np.errstate(invalid="ignore"):  # NaN among halves, as outputs hold it
        return host.astype(np.float64) if host.dtype in dtypes.FLOATING else np.array(host)


# --- judging -------------------------------------------------------------------------------------


def allowed_error(kernel: Kernel, problem: Problem, i: int) -> float:
    """How far any element of output i may be off because the algorithm is an approximate one."""
    tolerance = APPROXIMATE.get((kernel.provider, kernel.algorithm), 0.0)
    answer = problem.answers[i]
    if tolerance == 0.0 or answer.dtype.kind != "f":
        return 0.0
    largest = np.where(np.isfinite(answer), np.abs(answer), 0.0).max(initial=0.0)
    return tolerance * max(float(largest), float(problem.sizes[i].max(initial=0.0)))


def mismatch(got: np.ndarray, want: np.ndarray, allowed: float = 0.0) -> str | None:
    """Where two arrays of equal shape first differ, by more than `allowed`, NaN equal to NaN; None
    if nowhere."""
    with np.errstate(invalid="ignore"):
        wrong = got != want if allowed == 0.0 else ~(np.abs(got - want) <= allowed)
    if got.dtype.kind == "f":
        wrong &= ~(np.isnan(got) & np.isnan(want))
    if not wrong.any():
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    first = f"got {got[at]}, expected {want[at]}"
    return f"{int(wrong.sum())} of {got.size} differ, first at {at}: {first}"


def wrong_integers(entry: Kernel, problem: Problem, outcome: Outcome) -> list[str]:
    """What of an outcome differs from the answers to `integer_problem`, a line for each output."""
    found = []
    for i, (got, want) in enumerate(zip(outcome.outputs, problem.answers, strict=True)):
        line = mismatch(got, want.astype(got.dtype), allowed_error(entry, problem, i))
        if line is not None:
            found.append(f"output {i}: {line}")
    return found


def share_of_bound(entry: Kernel, problem: Problem, outcome: Outcome) -> float:
    """The largest error of an outcome of `real_problem`, as a share of what it may be."""
    shares = [0.0]
    for i, (got, want, bound) in enumerate(
        zip(outcome.outputs, problem.answers, problem.bounds, strict=True)
    ):
        if got.dtype.kind == "f":
            bound = np.maximum(bound, allowed_error(entry, problem, i))
            shares.append(error_ratio(got, want, bound))
    return max(shares)


def wrong_numbers(entry: Kernel, problem: Problem, outcome: Outcome) -> list[str]:
    """What of an outcome is further from the answers to `real_problem` than it may be, a line for
    each output."""
    found = []
    for i, (got, want, bound) in enumerate(
        zip(outcome.outputs, problem.answers, problem.bounds, strict=True)
    ):
        if got.dtype.kind != "f":
            line = mismatch(got, want)
        else:
            bound = np.maximum(bound, allowed_error(entry, problem, i))
            ratio = error_ratio(got, want, bound)
            line = None if ratio <= 1 else f"error is {ratio:.3g} times what it may be"
        if line is not None:
            found.append(f"output {i}: {line}")
    return found


def disagreement(case: Case, problem: Problem, ours: Any, theirs: Any) -> str | None:
    """Where two kernels' outputs differ: by a bit on integers, else by more than both may err."""
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if case.exact or a.dtype.kind != "f":
            line = mismatch(a, b)
        else:
            ratio = error_ratio(a, b, 2 * problem.bounds[i])
            line = None if ratio <= 1 else f"they are {ratio:.3g} times too far apart"
        if line is not None:
            return f"output {i}: {line}"
    return None
