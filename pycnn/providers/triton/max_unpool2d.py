"""kernels/max_unpool2d.py"""

from .registration import triton_kernel

triton_kernel("max_unpool2d_fprop", "direct", "max_unpool2d")
triton_kernel("max_unpool2d_dgrad", "direct", "max_unpool2d")
