"""The end of a primitive: activation((acc + bias)*scale + shift + residual), then the store."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...array import Array
from ...dispatch import Epilogue
from .activation import ACTIVATION_FORWARD


def store(xp: Any, acc: Array, out: Array, epilogue: Epilogue | None, channel: int = 1) -> None:
    """Apply `epilogue` to `acc`, in acc's dtype, and store the result in `out`, rounded once.

    The per-channel arrays run along axis `channel`. `acc` is a temporary, or `out` itself."""
    if epilogue is not None:
        shape = [1] * acc.ndim
        shape[channel] = -1
        bias, scale, shift, residual = (
            None if a is None else a.astype(acc.dtype, copy=False) for a in epilogue[:4]
        )
        if bias is not None:
            acc += bias.reshape(shape)
        if scale is not None:
            acc *= scale.reshape(shape)
        if shift is not None:
            acc += shift.reshape(shape)
        if residual is not None:
            acc += residual
        if epilogue.activation is not None:
            with np.errstate(all="ignore"):  # an exponential may well overflow
                acc = ACTIVATION_FORWARD[epilogue.activation](xp, acc)
    if acc is not out:
        out[...] = acc
