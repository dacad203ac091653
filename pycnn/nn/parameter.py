"""Parameter: a tensor that a module registers and an optimizer updates."""

from __future__ import annotations

from typing import Any

from ..creation import empty, tensor
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that becomes part of the module it is assigned to.

    `data` is a Tensor, whose memory is shared, or anything that `pycnn.tensor` takes. Requires
    gradients by default; RuntimeError if it does and the dtype is not floating point."""

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source = data if isinstance(data, Tensor) else tensor(data)
        self._data = source._data
        self._version_counter = source.version_counter()
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


def uninitialised(shape: tuple[int, ...], device: Any = None, dtype: Any = None) -> Parameter:
    """A parameter whose values an initialiser is still to write; on the CPU by default."""
    return Parameter(empty(shape, dtype=dtype, device="cpu" if device is None else device))
