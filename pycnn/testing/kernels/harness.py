"""One table of cases, run over every kernel registered: (provider, algorithm) x dtype x layout.

A family states its cases in cases/<family>.py as a list `CASES`:

    def pool(g):
        return lambda x: F.avg_pool2d(x, (g.R, g.S), ...)

    CASES = [
        Case("avg_pool2d_fprop", "3x3 stride 2", geometry=g,
             inputs=lambda draw: (draw(2, 3, 9, 7),), oracle=pool(g), depth=9),
    ]

inputs    draws the primitive's arrays, in dispatch.PRIMITIVES' order, None where an optional one is
          left out. `draw` is a Draw: draw(*shape) gives float64 numbers that the dtype under test
          represents exactly. What is returned as float64 is cast to that dtype; every other array
          (indices, float32 statistics) is passed as it is.
oracle    computes the answer from torch tensors, a tensor or a tuple. It is called with float64
          tensors for the truth, and with tensors of the dtype under test, contiguous and
          channels-last, for PyTorch's own error: it must not assume a dtype. `opponent` replaces it
          for the second use; `opponent=None` leaves that use out.
depth     the number of terms in a sum; `magnitude` (from float64 tensors, like oracle) is the size
          those terms have together, sqrt(conv(x^2, w^2)) for a convolution. Without it, the
          answer's own absolute value.
epilogue  draws an Epilogue; the harness applies it to the oracle's answer itself.
exact     whether small integers give integers, so that kernel and oracle must agree bit for bit.

An algorithm of APPROXIMATE trades accuracy for speed. Integers too go through its transforms, so it
may miss both answers by its tolerance, relative to the largest output; nothing else is forgiven.

What tests/kernels/test_kernels.py checks, with outputs and workspaces full of NaN (integers: a
sentinel):
test_exact    on small integers the answer equals the oracle's, in every layout
test_oracle   the error against float64 is at most twice the worse of PyTorch's two layouts, or is
              under the floor 4*u_acc*sqrt(depth)*magnitude + u*|y|: a kernel rounds once, at the
              store, and sums in the accumulation dtype
test_canary   no byte outside the outputs changes, gaps between strides included, and no input does
test_repeats  two runs give the same bits

Inputs are drawn from a fresh seed in every run. A failure ends with the line that repeats it:
PYCNN_TEST_SEED=...
"""

from __future__ import annotations

import contextlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ... import array, dispatch, dtypes
from .configurations import Kernel, configured
from .memory import (
    LAYOUTS,
    Placed,
    place,
    poison,
    poisoned_workspaces,
    shut_to_sanitizers,
)

FLOATS = ("float32", "float64", "float16", "bfloat16")
SEED = int(os.environ.get("PYCNN_TEST_SEED") or np.random.SeedSequence().generate_state(1)[0])

# the largest integer up to which every integer is a number of the dtype
EXACT_LIMIT = {"float16": 2048, "bfloat16": 256, "float32": 2**24, "float64": 2**53}
# how integers thin out until the answer stays below it: (largest |value|, share of non-zeros)
DENSITIES = ((8, 1.0), (2, 1.0), (2, 0.5), (1, 0.5), (1, 0.25), (1, 0.1), (1, 0.03))
EXACT_ACTIVATIONS = (None, "relu", "relu6")

# (provider, algorithm) -> the error allowed, relative to the largest output
APPROXIMATE = {("native", "winograd"): 2e-5}


@dataclass(frozen=True, eq=False)
class Case:
    primitive: str
    name: str
    geometry: Any
    inputs: Callable[[Draw], tuple[Any, ...]]
    oracle: Callable[..., Any]
    opponent: Callable[..., Any] | None | str = "oracle"
    depth: int = 1
    magnitude: Callable[..., Any] | None = None
    epilogue: Callable[[Draw], dispatch.Epilogue] | None = None
    exact: bool = True
    dtypes: tuple[str, ...] = FLOATS
    out_dtypes: tuple[
        str | None, ...
    ] = ()  # per output: None is the dtype under test, "accumulation" its sums'
    large: bool = False  # too large for the naive rungs, which loop in Python
    slow: bool = False
    atol: float = 0.0  # added to the floor, in units of u: where the answer cancels to nearly zero

    def __str__(self) -> str:
        return f"{self.primitive}-{self.name.replace(' ', '_')}"


