"""The two sides of a comparison, and numbers across the border between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import array, autograd
from ..dtypes import as_dtype, bfloat16
from ..tensor import Tensor

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def to_numpy(tensor: Any) -> np.ndarray:
    """A pycnn or PyTorch tensor, or an array, as a NumPy array of the same dtype on the CPU."""
    if isinstance(tensor, Tensor):
        return array.to_device(tensor._data, "cpu")
    if isinstance(tensor, np.ndarray):
        return tensor
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            import torch

            return tensor.view(torch.int16).numpy().view(bfloat16)
        return tensor.numpy()
    return np.asarray(tensor)


def to_torch(values: Any) -> Any:
    """A pycnn tensor or an array as a PyTorch tensor on the CPU with memory of its own."""
    import torch

    a = np.array(to_numpy(values), order="K")
    if a.dtype == bfloat16:
        return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(a)


def copy_weights(torch_net: Any, net: Any) -> None:
    """Load a PyTorch network's parameters and buffers into a pycnn one of the same state_dict.

    Raises:
        RuntimeError: a name is missing or unexpected, or a shape differs; the message lists all.
    """
    net.load_state_dict({name: to_numpy(value) for name, value in torch_net.state_dict().items()})


def is_floating(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.name in ROUNDOFF


def cast(values: Any, dtype: str) -> Any:
    return values.astype(as_dtype(dtype)) if is_floating(values) else values


class _Both:
    """The names of two modules, the first before the second: `F` of a parity case."""

    def __init__(self, *modules: Any) -> None:
        self._modules = modules

    def __getattr__(self, name: str) -> Any:
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(
            f"neither {' nor '.join(m.__name__ for m in self._modules)} has {name!r}"
        )


class Side(NamedTuple):
    """pycnn or PyTorch, as far as a comparison needs it."""

    F: Any
    tensor: Callable[[np.ndarray, bool], Any]  # (values, channels_last): a leaf with its own memory
    backward: Callable[[list[Any], list[Any]], None]


def pycnn_side(device: str = "cpu") -> Side:
    import pycnn

    def tensor(a: np.ndarray, last: bool) -> Tensor:
        own = array.with_format(
            np.array(a), "channels_last" if last and a.ndim == 4 else "preserve"
        )
        leaf = Tensor._wrap(array.to_device(own, device))
        return leaf.requires_grad_() if is_floating(a) else leaf

    return Side(_Both(pycnn.functional, pycnn), tensor, autograd.backward)


def torch_side() -> Side:
    import torch

    def tensor(a: np.ndarray, last: bool) -> Any:
        leaf = to_torch(a)
        if last and a.ndim == 4:
            leaf = leaf.to(memory_format=torch.channels_last)
        return leaf.requires_grad_() if is_floating(a) else leaf

    return Side(_Both(torch.nn.functional, torch), tensor, torch.autograd.backward)


def gradient_of(leaf: Any) -> np.ndarray | None:
    return None if leaf.grad is None else to_numpy(leaf.grad)
