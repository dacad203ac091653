"""How a Triton kernel enters the table: without importing Triton, which takes a while."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ...dispatch import refuses_nothing, register
from ...dtypes import is_floating_point
from ...kernels import mode

Refuses = Callable[[Any, Any, Any], str | None]


def triton_kernel(
    primitive: str,
    algorithm: str,
    stem: str,
    refuses: Refuses = refuses_nothing,
    *,
    floating: bool = True,
    slower: Callable[[Any, Any], str | None] | None = None,
) -> None:
    """Enter the launcher `<primitive>_<algorithm>` of kernels/<stem>.py in the table, for the
    arrays of this process's mode: NumPy's where kernels are interpreted, CuPy's where compiled.

    Beside its own `refuses` it leaves to others arrays off the alignment of their elements, and
    with `floating` every dtype that is not floating point."""

    @functools.lru_cache(maxsize=1)
    def launcher() -> Callable[..., None]:
        module = import_module(f"pycnn.kernels.{stem}")
        return getattr(module, f"{primitive}_{algorithm}")

    def run(*inputs: Any, out: Any, geometry: Any, epilogue: Any = None) -> None:
        call = functools.partial(launcher(), *inputs, out=out, geometry=geometry, epilogue=epilogue)
        if os.environ.get("PYCNN_AUTOTUNE") == "1":
            from ...study.tune import first_call

            operands = (*inputs, *(epilogue or ()))
            first_call(call, operands, out, f"{primitive}/{algorithm}", geometry)
        call()

    run.stem = stem  # type: ignore[attr-defined]

    def refuses_too(geometry: Any, operands: Any, epilogue: Any) -> str | None:
        if floating and not is_floating_point(operands[0].dtype):
            return f"{operands[0].dtype}: its kernels are for floating point"
        for operand in (*operands, *(epilogue or ())):
            # an epilogue also holds the name of its activation
            if not isinstance(operand, str | None) and not operand.element_aligned:
                return "an array off the alignment of its elements"
        return refuses(geometry, operands, epilogue)

    devices = ("cpu",) if mode.wanted() == mode.INTERPRETED else ("cuda",)
    register(primitive, "triton", algorithm, refuses_too, devices, slower=slower)(run)
