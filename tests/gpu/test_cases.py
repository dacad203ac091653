"""The case table on a GPU: every CUDA kernel, and each answer beside Triton's.

tests/kernels runs it on Triton's compiled kernels too; there CUDA's are the emulated ones.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from pycnn import dispatch
from pycnn.testing.kernels import harness, problems
from pycnn.testing.kernels.case import Case
from pycnn.testing.kernels.cases import CASES
from pycnn.testing.kernels.configurations import Kernel
from pycnn.testing.kernels.memory import LAYOUTS

from ..kernels.table import reproducer
from .providers import compiled, on_a_gpu

pytestmark = on_a_gpu
DEVICE = "cuda:0"
each_case = pytest.mark.parametrize("case", CASES, ids=str)


def run(case: Case, entry: dispatch.Entry, problem: Any, layout: Any, **how: Any) -> Any:
    """What a kernel made of a problem, or None where it refuses."""
    return harness.execute_unless_refused(case, Kernel(entry), problem, layout, DEVICE, **how)


def kernels(case: Case) -> list[dispatch.Entry]:
    found = compiled(case.primitive, "cuda")
    found = [e for e in found if not (case.large and e.algorithm == "naive")]
    if not found:
        pytest.skip(f"no CUDA kernel of {case.primitive} runs on this GPU")
    return found


@pytest.mark.parametrize("case", [case for case in CASES if case.exact], ids=str)
def test_exact(case: Case, request: pytest.FixtureRequest) -> None:
    for entry, dtype, layout in itertools.product(kernels(case), case.dtypes, LAYOUTS):
        problem = problems.integer_problem(case, dtype)
        outcome = run(case, entry, problem, layout)
        if outcome is None:
            continue
        lines = harness.wrong_integers(Kernel(entry), problem, outcome)
        where = f"{entry.algorithm} {dtype} {layout[0]} -> {layout[1]}"
        assert not lines, f"{where}: {'; '.join(lines)}\n{reproducer(request)}"


@each_case
def test_oracle_canary_and_repetition(case: Case, request: pytest.FixtureRequest) -> None:
    for entry, dtype, layout in itertools.product(kernels(case), case.dtypes, LAYOUTS):
        problem = problems.real_problem(case, dtype)
        first = run(case, entry, problem, layout, guarded=True)
        if first is None:
            continue
        second = run(case, entry, problem, layout)
        lines = harness.wrong_numbers(Kernel(entry), problem, first) + first.damage
        for a, b in zip(first.outputs, second.outputs, strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                lines.append("two runs differ")
        where = f"{entry.algorithm} {dtype} {layout[0]} -> {layout[1]}"
        assert not lines, f"{where}: {'; '.join(lines)}\n{reproducer(request)}"


@each_case
def test_cuda_and_triton_agree(case: Case, request: pytest.FixtureRequest) -> None:
    """Bit for bit on integers; on real numbers within the errors that both may make."""
    kernels(case)
    for dtype in case.dtypes:
        draw = problems.integer_problem if case.exact else problems.real_problem
        problem = draw(case, dtype)
        answers = []
        for provider in ("cuda", "triton"):
            found = compiled(case.primitive, provider)
            outcomes = (run(case, entry, problem, LAYOUTS[0]) for entry in found)
            answers.append(next((o.outputs for o in outcomes if o is not None), None))
        if None in answers:
            continue  # one of them refuses this case
        line = harness.disagreement(case, problem, *answers)
        assert line is None, f"{dtype} {line}\n{reproducer(request)}"
