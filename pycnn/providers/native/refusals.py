"""Refusals that several families share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...dtypes import is_floating_point

Refuses = Callable[[Any, Any, Any], str | None]


def floating_only(refuses: Refuses) -> Refuses:
    """`refuses`, and every dtype that is not floating point."""

    def refuses_integers(geometry: Any, operands: Any, epilogue: Any) -> str | None:
        dtype = operands[0].dtype
        if not is_floating_point(dtype):
            return f"{dtype}: its kernels are for floating point"
        return refuses(geometry, operands, epilogue)

    return refuses_integers
