"""`check`: a user's kernel on the table of cases that pycnn's own kernels are held to.

A function is checked in this process. A file is loaded and checked in a process of its own, so that
one that crashes or hangs is a line of the report (`checked_process`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import array
from . import own_kernel
from .check_report import NOT_RUN, OK, RAISED, REFUSED, WRONG, CaseRow, CheckReport, traits
from .own_kernel import OwnKernel

if TYPE_CHECKING:
    from ..testing.kernels.case import Case

Progress = Callable[[int, int, CaseRow], None]  # cases done, of how many, the last
INTEGERS, NUMBERS = "small integers", "random numbers"


class Run(NamedTuple):
    """One problem in one layout."""

    kind: str
    dtype: str
    layouts: tuple[str, str]
    again: bool = False  # a second time, for the same bits

    def __str__(self) -> str:
        return f"{self.dtype}, {self.layouts[0]} -> {self.layouts[1]}, {self.kind}"


class KernelRaised(Exception):
    """An exception of the user's, in one line."""


def check(
    kernel: Callable[..., Any] | str | Path,
    primitive: str | None = None,
    *,
    refuses: Callable[..., str | None] | None = None,
    name: str | None = None,
    every: bool = False,
    dtypes: Sequence[str] | None = None,
    cases: str = "",
    seed: int | None = None,
    device: str | None = None,
    bench: bool = False,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> CheckReport:
    """Hold a kernel to the cases of its primitive: small integers bit for bit, random numbers
    against float64, poisoned outputs and canaries, strange strides, the same bits twice.

        def my_conv2d(x, w, *, out, geometry, epilogue): ...
        pycnn.study.check(my_conv2d, "conv2d_fprop").check()
        pycnn.study.check("mine.cu", "conv2d_fprop")

    Args:
        kernel: a function called as a provider's kernel is, kernel(*inputs, out=..., geometry=...,
            epilogue=...), which fills `out`; without the parameter `epilogue`, calls that have one
            are refused for it. Or a .py or .cu file.
        primitive: a name of pycnn.dispatch.PRIMITIVES; a file's may follow from its kernel's name.
        refuses: refuses(geometry, operands, epilogue), the reason why a call is not taken, or None.
            What it refuses is counted and shown. A file's is its function `refuses`.
        name: the kernel's name; in a file, which one.
        every: also the large and slow cases, all dtypes and layouts: minutes for a slow kernel.
        dtypes: these only, such as ("float32",).
        cases: those whose name holds this.
        seed: of the numbers; by default PYCNN_TEST_SEED or a fresh one.
        device: "cpu" or "cuda:0"; by default "cpu" for a function, for Triton and CUDA files a GPU
            where one answers.
        bench: time it on the named layers beside pycnn and PyTorch, if nothing failed.
        timeout: seconds that one run of a file's kernel may take.
        progress: called after each case.

    Returns:
        A CheckReport; nothing is raised for a kernel that is wrong.

    Raises:
        LoadError: there is no such primitive, file or kernel, or its signature is not a kernel's.
        ValueError: another argument is none of what is accepted.
    """
    device = own_kernel.known_device(device)
    if isinstance(kernel, (str, Path)):
        from . import checked_process

        if refuses is not None:
            raise ValueError("refuses: a file's kernel is given it by a function `refuses` there")
        return checked_process.check_file(
            Path(kernel), primitive, name, every, dtypes, cases, seed, device, bench, timeout,
            progress,
        )  # fmt: skip
    if primitive is None:
        raise own_kernel.LoadError("primitive: which one a function computes must be given")
    own = own_kernel.from_function(kernel, primitive, refuses, name=name, device=device or "cpu")
    report = begin(own, seed, every, dtypes)
    todo = select(own.primitive, every, cases)
    for done, case in enumerate(todo, 1):
        report.rows.append(check_case(own, case, plan(own, case, every, dtypes), report.seed))
        if progress is not None:
            progress(done, len(todo), report.rows[-1])
    if bench and report:
        from . import side_by_side

        report.times = side_by_side.time_own(own)
    return report


def begin(
    own: OwnKernel, seed: int | None, every: bool, dtypes: Sequence[str] | None
) -> CheckReport:
    """A report without rows."""
    from ..testing.kernels.problems import SEED

    return CheckReport(
        own.name, own.primitive, own.language, own.device, SEED if seed is None else seed,
        own.source, every, None if dtypes is None else list(dtypes),
    )  # fmt: skip


def select(primitive: str, every: bool, wanted: str = "") -> list[Case]:
    """The primitive's cases, the large and the slow ones only if `every`; ValueError if none."""
    from ..testing.kernels.cases import CASES

    own_kernel.known_primitive(primitive)
    found = [
        case
        for case in CASES
        if case.primitive == primitive and (every or not (case.slow or case.large))
    ]
    chosen = [case for case in found if wanted in name_of(case) or wanted in case.name]
    if not chosen:
        names = ", ".join(name_of(case) for case in found)
        raise ValueError(f"cases: no case of {primitive} holds {wanted!r}; there are {names}")
    return chosen


def name_of(case: Case) -> str:
    return str(case).removeprefix(f"{case.primitive}-")


def plan(own: OwnKernel, case: Case, every: bool, dtypes: Sequence[str] | None) -> list[Run]:
    """The runs of a case. By default integers in its first dtype in every layout (two where the
    kernel is interpreted) and random numbers twice; one other float dtype, cases taking turns."""
    from ..testing.kernels.memory import LAYOUTS

    wanted = [d for d in case.dtypes if dtypes is None or d in dtypes]
    if dtypes is not None:
        unknown = sorted(set(dtypes) - {"float32", "float64", "float16", "bfloat16", *case.dtypes})
        if unknown:
            raise ValueError(f"dtypes: got {unknown}, expected some of {list(case.dtypes)}")
    return list(_runs(own, case, wanted, every, LAYOUTS))


def _runs(
    own: OwnKernel, case: Case, dtypes: list[str], every: bool, layouts: Any
) -> Iterator[Run]:
    if not dtypes:
        return
    if every:
        for dtype, layout in itertools.product(dtypes, layouts):
            if case.exact:
                yield Run(INTEGERS, dtype, layout)
            yield Run(NUMBERS, dtype, layout, again=layout == layouts[0])
        return
    interpreted = own.language == "Triton" and own.device == "cpu"
    first, others = dtypes[0], dtypes[1:]
    if case.exact:
        for layout in layouts[:2] if interpreted else layouts:
            yield Run(INTEGERS, first, layout)
    yield Run(NUMBERS, first, layouts[0], again=not interpreted)
    turn = sum(name_of(case).encode())
    halves = [d for d in others if d in ("float16", "bfloat16")] or others
    if halves:
        yield Run(NUMBERS, halves[turn % len(halves)], layouts[2])
    if "float64" in others and turn % 4 == 0:
        yield Run(NUMBERS, "float64", layouts[0])


def check_case(
    own: OwnKernel,
    case: Case,
    runs: Sequence[Run],
    seed: int,
    starts: Callable[[Run], None] | None = None,
) -> CaseRow:
    """The kernel on one case, up to the first run that fails; `starts` hears of each run."""
    from ..testing.kernels import harness

    row = CaseRow(
        name_of(case), str(case.geometry), OK, traits=traits(case.geometry, case.epilogue)
    )
    for run in runs:
        if starts is not None:
            starts(run)
        row.runs += 1
        try:
            share, line = _run(own, case, run, seed)
        except harness.Refused as refusal:
            row.refused += 1
            row.line = str(refusal).removeprefix(f"{own_kernel.OWN}/{own.name}: ")
            continue
        except KernelRaised as raised:
            row.verdict, row.where, row.line = RAISED, str(run), str(raised)
            return row
        if share is not None:
            row.errors[run.dtype] = max(share, row.errors.get(run.dtype, 0.0))
        if line:
            row.verdict, row.where, row.line = WRONG, str(run), line
            return row
    if row.refused == row.runs:
        row.verdict = REFUSED if row.runs else NOT_RUN
        row.line = row.line or "it has none of the dtypes"
    return row


def _run(own: OwnKernel, case: Case, run: Run, seed: int) -> tuple[float | None, str]:
    """(the error as a share of what it may be, what is wrong)."""
    from ..testing.kernels import harness, problems
    from ..testing.kernels.configurations import Kernel

    entry = Kernel(own.entry()._replace(refuses=_refuses(own)))
    draw = problems.integer_problem if run.kind == INTEGERS else problems.real_problem
    problem = draw(case, run.dtype, seed)
    returned: list[Any] = []

    def execute() -> Any:
        return harness.execute(
            case, entry, problem, run.layouts, own.device, guarded=True, seed=seed,
            call=lambda *arguments: returned.append(_call(own, *arguments)),
        )  # fmt: skip

    outcome = execute()
    found = [*_unwritten(problem, outcome, returned[0])]
    share = None
    if run.kind == INTEGERS:
        found = found or harness.wrong_integers(entry, problem, outcome)
    else:
        share = harness.share_of_bound(entry, problem, outcome)
        found = found or harness.wrong_numbers(entry, problem, outcome)
    found += outcome.damage
    if run.again and not found:
        second = execute()
        for i, (a, b) in enumerate(zip(outcome.outputs, second.outputs, strict=True)):
            if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                found.append(f"output {i}: two runs on the same numbers differ")
    return share, "; ".join(found)


def _refuses(own: OwnKernel) -> Callable[..., str | None]:
    def refuses(geometry: Any, operands: Any, epilogue: Any) -> str | None:
        try:
            return own.why_refused(geometry, operands, epilogue)
        except Exception as error:
            words = own_kernel.describe_error(error, own.source)
            raise KernelRaised(f"in refuses(): {words}") from error

    return refuses


def _call(own: OwnKernel, case: Case, entry: Any, inputs: Any, out: Any, epilogue: Any) -> Any:
    """The kernel; what it returned, which should be nothing."""
    from ..testing.kernels import harness
    from . import cuda_source

    try:
        returned = own(*inputs, out=out, geometry=case.geometry, epilogue=epilogue)
        if own.device != "cpu":
            array.synchronize()
    except cuda_source.Refused as refusal:
        raise harness.Refused(str(refusal)) from None
    except Exception as error:
        raise KernelRaised(own_kernel.describe_error(error, own.source)) from error
    return returned


def _unwritten(problem: Any, outcome: Any, returned: Any) -> Iterator[str]:
    """NaN where the answer has none: what outputs and workspaces hold until they are written."""
    for i, (got, want) in enumerate(zip(outcome.outputs, problem.answers, strict=True)):
        if got.dtype.kind != "f" or want.dtype.kind != "f":
            continue
        left = int(np.count_nonzero(np.isnan(got) & ~np.isnan(want)))
        if left == got.size > 0 and getattr(returned, "shape", None) is not None:
            yield (
                f"output {i} was not written: the kernel returned an array of shape "
                f"{tuple(returned.shape)}, and it has to fill `out`"
            )
        elif left:
            yield (
                f"output {i}: {left} of {got.size} elements are NaN, and should not be: not "
                "written, or computed from memory that was not"
            )
