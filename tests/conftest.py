"""Triton's mode is settled before anything, PyTorch included, imports it in another."""

from pycnn.kernels import mode

if mode.why_not() is None:
    mode.settle()
