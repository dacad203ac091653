"""How a C++ kernel enters the table, and what every one of them refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...dispatch import refuses_nothing, register
from ...dtypes import is_floating_point

Refuses = Callable[[Any, Any, Any], str | None]
Slower = Callable[[Any, Any], str | None]
_MOST_AXES = 8  # kMaxDims of csrc/common/array.h


def native_kernel(
    primitive: str,
    algorithm: str = "direct",
    refuses: Refuses = refuses_nothing,
    *,
    floating: bool = False,
    slower: Slower | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: enter a kernel of csrc/cpu in the table. Beside its own `refuses` it leaves to
    others what no C++ kernel takes, and with `floating` every dtype that is not floating point."""

    def refuses_too(geometry: Any, operands: Any, epilogue: Any) -> str | None:
        if floating and not is_floating_point(operands[0].dtype):
            return f"{operands[0].dtype}: its kernels are for floating point"
        for operand in (*operands, *(epilogue or ())):
            # an epilogue also holds the name of its activation
            reason = None if operand is None or isinstance(operand, str) else _refuses_all(operand)
            if reason is not None:
                return reason
        return refuses(geometry, operands, epilogue)

    return register(primitive, "native", algorithm, refuses_too, devices=("cpu",), slower=slower)


def _refuses_all(operand: Any) -> str | None:
    if operand.ndim > _MOST_AXES:
        return f"more than {_MOST_AXES} axes"
    return None if operand.element_aligned else "an array off the alignment of its elements"
