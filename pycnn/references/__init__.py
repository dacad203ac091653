"""The networks of `pycnn.models` in PyTorch, by other hands or straight from the papers.

`get_reference("resnet50", num_classes=10, width=0.5)` is a `torch.nn.Module` with the same
`state_dict` as `pycnn.models.get_model` of the same arguments. ResNet and VGG are torchvision's;
Xception and LeNet-5, which torchvision does not have, are written from the papers.

They exist to be compared with, so nothing else in pycnn imports this package: it needs PyTorch,
and torchvision for the networks that are torchvision's.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "lenet5": "lenet",
    "resnet18": "resnet",
    "resnet50": "resnet",
    "vgg16": "vgg",
    "xception": "xception",
}


def list_references() -> list[str]:
    """The names that `get_reference` knows, sorted."""
    return sorted(_HOMES)


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
    if name not in _HOMES:
        raise ValueError(f"no reference network {name!r}; there are {', '.join(list_references())}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)(**arguments)
