"""The table of cases as pytest takes it: parameters, skips, and the line that repeats a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pycnn import array, dispatch, dtypes
from pycnn.testing.kernels import harness, problems
from pycnn.testing.kernels.case import Case
from pycnn.testing.kernels.configurations import kernels
from pycnn.testing.kernels.harness import Outcome

from .tiers import in_checked_builds, in_the_short_tier


def execute(*arguments: Any, **how: Any) -> Outcome:
    """harness.execute; a skip with the reason where the kernel refuses."""
    try:
        return harness.execute(*arguments, **how)
    except harness.Refused as refusal:
        pytest.skip(str(refusal))


def parameters(
    cases: list[Case],
    wanted: Callable[[Case], bool] = lambda case: True,
    every_dtype: bool = True,
    every_configuration: bool = True,
    test: str = "",
) -> list[Any]:
    """pytest parameters (case, kernel, dtype) over every kernel in the table, in each configuration
    or its usual one: those beside the usual one are slow tests."""
    params = []
    for case in cases:
        if not wanted(case):
            continue
        for entry in dispatch.entries(case.primitive):
            if case.large and entry.algorithm == "naive":
                continue
            dtypes_run = case.dtypes if every_dtype else case.dtypes[:1]
            dtypes_run = [dtype for dtype in dtypes_run if not _another_kernels(case, entry, dtype)]
            for i, kernel in enumerate(
                kernels(entry) if every_configuration else kernels(entry)[:1]
            ):
                for dtype in dtypes_run:
                    of_case = (test, case.primitive, case.name, case.exact)
                    short = in_the_short_tier(*of_case, kernel, dtype)
                    too_large = case.large and kernel.provider == "triton"
                    slow = case.slow or i > 0 or not short or too_large
                    marks = [pytest.mark.slow] if slow else []
                    if not in_checked_builds(*of_case, case.large, kernel, dtype):
                        marks.append(pytest.mark.unchecked)
                    if "cpu" not in kernel.devices:
                        marks = [pytest.mark.gpu]
                    name = f"{case}-{kernel.name}-{dtype}"
                    params.append(pytest.param(case, kernel, dtype, id=name, marks=marks))
    return params


def _another_kernels(case: Case, entry: dispatch.Entry, dtype: str) -> bool:
    """Whether a convolution is for other algorithms, in whatever layout; that one takes it is held
    by test_providers_are_complete.py."""
    if not case.primitive.startswith("conv2d"):
        return False
    for layout in (array.contiguous_format, array.channels_last):
        last = layout == array.channels_last
        operand = array.Operand(dtypes.as_dtype(dtype), 4, layout, not last, last, True)
        if entry.refuses(case.geometry, (operand, operand), None) is None:
            return False
    return True


def reproducer(request: pytest.FixtureRequest) -> str:
    """The line that repeats this test on the same numbers."""
    return f"PYCNN_TEST_SEED={problems.SEED} python -m pytest {request.node.nodeid!r}"
