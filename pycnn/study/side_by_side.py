"""Kernels of one primitive on one named layer: checked against float64, then timed in turn.

Interpreted and emulated kernels are for the table of cases: how fast a GPU is emulated says nothing
about the GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import array, dispatch, dtypes
from . import own_kernel, problems, torch_calls
from .fill import fill
from .own_kernel import OwnKernel
from .problems import Problem

ONE_CALL = 2.0  # seconds from which on one call is all that is timed
_OWN_CALL = 0.1  # seconds that a user's kernel may need of a layer: it is called some 20 times
_CHEAP = {"cpu": 8e7, "cuda": 3e10}  # the cost of the layer that stands for the others
_PATIENCE = 5.0  # seconds that a timing waits for an idle machine
BUSY = 0.15  # cores in use by others from which on a timing says so
_LAYOUTS = ("contiguous", "channels-last")  # PyTorch's, the faster of which counts


class Rung(NamedTuple):
    """A kernel that may be run: one of the table's or a user's."""

    provider: str
    algorithm: str
    refuses: Callable[..., str | None]
    function: Callable[..., Any]

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.algorithm}"


@dataclass
class Measured:
    """One kernel on one layer. `seconds` has least, p20, p50 and p80, and is None where `note` says
    why; `error` is the largest, relative to the largest number of the answer."""

    name: str
    layer: str
    error: float | None = None
    allowed: float = 0.0
    seconds: dict[str, float] | None = None
    note: str = ""
    others_busy: float = 0.0  # cores that others used when the timing began

    @property
    def least(self) -> float | None:
        return None if self.seconds is None else self.seconds["least"]

    @property
    def ok(self) -> bool:
        return self.error is None or self.error <= self.allowed


def layers_of(primitive: str, batch: int = 1) -> list[Problem]:
    """The named layers that call the primitive, cheap ones first; ValueError if there are none."""
    own_kernel.known_primitive(primitive)
    found = [
        p
        for p in problems.problems(batch)
        if p.primitive == primitive and not p.layer.endswith(" fused")
    ]
    if not found:
        raise ValueError(f"primitive: no named layer calls {primitive}")
    return sorted(found, key=cost)


def cost(problem: Problem) -> float:
    """About what a call takes: FLOPs, and ten for each byte."""
    return problem.geometry.flops(problem.primitive) + 10.0 * problems.nbytes(problem, "float32")


def usual_layer(found: Sequence[Problem], device: str) -> Problem:
    """The largest whose naive rungs do not take long; the cheapest if all do."""
    limit = _CHEAP[device.partition(":")[0]]
    return [p for p in found if cost(p) <= limit or p is found[0]][-1]


def named_layer(found: Sequence[Problem], layer: str) -> Problem:
    for problem in found:
        if problem.layer == layer:
            return problem
    known = ", ".join(p.layer for p in found)
    raise ValueError(f"layer: got {layer!r}, expected one of {known}")


def rungs(primitive: str, device: str, provider: str | None = None) -> list[Rung]:
    """The kernels of the table that run on the device, of one provider or of all that can here."""
    from .. import providers

    if provider is not None and provider not in dispatch.PROVIDERS:
        known = ", ".join(dispatch.PROVIDERS)
        raise ValueError(f"provider: got {provider!r}, expected one of {known}")
    kind = device.partition(":")[0]
    found = []
    for e in dispatch.entries(primitive):
        if kind not in e.devices or provider not in (None, e.provider):
            continue
        try:
            providers.require(e.provider)
        except (RuntimeError, ImportError):
            if provider is not None:
                raise
            continue
        found.append(Rung(e.provider, e.algorithm, e.refuses, e.function))
    return found


def emulated(rung: Rung, device: str) -> bool:
    """Whether its time on the device would be that of an interpreter."""
    return device == "cpu" and rung.provider in ("triton", "cuda")


class Bench:
    """One layer's arrays, filled, and the answer in float64 by the reference."""

    def __init__(self, problem: Problem, dtype: str, device: str) -> None:
        self.problem, self.dtype, self.device = problem, dtype, device
        primitive, g = problem.primitive, problem.geometry
        self.inputs, self.out, self.epilogue = problem.allocate(dtype, device=device)
        extra = () if self.epilogue is None else self.epilogue[:4]
        fill(primitive, g, (*self.inputs, *extra))
        inputs, out, epilogue = problem.allocate("float64")
        for a, b in zip(
            (*inputs, *(() if epilogue is None else epilogue[:4])), (*self.inputs, *extra)
        ):
            if a is not None:
                a[...] = array.to_device(b, "cpu")
        reference = next(
            e for e in dispatch.entries(primitive)
            if e.provider == "reference" and e.algorithm != "naive"
        )  # fmt: skip
        reference.function(*inputs, out=out, geometry=g, epilogue=epilogue)
        self.truth = _outputs(out)
        depth = max(g.flops(primitive) / max(2 * sum(a.size for a in self.truth), 1), 1.0)
        usual = dtypes.as_dtype(dtype)
        u = dtypes.UNIT_ROUNDOFF[dtypes.accumulation_dtype(usual)]
        self.allowed = float(4 * u * np.sqrt(depth) + 2 * dtypes.UNIT_ROUNDOFF[usual])

    def refusal(self, rung: Rung) -> str | None:
        operands = tuple(array.describe(a) for a in self.inputs if a is not None)
        described = None if self.epilogue is None else self.epilogue.describe()
        return rung.refuses(self.problem.geometry, operands, described)

    def call(self, rung: Rung) -> Callable[[], None]:
        def run() -> None:
            rung.function(
                *self.inputs, out=self.out, geometry=self.problem.geometry, epilogue=self.epilogue
            )
            if self.device != "cpu":
                array.synchronize()

        return run

    def measure(self, rung: Rung) -> Measured:
        """The rung run once, into poisoned outputs, and its error; the time is that of the call."""
        from ..testing.kernels.harness import APPROXIMATE
        from ..testing.kernels.memory import poison

        for a in self.out if isinstance(self.out, tuple) else (self.out,):
            a[...] = poison((), a.dtype)
        allowed = max(self.allowed, APPROXIMATE.get((rung.provider, rung.algorithm), 0.0))
        found = Measured(rung.name, self.problem.layer, allowed=allowed)
        start = time.perf_counter()
        self.call(rung)()
        taken = time.perf_counter() - start
        found.error = max(
            relative_error(got, want)
            for got, want in zip(_outputs(self.out), self.truth, strict=True)
        )
        found.seconds = dict.fromkeys(("least", "p20", "p50", "p80"), taken)
        return found

    def torch_calls(self) -> dict[str, Callable[[], Any]]:
        """PyTorch's call in each layout; empty where there is no such call, or no PyTorch."""
        try:
            import torch
        except ImportError:
            return {}
        from ..testing.sides import to_torch

        device = "cpu" if self.device == "cpu" else "cuda"
        if device == "cuda" and not torch.cuda.is_available():
            return {}
        calls: dict[str, Callable[[], Any]] = {}
        formats = (torch.contiguous_format, torch.channels_last)
        for layout, memory_format in zip(_LAYOUTS, formats, strict=True):

            def tensor(a: Any, kept: Any = memory_format) -> Any:
                if a is None:
                    return None
                t = to_torch(array.to_device(a, "cpu")).to(device)
                return t.contiguous(memory_format=kept) if t.ndim == 4 else t

            epilogue = self.epilogue
            if epilogue is not None:
                bias, scale, shift, residual = map(tensor, epilogue[:4])
                epilogue = dispatch.Epilogue(bias, scale, shift, residual, epilogue.activation)
            inputs = [tensor(a) for a in self.inputs]
            call = torch_calls.torch_call(
                self.problem.primitive, self.problem.geometry, inputs, epilogue
            )
            if call is not None:
                calls[f"PyTorch, {layout}"] = _waited_for(call) if device == "cuda" else call
            if not any(a is not None and a.ndim == 4 for a in self.inputs):
                break
        return calls


