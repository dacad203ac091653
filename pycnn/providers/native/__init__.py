"""The C++ kernels of pycnn._native: SIMD, an own thread pool, the default on the CPU.

Each module registers one family, with the algorithms of a primitive special before general: that is
the order in which they are tried.
"""

from . import (
    add_activation,
    batch_norm,
    concat,
    conv2d_naive,
    softmax,
    softmax_cross_entropy,
)
