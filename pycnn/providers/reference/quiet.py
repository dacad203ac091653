"""Arithmetic on NaN, infinities and zeros is ordinary here: no warning is due."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np


def quiet(kernel: Callable[..., None]) -> Callable[..., None]:
    """Decorator: NumPy gives no floating-point warnings inside.

    np.errstate itself decorates too, but before NumPy 2 threads then share what it restores."""

    @wraps(kernel)
    def silenced(*arrays: Any, **keywords: Any) -> None:
        with np.errstate(all="ignore"):
            kernel(*arrays, **keywords)

    return silenced
