"""The extension modules of one provider, and how their kernels enter the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...dispatch import refuses_nothing, register
from ...dtypes import is_floating_point

Refuses = Callable[[Any, Any, Any], str | None]
Slower = Callable[[Any, Any], str | None]
_MOST_AXES = 8  # kMaxDims of csrc/common/array.h


class Extension:
    """A provider's modules, {"cpu": the one for NumPy's arrays, "cuda": the one for CuPy's}.

    `functions` has the functions of csrc/bindings as attributes; each runs on the arrays it is
    given."""

    def __init__(self, provider: str, modules: dict[str, Any]) -> None:
        self.provider = provider
        self.devices = tuple(modules)
        self.modules = tuple(modules.values())
        self.functions = (
            self.modules[0] if len(modules) == 1 else _ByArray(modules["cpu"], modules["cuda"])
        )

    def kernel(
        self,
        primitive: str,
        algorithm: str = "direct",
        refuses: Refuses = refuses_nothing,
        *,
        floating: bool = False,
        slower: Slower | None = None,
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Decorator: enter a kernel in the table. Beside its own `refuses` it leaves to others what
        no C++ kernel takes, and with `floating` every dtype that is not floating point."""

        def refuses_too(geometry: Any, operands: Any, epilogue: Any) -> str | None:
            if floating and not is_floating_point(operands[0].dtype):
                return f"{operands[0].dtype}: its kernels are for floating point"
            for operand in (*operands, *(epilogue or ())):
                # an epilogue also holds the name of its activation
                reason = (
                    None if operand is None or isinstance(operand, str) else _refuses_all(operand)
                )
                if reason is not None:
                    return reason
            return refuses(geometry, operands, epilogue)

        return register(
            primitive, self.provider, algorithm, refuses_too, devices=self.devices, slower=slower
        )


def _refuses_all(operand: Any) -> str | None:
    if operand.ndim > _MOST_AXES:
        return f"more than {_MOST_AXES} axes"
    return None if operand.element_aligned else "an array off the alignment of its elements"


class _ByArray:
    """The functions of two modules under one name each: the first argument, an array or a sequence
    of them, says which to call."""

    def __init__(self, host: Any, device: Any) -> None:
        self._host = host
        self._device = device

    def __getattr__(self, name: str) -> Callable[..., Any]:
        on_host, on_device = getattr(self._host, name), getattr(self._device, name)

        def call(first: Any, *rest: Any) -> Any:
            array = first[0] if isinstance(first, (tuple, list)) else first
            return (on_host if isinstance(array, np.ndarray) else on_device)(first, *rest)

        setattr(self, name, call)
        return call
