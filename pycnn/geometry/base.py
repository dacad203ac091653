"""What every geometry is made of: frozen fields, filter taps, checked integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

# every size, stride, padding and dilation stays below what a 32-bit kernel argument holds
LIMIT = 2**31 - 1


class Geometry:
    """Base of the frozen classes below: fields as a dataclass's, equality by value, hash computed
    once."""

    _fields: tuple[str, ...] = ()
    _values: tuple[Any, ...]
    _hash: int

    def __init__(self, *values: Any, **named: Any) -> None:
        names, cls = self._fields, type(self)
        if len(values) > len(names):
            raise TypeError(f"{cls.__name__} has {len(names)} fields, got {len(values)} values")
        given = dict(zip(names, values))
        for name, value in named.items():
            if name not in names or name in given:
                raise TypeError(
                    f"{cls.__name__}: {name!r} is {'given twice' if name in given else 'no field'}"
                )
            given[name] = value
        missing = [name for name in names if name not in given and not hasattr(cls, name)]
        if missing:
            raise TypeError(f"{cls.__name__}: missing {', '.join(missing)}")
        for name in names:
            self.__dict__[name] = given[name] if name in given else getattr(cls, name)
        self.__dict__["_values"] = tuple([self.__dict__[name] for name in names])
        self.__dict__["_hash"] = hash((cls.__name__, self._values))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot set {name!r}")

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self._values == other._values)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{name}={value!r}" for name, value in zip(self._fields, self._values, strict=True)
        )
        return f"{type(self).__name__}({fields})"

    @property
    def values(self) -> tuple[Any, ...]:
        """The fields' values, in order: what a kernel in another language is handed."""
        return self._values

    def flops(self, primitive: str) -> int:
        """Floating-point operations of a primitive on this geometry; a multiply-add counts two."""
        return 0


if TYPE_CHECKING:
    from dataclasses import dataclass

    frozen = dataclass(frozen=True)
else:

    def frozen(cls: type) -> type:
        """A frozen dataclass in what it does. The module `dataclasses` and the classes it generates
        would cost more than everything else `import pycnn` does."""
        cls._fields = tuple(cls.__annotations__)
        return cls


def tap_span(
    size: int, outputs: int, tap: int, stride: int, pad: int, dilation: int
) -> tuple[slice, slice]:
    """For one filter tap along one axis: which outputs it feeds, and from which inputs.

    Output p reads input p*stride - pad + tap*dilation; the slices hold the p whose input lies
    inside [0, size)."""
    offset = tap * dilation - pad
    first = max(0, -(offset // stride))  # ceil(-offset / stride)
    last = min(outputs - 1, (size - 1 - offset) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last + 1), slice(start, last * stride + offset + 1, stride)


def integers(value: Any, count: int, name: str, minimum: int, op: str) -> tuple[int, ...]:
    """`value` as `count` ints (one int is repeated), each in [minimum, 2**31 - 1].

    TypeError for anything but integers, RuntimeError for a wrong count or a value out of range."""
    items = value if isinstance(value, (tuple, list)) else (value,) * count
    if len(items) == 1:
        items = tuple(items) * count
    out = []
    for item in items:
        if isinstance(item, (bool, float, str)) or not hasattr(item, "__index__"):
            raise TypeError(
                f"{op}(): argument '{name}' must be int or tuple of ints, got {value!r}"
            )
        out.append(int(item.__index__()))
    if len(out) != count:
        raise RuntimeError(f"{op}(): {name}: got {value!r}, expected one int or {count} ints")
    for number in out:
        if not minimum <= number <= LIMIT:
            raise RuntimeError(
                f"{op}(): {name}: got {value!r}, expected integers from {minimum} to {LIMIT}"
            )
    return tuple(out)


def pair(value: Any, name: str, minimum: int, op: str) -> tuple[int, int]:
    """`integers` for two dimensions, quick for the usual int and pair of ints."""
    kind = type(value)
    if kind is int and minimum <= value <= LIMIT:
        return (value, value)
    if kind is tuple and len(value) == 2:
        first, second = value
        if (
            type(first) is type(second) is int
            and minimum <= first <= LIMIT
            and minimum <= second <= LIMIT
        ):
            return value
    return integers(value, 2, name, minimum, op)  # type: ignore[return-value]


def shape_words(shape: Sequence[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
