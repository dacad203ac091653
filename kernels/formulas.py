"""The tables of elementwise's formulas: op name -> device function, of floats and of integers.

A formula takes the inputs in the dtype it is computed in (float32, float64 or int64; a truth value
is 0 or 1) and then the op's numbers. It returns that dtype or a truth value. It has the op's name,
less a trailing underscore or `_of_integers`; the reference provider's table of that name says what
it means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton

FLOATING: dict[str, Any] = {}
INTEGRAL: dict[str, Any] = {}


def _decorator(*tables: dict[str, Any]) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        jitted = triton.jit(function)
        for table in tables:
            table[function.__name__.removesuffix("_of_integers").rstrip("_")] = jitted
        return jitted

    return decorate


floating = _decorator(FLOATING)
integral = _decorator(INTEGRAL)
either = _decorator(FLOATING, INTEGRAL)
