"""The two arguments that every model constructor takes: `num_classes` and `width`."""

from __future__ import annotations

import math
from numbers import Integral, Real

GRANULE = 8  # scaled channel counts are multiples of this: SIMD and tensor-core tiles stay full


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded up to a multiple of 8; exactly `channels` at width 1.

    >>> scaled(64, 1.0), scaled(728, 0.125), scaled(6, 0.5)
    (64, 96, 8)
    """
    if width == 1:
        return channels
    # The subtraction forgives one rounding error, as in 80 * 0.7 = 56.00000000000001.
    return GRANULE * math.ceil(channels * width / GRANULE - 1e-9)


def check_arguments(num_classes: int, width: float) -> None:
    """Refuse what no network can be built from.

    Raises:
        ValueError: `num_classes` is not an integer of at least 1, or `width` is not a positive
            finite number.
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, Integral) or num_classes < 1:
        raise ValueError(f"num_classes must be an integer of at least 1, got {num_classes!r}")
    if isinstance(width, bool) or not isinstance(width, Real) or not 0 < width < math.inf:
        raise ValueError(f"width must be a positive finite number, got {width!r}")
