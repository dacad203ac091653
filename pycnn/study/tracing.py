"""trace_model(net, x): when each layer and each kernel of a network ran, forward and backward.

The kernels are those dispatch traces; a call belongs to the innermost module that is running, and
in the backward pass to the module whose forward made the Function that is going backward. Written
as Chrome's trace events the result opens in Perfetto (ui.perfetto.dev) or chrome://tracing.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from .. import array, dispatch
from ..autograd import no_grad
from ..files import replacing
from ..nn.summary import evaluating
from ..tensor import Tensor
from .explain_model import total
from .owners import NET, Owners, Path, functions_of, watching

FORWARD, BACKWARD = "forward", "backward"
LOSS = "(loss)"  # the layer of what runs outside of the network: the sum to go backward from


class Call(NamedTuple):
    """One kernel's run. Times are seconds since the trace began; on a GPU `seconds` lie between
    device events."""

    layer: str
    phase: str  # forward or backward
    start: float
    record: dispatch.Record


class Slice(NamedTuple):
    """A module at work, or a whole pass."""

    name: str
    kind: str  # the module's class; "pass"
    phase: str
    start: float
    end: float


class Row(NamedTuple):
    """One layer's or kernel's part of the trace."""

    name: str
    kind: str
    calls: int
    forward: float  # seconds in kernels
    backward: float
    bytes: int
    flops: int

    @property
    def seconds(self) -> float:
        return self.forward + self.backward


@dataclass
class ModelTrace:
    """What `trace_model` saw, in order of time."""

    kinds: dict[str, str]  # of the modules, by name
    calls: list[Call] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)

    def seconds(self, phase: str | None = None) -> float:
        """Of a pass, or of both: kernels, Python and waiting."""
        passes = [s for s in self.slices if s.kind == "pass" and phase in (None, s.phase)]
        return sum(s.end - s.start for s in passes)

    def layers(self) -> list[Row]:
        """A row for each module that ran kernels itself, in order of its first."""
        return self._rows(lambda call: (call.layer, self.kinds.get(call.layer, "")))

    def kernels(self) -> list[Row]:
        """A row for each primitive and kernel, slowest first."""
        rows = self._rows(
            lambda call: (
                call.record.primitive,
                f"{call.record.provider}/{call.record.algorithm}",
            )
        )
        return sorted(rows, key=lambda row: -row.seconds)

    def _rows(self, key: Any) -> list[Row]:
        rows: dict[tuple[str, str], Row] = {}
        for call in self.calls:
            name, kind = key(call)
            old = rows.get((name, kind)) or Row(name, kind, 0, 0.0, 0.0, 0, 0)
            r = call.record
            rows[name, kind] = old._replace(
                calls=old.calls + 1,
                forward=old.forward + (r.seconds if call.phase == FORWARD else 0.0),
                backward=old.backward + (r.seconds if call.phase == BACKWARD else 0.0),
                bytes=old.bytes + r.bytes,
                flops=old.flops + r.flops,
            )
        return list(rows.values())

    def chrome(self) -> dict[str, Any]:
        """The trace in Chrome's format: passes hold layers, layers hold kernels."""
        events: list[dict[str, Any]] = [
            {"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "pycnn"}}
        ]
        for s in self.slices:
            category = "pass" if s.kind == "pass" else "layer"
            events.append(
                _event(s.name, category, s.start, s.end, {"kind": s.kind, "phase": s.phase})
            )
        for call in self.calls:
            r = call.record
            per = max(r.seconds, 1e-12)
            details = {
                "kernel": f"{r.provider}/{r.algorithm}", "layer": call.layer, "phase": call.phase,
                "geometry": "" if r.geometry is None else str(r.geometry),
                "bytes": r.bytes, "flops": r.flops, "GB/s": round(r.bytes / per / 1e9, 3),
                "GFLOP/s": round(r.flops / per / 1e9, 3),
            }  # fmt: skip
            end = call.start + r.seconds
            events.append(_event(r.primitive, "kernel", call.start, end, details))
        return {"displayTimeUnit": "ms", "traceEvents": events}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write `chrome()` as JSON; the file is complete or not there."""
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(self.chrome()), encoding="utf-8")


def _event(
    name: str, category: str, start: float, end: float, details: dict[str, Any]
) -> dict[str, Any]:
    # microseconds, of whole nanoseconds: what encloses another does so after rounding too
    first, last = round(start * 1e9), round(end * 1e9)
    return {
        "name": name, "cat": category, "ph": "X", "ts": first / 1e3, "dur": (last - first) / 1e3,
        "pid": 1, "tid": 1, "args": details,
    }  # fmt: skip


def trace_model(
    net: Any, *inputs: Tensor, backward: bool = True, warmup: int = 1, runs: int = 1
) -> ModelTrace:
    """Run `net` on `inputs` forward, and backward from the sum of what it gives, and say what took
    how long.

    Args:
        net: any Module; in training mode its running statistics move, and `.grad` ends as None.
        inputs: what it takes.
        backward: False runs it in evaluation mode with nothing recorded.
        warmup: runs before those that are traced.
        runs: as many are traced; the quickest is returned.

    Raises:
        ValueError: a negative `warmup`, or no run. NoKernel: see pycnn.using. What `net` raises.
    """
    if warmup < 0 or runs < 1:
        raise ValueError(
            f"warmup, runs: got {warmup} and {runs}, expected at least 0 and at least 1"
        )
    mode = nullcontext() if backward else evaluating(net)
    recording = nullcontext() if backward else no_grad()
    traces = []
    with mode, recording:
        for _ in range(warmup + runs):
            recorder = _Recorder(net)
            _run(net, inputs, backward, recorder)
            traces.append(recorder.trace)
    return min(traces[warmup:], key=ModelTrace.seconds)


def _run(net: Any, inputs: tuple[Tensor, ...], backward: bool, recorder: _Recorder) -> None:
    with dispatch.trace(recorder):
        start = recorder.now()
        with watching(net, recorder.at) as owners:
            output = net(*inputs)
        loss = total(output) if backward else None
        recorder.trace.slices.append(Slice(FORWARD, "pass", FORWARD, start, recorder.now()))
        if loss is not None:
            recorder.phase = BACKWARD
            _hook(loss, recorder, owners)
            start = recorder.now()
            loss.backward()
            recorder.at(())
            recorder.trace.slices.append(Slice(BACKWARD, "pass", BACKWARD, start, recorder.now()))
            net.zero_grad()
    recorder.finish()


class _Noting(list):
    """A list that tells when something came."""

    def __init__(self, note: Any) -> None:
        super().__init__()
        self.note = note

    def append(self, record: dispatch.Record) -> None:
        super().append(record)
        self.note(record)


class _Recorder(dispatch.Trace):
    """A trace that knows which module runs, and when each kernel began."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.records = _Noting(self._came)
        kinds = {name or NET: type(module).__name__ for name, module in net.named_modules()}
        self.trace = ModelTrace(kinds)
        self.phase = FORWARD
        self._open: list[tuple[str, float]] = []  # modules at work and since when
        self._began = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self._began

    def at(self, path: Path) -> None:
        """From now on these modules are running: ends the slices of others, begins their own."""
        now = self.now()
        shared = 0
        for (name, _), wanted in zip(self._open, path):
            if name != wanted:
                break
            shared += 1
        while len(self._open) > shared:
            name, start = self._open.pop()
            kind = self.trace.kinds.get(name, "")
            self.trace.slices.append(Slice(name, kind, self.phase, start, now))
        self._open += [(name, now) for name in path[shared:]]

    def call(
        self, entry: dispatch.Entry, inputs: Any, out: Any, geometry: Any, epilogue: Any
    ) -> None:
        if array.device_of(inputs[0]) == "cpu":
            super().call(entry, inputs, out, geometry, epilogue)
            return
        events = _DeviceEvents(entry.function)
        self._device = events
        super().call(entry._replace(function=events), inputs, out, geometry, epilogue)

    _device: _DeviceEvents | None = None

    def _came(self, record: dispatch.Record) -> None:
        end = self.now()
        if self._device is not None:
            record = record._replace(seconds=self._device.seconds())
            self._device = None
            list.__setitem__(self.records, -1, record)
        layer = self._open[-1][0] if self._open else LOSS
        self.trace.calls.append(Call(layer, self.phase, end - record.seconds, record))

    def finish(self) -> None:
        """Puts the slices in order: by their beginning, the longer first."""
        self.trace.slices.sort(key=lambda s: (s.start, -s.end, s.kind != "pass"))


class _DeviceEvents:
    """A kernel between two events of the current stream."""

    def __init__(self, function: Any) -> None:
        self.function = function
        event = array.import_cupy().cuda.Event
        self.start, self.end = event(), event()

    def __call__(self, *inputs: Any, **keywords: Any) -> None:
        self.start.record()
        self.function(*inputs, **keywords)
        self.end.record()

    def seconds(self) -> float:
        self.end.synchronize()
        return 1e-3 * array.import_cupy().cuda.get_elapsed_time(self.start, self.end)


def _comes(recorder: _Recorder, path: Path, gradient: Any) -> None:
    recorder.at(path)


def _hook(loss: Tensor, recorder: _Recorder, owners: Owners) -> None:
    """Tells the recorder, whenever the walk comes to a Function, whose it is."""
    for node in functions_of([loss._node]):
        comes = partial(_comes, recorder, owners.path(node))
        if node.hooks is None:
            node.hooks = {}
        for index in range(len(node._outputs)):
            node.hooks.setdefault(index, {})[id(recorder)] = comes
