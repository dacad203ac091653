"""kernels/gemm.py"""

from .registration import triton_kernel

triton_kernel("gemm", "tiled", "gemm")
triton_kernel("gemm", "naive", "gemm")
