"""The CUDA C++ kernels of csrc/cuda: compiled by nvcc for CuPy's arrays (pycnn._cuda), and emulated
for NumPy's (pycnn._emulated) where asked for by name.

The order of a primitive's algorithms here, special before general, is the order in which they are
tried.
"""

from ...config import cuda_modules
from ..compiled import (
    add_activation,
    batch_norm,
    concat,
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
)
from ..compiled.extension import Extension
from . import conv2d, gemm

_EXTENSION = Extension("cuda", cuda_modules())

for _family in (
    add_activation,
    batch_norm,
    concat,
    conv2d,
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
):
    _family.register(_EXTENSION)
