"""Every op pycnn shares with torch, on the samples torch tests itself with.

    pytest tests/opdb -k avg_pool2d            one op, every check
    PYCNN_OPDB_SAMPLES=all pytest tests/opdb   every sample; a run draws some of each otherwise

PYCNN_TEST_SEED repeats a run: it seeds the samples' numbers and the choice among them.
"""

from __future__ import annotations

import functools
import os
import random
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import pycnn

from ..functional.parity import SEED
from .compare import Mismatch, same, tensors_of
from .convert import Arguments, Unconvertible, as_numpy, call_line
from .table import (
    INPLACE,
    LOOSER,
    OPS,
    TENSOR,
    excluded,
    function_of,
    opinfo_key,
    settled,
    takes_numbers,
)

SAMPLES = os.environ.get("PYCNN_OPDB_SAMPLES", "12")
LIMIT = 10**9 if SAMPLES == "all" else int(SAMPLES)
RAISED = (RuntimeError, TypeError, ValueError, IndexError, AssertionError, AttributeError)


@functools.lru_cache(maxsize=1)
def op_db() -> dict[str, Any]:
    """torch's table by our keys; importing it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db as infos
    return {opinfo_key(info): info for info in infos}


@functools.lru_cache(maxsize=8)
def drawn(entry: str, dtype: torch.dtype, limit: int = LIMIT) -> list[tuple[int, Any]]:
    """At most `limit` of torch's samples with their positions, chosen by the seed."""
    info = op_db()[entry]
    torch.manual_seed(SEED % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grad = info.supports_autograd and dtype.is_floating_point
        samples = list(enumerate(info.sample_inputs("cpu", dtype, requires_grad=grad)))
    samples = [(i, sample) for i, sample in samples if excluded(entry, sample) is None]
    assert samples, f"every sample of {entry} in {dtype} is excluded"
    chooser = random.Random(f"{SEED} {entry}")
    return chooser.sample(samples, min(limit, len(samples)))


def recast(sample: Any, dtype: torch.dtype) -> Any:
    """The sample with its float64 tensors in another floating dtype, outside any graph."""

    def cast(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.float64:
            return value.detach().to(dtype)
        return value

    return sample if dtype == torch.float64 else sample.transform(cast)


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, list[str]]:
    """What the call returns and the warnings it gave."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        result = function(*args, **kwargs)
    return result, [f"{w.category.__name__}: {w.message}" for w in given]


class Pair(NamedTuple):
    """One op as torch has it and as pycnn has it, and how exactly torch has its gradient."""

    theirs: Callable[..., Any]
    ours: Callable[..., Any]
    gradient_tolerance: float = 0.0


def pair_of(entry: str) -> Pair:
    theirs, ours = op_db()[entry].op, function_of(entry)
    return Pair(settled(entry, theirs), settled(entry, ours), LOOSER.get(entry, 0.0))


def inplace_pair(name: str) -> Pair:
    """The method `name`, on a clone, so that it may be used on a leaf."""

    def edit(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x.clone(), name)(*args, **kwargs)

    return Pair(edit, edit)


def call_both(pair: Pair, arguments: Arguments) -> tuple[Any, Any]:
    """Both results; Mismatch if they, the inputs afterwards or the warnings differ."""
    theirs, their_warnings = quietly(pair.theirs, *arguments.torch_args, **arguments.torch_kwargs)
    ours, our_warnings = quietly(pair.ours, *arguments.pycnn_args, **arguments.pycnn_kwargs)
    same(ours, theirs, "result")
    for i, (t, x) in enumerate(arguments.leaves):
        same(x, t, f"input {i} after the call")
    if our_warnings and not their_warnings:
        raise Mismatch(f"warns where torch does not: {our_warnings[0]}")
    return ours, theirs


def check_forward(pair: Pair, arguments: Arguments) -> None:
    call_both(pair, arguments)


def check_gradients(pair: Pair, arguments: Arguments) -> None:
    ours, theirs = call_both(pair, arguments)
    outputs = list(zip(tensors_of(ours), tensors_of(theirs), strict=True))
    for i, (a, b) in enumerate(outputs):
        if a.requires_grad != b.requires_grad:
            raise Mismatch(f"result {i}: requires_grad {a.requires_grad}, torch {b.requires_grad}")
    outputs = [(a, b) for a, b in outputs if b.requires_grad]
    if not outputs:
        return
    seeds = [torch.randn(b.shape, dtype=b.dtype) for _, b in outputs]
    torch.autograd.backward([b for _, b in outputs], seeds)
    pycnn.autograd.backward([a for a, _ in outputs], [pycnn.from_numpy(as_numpy(s)) for s in seeds])
    for i, (t, x) in enumerate(arguments.leaves):
        if t.grad is None:
            if x.grad is not None and np.any(x.grad.numpy()):
                raise Mismatch(f"gradient of input {i}: torch has none")
            continue
        if x.grad is None:
            if t.grad.count_nonzero():
                raise Mismatch(f"gradient of input {i}: none, torch has one")
            continue
        same(x.grad, t.grad, f"gradient of input {i}", pair.gradient_tolerance)


def failures_of(
    entry: str,
    samples: list[tuple[int, Any]],
    dtype: torch.dtype,
    check: Callable[[Pair, Arguments], None],
    pair: Pair | None = None,
) -> list[str]:
    """check() on every sample, every third non-contiguous; a line for each that fails."""
    pair = pair or pair_of(entry)
    failures = []
    for i, sample in samples:
        sample = recast(sample, dtype)
        if i % 3 == 1:
            sample = sample.noncontiguous()
        try:
            arguments = Arguments(sample.input, *sample.args, **sample.kwargs)
        except Unconvertible:
            continue
        try:
            check(pair, arguments)
        except (*RAISED, np.exceptions.AxisError) as error:
            kind = "" if isinstance(error, Mismatch) else f"{type(error).__name__}: "
            failures.append(f"{i}: {call_line(entry, sample)}\n    {kind}{str(error)[:400]}")
    return failures


def report(entry: str, failures: list[str]) -> None:
    if failures:
        shown = "\n".join(failures[:8])
        head = f"{len(failures)} samples of {entry} (PYCNN_TEST_SEED={SEED}):"
        pytest.fail(f"{head}\n{shown}", pytrace=False)


def supported(entry: str, dtype: torch.dtype) -> bool:
    return dtype in op_db()[entry].supported_dtypes("cpu")


@pytest.mark.parametrize("entry", OPS)
def test_values_and_gradients(entry: str) -> None:
    """float64 with gradients; fewer samples, forward only, in the other floating dtypes."""
    if not supported(entry, torch.float64):
        report(entry, failures_of(entry, drawn(entry, torch.int64), torch.int64, check_forward))
        return
    samples = drawn(entry, torch.float64)
    check = check_gradients if op_db()[entry].supports_autograd else check_forward
    failures = failures_of(entry, samples, torch.float64, check)
    for dtype, share in ((torch.float32, 2), (torch.float16, 6), (torch.bfloat16, 6)):
        if supported(entry, dtype):
            failures += failures_of(entry, samples[: LIMIT // share], dtype, check_forward)
    report(entry, failures)


@pytest.mark.parametrize("entry", TENSOR)
def test_integers(entry: str) -> None:
    for dtype in (torch.int64, torch.uint8, torch.bool):
        if supported(entry, dtype):
            samples = drawn(entry, dtype)[: max(LIMIT // 4, 1)]
            report(entry, failures_of(entry, samples, dtype, check_forward))


@pytest.mark.slow
@pytest.mark.parametrize("entry", OPS)
def test_every_sample(entry: str) -> None:
    info = op_db()[entry]
    if supported(entry, torch.float64):
        check = check_gradients if info.supports_autograd else check_forward
        samples = drawn(entry, torch.float64, 10**9)
        report(entry, failures_of(entry, samples, torch.float64, check))


@pytest.mark.parametrize("name", INPLACE)
def test_inplace(name: str) -> None:
    """The method with an underscore, on samples that do not broadcast its tensor."""
    entry = name.rstrip("_")
    entry = entry if entry in OPS else f"{entry}.no_rounding_mode"
    samples = [
        (i, sample)
        for i, sample in drawn(entry, torch.float64)
        if isinstance(sample.input, torch.Tensor) and not sample.broadcasts_input
    ]
    assert samples
    report(entry, failures_of(entry, samples, torch.float64, check_gradients, inplace_pair(name)))


@pytest.mark.parametrize("entry", OPS)
def test_errors(entry: str) -> None:
    """What torch refuses pycnn refuses, with the same class of error, or a subclass."""
    info, function = op_db()[entry], function_of(entry)
    if info.error_inputs_func is None:
        return
    failures = []
    for case in info.error_inputs("cpu"):
        sample = case.sample_input
        if excluded(entry, sample) is not None or takes_numbers(case):
            continue
        try:
            arguments = Arguments(sample.input, *sample.args, **sample.kwargs)
        except Unconvertible:
            continue
        expected = case.error_type
        try:
            quietly(function, *arguments.pycnn_args, **arguments.pycnn_kwargs)
        except Exception as error:
            if isinstance(error, expected):
                continue
            problem = f"{type(error).__name__}: {str(error)[:300]}"
        else:
            problem = "no error"
        wanted = f"{expected.__name__}: {case.error_regex[:200]}"
        failures.append(f"{call_line(entry, sample)}\n    {problem}; torch: {wanted}")
    if failures:
        pytest.fail(f"{len(failures)} errors of {entry}:\n" + "\n".join(failures), pytrace=False)


def test_the_table_names_entries_of_op_db() -> None:
    assert len(set(OPS)) == len(OPS)
    assert sorted(set(OPS) - set(op_db())) == []
