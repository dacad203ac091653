"""Dispatch: which kernel runs. One table, one select(); the only such decision in pycnn.

A provider registers (primitive, algorithm, function, refuses). A kernel is called as
`function(*inputs, out=..., geometry=..., epilogue=...)` and fills `out`, which the caller
allocated; `refuses(geometry, operands, epilogue)` returns in words why it cannot, or None;
`slower(geometry, operands)` why a later algorithm is the better choice, or None. Left to itself,
select() takes the first kernel of the tuning table's order that does not refuse and is not slower;
inside `with using("triton"):` that provider runs or NoKernel is raised.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import array
from .array import Array, Operand

# the primitives, with their arrays in order: inputs -> outputs; a reference kernel may declare more
PRIMITIVES = {
    "conv2d_fprop": "x, w -> y",
    "conv2d_dgrad": "dy, w -> dx",
    "conv2d_wgrad": "x, dy -> dw",
    "gemm": "a, b -> out",
    "im2col": "x -> columns",
    "col2im": "columns -> x",
    "max_pool2d_fprop": "x -> y, offsets",
    "max_pool2d_dgrad": "dy, offsets -> dx",
    "avg_pool2d_fprop": "x -> y",
    "avg_pool2d_dgrad": "dy -> dx",
    "max_unpool2d_fprop": "x, indices -> y",
    "max_unpool2d_dgrad": "dy, indices -> dx",
    "batch_norm_stats": "x -> mean, m2",
    "batch_norm_apply": "x, mean, invstd, weight, bias -> y",
    "batch_norm_reduce": "dy, x, mean, invstd, weight, bias -> sum_dy, sum_dy_xhat",
    "batch_norm_dgrad": "dy, x, mean, invstd, weight, bias, sum_dy, sum_dy_xhat -> dx",
    "concat": "*inputs -> out",
    "split": "x -> *outputs",
    "add_activation": "a, b -> out",
    "local_response_norm_fprop": "x -> y",
    "local_response_norm_dgrad": "dy, x, y -> dx",
    "resize2d_fprop": "x -> y",
    "resize2d_dgrad": "dy -> dx",
    "softmax_fprop": "x -> y",
    "softmax_dgrad": "dy, y -> dx",
    "softmax_cross_entropy_fprop": "logits, target, class_weight -> loss, logsumexp",
    "softmax_cross_entropy_dgrad": "dloss, logits, target, class_weight, logsumexp -> dlogits",
    "dropout": "x, key -> y",
    "elementwise": "*inputs -> out",
    "reduce": "x -> out",
}

PROVIDERS = ("reference", "native", "triton", "cuda")


class NoKernel(RuntimeError):
    """No kernel takes these operands; the message holds every refusal."""


class Epilogue(NamedTuple):
    """What a kernel applies before it stores: activation((acc + bias) * scale + shift + residual).

    bias, scale, shift (K,); residual of the output's shape; activation a name of ACTIVATIONS or
    None."""

    bias: Array | None = None
    scale: Array | None = None
    shift: Array | None = None
    residual: Array | None = None
    activation: str | None = None

    def describe(self) -> EpilogueOperands:
        bias, scale, shift, residual = [None if a is None else array.describe(a) for a in self[:4]]
        return EpilogueOperands(bias, scale, shift, residual, self.activation)


class EpilogueOperands(NamedTuple):
    """An Epilogue as select() and `refuses` see it."""

    bias: Operand | None = None
    scale: Operand | None = None
    shift: Operand | None = None
    residual: Operand | None = None
    activation: str | None = None


ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "silu",
    "hardswish",
    "hardsigmoid",
    "gelu",
    "elu",
)


class Entry(NamedTuple):
    """One kernel in the table."""

    primitive: str
    provider: str
    algorithm: str
    function: Callable[..., None]
    refuses: Callable[..., str | None]
    devices: tuple[str, ...]
    slower: Callable[..., str | None] | None = None


_table: dict[str, list[Entry]] = {name: [] for name in PRIMITIVES}
_loaded = False


def refuses_nothing(geometry: Any, operands: Any, epilogue: Any) -> None:
    return None


def register(
    primitive: str,
    provider: str,
    algorithm: str,
    refuses: Callable[..., str | None] = refuses_nothing,
    devices: Sequence[str] = ("cpu", "cuda"),
    arrays: str | None = None,
    slower: Callable[..., str | None] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: enter a kernel in the table. Registering the same name again replaces it and
    clears the cache.

    `slower` is only asked where the call leaves the algorithm open: a kernel it speaks against runs
    if nothing after it can.

    With `arrays` ("x, w -> y") the kernel declares its primitive: that is the reference's part."""
    if arrays is not None:
        PRIMITIVES.setdefault(primitive, arrays)
        _table.setdefault(primitive, [])
    if primitive not in _table:
        raise ValueError(f"primitive: got {primitive!r}, expected one of {', '.join(_table)}")

    def enter(function: Callable[..., None]) -> Callable[..., None]:
        entry = Entry(primitive, provider, algorithm, function, refuses, tuple(devices), slower)
        entries = _table[primitive]
        for i, known in enumerate(entries):
            if (known.provider, known.algorithm) == (provider, algorithm):
                entries[i] = entry
                break
        else:
            entries.append(entry)
        select.cache_clear()
        return function

    return enter


