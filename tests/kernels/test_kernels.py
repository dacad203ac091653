"""Every registered kernel on every case of its primitive; case.py of pycnn/testing/kernels says
what is checked."""

from __future__ import annotations

import numpy as np
import pytest

from pycnn import array, dispatch
from pycnn.testing.kernels import harness, problems
from pycnn.testing.kernels.case import Case
from pycnn.testing.kernels.cases import CASES
from pycnn.testing.kernels.configurations import Kernel
from pycnn.testing.kernels.memory import LAYOUTS

from . import table

_SMALL = [case for case in CASES if not case.slow]


def _devices(entry: Kernel) -> list[str]:
    gpu = ["cuda:0"] if "cuda" in entry.devices and array.gpu_status() is None else []
    return [*(["cpu"] if "cpu" in entry.devices else []), *gpu]


def _exact_layouts(entry: Kernel, dtype: str) -> tuple[tuple[str, str], ...]:
    """Every layout in float32; two for the other dtypes and for what is slow: naive rungs and
    interpreted and emulated kernels, one of each layout an image can have."""
    if entry.provider in ("triton", "cuda"):
        return LAYOUTS[:2] if dtype == "float32" else LAYOUTS[2:3]
    return LAYOUTS if dtype == "float32" and entry.algorithm != "naive" else LAYOUTS[1:3]


@pytest.mark.parametrize(
    "case, entry, dtype", table.parameters(CASES, lambda case: case.exact, test="exact")
)
def test_exact(case: Case, entry: Kernel, dtype: str, request: pytest.FixtureRequest) -> None:
    _check_exact(case, entry, dtype, _exact_layouts(entry, dtype), request)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case, entry, dtype",
    table.parameters(_SMALL, lambda case: case.exact, every_configuration=False),
)
def test_exact_in_every_layout(
    case: Case, entry: Kernel, dtype: str, request: pytest.FixtureRequest
) -> None:
    _check_exact(case, entry, dtype, LAYOUTS, request)


def _check_exact(case, entry, dtype, layouts, request) -> None:
    problem = problems.integer_problem(case, dtype)
    for device in _devices(entry):
        for layout in layouts:
            outcome = table.execute(case, entry, problem, layout, device)
            wrong = "; ".join(harness.wrong_integers(entry, problem, outcome))
            where = f"on {device}, {layout[0]} -> {layout[1]}"
            assert not wrong, f"{where}: {wrong}\n{table.reproducer(request)}"


@pytest.mark.parametrize("case, entry, dtype", table.parameters(CASES, test="oracle"))
def test_oracle(case: Case, entry: Kernel, dtype: str, request: pytest.FixtureRequest) -> None:
    _check_oracle(case, entry, dtype, LAYOUTS[:1], request)


@pytest.mark.slow
@pytest.mark.parametrize("case, entry, dtype", table.parameters(_SMALL, every_configuration=False))
def test_oracle_in_every_layout(
    case: Case, entry: Kernel, dtype: str, request: pytest.FixtureRequest
) -> None:
    _check_oracle(case, entry, dtype, LAYOUTS, request)


def _check_oracle(case, entry, dtype, layouts, request) -> None:
    problem = problems.real_problem(case, dtype)
    for device in _devices(entry):
        for layout in layouts:
            outcome = table.execute(case, entry, problem, layout, device)
            wrong = "; ".join(harness.wrong_numbers(entry, problem, outcome))
            where = f"on {device}, {layout[0]} -> {layout[1]}"
            assert not wrong, f"{where}: {wrong}\n{table.reproducer(request)}"


@pytest.mark.parametrize(
    "case, entry, dtype", table.parameters(CASES, every_dtype=False, test="canary")
)
def test_canary(case: Case, entry: Kernel, dtype: str, request: pytest.FixtureRequest) -> None:
    _check_canary(case, entry, dtype, (("gaps", "gaps"), ("misaligned", "misaligned")), request)


@pytest.mark.slow
@pytest.mark.parametrize("case, entry, dtype", table.parameters(_SMALL, every_configuration=False))
def test_canary_in_every_layout(
    case: Case, entry: Kernel, dtype: str, request: pytest.FixtureRequest
) -> None:
    _check_canary(case, entry, dtype, LAYOUTS, request)


def _check_canary(case, entry, dtype, layouts, request) -> None:
    problem = (
        problems.integer_problem(case, dtype) if case.exact else problems.real_problem(case, dtype)
    )
    for device in _devices(entry):
        for layout in layouts:
            outcome = table.execute(case, entry, problem, layout, device, guarded=True)
            where = f"on {device}, {layout[0]} -> {layout[1]}"
            damage = "; ".join(outcome.damage)
            assert not damage, f"{damage} {where}\n{table.reproducer(request)}"


@pytest.mark.parametrize(
    "case, entry, dtype", table.parameters(CASES, every_dtype=False, test="repeats")
)
def test_repeats(case: Case, entry: Kernel, dtype: str, request: pytest.FixtureRequest) -> None:
    problem = problems.real_problem(case, dtype)
    for device in _devices(entry):
        first, second = (
            table.execute(case, entry, problem, LAYOUTS[0], device).outputs for _ in range(2)
        )
        for a, b in zip(first, second, strict=True):
            assert np.array_equal(a, b, equal_nan=True), (
                f"two runs differ\n{table.reproducer(request)}"
            )


def _first_outcome(case: Case, provider: str, problem: problems.Problem) -> harness.Outcome | None:
    """What the provider's usual kernel makes of a problem; None if all of them refuse it."""
    for entry in dispatch.entries(case.primitive):
        if entry.provider == provider and entry.algorithm != "naive":
            outcome = harness.execute_unless_refused(case, Kernel(entry), problem)
            if outcome is not None:
                return outcome
    return None


def _both_providers() -> list:
    """Every case, in float32 and a half; one in eight of the small ones is not slow."""
    params = []
    for i, case in enumerate(CASES):
        for dtype in dict.fromkeys((case.dtypes[0], *case.dtypes[-1:])):
            short = not case.slow and not case.large and dtype == case.dtypes[0] and i % 8 == 0
            marks = [] if short else [pytest.mark.slow]
            params.append(pytest.param(case, dtype, id=f"{case}-{dtype}", marks=marks))
    return params


@pytest.mark.unchecked
@pytest.mark.parametrize("case, dtype", _both_providers())
def test_cuda_and_triton_agree(case: Case, dtype: str, request: pytest.FixtureRequest) -> None:
    """The emulated kernels beside the interpreted ones, without PyTorch's answers."""
    draw = problems.integer_problem if case.exact else problems.real_problem
    problem = draw(case, dtype)
    ours, theirs = (_first_outcome(case, provider, problem) for provider in ("cuda", "triton"))
    if ours is None or theirs is None:
        pytest.skip("one of them refuses this case")
    line = harness.disagreement(case, problem, ours.outputs, theirs.outputs)
    assert line is None, f"{line}\n{table.reproducer(request)}"
