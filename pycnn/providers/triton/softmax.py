"""kernels/softmax.py"""

from .registration import triton_kernel

triton_kernel("softmax_fprop", "direct", "softmax")
triton_kernel("softmax_dgrad", "direct", "softmax")