def entries(primitive: str | None = None) -> list[Entry]:
    """The kernels in the table, of one primitive or of all."""
    _load_providers()
    if primitive is None:
        return [entry for group in _table.values() for entry in group]
    if primitive not in _table:
        raise ValueError(f"primitive: got {primitive!r}, expected one of {', '.join(_table)}")
    return list(_table[primitive])


def _load_providers() -> None:
    global _loaded
    if not _loaded:
        from . import providers

        providers.load()
        _loaded = True


# --- what the caller asks for ---------------------------------------------------------------------

Asked = tuple[str | None, str | None]  # provider, algorithm


def _asked_by_environment() -> Asked | None:
    name = os.environ.get("PYCNN_PROVIDER")
    return (_known_provider(name, "PYCNN_PROVIDER"), None) if name else None


def _known_provider(name: str | None, argument: str) -> str | None:
    if name is not None and name not in PROVIDERS:
        raise ValueError(f"{argument}: got {name!r}, expected one of {', '.join(PROVIDERS)}")
    return name


_asked_at_start = _asked_by_environment()
_asked: ContextVar[Asked | None] = ContextVar("pycnn_asked", default=_asked_at_start)


@contextmanager
def using(provider: str | None = None, algorithm: str | None = None) -> Iterator[None]:
    """Run every primitive inside on `provider`, or raise NoKernel. `algorithm` (e.g. "naive") binds
    the primitives that have one of that name; "auto" is no constraint. ValueError for an unknown
    provider or algorithm."""
    _known_provider(provider, "provider")
    if provider is None:
        provider = (_asked.get() or (None, None))[0]
    if algorithm == "auto":
        algorithm = None
    if algorithm is not None:
        names = sorted({e.algorithm for e in entries() if provider in (None, e.provider)})
        if algorithm not in names:
            raise ValueError(
                f"algorithm: got {algorithm!r}, expected 'auto' or one of {', '.join(names)}"
            )
    if provider is not None:
        from . import providers

        providers.require(provider)
    token = _asked.set((provider, algorithm) if provider or algorithm else None)
    try:
        yield
    finally:
        _asked.reset(token)


def candidates(primitive: str, device: str, asked: Asked | None) -> list[Entry]:
    """The kernels to try, in order; those of the provider and algorithm asked for where one is."""
    from . import providers

    _load_providers()
    provider, algorithm = asked or (None, None)
    kind = device.partition(":")[0]
    known = [e for e in _table[primitive] if kind in e.devices]
    if provider is not None:
        known = [e for e in known if e.provider == provider]
    else:
        known = [e for e in known if providers.chosen_automatically(e.provider, kind)]
    # a naive rung binds where the provider has one: few families have any
    offered = known if algorithm == "naive" else _table[primitive]
    if algorithm is not None and any(e.algorithm == algorithm for e in offered):
        known = [e for e in known if e.algorithm == algorithm]
    elif algorithm is None:
        known = [e for e in known if e.algorithm != "naive"] or known
    rank = providers.ranking(primitive, kind)
    return sorted(known, key=lambda e: rank(e.provider, e.algorithm))


