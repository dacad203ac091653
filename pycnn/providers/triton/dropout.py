"""kernels/dropout.py: dropout whose mask is computed from a counter."""

from .registration import triton_kernel

for _algorithm in ("direct", "naive"):
    triton_kernel("dropout", _algorithm, "dropout")
