"""The C++ kernels of pycnn._native: SIMD, an own thread pool, the default on the CPU.

The order of a primitive's algorithms here, special before general, is the order in which they are
tried.
"""

from ... import _native  # type: ignore[attr-defined]
from ..compiled import (
    add_activation,
    batch_norm,
    concat,
    dropout,
    elementwise,
    gemm,
    im2col,
    local_response_norm,
    max_unpool2d,
    pool2d,
    reduce,
    resize2d,
    softmax,
    softmax_cross_entropy,
)
from ..compiled.extension import Extension
from . import conv2d

_EXTENSION = Extension("native", {"cpu": _native})

for _family in (
    batch_norm,
    add_activation,
    concat,
    conv2d,
    dropout,
    elementwise,
    im2col,
    local_response_norm,
    max_unpool2d,
    pool2d,
    reduce,
    resize2d,
    softmax,
    softmax_cross_entropy,
):
    _family.register(_EXTENSION)
gemm.register(_EXTENSION, ("tiled", "naive"))
