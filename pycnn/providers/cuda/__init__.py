"""The CUDA C++ kernels of csrc/cuda: compiled by nvcc for CuPy's arrays (pycnn._cuda), and emulated
for NumPy's (pycnn._emulated) where asked for by name.

The order of a primitive's algorithms here, special before general, is the order in which they are
tried.
"""

from ...config import cuda_modules
from ..compiled import (
    add_activation,
    im2col,
)
from ..compiled.extension import Extension
from . import conv2d, gemm

_EXTENSION = Extension("cuda", cuda_modules())

for _family in (
    add_activation,
    conv2d,
    gemm,
    im2col,
):
    _family.register(_EXTENSION)
