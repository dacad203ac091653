"""The C++ kernels of pycnn._native: SIMD, an own thread pool, the default on the CPU.

Each module registers one family, with the algorithms of a primitive special before general: that is
the order in which they are tried.
"""

from . import conv2d_wgrad, conv2d_naive  # noqa: I001