class Draw:
    """Random numbers that the dtype under test represents exactly, or small integers."""

    def __init__(
        self, rng: np.random.Generator, dtype: str, integer: tuple[int, float] | None = None
    ) -> None:
        self.rng = rng
        self.dtype = dtypes.as_dtype(dtype)
        self.accumulation = dtypes.accumulation_dtype(self.dtype)
        self.integer = integer

    def __call__(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Normal numbers, or integers."""
        if self.integer is None and self.dtype in dtypes.FLOATING:
            return self.round(self.rng.standard_normal(shape) * scale)
        largest, density = self.integer or (100, 1.0)
        if not dtypes.is_floating_point(self.dtype):
            low = 0 if self.dtype.kind in "ub" else -largest
            return self.rng.integers(low, largest + 1, shape).astype(np.float64)
        values = self.rng.integers(-largest, largest + 1, shape)
        return (values * (self.rng.random(shape) < density)).astype(np.float64)

    def positive(self, *shape: int, low: float = 0.5, high: float = 2.0) -> np.ndarray:
        """Uniform numbers in [low, high); 1 or 2 in integer mode."""
        if self.integer is not None:
            return self.rng.integers(1, 3, shape).astype(np.float64)
        return self.round(self.rng.uniform(low, high, shape))

    def indices(self, size: int, *shape: int, dtype: str = "int64") -> np.ndarray:
        """Integers in [0, size)."""
        return self.rng.integers(0, size, shape).astype(dtype)

    def round(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values).astype(self.dtype).astype(np.float64)


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


def _generator(case: Case, dtype: str, kind: str) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(f"{case} {dtype} {kind}".encode())])


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
def integer_problem(case: Case, dtype: str) -> Problem:
    """Small integers whose answer the dtype represents exactly."""
    limit = EXACT_LIMIT.get(dtype)
    for density in DENSITIES:
        draw = Draw(_generator(case, dtype, "integers"), dtype, density)
        problem = _solve(case, dtype, *_draw(case, draw))
        if limit is None or all(
            np.abs(y).max(initial=0) <= limit for y in problem.answers if y.dtype.kind == "f"
        ):
            return problem
    raise AssertionError(
        f"{case}: no density of integers keeps the answer within {limit} for {dtype}"
    )


@lru_cache(maxsize=64)
def real_problem(case: Case, dtype: str) -> Problem:
    """Normal numbers, the float64 answer and the error a kernel may make."""
    inputs, e = _draw(case, Draw(_generator(case, dtype, "reals"), dtype))
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


def allowed_error(kernel: Kernel, problem: Problem, i: int) -> float:
    """How far any element of output i may be off because the algorithm is an approximate one."""
    tolerance = APPROXIMATE.get((kernel.provider, kernel.algorithm), 0.0)
    answer = problem.answers[i]
    if tolerance == 0.0 or answer.dtype.kind != "f":
        return 0.0
    largest = np.where(np.isfinite(answer), np.abs(answer), 0.0).max(initial=0.0)
    return tolerance * max(float(largest), float(problem.sizes[i].max(initial=0.0)))


def error_ratio(got: np.ndarray, want: np.ndarray, bound: np.ndarray) -> float:
    """max |got - want| / bound; NaN and infinity must be where the answer has them."""
    if got.size == 0:
        return 0.0
    with np.errstate(all="ignore"):
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        error = np.where(same, 0.0, np.abs(got - want))
        ratio = np.where(same, 0.0, np.where(np.isfinite(error), error / bound, np.inf))
    return float(ratio.max())


# --- running --------------------------------------------------------------------------------------


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
) -> Outcome:
    """Run one kernel on a problem, through dispatch; Refused with its reason where it refuses."""
    rng = np.random.default_rng(SEED)
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
    with (
        only(entry.provider),
        dispatch.using(entry.provider, entry.algorithm),
        poisoned_workspaces(),
        configured(entry),
        shut_to_sanitizers(
            [p for p in (*placed, *outs, *extra) if p is not None and entry.provider == "cuda"]
        ),
    ):
        with dispatch.trace() as trace:
            dispatch.run(case.primitive, *views, out=out, geometry=case.geometry, epilogue=epilogue)
    ran = [(r.provider, r.algorithm) for r in trace.records if r.primitive == case.primitive]
    assert (entry.provider, entry.algorithm) in ran, f"dispatch ran {ran}"
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
    return host.astype(np.float64) if host.dtype in dtypes.FLOATING else np.array(host)


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
