"""Problems drawn from the cases: inputs, PyTorch's answers in float64, and the error allowed."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ... import dispatch, dtypes
from .case import Case, Draw

SEED = int(os.environ.get("PYCNN_TEST_SEED") or np.random.SeedSequence().generate_state(1)[0])

# the largest integer up to which every integer is a number of the dtype
EXACT_LIMIT = {"float16": 2048, "bfloat16": 256, "float32": 2**24, "float64": 2**53}
# how integers thin out until the answer stays below it: (largest |value|, share of non-zeros)
DENSITIES = ((8, 1.0), (2, 1.0), (2, 0.5), (1, 0.5), (1, 0.25), (1, 0.1), (1, 0.03))


@dataclass
class Problem:
    """One drawn instance of a case: NumPy inputs and the float64 answers."""

    inputs: tuple[np.ndarray | None, ...]
    epilogue: dispatch.Epilogue | None
    answers: tuple[np.ndarray, ...]
    out_dtypes: tuple[np.dtype, ...]
    many: bool  # the primitive takes `out` as a tuple
    bounds: tuple[np.ndarray, ...] = ()  # the error each output may have, where it is a float
    sizes: tuple[np.ndarray, ...] = ()  # how large the terms of each output are together


# --- torch ----------------------------------------------------------------------------------------


def to_torch(a: np.ndarray | None, dtype: torch.dtype | None = None) -> Any:
    """A tensor holding a copy of `a`, contiguous, in `dtype` if `a` is floating."""
    if a is None:
        return None
    if a.dtype == dtypes.bfloat16:
        t = torch.from_numpy(a.astype(np.float32, order="C")).to(torch.bfloat16)
    else:
        t = torch.from_numpy(np.array(a, order="C"))
    return t.to(dtype) if dtype is not None and t.is_floating_point() else t


def from_torch(t: torch.Tensor) -> np.ndarray:
    """float64 values of a floating tensor; integers and bools as they are."""
    t = t.detach()
    return (t.double() if t.is_floating_point() else t).contiguous().numpy()


TORCH_ACTIVATIONS: dict[str | None, Callable[[torch.Tensor], torch.Tensor]] = {
    None: lambda x: x,
    "relu": torch.nn.functional.relu,
    "relu6": torch.nn.functional.relu6,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
    "hardswish": torch.nn.functional.hardswish,
    "hardsigmoid": torch.nn.functional.hardsigmoid,
    "gelu": torch.nn.functional.gelu,
    "elu": torch.nn.functional.elu,
}


def torch_epilogue(
    acc: torch.Tensor, e: dispatch.Epilogue, dtype: torch.dtype, channel: int
) -> torch.Tensor:
    """activation((acc + bias)*scale + shift + residual), the channels on axis `channel`."""

    def per_channel(a: Any) -> torch.Tensor:
        shape = [1] * acc.ndim
        shape[channel] = -1
        return to_torch(a, dtype).reshape(shape)

    if e.bias is not None:
        acc = acc + per_channel(e.bias)
    if e.scale is not None:
        acc = acc * per_channel(e.scale)
    if e.shift is not None:
        acc = acc + per_channel(e.shift)
    if e.residual is not None:
        acc = acc + to_torch(e.residual, dtype)
    return TORCH_ACTIVATIONS[e.activation](acc)


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _answers(
    function: Callable[..., Any], problem_inputs: Any, e: Any, dtype: Any, case: Case, layout: Any
) -> Any:
    tensors = [to_torch(a, dtype) for a in problem_inputs]
    if layout is not None:
        tensors = [
            t.contiguous(memory_format=layout) if isinstance(t, torch.Tensor) and t.ndim == 4 else t
            for t in tensors
        ]
    result = function(*tensors)
    if e is not None:
        result = torch_epilogue(result, e, dtype, channel_axis(case.primitive))
    return result


def channel_axis(primitive: str) -> int:
    """The axis of the output that an epilogue's per-channel arrays run along."""
    return 2 if primitive == "gemm" else 1


# --- drawing --------------------------------------------------------------------------------------


def _generator(case: Case, dtype: str, kind: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(f"{case} {dtype} {kind}".encode())])


def _cast(a: Any, dtype: np.dtype) -> Any:
    return a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a


def _draw(case: Case, draw: Draw) -> tuple[tuple[Any, ...], dispatch.Epilogue | None]:
    inputs = tuple(_cast(a, draw.dtype) for a in case.inputs(draw))
    if case.epilogue is None:
        return inputs, None
    return inputs, dispatch.Epilogue(*(_cast(a, draw.dtype) for a in case.epilogue(draw)))


def _solve(case: Case, dtype: str, inputs: Any, e: Any) -> Problem:
    result = _answers(case.oracle, inputs, e, torch.float64, case, None)
    many = isinstance(result, (tuple, list))
    tensors = _tuple(result)
    wanted = case.out_dtypes or (None,) * len(tensors)
    out_dtypes = []
    for t, name in zip(tensors, wanted, strict=True):
        if name is None:
            under_test = dtypes.as_dtype(dtype)
            floating = t.is_floating_point() and under_test in dtypes.FLOATING
            out_dtypes.append(under_test if floating else from_torch(t).dtype)
        elif name == "accumulation":
            out_dtypes.append(dtypes.accumulation_dtype(dtypes.as_dtype(dtype)))
        else:
            out_dtypes.append(np.dtype(name))
    answers = tuple(from_torch(t) for t in tensors)
    sizes = _sizes(case, inputs, e, answers)
    return Problem(inputs, e, answers, tuple(out_dtypes), many, sizes=sizes)


