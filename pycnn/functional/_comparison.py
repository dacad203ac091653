"""Elementwise comparisons, logic and bits."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd import no_grad, wrap
from ..dispatch import run_array
from ..dtypes import FLOATING
from ..tensor import Tensor, tensor_method
from ._arithmetic import add, mul, sub
from ._common import check_tensor
from ._pointwise import (
    cast,
    compare,
    pointwise,
    promoted,
)
from ._unary import abs, isfinite, isnan


@tensor_method
def eq(input: Tensor, other: Any) -> Tensor:
    """Where input == other, as bools."""
    return compare("eq", input, other)


@tensor_method
def ne(input: Tensor, other: Any) -> Tensor:
    """Where input != other, as bools."""
    return compare("ne", input, other)


@tensor_method
def lt(input: Tensor, other: Any) -> Tensor:
    """Where input < other, as bools."""
    return compare("lt", input, other)


@tensor_method
def le(input: Tensor, other: Any) -> Tensor:
    """Where input <= other, as bools."""
    return compare("le", input, other)


@tensor_method
def gt(input: Tensor, other: Any) -> Tensor:
    """Where input > other, as bools."""
    return compare("gt", input, other)


@tensor_method
def ge(input: Tensor, other: Any) -> Tensor:
    """Where input >= other, as bools."""
    return compare("ge", input, other)


@tensor_method
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Where both are non-zero, as bools."""
    return compare("logical_and", input, other)


@tensor_method
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Where either is non-zero, as bools."""
    return compare("logical_or", input, other)


@tensor_method
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Where exactly one is non-zero, as bools."""
    return compare("logical_xor", input, other)


def _bitwise(op: str, input: Any, other: Any) -> Tensor:
    a, b = promoted(input, other, op)
    if a._data.dtype in FLOATING:
        raise NotImplementedError(f'"{op}" not implemented for dtype {a._data.dtype}')
    return wrap(pointwise(op, a._data, b._data))


@tensor_method
def bitwise_and(input: Tensor, other: Any) -> Tensor:
    """input & other, bit by bit; NotImplementedError for floating point."""
    return _bitwise("bitwise_and", input, other)


@tensor_method
def bitwise_or(input: Tensor, other: Any) -> Tensor:
    """input | other, bit by bit; NotImplementedError for floating point."""
    return _bitwise("bitwise_or", input, other)


@tensor_method
def bitwise_xor(input: Tensor, other: Any) -> Tensor:
    """input ^ other, bit by bit; NotImplementedError for floating point."""
    return _bitwise("bitwise_xor", input, other)


@tensor_method
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape and equal elements; NaN equals nothing."""
    check_tensor(input, "input", "equal")
    check_tensor(other, "other", "equal")
    if input.shape != other.shape:
        return False
    same = compare("eq", input, other)._data
    return run_array("all", lambda a: bool(a.all()), same)


@tensor_method
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|, as bools. RuntimeError unless the dtypes
    agree."""
    check_tensor(input, "input", "isclose")
    check_tensor(other, "other", "isclose")
    if input.dtype != other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(
            f"isclose(): rtol and atol must not be negative, but got {rtol} and {atol}"
        )
    with no_grad():
        close = eq(input, other)
        if equal_nan:
            close = logical_or(close, logical_and(isnan(input), isnan(other)))
        a, b = [cast(t, dtypes.float64) for t in (input, other)]
        allowed = add(mul(abs(b), rtol), atol)
        within = logical_and(isfinite(b), le(abs(sub(a, b)), allowed))
        return logical_or(close, logical_and(within, isfinite(a)))


@tensor_method
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds everywhere."""
    return run_array(
        "all", lambda a: bool(a.all()), isclose(input, other, rtol, atol, equal_nan)._data
    )
