"""Measuring which configuration of a Triton kernel is fastest, on the GPU at hand.

`tune` runs the named layers through the kernels, `first_call` one call of a user's
(PYCNN_AUTOTUNE=1). Both hand a call to `measure_call`: every configuration that fits runs it, each
answer is compared with that of the configuration the model would choose, and only one that agrees
is timed. The winner becomes a row of the user's cache, see kernels/tuning_rows.py.

A clock is a function from a call to its microseconds; GPUClock is the real one.
"""

from __future__ import annotations

import datetime
import math
import statistics
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

from .. import array, dtypes
from ..array import Array
from ..kernels import launch, mode, tuning, tuning_rows
from ..kernels.tuning import Asked, Config
from .fill import fill

Clock = Callable[[Callable[[], Any]], float]
Arrays = tuple[Array, ...]

GAIN = 0.98  # a configuration must beat the model's by 2 % to replace it: less is noise


class Measured(NamedTuple):
    """One kernel on one call: what every configuration took, in microseconds."""

    asked: Asked
    times: dict[Config, float]
    failed: dict[Config, str]  # those that did not run or gave another answer, and why
    best: Config

    @property
    def analytic(self) -> Config:
        return self.asked.chosen

    def words(self) -> tuple[str, ...]:
        """A line of a table."""
        best, analytic = self.times[self.best], self.times[self.analytic]
        return (
            self.asked.kernel.name, self.asked.dtype, self.asked.bucket, str(self.best),
            f"{best:.1f}", str(self.analytic), f"{analytic:.1f}", f"{analytic / best:.2f}",
        )  # fmt: skip

    def row(self, gpu: tuning_rows.GPU, call: str, software: str) -> tuning_rows.Row:
        kernel = self.asked.kernel.name
        return {
            "kernel": kernel,
            "source": tuning_rows.source_hash(kernel.partition(".")[0]),
            "gpu": gpu.name,
            "arch": gpu.word,
            "dtype": tuning.arithmetic(self.asked.dtype),
            "key": self.asked.bucket,
            "config": str(self.best),
            "microseconds": round(self.times[self.best], 3),
            "analytic": str(self.analytic),
            "analytic_microseconds": round(self.times[self.analytic], 3),
            "call": call,
            "software": software,
            "date": datetime.date.today().isoformat(),
        }


def why_not() -> str | None:
    """A sentence if nothing can be measured in this process."""
    status = array.gpu_status()
    if status is not None:
        return f"tuning measures kernels on a GPU, and there is none: {status}"
    reason = mode.why_not()
    if reason is not None:
        return f"tuning measures Triton kernels: {reason}"
    if mode.settle() != mode.COMPILED:
        return "tuning measures compiled kernels, and here they are interpreted (PYCNN_TRITON)"
    return None


# --- one call -------------------------------------------------------------------------------------


def ask(run: Callable[[], Any]) -> list[Asked]:
    """What `run` asks of choose(), one of each kernel and key, without running it."""
    with launch.recording(), tuning.asking() as found:
        run()
    return list({(a.kernel.name, a.dtype, a.bucket): a for a in reversed(found)}.values())[::-1]


def without_row(asked: Iterable[Asked], gpu: tuning_rows.GPU) -> list[Asked]:
    arch = tuning.shipped_arch(gpu.arch)
    return [
        a
        for a in asked
        if a.kernel.measured(gpu, a.dtype, a.key, a.kernel.fitting(a.dtype, arch)) is None
    ]


def measure_call(
    run: Callable[[], Any], outs: Arrays, asked: Iterable[Asked], arch: int, clock: Clock
) -> Iterator[Measured]:
    """Measures the kernels of `asked`, one after the other, each with the best of those before it.
    `run` fills `outs`, again and again."""
    with ExitStack() as settled:
        for one in asked:
            fitting = one.kernel.fitting(one.dtype, arch) or one.kernel.fitting(one.dtype)
            usable = [c for c in fitting if not math.isinf(one.cost(c))]
            one = Asked(one.kernel, one.dtype, one.key, one.cost, min(usable, key=one.cost))
            found = _measure(run, outs, one, usable, clock)
            settled.enter_context(tuning.forcing(one.kernel.name, found.best))
            yield found


