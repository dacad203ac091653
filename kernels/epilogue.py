"""The end of a convolution or a matrix product, in registers, before the one rounding at the store.

Computes   activation((acc + bias) * scale + shift + residual)

The launcher passes `*arguments(epilogue)` for the parameters `vectors, vector_steps, residual,
residual_steps` and ACTIVATION by name; the kernel calls `finish` on its accumulator.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from ..dispatch import Epilogue
from .activation import activate
from .strided import strides, units


def arguments(epilogue: Epilogue | None) -> tuple[Any, ...]:
    """((bias, scale, shift), their steps, the residual, its strides in elements): None for what is
    not there."""
    if epilogue is None:
        return (None, None, None), (0, 0, 0), None, (0, 0, 0, 0)
    vectors = epilogue[:3]
    steps = tuple(0 if v is None else strides(v)[0] for v in vectors)
    residual = epilogue.residual
    return vectors, steps, residual, (0,) * 4 if residual is None else strides(residual)


def activation(epilogue: Epilogue | None) -> str | None:
    return None if epilogue is None else epilogue.activation


def has_residual(epilogue: Epilogue | None) -> bool:
    return epilogue is not None and epilogue.residual is not None


def word(epilogue: Epilogue | None) -> str:
    """What there is of an epilogue, for a tuning key."""
    if epilogue is None:
        return "plain"
    names = "bias", "scale", "shift"
    given = [n for n, v in zip(names, epilogue[:3], strict=True) if v is not None]
    if epilogue.residual is not None:
        given.append(f"residual{units(strides(epilogue.residual))}")
    return "+".join([*given, epilogue.activation or "linear"])


@triton.jit
def finish(
    acc, vectors, vector_steps, channels, channels_inside, residual, residual_at, inside,
    ACTIVATION: tl.constexpr, CHANNEL_AXIS: tl.constexpr = 1,
):  # fmt: skip
    """acc (ROWS, COLS) with the epilogue applied; `channels` (COLS,) are its columns' channels, or
    (ROWS,) its rows' where CHANNEL_AXIS is 0; `residual_at` (ROWS, COLS) is where each element's
    residual lies."""
    if vectors[0] is not None:
        at = channels * vector_steps[0]
        v = tl.load(vectors[0] + at, mask=channels_inside, other=0.0).to(acc.dtype)
        acc += tl.expand_dims(v, 1 - CHANNEL_AXIS)
    if vectors[1] is not None:
        at = channels * vector_steps[1]
        v = tl.load(vectors[1] + at, mask=channels_inside, other=0.0).to(acc.dtype)
        acc *= tl.expand_dims(v, 1 - CHANNEL_AXIS)
    if vectors[2] is not None:
        at = channels * vector_steps[2]
        v = tl.load(vectors[2] + at, mask=channels_inside, other=0.0).to(acc.dtype)
        acc += tl.expand_dims(v, 1 - CHANNEL_AXIS)
    if residual is not None:
        acc += tl.load(residual + residual_at, mask=inside, other=0.0).to(acc.dtype)
    return activate(acc, ACTIVATION)
