"""kernels/conv2d_naive.py: the three passes of a convolution as their formulas."""

from .registration import triton_kernel

triton_kernel("conv2d_fprop", "naive", "conv2d_naive")
triton_kernel("conv2d_dgrad", "naive", "conv2d_naive")
triton_kernel("conv2d_wgrad", "naive", "conv2d_naive")
