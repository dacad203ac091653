"""The providers whose compiled kernels the GPU tests run."""

from __future__ import annotations

import pytest

from pycnn import array, dispatch
from pycnn.config import cuda_status

on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(array.gpu_status() is not None, reason=str(array.gpu_status())),
]
_why_no_cuda = cuda_status()[1]
PROVIDERS = [
    "triton",
    pytest.param("cuda", marks=pytest.mark.skipif(bool(_why_no_cuda), reason=_why_no_cuda)),
]


def compiled(primitive: str, provider: str) -> list[dispatch.Entry]:
    """The provider's kernels of a primitive that run on a GPU, special before general."""
    return [
        e for e in dispatch.entries(primitive) if e.provider == provider and "cuda" in e.devices
    ]
