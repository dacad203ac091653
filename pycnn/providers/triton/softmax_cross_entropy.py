"""kernels/softmax_cross_entropy.py"""

from .registration import triton_kernel

triton_kernel("softmax_cross_entropy_fprop", "direct", "softmax_cross_entropy")
triton_kernel("softmax_cross_entropy_dgrad", "direct", "softmax_cross_entropy")