def _sizes(case: Case, inputs: Any, e: Any, answers: Any) -> tuple[np.ndarray, ...]:
    if case.magnitude is None:
        sizes = [np.abs(y) if y.dtype.kind == "f" else np.zeros(y.shape) for y in answers]
    else:
        tensors = [to_torch(a, torch.float64) for a in inputs]
        sizes = [from_torch(t) for t in _tuple(case.magnitude(*tensors))]
    if e is not None:
        sizes = [_epilogue_size(size, e, channel_axis(case.primitive)) for size in sizes]
    return tuple(np.where(np.isfinite(size), size, 0.0) for size in sizes)


@lru_cache(maxsize=64)
def integer_problem(case: Case, dtype: str, seed: int = SEED) -> Problem:
    """Small integers whose answer the dtype represents exactly."""
    limit = EXACT_LIMIT.get(dtype)
    for density in DENSITIES:
        draw = Draw(_generator(case, dtype, "integers", seed), dtype, density)
        problem = _solve(case, dtype, *_draw(case, draw))
        if limit is None or all(
            np.abs(y).max(initial=0) <= limit for y in problem.answers if y.dtype.kind == "f"
        ):
            return problem
    raise AssertionError(
        f"{case}: no density of integers keeps the answer within {limit} for {dtype}"
    )


@lru_cache(maxsize=64)
def real_problem(case: Case, dtype: str, seed: int = SEED) -> Problem:
    """Normal numbers, the float64 answer and the error a kernel may make."""
    inputs, e = _draw(case, Draw(_generator(case, dtype, "reals", seed), dtype))
    problem = _solve(case, dtype, inputs, e)
    floors = tuple(
        _floor(case, y, size, out)
        for y, size, out in zip(problem.answers, problem.sizes, problem.out_dtypes, strict=True)
    )
    problem.bounds = tuple(
        floor * max(1.0, 2.0 * worst)
        for floor, worst in zip(floors, _opponent_ratios(case, problem, floors))
    )
    return problem


def _floor(case: Case, answer: np.ndarray, size: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype not in dtypes.FLOATING:
        return np.zeros(answer.shape)
    u = dtypes.UNIT_ROUNDOFF[dtype]
    u_sum = dtypes.UNIT_ROUNDOFF[dtypes.accumulation_dtype(dtype)]
    tiny = float(np.finfo(np.float32 if dtype in dtypes.HALVES else dtype).tiny)
    smallest = 2.0**-25 if dtype == dtypes.float16 else tiny
    finite = np.where(np.isfinite(answer), np.abs(answer), 0.0)
    floor = (
        4 * u_sum * np.sqrt(case.depth) * size + u * (finite * (1 + 2 * u) + case.atol) + smallest
    )
    return 2 * floor if dtype == dtypes.float64 else floor  # there the oracle errs as much


def _epilogue_size(size: np.ndarray, e: dispatch.Epilogue, axis: int) -> np.ndarray:
    """The size of the terms under an activation whose slope is about one at most."""
    shape = [1] * size.ndim
    shape[axis] = -1
    if e.bias is not None:
        size = size + np.abs(e.bias.astype(np.float64)).reshape(shape)
    if e.scale is not None:
        size = size * np.abs(e.scale.astype(np.float64)).reshape(shape)
    if e.shift is not None:
        size = size + np.abs(e.shift.astype(np.float64)).reshape(shape)
    if e.residual is not None:
        size = size + np.abs(e.residual.astype(np.float64))
    return size * 1.2


def _opponent_ratios(case: Case, problem: Problem, floors: Any) -> list[float]:
    """PyTorch's worst error over its two layouts, in floors; 0 where it has no such kernel."""
    worst = [0.0] * len(floors)
    function = case.oracle if case.opponent == "oracle" else case.opponent
    known = {
        np.dtype("float32"): torch.float32,
        dtypes.float16: torch.float16,
        dtypes.bfloat16: torch.bfloat16,
    }
    dtype = known.get(problem.out_dtypes[0])
    if not callable(function) or dtype is None:
        return worst
    for layout in (torch.contiguous_format, torch.channels_last):
        try:
            result = _answers(function, problem.inputs, problem.epilogue, dtype, case, layout)
        except (RuntimeError, NotImplementedError):
            continue
        for i, (t, y, floor) in enumerate(
            zip(_tuple(result), problem.answers, floors, strict=True)
        ):
            if t.is_floating_point():
                worst[i] = max(worst[i], error_ratio(from_torch(t), y, floor))
    return worst


def error_ratio(got: np.ndarray, want: np.ndarray, bound: np.ndarray) -> float:
    """max |got - want| / bound; NaN and infinity must be where the answer has them."""
    if got.size == 0:
        return 0.0
    with np.errstate(all="ignore"):
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        error = np.where(same, 0.0, np.abs(got - want))
        ratio = np.where(same, 0.0, np.where(np.isfinite(error), error / bound, np.inf))
    return float(ratio.max())
