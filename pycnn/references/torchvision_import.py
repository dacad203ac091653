"""Import torchvision, also beside a PyTorch that its compiled extension was not built for.

torchvision's wheels carry an extension built against one build of PyTorch. Beside another (a
CUDA build of torchvision beside a CPU build of PyTorch) the extension does not load, and the
import then fails on registering operators that do not exist. The networks need none of those
operators, so declaring the two that the import asks for is enough.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import torch

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # a torch.library.Library undoes its definitions when it is collected


def torchvision_models() -> ModuleType:
    """`torchvision.models`.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _declared:
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left half done
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + _NMS)
    _declared.append(library)
    return importlib.import_module("torchvision.models")
