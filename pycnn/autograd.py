"""Reverse-mode differentiation: Function, and the backward walk.

A Function is one call of a differentiable op and, once recorded, the graph's node. Edges to what it
was computed from are strong; nothing in the graph points at a tensor computed from it, so dropping
the loss frees the whole graph by reference counting. Gradients travel as raw arrays: the walk knows
of no Tensor but the leaves it fills.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock  # as threading's, which is slow to import
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from . import array, dispatch
from .array import Array
from .dtypes import FLOATING, float32
from .geometry import elementwise_geometry
from .grad_mode import _grad_enabled, enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "Version",
    "backward",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

_sequence = count()


class Version:
    """Counts in-place edits of one piece of memory; shared by a tensor, its views and its detached
    aliases."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Function:
    """A differentiable op. Subclasses define `forward` and `backward` on raw arrays:

        class Scale(Function):                      # Scale(factor=2.0)(x)
            def forward(self, x):
                self.retain()
                return run("elementwise", x, ...)
            def backward(self, dy):
                return (run(...),) if self.wants[0] else (None,)

    Keyword arguments of the constructor become attributes. An instance is called once, on tensors
    or None. `forward` returns an array or a tuple of arrays and names with `self.retain(...)` the
    arrays that backward needs, found again as `self.retained`; an in-place edit of one of them in
    between raises. `backward` gets one gradient per output (zeros where none arrived; None if
    `materialize` is False) and returns one per input, None where `self.wants[i]` is false. Integer
    outputs, and those named by `self.mark_non_differentiable`, get no gradient."""

    materialize = True
    recording = False
    wants: tuple[bool, ...] = ()
    sequence = -1
    edges: tuple[Any, ...] = ()
    provider: str | None = None
    algorithm: str | None = None
    _retained: tuple[Array | None, ...] = ()
    _versions: tuple[tuple[Version, int] | None, ...] = ()
    _released = False
    _non_differentiable: tuple[Array, ...] = ()
    _outputs: tuple[tuple[tuple[int, ...], Any, str], ...] = ()
    hooks: dict[int, dict[int, Callable[[Array], Array | None]]] | None = None
    # by output: called with its gradient once every hook has seen it (Tensor.retain_grad)
    keepers: dict[int, Callable[[Function, Array], None]] | None = None

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *gradients: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    @property
    def name(self) -> str:
        return f"{type(self).__name__}Backward"

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def retain(self, *arrays: Array | None) -> None:
        """Keep these arrays for backward, in this order."""
        self._retained = arrays

    def mark_non_differentiable(self, *arrays: Array) -> None:
        """These outputs never require grad."""
        self._non_differentiable = arrays

    @property
    def retained(self) -> tuple[Any, ...]:
        """The arrays retained by forward; RuntimeError if freed by an earlier backward, or edited
        since."""
        if self._released:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or access what it retained "
                "after it was freed). Specify retain_graph=True if you need to backward through "
                "the graph a second time"
            )
        for saved, kept in zip(self._versions, self._retained, strict=True):
            if saved is not None and saved[0].value != saved[1]:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: {array.words(kept)}, needed by {self.name}, is at version "
                    f"{saved[0].value}; expected version {saved[1]} instead"
                )
        return self._retained

    def __call__(self, *inputs: Any) -> Any:
        arrays = [None if t is None else t._data for t in inputs]
        recording = False
        if _grad_enabled.get():
            for t in inputs:
                # a stale view learns from its base whether it requires grad; others answer at once
                if t is not None and (t._requires_grad if t._view is None else t.requires_grad):
                    recording = True
                    self.wants = tuple([t is not None and t.requires_grad for t in inputs])
                    break
        self.recording = recording
        if self.provider is None and self.algorithm is None:
            result = self.forward(*arrays)
        else:
            with dispatch.using(self.provider, self.algorithm):
                result = self.forward(*arrays)
        if not recording:
            self._retained = ()
            if type(result) is tuple:
                return tuple([wrap(a) for a in result])
            return wrap(result)
        return self._record(inputs, arrays, result)

    def _record(self, inputs: Sequence[Any], arrays: Sequence[Array | None], result: Any) -> Any:
        outputs = result if type(result) is tuple else (result,)
        tensors = [wrap(a) for a in outputs]
        self.edges = tuple(
            [t.gradient_edge() if w else None for t, w in zip(inputs, self.wants, strict=True)]
        )
        self._outputs = tuple([(a.shape, a.dtype, array.device_of(a)) for a in outputs])
        self.sequence = next(_sequence)
        for i, (t, a) in enumerate(zip(tensors, outputs, strict=True)):
            if a.dtype in FLOATING and not any(a is fixed for fixed in self._non_differentiable):
                t._node = self
                t._index = i
                t._requires_grad = True
        self._non_differentiable = ()
        versions: list[tuple[Version, int] | None] = []
        for kept in self._retained:
            versions.append(None)
            if kept is not None:
                for t in (*inputs, *tensors):
                    if t is not None and t._data is kept:
                        counter = t.version_counter()
                        versions[-1] = (counter, counter.value)
                        break
        self._versions = tuple(versions)
        return tuple(tensors) if type(result) is tuple else tensors[0]

    def release(self) -> None:
        """Free what was retained; a later backward through this node raises if it retained
        anything."""
        if self._retained:
            self._released = True
            self._retained = ()
            self._versions = ()

    def see(self, gradients: list[Array | None]) -> None:
        """Show the outputs' gradients to their hooks, which may replace them, then to the
        keepers."""
        if self.hooks is not None:
            for index, hooks in list(self.hooks.items()):
                gradients[index] = run_hooks(hooks, gradients[index])
        if self.keepers is not None:
            for index, keep in self.keepers.items():
                arrived = gradients[index]
                if arrived is not None:
                    keep(self, arrived)

    def run_backward(self, gradients: list[Array | None]) -> tuple[Array | None, ...]:
        """backward() on complete arguments, its results checked against the inputs."""
        if self.materialize and any(g is None for g in gradients):
            gradients = [
                zeros(self._outputs[i]) if g is None else g for i, g in enumerate(gradients)
            ]
        if self.provider is None and self.algorithm is None:
            results = self.backward(*gradients)
        else:
            with dispatch.using(self.provider, self.algorithm):
                results = self.backward(*gradients)
        if type(results) is not tuple:
            results = (results,)
        if len(results) != len(self.edges):
            raise RuntimeError(
                f"{self.name} returned {len(results)} gradients, expected {len(self.edges)}, one "
                "per input"
            )
        return results


