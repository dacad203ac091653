"""Gradients against finite differences: does backward return the derivative of forward?

`gradcheck(fn, inputs)` perturbs every element of every input that requires grad, in float64, and
compares the central difference with the gradient. Where a function has a kink (ReLU at 0, a tie in
max pooling) the two one-sided differences disagree: the step is then shrunk until it no longer
reaches the kink, and an element that sits on one is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import array, autograd
from .tensor import Tensor

_SHRINKS = (1.0, 0.1, 0.01)  # of eps, tried in turn where the one-sided differences disagree
_SHOWN = 5


class GradcheckError(RuntimeError):
    """A gradient is wrong; `.report` holds the details."""

    def __init__(self, report: GradcheckReport) -> None:
        super().__init__(str(report))
        self.report = report


class Mismatch(NamedTuple):
    """One derivative that differs: d output[output_index] / d input[input_index].

    In fast mode the indices are None: the values are projections of the whole Jacobian."""

    output: int
    output_index: tuple[int, ...] | None
    input: int
    input_index: tuple[int, ...] | None
    analytic: float
    numeric: float

    def __str__(self) -> str:
        def place(kind: str, number: int, index: tuple[int, ...] | None) -> str:
            return f"{kind} {number}" + ("" if index is None else f"{list(index)}")

        return (
            f"d {place('output', self.output, self.output_index)} / d "
            f"{place('input', self.input, self.input_index)}: analytic {self.analytic:.8g}, "
            f"numeric {self.numeric:.8g}"
        )


class GradcheckReport:
    """What a gradient check found; true where every gradient is right."""

    def __init__(self) -> None:
        self.checked = 0  # derivatives compared (projections of the Jacobian in fast mode)
        # (input, its index) on a kink
        self.skipped: list[tuple[int, tuple[int, ...] | None]] = []
        # input elements perturbed (outputs projected in fast mode); `skipped` counts among these
        self.elements = 0
        self.worst = 0.0  # the largest |analytic - numeric|
        self.mismatches: list[Mismatch] = []
        self.problems: list[str] = []  # failures that are not about one derivative

    @property
    def ok(self) -> bool:
        return not self.mismatches and not self.problems

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        kinks = (
            f", {len(self.skipped)} of {self.elements} elements skipped at kinks"
            if self.skipped
            else ""
        )
        lines = list(self.problems)
        if self.mismatches:
            lines.append(
                f"{len(self.mismatches)} of {self.checked} derivatives differ{kinks}; "
                "the largest first:"
            )
            ordered = sorted(self.mismatches, key=lambda m: -_distance(m.analytic, m.numeric))
            lines += [f"  {m}" for m in ordered[:_SHOWN]]
            if len(ordered) > _SHOWN:
                lines.append(f"  ... and {len(ordered) - _SHOWN} more")
        if lines:
            return "gradcheck failed: " + "\n".join(lines)
        passed = f"gradcheck passed: {self.checked} derivatives"
        return f"{passed}, largest difference {self.worst:.3g}{kinks}"


def _distance(a: float, b: float) -> float:
    return abs(a - b) if np.isfinite(a - b) else np.inf


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    fast: bool = False,
    raise_exception: bool = True,
    *,
    max_skipped: float = 0.1,
    seed: int = 0,
) -> GradcheckReport:
    """Compare the gradients of `fn(*inputs)` with (fn(x + eps) - fn(x - eps)) / (2 eps).

    Args:
        fn: returns a tensor or a sequence of them; outputs that do not require grad are ignored. It
            must give the same result for the same inputs.
        inputs: a tensor or a sequence of arguments. Tensors that require grad are checked: float64,
            any strides but overlapping ones. They are perturbed in place, one element at a time,
            and put back, so `fn` may also reach them by other ways, as a module reaches its
            parameters.
        eps: the step; atol, rtol: |analytic - numeric| may be `atol + rtol * |numeric|`.
        fast: compare one random projection v^T J u per output and input instead of every element.
        raise_exception: raise GradcheckError on a failure; otherwise only return the report.
        max_skipped: the part of the input elements that may be skipped because they sit on a kink.
        seed: of the random directions.

    Returns:
        A GradcheckReport, true if every gradient is right.

    Raises:
        GradcheckError: a gradient differs, fn or its backward is not deterministic, too many kinks.
        ValueError: an argument that cannot be checked, named.
    """
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps!r}")
    checked = _checkable(arguments)
    report = GradcheckReport()
    check = _Check(fn, arguments, checked, eps, atol, rtol, np.random.default_rng(seed), report)
    if check.prepare():
        (check.fast if fast else check.every_element)()
        if len(report.skipped) > max_skipped * report.elements:
            report.problems.append(
                f"{len(report.skipped)} of {report.elements} elements sit on a kink "
                f"(max_skipped={max_skipped:g}): choose inputs where fn has a derivative"
            )
    if raise_exception and not report.ok:
        raise GradcheckError(report)
    return report


def _checkable(arguments: tuple[Any, ...]) -> list[int]:
    """Where the tensors that require grad are; ValueError for none, or one not to be perturbed."""
    checked = [i for i, a in enumerate(arguments) if isinstance(a, Tensor) and a.requires_grad]
    if not checked:
        described = ", ".join(
            str(a.dtype) if isinstance(a, Tensor) else type(a).__name__ for a in arguments
        )
        raise ValueError(
            f"inputs: none of them requires grad (got {described}); gradcheck needs a float64 "
            "tensor with requires_grad=True, and integers have no gradient"
        )
    for i in checked:
        a = arguments[i]
        if a.dtype != np.float64:
            raise ValueError(
                f"inputs[{i}]: got {a.dtype}, expected float64; "
                "differences drown in rounding otherwise"
            )
        overlapping = any(
            size > 1 and stride == 0 for size, stride in zip(a.shape, a._data.strides)
        )
        if overlapping or not getattr(a._data.flags, "writeable", True):
            what = "overlaps itself in memory" if overlapping else "is read-only"
            raise ValueError(
                f"inputs[{i}]: {what}, so its elements cannot be perturbed; pass a copy of it"
            )
    return checked


class _Check:
    """One check: the function, what is perturbed, and the outputs at the unperturbed inputs."""

    def __init__(
        self,
        fn: Callable[..., Any],
        arguments: tuple[Any, ...],
        checked: list[int],
        eps: float,
        atol: float,
        rtol: float,
        rng: np.random.Generator,
        report: GradcheckReport,
    ) -> None:
        self.fn, self.arguments, self.checked = fn, arguments, checked
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.rng, self.report = rng, report
        self.outputs: list[Tensor] = []  # those with a gradient
        self.numbers: list[int] = []  # their positions among all outputs
        self.at_inputs: list[np.ndarray] = []

    def _call(self) -> list[Any]:
        result = self.fn(*self.arguments)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    def _values(self) -> list[np.ndarray]:
        """The outputs under test at the inputs as they are now."""
        with autograd.no_grad():
            results = self._call()
        return [
            np.array(array.to_device(results[i]._data, "cpu"), np.float64) for i in self.numbers
        ]

    def prepare(self) -> bool:
        """Run fn with and without recording, and backward twice; False if there is no going on."""
        for position, output in enumerate(self._call()):
            if not isinstance(output, Tensor):
                raise ValueError(
                    f"fn: output {position} is {type(output).__name__}, expected a Tensor"
                )
            if output.requires_grad:
                self.outputs.append(output)
                self.numbers.append(position)
        if not self.outputs:
            self.report.problems.append(
                "no output of fn requires grad: fn is cut off from its inputs, or integral"
            )
            return False
        self.at_inputs = self._values()
        for number, output, value in zip(self.numbers, self.outputs, self.at_inputs):
            recorded = np.array(array.to_device(output._data, "cpu"), np.float64)
            if not np.array_equal(recorded, value, equal_nan=True):
                self.report.problems.append(
                    f"fn is not deterministic: output {number} changed from call to call"
                )
        for k, output in enumerate(self.outputs):
            seed = self.rng.standard_normal(output.shape)
            first, second = self._gradients(k, seed), self._gradients(k, seed)
            if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second)):
                self.report.problems.append(
                    f"backward of output {self.numbers[k]} is not deterministic"
                )
        return not self.report.problems

    def _gradients(self, k: int, seed: np.ndarray) -> list[np.ndarray]:
        """J^T seed of output k per checked input; zeros where the output does not depend on it."""
        output = self.outputs[k]
        wanted = [self.arguments[i] for i in self.checked]
        weight = Tensor(array.to_device(seed.astype(output.dtype), output.device))
        found = autograd.grad([output], wanted, [weight], retain_graph=True, allow_unused=True)
        return [
            np.zeros(x.shape) if g is None else np.array(array.to_device(g._data, "cpu"))
            for x, g in zip(wanted, found)
        ]

    def _moved(self, places: Sequence[tuple[Any, Any]], steps: Sequence[Any]) -> list[np.ndarray]:
        """The outputs with `steps` added at `places` = (raw array, index); all are put back."""
        kept = [raw[index].copy() for raw, index in places]
        try:
            for (raw, index), step, value in zip(places, steps, kept):
                raw[index] = value + step
            return self._values()
        finally:
            for (raw, index), value in zip(places, kept):
                raw[index] = value

    def _differences(
        self, places: Sequence[tuple[Any, Any]], direction: Sequence[Any]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Per output: the derivative along `direction`, and where a kink leaves it without one."""
        slopes: list[np.ndarray] = []
        kinked: list[np.ndarray] = []
        for shrink in _SHRINKS:
            step = self.eps * shrink
            ahead = self._moved(places, [step * d for d in direction])
            behind = self._moved(places, [-step * d for d in direction])
            with np.errstate(invalid="ignore"):
                right = [(a - f) / step for a, f in zip(ahead, self.at_inputs)]
                left = [(f - b) / step for f, b in zip(self.at_inputs, behind)]
                central = [(a - b) / (2 * step) for a, b in zip(ahead, behind)]
                bent = [
                    ~(abs(r - s) <= self.atol + self.rtol * np.maximum(abs(r), abs(s)))
                    for r, s in zip(right, left)
                ]
            if not slopes:
                slopes, kinked = central, bent
            else:  # only what looked bent so far takes the finer, noisier difference
                slopes = [
                    np.where(k & ~b, c, s) for k, b, c, s in zip(kinked, bent, central, slopes)
                ]
                kinked = [k & b for k, b in zip(kinked, bent)]
            if not any(k.any() for k in kinked):
                break
        return slopes, kinked

    def _wrong(self, analytic: np.ndarray, numeric: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return ~(abs(analytic - numeric) <= self.atol + self.rtol * abs(numeric))

    def every_element(self) -> None:
        """Compare the whole Jacobian, one input element (a column) at a time."""
        jacobians = [self._jacobian(k) for k in range(len(self.outputs))]
        for j, i in enumerate(self.checked):
            raw = self.arguments[i]._data
            for column, index in enumerate(np.ndindex(raw.shape)):
                slopes, kinked = self._differences([(raw, index)], [1.0])
                self.report.elements += 1
                if any(k.any() for k in kinked):
                    self.report.skipped.append((i, index))
                for k, (slope, kink) in enumerate(zip(slopes, kinked)):
                    analytic = jacobians[k][j][..., column]
                    self._compare(k, i, index, analytic, slope, ~kink)

    def _jacobian(self, k: int) -> list[np.ndarray]:
        """d output k / d input for every checked input: (*output shape, input elements)."""
        shape = self.outputs[k].shape
        rows = [np.empty((*shape, self.arguments[i].numel())) for i in self.checked]
        for index in np.ndindex(shape):
            seed = np.zeros(shape)
            seed[index] = 1
            for row, gradient in zip(rows, self._gradients(k, seed)):
                row[index] = gradient.reshape(-1)
        return rows

    def _compare(
        self,
        k: int,
        i: int,
        index: tuple[int, ...],
        analytic: np.ndarray,
        numeric: np.ndarray,
        use: np.ndarray,
    ) -> None:
        self.report.checked += int(use.sum())
        if use.any():
            self.report.worst = max(self.report.worst, float(np.max(abs(analytic - numeric)[use])))
        for place in np.argwhere(self._wrong(analytic, numeric) & use):
            at = tuple(int(p) for p in place)
            self.report.mismatches.append(
                Mismatch(self.numbers[k], at, i, index, float(analytic[at]), float(numeric[at]))
            )

    def fast(self) -> None:
        """Compare v^T J u, u random per input, v per output and zero where that is on a kink."""
        for j, i in enumerate(self.checked):
            raw = self.arguments[i]._data
            u = self.rng.standard_normal(raw.shape)
            u /= max(np.linalg.norm(u), 1e-300)
            slopes, kinked = self._differences(
                [(raw, ...)], [array.to_device(u, self.arguments[i].device)]
            )
            for k, (slope, kink) in enumerate(zip(slopes, kinked)):
                v = np.where(kink, 0.0, self.rng.standard_normal(slope.shape))
                numeric = float(np.sum(v * np.where(kink, 0.0, slope)))
                analytic = float(np.sum(self._gradients(k, v)[j] * u))
                self.report.elements += kink.size
                self.report.skipped += [(i, None)] * int(kink.sum())
                self.report.checked += 1
                self.report.worst = max(self.report.worst, _distance(analytic, numeric))
                if self._wrong(np.array(analytic), np.array(numeric)):
                    self.report.mismatches.append(
                        Mismatch(self.numbers[k], None, i, None, analytic, numeric)
                    )