def _measure(
    run: Callable[[], Any], outs: Arrays, asked: Asked, usable: list[Config], clock: Clock
) -> Measured:
    times: dict[Config, float] = {}
    failed: dict[Config, str] = {}
    analytic, name = asked.chosen, asked.kernel.name
    with tuning.forcing(name, analytic):
        _poison(outs)
        run()
        wanted = tuple(array.copy(out) for out in outs)
        times[analytic] = clock(run)
    for config in usable:
        if config is analytic:
            continue
        with tuning.forcing(name, config):
            try:
                _poison(outs)
                run()
                if all(map(agrees, outs, wanted)):
                    times[config] = clock(run)
                else:
                    failed[config] = "another answer than the model's choice"
            except Exception as error:  # it does not compile or needs more than the GPU has
                failed[config] = f"{type(error).__name__}: {error}".splitlines()[0]
    best = min(times, key=times.__getitem__)
    if times[best] > GAIN * times[analytic]:
        best = analytic
    return Measured(asked, times, failed, best)


def _poison(outs: Arrays) -> None:
    """So that an answer left over from the configuration before does not count."""
    for out in outs:
        out[...] = math.nan if dtypes.is_floating_point(out.dtype) else 1


def agrees(got: Array, wanted: Array) -> bool:
    """Whether two answers differ by rounding only: sums may run in another order, and are rounded
    once to the dtype of the answer."""
    if not wanted.size:
        return True
    if not dtypes.is_floating_point(wanted.dtype):
        return bool((got == wanted).all())
    xp = array.xp(got, wanted)
    wide = dtypes.accumulation_dtype(wanted.dtype)
    a, b = got.astype(wide), wanted.astype(wide)
    finite = xp.isfinite(b)
    if not bool(((a == b) | finite | (xp.isnan(a) & xp.isnan(b))).all()):
        return False
    a, b = xp.where(finite, a, 0), xp.where(finite, b, 0)
    largest, error = float(xp.abs(b).max()), float(xp.abs(a - b).max())
    # not true of a NaN, which `a` may hold where `b` has a number
    return error <= (2 * _unit(wanted.dtype) + 256 * _unit(wide)) * largest


def _unit(dtype: Any) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).eps)


# --- the clock ------------------------------------------------------------------------------------


class GPUClock:
    """Median microseconds of a call on CuPy's current stream, caches flushed before each run.

    The flush is repeated until it takes longer than the host needs to launch the call, so that
    what lies between the two events is the GPU's work and not the wait for Python."""

    BANDWIDTH = 5e12  # bytes a second that no memory of today passes

    def __init__(self, seconds: float = 0.05, least: int = 7, most: int = 50) -> None:
        cupy = array.import_cupy()
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        self.flush = cupy.empty(max(4 * int(device["l2CacheSize"]), 1 << 26), cupy.uint8)
        self.seconds, self.least, self.most = seconds, least, most
        self.cupy = cupy

    def __call__(self, run: Callable[[], Any]) -> float:
        stream = self.cupy.cuda.get_current_stream()
        run()  # compiles
        stream.synchronize()
        start = time.perf_counter()
        run()
        host = time.perf_counter() - start
        stream.synchronize()
        flushes = 1 + math.ceil(2 * host * self.BANDWIDTH / self.flush.nbytes)
        runs, first = self.least, self._once(run, stream, flushes)
        if first > 0:
            runs = min(self.most, max(self.least, round(self.seconds * 1e6 / first)))
        return statistics.median(self._once(run, stream, flushes) for _ in range(runs))

    def _once(self, run: Callable[[], Any], stream: Any, flushes: int) -> float:
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        for _ in range(flushes):
            self.flush.fill(0)
        start.record(stream)
        run()
        end.record(stream)
        end.synchronize()
        return 1e3 * self.cupy.cuda.get_elapsed_time(start, end)


def software() -> str:
    """The versions a measurement depends on."""
    import triton

    cupy = array.import_cupy()
    driver = cupy.cuda.runtime.driverGetVersion()
    return f"triton {triton.__version__}, cupy {cupy.__version__}, driver for CUDA {driver}"


# --- a user's call, PYCNN_AUTOTUNE=1 --------------------------------------------------------------

_measuring = threading.RLock()
_settled: set[Any] = set()


