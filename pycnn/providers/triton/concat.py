"""kernels/concat.py"""

from .registration import triton_kernel

triton_kernel("concat", "direct", "concat", floating=False)
triton_kernel("split", "direct", "concat", floating=False)
