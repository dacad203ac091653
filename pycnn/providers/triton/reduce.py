"""kernels/reduce.py: every reduction."""

from .registration import triton_kernel

for _algorithm in ("direct", "naive"):
    triton_kernel("reduce", _algorithm, "reduce", floating=False)
