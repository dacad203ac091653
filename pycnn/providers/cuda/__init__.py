"""The CUDA C++ kernels of csrc/cuda: compiled by nvcc for CuPy's arrays (pycnn._cuda), and emulated
for NumPy's (pycnn._emulated) where asked for by name.

The order of a primitive's algorithms here, special before general, is the order in which they are
tried.
"""

from ...config import cuda_modules
from ..compiled import (
    add_activation,
from ..compiled.extension import (
    Extension,
)
from . import (
    conv2d,
    gemm,
)
    _family.register(_EXTENSION)
