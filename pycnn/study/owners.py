"""Whose Function is it: the module whose forward made each node of the autograd graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..autograd import Function
from ..tensor import Tensor

NET = "(net)"  # the name of the outermost module

Path = tuple[str, ...]  # the modules that are running, by their names, outermost first


class Owners:
    """Of each Function that was made while the network ran, the modules that were running."""

    def __init__(self) -> None:
        # the Functions are kept, so that no other gets the id of one
        self._made: dict[int, tuple[Function, Path]] = {}

    def path(self, node: Function) -> Path:
        """The modules, outermost first; none for what was made outside of the network."""
        return self._made.get(id(node), (node, ()))[1]

    def claim(self, given: Any, output: Any, path: Path) -> None:
        """The Functions between what a module was given and what it gave are its own, but for
        those that a module inside of it has claimed."""
        stop = {id(t._node) for t in tensors_in(given) if t._node is not None}
        for node in functions_of([t._node for t in tensors_in(output)], stop):
            self._made.setdefault(id(node), (node, path))


@contextmanager
def watching(net: Any, at: Callable[[Path], None] = lambda path: None) -> Iterator[Owners]:
    """Inside, a run of `net` fills the Owners; `at` is told whenever a module begins or ends."""
    owners, names = Owners(), {id(module): name or NET for name, module in net.named_modules()}
    running: list[str] = []

    def before(module: Any, args: Any) -> None:
        running.append(names[id(module)])
        at(tuple(running))

    def after(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        owners.claim([*args, *kwargs.values()], output, tuple(running))
        running.pop()
        at(tuple(running))

    handles = []
    for module in net.modules():
        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after, with_kwargs=True))
    try:
        yield owners
    finally:
        for handle in handles:
            handle.remove()


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of an argument or a result: itself, or those in tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)


def functions_of(roots: Any, stop: Any = ()) -> list[Function]:
    """The Functions that lead to the roots, without those whose id is in `stop` and what leads to
    these alone."""
    seen, stack, found = set(stop), list(roots), []
    while stack:
        node = stack.pop()
        if isinstance(node, Function) and id(node) not in seen:
            seen.add(id(node))
            found.append(node)
            stack += [edge[0] for edge in node.edges if edge is not None]
    return found
