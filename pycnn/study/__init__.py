"""What explains a network and its kernels: block diagrams, which kernel a layer gets, and `check`,
which holds a kernel of your own to pycnn's cases."""

from __future__ import annotations

import importlib
from typing import Any

# imported when they are first asked for
_LAZY_NAMES = {
    "autograd_graph": "graph",
    "check": "check_kernel",
    "compare_models": "comparing",
    "trace_model": "tracing",
    "visualize": "projection",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(f".{_LAZY_NAMES[name]}", __name__), name)
    raise AttributeError(f"module 'pycnn.study' has no attribute {name!r}")
