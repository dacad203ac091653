"""What the autograd graph keeps in memory for the backward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import array
from ..autograd import Function


def retained_bytes(nodes: Iterable[Function], apart: Iterable[Any] = ()) -> list[int]:
    """For each Function, oldest first, the bytes it keeps that no older one of them keeps.

    What counts is the memory that stays alive: the whole allocation an array is a view of, once.
    That of the tensors `apart` (parameters, buffers, inputs) is left out: it lives on anyway."""
    seen = {memory_of(t._data)[0] for t in apart}
    found = []
    for node in nodes:
        total = 0
        for kept in node._retained:
            if kept is not None:
                where, size = memory_of(kept)
                if where not in seen:
                    seen.add(where)
                    total += size
        found.append(total)
    return found


def memory_of(a: Any) -> tuple[tuple[str, int], int]:
    """((device, address), bytes) of the allocation that an array is a view of."""
    kind = np.ndarray if isinstance(a, np.ndarray) else type(a)
    while isinstance(a.base, kind):
        a = a.base
    return (array.device_of(a), array.data_pointer(a)), a.nbytes
