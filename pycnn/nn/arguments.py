"""Checks and small conversions that the layers' constructors share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def ntuple(value: Any, n: int, name: str) -> tuple[Any, ...]:
    """`value` repeated `n` times if it is a number, else itself as a tuple of `n` entries.

    Raises ValueError, naming the argument `name`, if a sequence has another length."""
    if not isinstance(value, Iterable):
        return (value,) * n
    entries = tuple(value)
    if len(entries) != n:
        raise ValueError(f"{name} must be a number or a tuple of {n}, but got {value!r}")
    return entries


def at_least(value: Any, least: int, name: str) -> None:
    """Raise ValueError, naming the argument `name`, if an entry of `value` is below `least`.

    `value` is a number or a tuple of numbers; entries that are None are not looked at."""
    for entry in value if isinstance(value, Iterable) else (value,):
        if entry is not None and entry < least:
            raise ValueError(f"{name} must be at least {least}, but got {value!r}")


def whole(value: Any, name: str) -> int:
    """`value` as an int; TypeError, naming the argument `name`, if it is no whole number."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, but got {value!r}")
    return value.__index__()


def shown(module: Any, *names: str) -> str:
    """The attributes `names` as `name=value` pairs; `inplace` only where it is true."""
    values = ((name, getattr(module, name)) for name in names)
    return ", ".join(f"{name}={v!r}" for name, v in values if name != "inplace" or v)


def same_padding(kernel_size: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """What `padding="same"` adds, last dimension first, (before, after) each: as F.pad reads it."""
    total = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
    return [side for t in reversed(total) for side in (t // 2, math.ceil(t / 2))]