# a Tensor around an array, without checks: tensor.py puts Tensor._wrap here
wrap: Callable[[Array], Any] = lambda a: a


def zeros(meta: tuple[tuple[int, ...], Any, str]) -> Array:
    shape, dtype, device = meta
    out = array.empty(shape, dtype, device=device)
    out[...] = 0
    return out


def run_hooks(
    hooks: dict[int, Callable[[Array], Array | None]], gradient: Array | None
) -> Array | None:
    """Each hook sees the gradient in turn and may replace it."""
    if gradient is None:
        return None
    for hook in list(hooks.values()):
        replaced = hook(gradient)
        if replaced is not None:
            gradient = replaced
    return gradient


_ADD = elementwise_geometry("add")


def add_gradients(a: Array, b: Array) -> Array:
    """a + b in a new array: either may be referenced elsewhere."""
    return dispatch.run("elementwise", a, b, out=array.empty_like(a), geometry=_ADD)


def backward_walk(
    roots: Sequence[tuple[Any, int, Array]],
    retain_graph: bool,
    into: dict[int, Array | None] | None = None,
    stop_at: dict[tuple[int, int], int] | None = None,
) -> None:
    """Propagate each root's (node or leaf, output index, gradient) to the leaves, newest node
    first.

    A node's consumers were all recorded after it, so popping the highest sequence number meets
    every node after the whole of its gradient has arrived; no recursion, so depth is free. With
    `into`, gradients land there by position (leaves by id, `stop_at` naming (id(node), index) of
    non-leaves) and no leaf's `.grad` changes."""
    pending: dict[int, list[Array | None]] = {}
    heap: list[tuple[int, Any]] = []
    # leaves with hooks, and the sums of what reached them: hooks see the whole gradient, once
    hooked: dict[int, tuple[Any, Array]] = {}
    needed = None if into is None else _leading_to(roots, into, stop_at or {})

    def send(edge: tuple[Any, int], gradient: Array) -> None:
        target, index = edge
        if not isinstance(target, Function):
            if into is not None and id(target) not in into:
                return
            if target.hooks or target.accumulate_hooks:
                held = hooked.get(id(target))
                total = gradient if held is None else add_gradients(held[1], gradient)
                hooked[id(target)] = (target, total)
            else:
                deliver(target, gradient, into)
            return
        if needed is not None and target.sequence not in needed:
            if stop_at is None or (id(target), index) not in stop_at:
                return
        slots = pending.get(target.sequence)
        if slots is None:
            slots = pending[target.sequence] = [None] * len(target._outputs)
            heappush(heap, (-target.sequence, target))
        known = slots[index]
        slots[index] = gradient if known is None else add_gradients(known, gradient)

    for target, index, gradient in roots:
        send((target, index), gradient)
    del gradient
    while heap:
        node = heappop(heap)[1]
        slots = pending.pop(node.sequence)
        if node.hooks is not None or node.keepers is not None:
            node.see(slots)
        if stop_at and into is not None:
            for index, arrived in enumerate(slots):
                position = stop_at.get((id(node), index))
                if position is not None and arrived is not None:
                    into[position] = arrived
        if needed is not None and node.sequence not in needed:
            continue
        results = node.run_backward(slots)
        slots = []  # drop our references before the leaves decide whether they must copy
        if not retain_graph:
            node.release()
        edges = node.edges
        wants = node.wants
        results = list(results)
        for i, edge in enumerate(edges):
            result, results[i] = results[i], None
            if edge is None or not wants[i] or result is None:
                continue
            check_gradient(node, i, edge, result)
            send(edge, result)
            del result
    for leaf, total in hooked.values():
        deliver_hooked(leaf, total, into)


