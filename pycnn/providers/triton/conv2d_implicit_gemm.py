"""kernels/conv2d_implicit_gemm.py and its gradients': every convolution."""

from .registration import triton_kernel

triton_kernel("conv2d_fprop", "implicit_gemm", "conv2d_implicit_gemm")
triton_kernel("conv2d_dgrad", "implicit_gemm", "conv2d_implicit_gemm_dgrad")
triton_kernel("conv2d_wgrad", "implicit_gemm", "conv2d_implicit_gemm_wgrad")
