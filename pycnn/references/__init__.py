"""The networks of `pycnn.models` in PyTorch, by other hands or straight from the papers.

`get_reference("resnet50", num_classes=10, width=0.5)` is a `torch.nn.Module` with the same
`state_dict` as `pycnn.models.get_model` of the same arguments. ResNet and VGG are torchvision's;
Xception and LeNet-5, which torchvision does not have, are written from the papers.

They exist to be compared with, so nothing else in pycnn imports this package: it needs PyTorch,
and torchvision for the networks that are torchvision's.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from pycnn.models import list_models, model_entry


def list_references() -> list[str]:
    """The names that `get_reference` knows, sorted: those of the models whose family has a module
    here with a function of their name."""
    return [name for name in list_models() if _constructor(name) is not None]


def _constructor(name: str) -> Any:
    """The function of this package that builds `name`, or None."""
    home = f"{__name__}.{model_entry(name).family}"
    if importlib.util.find_spec(home) is None:
        return None
    return getattr(importlib.import_module(home), name, None)


def get_reference(name: str, **arguments: Any) -> Any:
    """Build the PyTorch network called `name`.

    Args:
        name: one of `list_references()`.
        **arguments: `num_classes=`, `width=` and what else the pycnn constructor takes.

    Returns:
        A `torch.nn.Module` in training mode, float32, contiguous, freshly initialised.

    Raises:
        ValueError: unknown `name`, or an argument out of range.
        ImportError: PyTorch, or torchvision where it is needed, is not installed.
    """
    constructor = _constructor(name) if name in list_models() else None
    if constructor is None:
        raise ValueError(f"no reference network {name!r}; there are {', '.join(list_references())}")
    return constructor(**arguments)