def first_call(
    run: Callable[[], Any],
    operands: Iterable[Any],
    out: Any,
    label: str,
    geometry: Any,
    clock: Clock | None = None,
) -> None:
    """Measures what a call would launch and has no row yet, and stores the rows. `out` holds any
    numbers afterwards: the caller runs the call itself next.

    A call whose output lies over an input is left alone, for it cannot be repeated. What cannot be
    measured or stored is a warning, once."""
    gpu = None if tuning.is_forcing() else tuning.current_gpu()
    given = [a for a in operands if array.is_array(a)]
    outs = tuple(a for a in (out if isinstance(out, tuple) else (out,)) if array.is_array(a))
    precision = tuning.arithmetic("float32")
    key = (
        label,
        gpu,
        geometry,
        precision,
        *((a.shape, a.strides, a.dtype.name) for a in (*given, *outs)),
    )
    if gpu is None or key in _settled:
        return
    if any(array.shares_memory(a, out) for a in given for out in outs):
        return
    with _measuring:
        if key in _settled:
            return
        try:
            missing = without_row(ask(run), gpu)
            if missing:
                clock = clock or GPUClock()
                arch = tuning.shipped_arch(gpu.arch)
                versions = software()
                found = measure_call(run, outs, missing, arch, clock)
                tuning_rows.store(gpu, [one.row(gpu, label, versions) for one in found])
        except Exception as error:
            warnings.warn(
                f"PYCNN_AUTOTUNE=1: {label} runs untuned, {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
        _settled.add(key)


# --- the named layers -----------------------------------------------------------------------------


class Call(NamedTuple):
    """A kernel on a named layer, with filled arrays."""

    label: str
    run: Callable[[], Any]
    outs: Arrays


def calls(
    stem: str | None, dtype: str, batch: int, device: str = "cuda"
) -> Iterator[tuple[str, Callable[[], Call]]]:
    """(label, a function that allocates and fills the call's arrays) of the kernels of
    kernels/<stem>.py, of all kernels without one, on every named layer in both memory formats."""
    from .. import dispatch
    from .problems import problems

    entries = [
        e
        for e in dispatch.entries()
        if e.provider == "triton"
        and e.algorithm != "naive"
        and stem in (None, getattr(e.function, "stem", ""))
    ]
    for problem in problems(batch):
        for entry in (e for e in entries if e.primitive == problem.primitive):
            for memory_format in (array.channels_last, array.contiguous_format):
                label = f"{problem.primitive}/{entry.algorithm} on {problem.layer}, {memory_format}"
                yield label, _filled(entry, problem, dtype, memory_format, device, label)


class Refused(Exception):
    """The kernel does not take this call."""


def _filled(
    entry: Any, problem: Any, dtype: str, memory_format: str, device: str, label: str
) -> Callable[[], Call]:
    def make() -> Call:
        inputs, out, epilogue = problem.allocate(dtype, memory_format, device)
        operands = tuple(array.describe(a) for a in inputs if a is not None)
        described = None if epilogue is None else epilogue.describe()
        reason = entry.refuses(problem.geometry, operands, described)
        if reason is not None:
            raise Refused(reason)
        outs = out if isinstance(out, tuple) else (out,)
        extra = () if epilogue is None else epilogue[:4]
        fill(problem.primitive, problem.geometry, (*inputs, *extra))

        def run() -> None:
            entry.function(*inputs, out=out, geometry=problem.geometry, epilogue=epilogue)

        return Call(label, run, outs)

    return make


def tune(
    found: Iterable[tuple[str, Callable[[], Call]]],
    gpu: tuning_rows.GPU,
    clock: Clock,
    versions: str,
    limit: int | None = None,
    step: Callable[[str], Any] = lambda label: None,
) -> Iterator[tuple[str, Measured | str]]:
    """Measures what has no row yet and stores it, call by call; yields (label, what was measured),
    or (label, why not). Stops after `limit` measurements. `step` is told of every call."""
    done = 0
    for label, make in found:
        if limit is not None and done >= limit:
            return
        step(label)
        try:
            call = make()
            missing = without_row(ask(call.run), gpu)
        except Refused:
            continue
        except Exception as error:
            yield label, _sentence(error)
            continue
        if not missing:
            continue
        arch = tuning.shipped_arch(gpu.arch)
        try:
            for one in measure_call(call.run, call.outs, missing, arch, clock):
                tuning_rows.store(gpu, [one.row(gpu, label, versions)])
                done += 1
                yield label, one
        except OSError:
            raise
        except Exception as error:
            yield label, _sentence(error)


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