@lru_cache(maxsize=4096)
def select(
    primitive: str,
    geometry: Any,
    operands: tuple[Operand, ...],
    epilogue: EpilogueOperands | None,
    device: str,
    asked: Asked | None = None,
) -> Entry:
    """The kernel that runs `primitive` on these operands; raises NoKernel with every refusal."""
    refusals = []
    spare = None  # the first that can run but is slower than another might be
    open_choice = asked is None or asked[1] is None
    # special before general, in tuning-table order
    for entry in candidates(primitive, device, asked):
        reason = entry.refuses(geometry, operands, epilogue)
        if reason is not None:
            refusals.append(f"{entry.provider}/{entry.algorithm}: {reason}")
        elif not open_choice or entry.slower is None or entry.slower(geometry, operands) is None:
            # another provider is no remedy for a slow algorithm
            return spare if spare is not None and spare.provider != entry.provider else entry
        elif spare is None:
            spare = entry
    if spare is not None:
        return spare
    wanted = "/".join(filter(None, asked or ()))
    none = f"{wanted or 'no provider'} has no kernel for it on {device}"
    raise NoKernel(f"{primitive} {geometry}: " + ("; ".join(refusals) or none))


def run(
    primitive: str,
    *inputs: Array,
    out: Any = None,
    out_shape: tuple[int, ...] | None = None,
    geometry: Any = None,
    epilogue: Epilogue | None = None,
    operands: tuple[Operand, ...] | None = None,
) -> Any:
    """Run `primitive` on raw arrays and return `out`, an array or a tuple of them.

    Without `out` it is allocated: `out_shape` in the first input's dtype, channels-last iff a 4-D
    input is. `operands` describe the inputs that are not None, for callers that know them."""
    if operands is None:
        operands = tuple([array.describe(a) for a in inputs if a is not None])
    device = "cpu" if isinstance(inputs[0], np.ndarray) else array.device_of(inputs[0])
    if out is None:
        assert out_shape is not None
        kept = array.format_for(operands, out_shape)
        out = array.empty(out_shape, inputs[0].dtype, kept, device)
    described = None if epilogue is None else epilogue.describe()
    entry = select(primitive, geometry, operands, described, device, _asked.get())
    recorder = _trace.get()
    if recorder is None:
        entry.function(*inputs, out=out, geometry=geometry, epilogue=epilogue)
    else:
        recorder.call(entry, inputs, out, geometry, epilogue)
    return out


# --- looking on -----------------------------------------------------------------------------------


class Record(NamedTuple):
    """One traced call. Seconds are wall-clock, the GPU synchronised before and after."""

    primitive: str
    provider: str
    algorithm: str
    geometry: Any
    bytes: int
    flops: int
    seconds: float