def _leading_to(
    roots: Sequence[tuple[Any, int, Array]],
    into: dict[int, Array | None],
    stop_at: dict[tuple[int, int], int],
) -> set[int]:
    """The sequence numbers of the nodes through which a gradient can reach what is asked for."""
    nodes: dict[int, Function] = {}
    stack = [target for target, _, _ in roots if isinstance(target, Function)]
    while stack:
        node = stack.pop()
        if node.sequence in nodes:
            continue
        nodes[node.sequence] = node
        stack += [e[0] for e in node.edges if e is not None and isinstance(e[0], Function)]
    needed: set[int] = set()
    for sequence in sorted(nodes):  # what a node was computed from was recorded before it
        for edge in nodes[sequence].edges:
            if edge is None:
                continue
            target, index = edge
            if (
                (target.sequence in needed or (id(target), index) in stop_at)
                if isinstance(target, Function)
                else id(target) in into
            ):
                needed.add(sequence)
                break
    return needed


def check_gradient(node: Function, position: int, edge: tuple[Any, int], gradient: Array) -> None:
    """RuntimeError if a backward returned a gradient that does not fit its input."""
    target, index = edge
    shape = target._outputs[index][0] if isinstance(target, Function) else target._data.shape
    if gradient.shape != shape:
        raise RuntimeError(
            f"Function {node.name} returned an invalid gradient at index {position} - got "
            f"{list(gradient.shape)} but expected shape compatible with {list(shape)}"
        )


class _Probe(Function):
    """Returns a gradient nobody else refers to, so that is_owned can learn what that looks like."""

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return array.empty(dy.shape, dy.dtype, array.channels_last)


# (references to the gradient, to its base) as is_owned counts them for an array only the walk
# holds; the interpreter's version decides them, so they are measured once
_exclusive: tuple[int, int] | None = None


def is_owned(gradient: Array) -> bool:
    """Whether the walk holds the only reference to this memory; a channels-last array is a view of
    its allocation."""
    global _exclusive
    base = gradient.base
    counts = (sys.getrefcount(gradient), 0 if base is None else sys.getrefcount(base))
    if _exclusive is None:
        _exclusive = counts  # of the probe below, which comes back here first
        return True
    # memory of another owner (DLPack, bytes) has no size
    if base is not None and getattr(base, "size", None) != gradient.size:
        return False
    return counts[0] <= _exclusive[0] and counts[1] <= _exclusive[1]


def measure_ownership() -> None:
    """Set `_exclusive`; called once, by tensor.py."""
    leaf = wrap(array.empty((1, 2, 2, 2), float32))
    leaf._requires_grad = True
    with enable_grad():
        root = _Probe()(leaf)
    seed = zeros(root._node._outputs[0])
    backward_walk([(root._node, 0, seed)], False)


# two threads' backward passes may meet in one leaf, whose sum must lose neither
_accumulating = RLock()


def _renew_lock() -> None:
    global _accumulating
    _accumulating = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)  # its owner may not exist in the child