def _waited_for(call: Callable[[], Any]) -> Callable[[], Any]:
    import torch

    def run() -> None:
        call()
        torch.cuda.synchronize()

    return run


def _outputs(out: Any) -> list[np.ndarray]:
    arrays = [array.to_device(a, "cpu") for a in (out if isinstance(out, tuple) else (out,))]
    return [np.array(a, np.float64 if a.dtype in dtypes.FLOATING else a.dtype) for a in arrays]


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    """The largest error, relative to the largest number of the answer; infinite for NaN."""
    if got.size == 0:
        return 0.0
    with np.errstate(invalid="ignore"):
        error = np.abs(got.astype(np.float64) - want).max()
    largest = float(np.abs(want.astype(np.float64)).max()) or 1.0
    return float(error) / largest if np.isfinite(error) else float("inf")


def measure(bench: Bench, chosen: Sequence[Rung], seconds: float) -> list[Measured]:
    """Each rung on the layer, in their order, then PyTorch in each layout: checked, then timed in
    turn, `seconds` each. What refuses, raises or is wrong is not timed; `note` says so."""
    from ..benchmarks.clock import interleaved
    from ..benchmarks.measure import Idle

    found, calls = [], {}
    for rung in chosen:
        reason = bench.refusal(rung)
        if reason is not None:
            found.append(Measured(rung.name, bench.problem.layer, note=f"refuses: {reason}"))
            continue
        try:
            row = bench.measure(rung)
        except Exception as error:
            words = own_kernel.describe_error(error, "")
            found.append(Measured(rung.name, bench.problem.layer, float("inf"), note=words))
            continue
        found.append(row)
        if not row.ok:
            row.seconds, row.note = None, "wrong: not timed"
        elif row.least is not None and row.least > ONE_CALL:
            row.note = "one call"
        else:
            calls[rung.name] = bench.call(rung)
    with _same_threads():
        others = bench.torch_calls()
        busy = Idle(_PATIENCE).wait()
        times = interleaved(calls | others, seconds)
    by_name = {row.name: row for row in found}
    for name in others:
        by_name[name] = Measured(name, bench.problem.layer)
        found.append(by_name[name])
    for name, taken in times.items():
        by_name[name].seconds = dict(zip(("least", "p20", "p50", "p80"), taken))
        by_name[name].others_busy = busy
    return found


