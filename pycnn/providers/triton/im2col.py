"""kernels/im2col.py"""

from .registration import triton_kernel

triton_kernel("im2col", "direct", "im2col")
triton_kernel("col2im", "direct", "im2col")
