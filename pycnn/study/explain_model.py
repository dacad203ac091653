"""Which kernel every layer of a network gets, and why the others are passed over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .. import dispatch
from ..tensor import Tensor


@dataclass
class Explanation:
    """One primitive on one geometry: who ran it, where in the network, and what the rest says."""

    primitive: str
    geometry: str
    kernel: str  # provider/algorithm
    text: str  # as from pycnn.explain
    layers: list[str] = field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0


class _Recorder(dispatch.Trace):
    """A trace that also asks, before each call, what every kernel says to it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, str], Explanation] = {}
        self.inside: list[str] = []  # names of the modules that are running, outermost first
        self._layers_of: dict[Any, str] = {}  # geometry -> layer, for calls from backward

    def call(
        self, entry: dispatch.Entry, inputs: Any, out: Any, geometry: Any, epilogue: Any
    ) -> None:
        text = dispatch.explain(entry.primitive, *inputs, geometry=geometry, epilogue=epilogue)
        super().call(entry, inputs, out, geometry, epilogue)
        if self.inside:
            layer = self.inside[-1]
            self._layers_of.setdefault(geometry, layer)
        else:
            layer = self._layers_of.get(geometry, "")
        kernel = f"{entry.provider}/{entry.algorithm}"
        new = Explanation(entry.primitive, str(geometry), kernel, text)
        known = self.found.setdefault((entry.primitive, text), new)
        known.calls += 1
        known.seconds += self.records[-1].seconds
        if layer and layer not in known.layers:
            known.layers.append(layer)


@contextmanager
def _named_layers(net: Any, recorder: _Recorder) -> Iterator[None]:
    handles = []
    for name, module in net.named_modules():
        if name:
            handles.append(
                module.register_forward_pre_hook(
                    lambda module, args, name=name: recorder.inside.append(name)
                )
            )
            handles.append(
                module.register_forward_hook(lambda module, args, output: _leave(recorder))
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _leave(recorder: _Recorder) -> None:
    recorder.inside.pop()


def explain_model(net: Any, *inputs: Tensor, backward: bool = True) -> list[Explanation]:
    """Run `net` on `inputs` forward, and backward from the sum, and explain every distinct call.

    Calls that differ in geometry, layout, dtype or epilogue are told apart. A call made by the
    backward pass is credited to the layer whose forward had the same geometry.

    Returns:
        One Explanation per distinct call, in order of first use.
    """
    recorder = _Recorder()
    with dispatch.trace(recorder):
        with _named_layers(net, recorder):
            output = net(*inputs)
        if backward:
            total(output).backward()
            net.zero_grad()
    return list(recorder.found.values())


def total(output: Any) -> Tensor:
    """The sum of everything a network gave: a scalar to go backward from."""
    parts = [t for t in output if t is not None] if isinstance(output, tuple) else [output]
    return sum((t.sum() for t in parts[1:]), parts[0].sum())
