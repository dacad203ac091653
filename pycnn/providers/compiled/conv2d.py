"""Convolution: one algorithm of an extension, for the passes it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...array import Array
from ...dispatch import Epilogue, refuses_nothing
from ...geometry import Conv2dGeometry
from .extension import Extension, Refuses, Slower


def register(
    extension: Extension,
    algorithm: str,
    fprop: Refuses | None = refuses_nothing,
    dgrad: Refuses | None = refuses_nothing,
    wgrad: Refuses | None = refuses_nothing,
    slower: Slower | None = None,
) -> None:
    """Enter an algorithm in the table: for each pass what it refuses, None where it has no such
    pass."""
    call = extension.functions
    passes = {
        "conv2d_fprop": (fprop, call.conv2d_fprop),
        "conv2d_dgrad": (dgrad, call.conv2d_dgrad),
        "conv2d_wgrad": (wgrad, call.conv2d_wgrad),
    }
    for primitive, (refuses, kernel) in passes.items():
        if refuses is not None:
            launch = _with_epilogue if primitive != "conv2d_wgrad" else _without_epilogue
            extension.kernel(primitive, algorithm, refuses, floating=True, slower=slower)(
                launch(kernel, algorithm)
            )


def _with_epilogue(kernel: Any, algorithm: str) -> Callable[..., None]:
    def launch(
        a: Array,
        w: Array,
        *,
        out: Array,
        geometry: Conv2dGeometry,
        epilogue: Epilogue | None = None,
    ) -> None:
        kernel(a, w, out, geometry.values, epilogue, algorithm)

    return launch


def _without_epilogue(kernel: Any, algorithm: str) -> Callable[..., None]:
    def launch(
        x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
    ) -> None:
        kernel(x, dy, out, geometry.values, algorithm)

    return launch