class Trace:
    """The calls made while a `trace()` block was active, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def call(
        self, entry: Entry, inputs: Any, out: Any, geometry: Any, epilogue: Epilogue | None
    ) -> None:
        array.synchronize()
        start = time.perf_counter()
        entry.function(*inputs, out=out, geometry=geometry, epilogue=epilogue)
        array.synchronize()
        seconds = time.perf_counter() - start
        arrays = [
            *inputs,
            *(out if isinstance(out, (tuple, list)) else (out,)),
            *(epilogue[:4] if epilogue else ()),
        ]
        moved = sum(array.nbytes(a) for a in arrays if a is not None)
        flops = geometry.flops(entry.primitive) if geometry is not None else 0
        self.records.append(
            Record(
                entry.primitive, entry.provider, entry.algorithm, geometry, moved, flops, seconds
            )
        )

    def totals(self) -> list[tuple[str, str, str, int, float, int, int]]:
        """(primitive, provider, algorithm, calls, seconds, bytes, flops) per kernel, slowest
        first."""
        sums: dict[tuple[str, str, str], list[float]] = {}
        for r in self.records:
            total = sums.setdefault((r.primitive, r.provider, r.algorithm), [0, 0.0, 0, 0])
            for i, value in enumerate((1, r.seconds, r.bytes, r.flops)):
                total[i] += value
        rows = [(*key, int(t[0]), t[1], int(t[2]), int(t[3])) for key, t in sums.items()]
        return sorted(rows, key=lambda row: -row[4])

    def table(self) -> str:
        """`totals` as text, with each kernel's share of the time."""
        rows = self.totals()
        whole = sum(row[4] for row in rows) or 1.0
        lines = [
            f"{'primitive':28} {'kernel':24} {'calls':>6} {'ms':>10} {'share':>6} {'GB/s':>8} "
            f"{'GFLOP/s':>9}"
        ]
        for primitive, provider, algorithm, calls, seconds, moved, flops in rows:
            per = max(seconds, 1e-12)
            lines.append(
                f"{primitive:28} {provider + '/' + algorithm:24} {calls:6d} {seconds * 1e3:10.3f} "
                f"{seconds / whole:6.1%} {moved / per / 1e9:8.2f} {flops / per / 1e9:9.2f}"
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


_trace: ContextVar[Trace | None] = ContextVar("pycnn_trace", default=None)


@contextmanager
def trace(recorder: Trace | None = None) -> Iterator[Trace]:
    """Record every primitive run inside: `with pycnn.trace() as t: ...; print(t.table())`.

    `recorder` may be a Trace to go on with, or one of a subclass that does more with each call."""
    recorder = Trace() if recorder is None else recorder
    token = _trace.set(recorder)
    try:
        yield recorder
    finally:
        _trace.reset(token)


def run_array(name: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call an operation of xp that belongs to no provider (sort, random numbers, indexing), traced
    as `array`."""
    recorder = _trace.get()
    if recorder is None:
        return function(*arguments, **keywords)
    start = time.perf_counter()
    result = function(*arguments, **keywords)
    array.synchronize()
    arrays = [a for a in (*arguments, result) if array.is_array(a)]
    moved = sum(array.nbytes(a) for a in arrays)
    recorder.records.append(
        Record(name, "array", "xp", None, moved, 0, time.perf_counter() - start)
    )
    return result


def explain(
    primitive: str,
    *inputs: Any,
    geometry: Any = None,
    epilogue: Epilogue | None = None,
    asked: Asked | None = None,
) -> str:
    """Which kernel would run `primitive` on these arrays (or Operands), and what each other one
    says.

    One line per kernel of every provider: "->" before the chosen one, a reason behind each that is
    passed over."""
    all_entries = entries(primitive)
    arrays = [getattr(a, "_data", a) for a in inputs if a is not None]
    operands = tuple(a if isinstance(a, Operand) else array.describe(a) for a in arrays)
    real = [a for a in arrays if not isinstance(a, Operand)]
    device = array.device_of(real[0]) if real else "cpu"
    described = None if epilogue is None else epilogue.describe()
    asked = asked or _asked.get()
    try:
        chosen: Entry | None = select(primitive, geometry, operands, described, device, asked)
    except NoKernel:
        chosen = None
    ordered = candidates(primitive, device, asked)
    lines = [f"{primitive} {geometry if geometry is not None else ''} on {device}".rstrip()]
    for entry in ordered + [e for e in all_entries if e not in ordered]:
        reason = entry.refuses(geometry, operands, described)
        if entry == chosen:
            note = "chosen"
        elif reason is not None:
            note = f"refuses: {reason}"
        elif entry in ordered and entry.slower and (why := entry.slower(geometry, operands)):
            note = f"can run, slower here: {why}"
        elif entry in ordered:
            note = "can run; the tuning table puts it later"
        else:
            note = "not considered: " + _left_out(entry, device, asked)
        lines.append(
            f"  {'->' if entry == chosen else '  '} {entry.provider}/{entry.algorithm}: {note}"
        )
    if chosen is None:
        lines.append("  no kernel runs it")
    return "\n".join(lines)


def _left_out(entry: Entry, device: str, asked: Asked | None) -> str:
    provider, algorithm = asked or (None, None)
    kind = device.partition(":")[0]
    if kind not in entry.devices:
        return f"it runs on {' and '.join(entry.devices)}"
    if provider is not None and entry.provider != provider:
        return f"provider {provider!r} was asked for"
    if algorithm is not None and entry.algorithm != algorithm:
        return f"algorithm {algorithm!r} was asked for"
    if entry.algorithm == "naive":
        return "a naive rung runs only when asked for by name"
    return f"provider {entry.provider!r} is not chosen automatically on {kind}"


def provider_status() -> list[tuple[str, bool, str]]:
    """(name, usable, note) of each provider; the note says what it lacks."""
    from . import providers

    _load_providers()
    return [(name, *providers.status(name)) for name in PROVIDERS]