def deliver(leaf: Any, gradient: Array, into: dict[int, Array | None] | None) -> None:
    """Accumulate into a leaf's .grad, or into `into` where only named tensors are asked for."""
    if gradient.dtype != leaf._data.dtype:
        gradient = gradient.astype(leaf._data.dtype)
    if into is not None:
        known = into[id(leaf)]
        into[id(leaf)] = gradient if known is None else add_gradients(known, gradient)
        return
    with _accumulating:
        if leaf._grad is None:
            # an array that others may see is copied first
            leaf._grad = wrap(gradient if is_owned(gradient) else array.copy(gradient))
        else:
            # in place, as in torch: .grad may be a view into a buffer that someone else reads
            total = leaf._grad._data
            dispatch.run("elementwise", total, gradient, out=total, geometry=_ADD)
            leaf._grad.edited(None)


def deliver_hooked(leaf: Any, gradient: Array, into: dict[int, Array | None] | None) -> None:
    """`deliver` the whole gradient of a leaf with hooks, between those before and after it."""
    if leaf.hooks:
        gradient = run_hooks(leaf.hooks, gradient)  # type: ignore[assignment]
    deliver(leaf, gradient, into)
    if into is None:
        run_accumulate_hooks(leaf)


def run_accumulate_hooks(leaf: Any) -> None:
    for hook in list(leaf.accumulate_hooks.values()) if leaf.accumulate_hooks else ():
        hook(leaf)


_CREATE_GRAPH = (
    "create_graph=True (gradients of gradients) is not implemented: "
    "backward passes are not recorded"
)


def _as_sequence(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _roots(tensors: Sequence[Any], gradients: Sequence[Any]) -> list[tuple[Any, int, Array]]:
    if len(tensors) != len(gradients):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(gradients)} gradients")
    roots = []
    for t, g in zip(tensors, gradients, strict=True):
        if not t.requires_grad:
            raise RuntimeError(
                "element 0 of tensors does not require grad and does not have a grad_fn"
            )
        if g is None:
            if t._data.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            seed = array.empty_like(t._data)
            seed[...] = 1
        else:
            seed = g._data if hasattr(g, "_data") else g
            if seed.shape != t._data.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output has a shape of {list(seed.shape)} and output "
                    f"has a shape of {list(t._data.shape)}"
                )
            if seed.dtype != t._data.dtype:
                seed = seed.astype(t._data.dtype)
        roots.append((*t.gradient_edge(), seed))
    return roots


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate d(tensors)/d(leaf) into each leaf's .grad, or only into those of `inputs`."""
    if create_graph:
        raise NotImplementedError(_CREATE_GRAPH)
    tensors = _as_sequence(tensors)
    gradients = _as_sequence(grad_tensors) if grad_tensors is not None else (None,) * len(tensors)
    roots = _roots(tensors, gradients)
    if inputs is None:
        backward_walk(roots, bool(retain_graph))
        return
    wanted = _as_sequence(inputs)
    if not wanted:
        raise RuntimeError("'inputs' argument to backward cannot be empty.")
    for t, g in zip(wanted, _gradients(roots, wanted, bool(retain_graph)), strict=True):
        if g is not None:
            with _accumulating:
                known = t._grad
                t._grad = wrap(array.copy(g) if known is None else add_gradients(known._data, g))
            run_accumulate_hooks(t)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """d(outputs)/d(inputs) as new tensors, one per input; no .grad changes.

    RuntimeError if an input was not used, unless `allow_unused`, which gives None for it."""
    if create_graph:
        raise NotImplementedError(_CREATE_GRAPH)
    outputs, wanted = _as_sequence(outputs), _as_sequence(inputs)
    seeds = _as_sequence(grad_outputs) if grad_outputs is not None else (None,) * len(outputs)
    found = _gradients(_roots(outputs, seeds), wanted, bool(retain_graph))
    for g in found:
        if g is None and not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
    return tuple(None if g is None else wrap(array.copy(g)) for g in found)


def _gradients(
    roots: list[tuple[Any, int, Array]], wanted: Sequence[Any], retain_graph: bool
) -> list[Array | None]:
    into: dict[int, Array | None] = {}
    stop_at: dict[tuple[int, int], int] = {}
    for t in wanted:
        if not t.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        target, index = t.gradient_edge()
        into[id(t)] = None
        if target is not t:
            stop_at[(id(target), index)] = id(t)
    backward_walk(roots, retain_graph, into, stop_at)
    return [into[id(t)] for t in wanted]
