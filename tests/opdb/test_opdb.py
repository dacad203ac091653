"""Every op pycnn shares with torch, on the samples torch tests itself with.

    pytest tests/opdb -k avg_pool2d            one op, every check
    PYCNN_OPDB_SAMPLES=all pytest tests/opdb   every sample; a run draws some of each op otherwise

PYCNN_TEST_SEED repeats a run: it seeds the samples' numbers and the choice among them.
"""

from __future__ import annotations

import functools
import os
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import pycnn

from ..functional.parity import SEED
from .compare import Mismatch, same, tensors_of
from .convert import Arguments, Unconvertible, as_numpy, call_line
from .table import LOOSER, OPS, TENSOR, excluded, function_of, opinfo_key

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


def drawn(entry: str, samples: list[Any], limit: int) -> list[tuple[int, Any]]:
    """At most `limit` of the samples with their positions, chosen by the seed."""
    if len(samples) <= limit:
        return list(enumerate(samples))
    chosen = random.Random(f"{SEED} {entry}").sample(range(len(samples)), limit)
    return [(i, samples[i]) for i in sorted(chosen)]


def samples_of(
    entry: str, dtype: torch.dtype, requires_grad: bool, limit: int
) -> Iterator[tuple[int, Any, Arguments]]:
    """(position, sample, arguments); every third sample in torch's non-contiguous form."""
    info = op_db()[entry]
    torch.manual_seed(SEED % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(info.sample_inputs("cpu", dtype, requires_grad=requires_grad))
    samples = [s for s in samples if excluded(entry, s) is None]
    assert samples, f"every sample of {entry} in {dtype} is excluded"
    for i, sample in drawn(entry, samples, limit):
        if i % 3 == 1:
            sample = sample.noncontiguous()
        try:
            arguments = Arguments(sample.input, *sample.args, **sample.kwargs)
        except Unconvertible:
            continue
        yield i, sample, arguments


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, list[str]]:
    """What the call returns and the warnings it gave."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        result = function(*args, **kwargs)
    return result, [f"{w.category.__name__}: {w.message}" for w in given]


def call_both(info: Any, function: Callable[..., Any], arguments: Arguments) -> tuple[Any, Any]:
    """Both results; Mismatch if they, the inputs afterwards or the warnings differ."""
    theirs, their_warnings = quietly(info.op, *arguments.torch_args, **arguments.torch_kwargs)
    ours, our_warnings = quietly(function, *arguments.pycnn_args, **arguments.pycnn_kwargs)
    same(ours, theirs, "result")
    for i, (t, x) in enumerate(arguments.leaves):
        same(x, t, f"input {i} after the call")
    if our_warnings and not their_warnings:
        raise Mismatch(f"warns where torch does not: {our_warnings[0]}")
    return ours, theirs


def check_forward(info: Any, function: Callable[..., Any], arguments: Arguments) -> None:
    call_both(info, function, arguments)


def check_gradients(info: Any, function: Callable[..., Any], arguments: Arguments) -> None:
    tolerance = LOOSER.get(opinfo_key(info), 0.0)
    ours, theirs = call_both(info, function, arguments)
    pairs = list(zip(tensors_of(ours), tensors_of(theirs), strict=True))
    for i, (a, b) in enumerate(pairs):
        if a.requires_grad != b.requires_grad:
            raise Mismatch(f"result {i}: requires_grad {a.requires_grad}, torch {b.requires_grad}")
    pairs = [(a, b) for a, b in pairs if b.requires_grad]
    if not pairs:
        return
    seeds = [torch.randn(b.shape, dtype=b.dtype) for _, b in pairs]
    torch.autograd.backward([b for _, b in pairs], seeds)
    pycnn.autograd.backward([a for a, _ in pairs], [pycnn.from_numpy(as_numpy(s)) for s in seeds])
    for i, (t, x) in enumerate(arguments.leaves):
        if t.grad is None:
            if x.grad is not None and np.any(x.grad.numpy()):
                raise Mismatch(f"gradient of input {i}: torch has none")
            continue
        if x.grad is None:
            if t.grad.count_nonzero():
                raise Mismatch(f"gradient of input {i}: none, torch has one")
            continue
        same(x.grad, t.grad, f"gradient of input {i}", tolerance)


def run_samples(
    entry: str,
    dtype: torch.dtype,
    check: Callable[..., None],
    requires_grad: bool = False,
    limit: int = LIMIT,
) -> None:
    """check() every sample and fail with one line for each that differs."""
    info, function = op_db()[entry], function_of(entry)
    failures, ran = [], 0
    for i, sample, arguments in samples_of(entry, dtype, requires_grad, limit):
        ran += 1
        try:
            check(info, function, arguments)
        except (*RAISED, np.exceptions.AxisError) as error:
            kind = "" if isinstance(error, Mismatch) else f"{type(error).__name__}: "
            failures.append(f"sample {i}: {call_line(entry, sample)}\n    {kind}{str(error)[:400]}")
    if failures:
        shown = "\n".join(failures[:8])
        pytest.fail(
            f"{len(failures)} of {ran} samples of {entry} in {dtype} "
            f"(PYCNN_TEST_SEED={SEED}):\n{shown}",
            pytrace=False,
        )


def supported(entry: str, dtype: torch.dtype) -> bool:
    return dtype in op_db()[entry].supported_dtypes("cpu")


@pytest.mark.parametrize("entry", OPS)
def test_float64(entry: str) -> None:
    """Values and gradients."""
    if not supported(entry, torch.float64):
        run_samples(entry, torch.int64, check_forward)
    elif op_db()[entry].supports_autograd:
        run_samples(entry, torch.float64, check_gradients, requires_grad=True)
    else:
        run_samples(entry, torch.float64, check_forward)


@pytest.mark.parametrize("entry", OPS)
def test_float32(entry: str) -> None:
    if supported(entry, torch.float32):
        run_samples(entry, torch.float32, check_forward, limit=LIMIT // 2)


@pytest.mark.parametrize("entry", OPS)
def test_halves(entry: str) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        if supported(entry, dtype):
            run_samples(entry, dtype, check_forward, limit=LIMIT // 4)


@pytest.mark.parametrize("entry", TENSOR)
def test_integers(entry: str) -> None:
    for dtype in (torch.int64, torch.uint8, torch.bool):
        if supported(entry, dtype):
            run_samples(entry, dtype, check_forward, limit=LIMIT // 4)


@pytest.mark.parametrize("entry", OPS)
def test_errors(entry: str) -> None:
    """What torch refuses pycnn refuses, with the same class of error, or a subclass."""
    info, function = op_db()[entry], function_of(entry)
    if info.error_inputs_func is None:
        return
    failures = []
    for case in info.error_inputs("cpu"):
        sample = case.sample_input
        if excluded(entry, sample) is not None:
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
