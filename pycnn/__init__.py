"""pycnn: convolutional networks on hand-written kernels, checked against PyTorch.

import pycnn
net = pycnn.models.xception()
net(pycnn.randn(1, 3, 299, 299)).sum().backward()
"""

from __future__ import annotations

import importlib
from typing import Any

from . import config

__version__ = "0.1.0"
config.require_installed()

from . import autograd, creation, dispatch, dtypes, functional, random
from .array import channels_last, contiguous_format, preserve_format
from .autograd import Function, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from .creation import *
from .dispatch import NoKernel, explain, trace, using
from .dtypes import (
    bool_,
    double,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    result_type,
    set_default_dtype,
    uint8,
)
from .gradcheck import GradcheckError, gradcheck
from .random import get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .tensor import Tensor

# the functions torch keeps at its top level
for _family in ("elementwise", "reduction", "shape", "indexing", "linalg", "sorting"):
    _module = getattr(functional, _family, None)
    globals().update({_name: getattr(_module, _name) for _name in getattr(_module, "__all__", ())})
del _family, _module

# imported on first use, so that `import pycnn` stays quick
_LAZY_MODULES = (
    "nn", "optim", "models", "references", "testing", "kernels", "study", "cuda", "serialization",
)  # fmt: skip
_LAZY_NAMES = {
    "summary": ("nn.summary", "summary"),
    "draw": ("study.draw", "draw"),
    "save": ("serialization", "save"),
    "load": ("serialization", "load"),
    "show_config": ("config", "show_config"),
    "get_num_threads": ("config", "get_num_threads"),
    "set_num_threads": ("config", "set_num_threads"),
    "get_float32_precision": ("config", "get_float32_precision"),
    "set_float32_precision": ("config", "set_float32_precision"),
    "memory_stats": ("array", "memory_stats"),
    "empty_cache": ("array", "empty_cache"),
}
_TORCH_DTYPES = {"bool": bool_, "float": float32, "int": int32, "long": int64, "short": int16}
_TORCH_TOP_LEVEL = (
    "relu", "softmax", "log_softmax", "dropout", "conv1d", "conv2d", "conv_transpose1d",
    "conv_transpose2d", "batch_norm", "max_pool2d", "pixel_shuffle", "prelu", "selu", "celu",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _LAZY_NAMES:
        module, attribute = _LAZY_NAMES[name]
        value = getattr(importlib.import_module(f".{module}", __name__), attribute)
        globals()[name] = value
        return value
    if name in _TORCH_DTYPES:
        return _TORCH_DTYPES[name]
    if name == "bfloat16":
        return dtypes.bfloat16
    if name in _TORCH_TOP_LEVEL:
        return getattr(functional, name)
    raise AttributeError(f"module 'pycnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_NAMES, *_TORCH_DTYPES, "bfloat16"})
