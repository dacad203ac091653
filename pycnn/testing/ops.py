"""One op against PyTorch's: values and gradients, every dtype, both memory layouts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch
from ..tensor import Tensor
from .report import Report, Row
from .sides import ROUNDOFF, Side, cast, gradient_of, is_floating, pycnn_side, to_numpy, torch_side

OP_FACTOR = 2.0  # times the error of PyTorch's worse layout
OP_FLOOR = 4.0  # in roundings of the sums


class Result(NamedTuple):
    """What one call gave: outputs, and the gradients of its floating-point inputs."""

    outputs: list[np.ndarray]
    gradients: list[np.ndarray | None]


def _run(
    side: Side,
    fn: Callable[..., Any],
    inputs: list[Any],
    cotangents: Callable[[list[Any]], list[np.ndarray]] | None,
    dtype: str,
    last: bool = False,
) -> Result:
    """fn on one side, and the gradients of <output, cotangent> summed over its outputs."""
    values = [cast(a, dtype) for a in inputs]
    tensors = [side.tensor(a, last) if isinstance(a, np.ndarray) else a for a in values]
    result = fn(side.F, *tensors)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    pulled = [i for i, output in enumerate(outputs) if output.requires_grad]
    if pulled and cotangents is not None:
        drawn = cotangents(outputs)
        seeds = [side.tensor(drawn[i].astype(to_numpy(outputs[i]).dtype), False) for i in pulled]
        side.backward([outputs[i] for i in pulled], [seed.detach() for seed in seeds])
    leaves = [t for t, a in zip(tensors, values) if is_floating(a)]
    return Result([to_numpy(output) for output in outputs], [gradient_of(leaf) for leaf in leaves])


def parity(
    shapes: Sequence[Any],
    fn: Callable[..., Any],
    *,
    dtypes: Sequence[str] = ("float64", "float32"),
    multilinear: bool = False,
    gradients: bool = True,
    low: float | None = None,
    high: float | None = None,
    seed: int | None = None,
) -> Report:
    """The one-line test of an op: its parity with PyTorch on fresh random inputs.

        parity([(2, 3, 9, 9), (5, 3, 3, 3)], lambda F, x, w: F.conv2d(x, w, stride=2))

    A failure prints the seed that brings the inputs back.

    Args:
        shapes: per argument a shape, which gets random float values; or an array or anything else,
            passed as it is.
        fn: called as fn(F, *tensors), once with pycnn's functional (then pycnn's) names as F and
            once with torch.nn.functional's (then torch's).
        low, high: draw uniformly from there instead of from the standard normal distribution.
        seed: of the inputs; by default PYCNN_TEST_SEED or a fresh one.
        dtypes, multilinear, gradients: as in `compare_op`.

    Returns:
        The report, which is ok.

    Raises:
        AssertionError: value, shape, dtype or a gradient differs.
    """
    if seed is None:
        seed = int(os.environ.get("PYCNN_TEST_SEED") or int.from_bytes(os.urandom(4), "little"))
    rng = np.random.default_rng(seed)
    inputs = []
    for shape in shapes:
        if not isinstance(shape, (tuple, list)):
            inputs.append(shape)
        elif low is not None or high is not None:
            lowest = 0.0 if low is None else low
            inputs.append(rng.uniform(lowest, lowest + 1.0 if high is None else high, shape))
        else:
            inputs.append(rng.standard_normal(shape))
    report = compare_op(
        fn, inputs, dtypes=dtypes, multilinear=multilinear, gradients=gradients, seed=seed
    )
    report.reproduce = f"reproduce with seed={seed} or PYCNN_TEST_SEED={seed}"
    return report.check()


def compare_op(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    dtypes: Sequence[str] = ("float64", "float32"),
    multilinear: bool = False,
    exact: bool = False,
    gradients: bool = True,
    provider: str | None = None,
    algorithm: str | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> Report:
    """Compare fn in pycnn with fn in PyTorch: values and gradients, every dtype, both layouts.

    An error is counted in roundings u * sqrt(d) * magnitude, element by element, and may be
    OP_FACTOR times PyTorch's worse layout or OP_FLOOR. If fn is `multilinear` (a sum of products of
    one element of each input, as a convolution without bias is), d and magnitude are known per
    element: fn of ones counts the terms, the root of fn of squares is their size. Otherwise
    magnitude is the tensor's largest value and d the elements of the largest operand. Elements that
    are not finite must agree exactly, and so must integers.

    Args:
        fn: fn(F, *tensors), as for `parity`; returns a tensor or a sequence of them.
        inputs: arrays (floating ones are converted to each dtype and differentiated) or other
            arguments.
        dtypes: any of float64, float32, float16, bfloat16.
        exact: bit for bit instead, for small-integer inputs, whose sums are exact in any order.
        gradients: also compare the gradients of <fn, random cotangent>.
        provider, algorithm: as in `pycnn.using`; by default what dispatch chooses.
        device: where pycnn runs; PyTorch runs on the CPU.
        seed: of the cotangents.

    Returns:
        A Report with a row per dtype, layout and tensor; nothing is raised for a difference.
    """
    values = [to_numpy(a) if isinstance(a, (np.ndarray, Tensor)) else a for a in inputs]
    has_images = any(isinstance(a, np.ndarray) and a.ndim == 4 for a in values)
    layouts = (False, True) if has_images else (False,)
    report, theirs, ours = Report(), torch_side(), pycnn_side(device)
    for dtype in dtypes:
        rounded = [cast(cast(a, dtype), "float64") for a in values]

        def draw(outputs: list[Any], dtype: str = dtype) -> list[np.ndarray]:
            rng = np.random.default_rng(seed)
            drawn = [rng.standard_normal(tuple(output.shape)) for output in outputs]
            if exact:
                drawn = [np.rint(4 * np.clip(c, -2, 2)) for c in drawn]
            return [cast(cast(c, dtype), "float64") for c in drawn]

        seeds = draw if gradients else None
        truth = _run(theirs, fn, rounded, seeds, "float64")
        references = [_run(theirs, fn, rounded, seeds, dtype, last) for last in layouts]
        scale = _sizes(theirs, fn, rounded, draw) if multilinear else None
        judge = _Judge(report, dtype, truth, references, scale, exact)
        for last in layouts:
            with dispatch.using(provider, algorithm) if provider or algorithm else nullcontext():
                result = _run(ours, fn, rounded, seeds, dtype, last)
            judge.compare(result, "channels_last" if last else "")
    return report


def _sizes(
    side: Side,
    fn: Callable[..., Any],
    inputs: list[Any],
    draw: Callable[[list[Any]], list[np.ndarray]],
) -> tuple[Result, Result]:
    """Of a multilinear fn: the sums of the squares of its terms, and how many terms there are."""
    squares = [a * a if is_floating(a) else a for a in inputs]
    ones = [np.ones_like(a) if is_floating(a) else a for a in inputs]
    return (
        _run(side, fn, squares, lambda outputs: [c * c for c in draw(outputs)], "float64"),
        _run(side, fn, ones, lambda outputs: [np.ones_like(c) for c in draw(outputs)], "float64"),
    )


class _Judge(NamedTuple):
    """What results in one dtype are held against."""

    report: Report
    dtype: str
    truth: Result  # in float64
    references: list[Result]  # in the dtype, one per layout
    scale: tuple[Result, Result] | None  # as from _sizes
    exact: bool

    def compare(self, ours: Result, label: str) -> None:
        for which, kind in enumerate(("output", "gradient")):
            if len(ours[which]) != len(self.truth[which]):
                counts = f"{len(ours[which])} {kind}s, PyTorch has {len(self.truth[which])}"
                self.report.problems.append(f"{self.dtype}: {counts}")
                continue
            for i, mine in enumerate(ours[which]):
                name, expected = f"{kind} {i} {label}".rstrip(), self.truth[which][i]
                if mine is not None and expected is not None:
                    self._compare(which, i, kind, name, mine, expected)
                elif (mine is None) != (expected is None):
                    article = "no" if mine is None else "a"
                    problem = f"{self.dtype} {name}: {article} gradient, unlike PyTorch"
                    self.report.problems.append(problem)

    def _compare(
        self, which: int, i: int, kind: str, name: str, mine: np.ndarray, expected: np.ndarray
    ) -> None:
        others = [np.asarray(reference[which][i]) for reference in self.references]
        if mine.shape != expected.shape or mine.dtype != others[0].dtype:
            self.report.problems.append(
                f"{self.dtype} {name}: {mine.dtype} of shape {list(mine.shape)}, PyTorch gives "
                f"{others[0].dtype} of shape {list(expected.shape)}"
            )
            return
        if self.exact or not is_floating(mine):
            same = any(_error(mine, other, 0.0) == 0 for other in others)
            error, bound, worse, note = (0.0 if same else np.inf), 0.0, None, "exact"
        else:
            unit = self._rounding(which, i, expected)
            error = _error(mine, expected, unit)
            worse = max(_error(other, expected, unit) for other in others)
            bound, note = max(OP_FACTOR * worse, OP_FLOOR), "in roundings"
        row = Row(self.dtype, kind, name, mine.shape, error, bound, worse, note)
        self.report.rows.append(row)

    def _rounding(self, which: int, i: int, expected: np.ndarray) -> Any:
        """u * sqrt(d) * magnitude, an array or a number."""
        u = ROUNDOFF[self.dtype]
        if self.scale is not None:
            size, terms = (np.asarray(s[which][i], np.float64) for s in self.scale)
            return u * np.sqrt(np.maximum(abs(terms), 1.0)) * np.sqrt(abs(size))
        sizes = [a.size for arrays in self.truth for a in arrays if a is not None]
        largest = float(np.max(abs(expected), where=np.isfinite(expected), initial=0.0))
        return u * np.sqrt(max(sizes, default=1)) * largest


def _error(mine: np.ndarray, ref: np.ndarray, unit: Any) -> float:
    """The largest |mine - ref| / unit; infinite where only one is finite, or the signs differ."""
    a, b = mine.astype(np.float64), ref.astype(np.float64)
    if mine.dtype.name in ("float16", "float32"):  # what overflows there is right to be infinite
        largest = float(np.finfo(mine.dtype).max)
        b = np.where(abs(b) > largest, np.copysign(np.inf, b), b)
    special = ~(np.isfinite(a) & np.isfinite(b))
    if not np.array_equal(a[special], b[special], equal_nan=True):
        return np.inf
    difference = abs(np.where(special, 0.0, a) - np.where(special, 0.0, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = np.where(difference == 0, 0.0, difference / unit)
    return float(counted.max(initial=0.0))
