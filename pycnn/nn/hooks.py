"""What a module keeps its hooks in. A handle's `remove()` takes one out again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from ..tensor import RemovableHandle


class Hook(NamedTuple):
    """A callable, and whether it is also given the call's keyword arguments."""

    call: Callable[..., Any]
    with_kwargs: bool = False


Hooks = OrderedDict[int, Hook]


def add_hook(hooks: Hooks, hook: Hook, prepend: bool) -> RemovableHandle:
    """Enter `hook` last, or first if `prepend`."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle
