"""kernels/add_activation.py"""

from .registration import triton_kernel

triton_kernel("add_activation", "direct", "add_activation")