class _same_threads:
    """PyTorch uses as many threads as pycnn."""

    def __enter__(self) -> None:
        try:
            import torch
        except ImportError:
            self.before = None
            return
        from ..config import get_num_threads

        self.before = torch.get_num_threads()
        torch.set_num_threads(get_num_threads())

    def __exit__(self, *exc: Any) -> None:
        if self.before is not None:
            import torch

            torch.set_num_threads(self.before)


def time_own(
    own: OwnKernel, dtype: str = "float32", batch: int = 1, seconds: float = 0.2
) -> list[dict[str, Any]]:
    """A user's kernel on the named layers of its primitive, the fastest of pycnn's for each (what
    dispatch chooses) and PyTorch's faster layout.

    Layers are taken from cheap to dear, while a call of the user's kernel takes up to 0.1 s.

    Returns:
        A row per layer: layer, geometry, error, own, ours, kernel, torch (least seconds, None where
        there is none), note.
    """
    rung = Rung(own_kernel.OWN, own.name, own.why_refused, own)
    if own.device == "cpu" and own.language != "Python":
        how = "interpreted" if own.language == "Triton" else "emulated"
        return [{"note": f"not timed: {own.language} is {how} on a CPU, which says nothing of it"}]
    rows: list[dict[str, Any]] = []
    rate = 0.0  # seconds for each unit of cost
    found = layers_of(own.primitive, batch)
    for done, problem in enumerate(found):
        if rate * cost(problem) > _OWN_CALL:
            rows.append({"note": f"{len(found) - done} larger layers would take too long"})
            break
        bench = Bench(problem, dtype, own.device)
        ours = _choice(bench)
        named = {row.name: row for row in measure(bench, [rung, ours], seconds)}
        mine = named[rung.name]
        torch_times = [m.least for name, m in named.items() if name.startswith("PyTorch")]
        rows.append(
            {
                "layer": problem.layer, "geometry": str(problem.geometry), "error": mine.error,
                "own": mine.least, "ours": named[ours.name].least, "kernel": ours.name,
                "torch": min((t for t in torch_times if t is not None), default=None),
                "note": mine.note, "others_busy": mine.others_busy,
            }
        )  # fmt: skip
        if mine.least is not None:
            rate = mine.least / cost(problem)
    return rows


def _choice(bench: Bench) -> Rung:
    """The kernel that pycnn itself runs on the layer."""
    operands = tuple(array.describe(a) for a in bench.inputs if a is not None)
    described = None if bench.epilogue is None else bench.epilogue.describe()
    e = dispatch.select(
        bench.problem.primitive, bench.problem.geometry, operands, described, bench.device
    )
    return Rung(e.provider, e.algorithm, e.refuses, e.function)
