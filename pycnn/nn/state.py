"""Loading state dicts into modules, and converting modules to a dtype, device or memory format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import autograd
from ..array import as_device, is_array
from ..dtypes import as_dtype, is_floating_point
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


class IncompatibleKeys(
    NamedTuple("IncompatibleKeys", [("missing_keys", list[str]), ("unexpected_keys", list[str])])
):
    """What `load_state_dict` found missing in the state dict, and what it found no place for."""

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


def own_state(module: Module) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) for the parameters and persistent buffers of `module` itself."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            yield name, buffer


class _Plan:
    """What a load would copy, and everything that speaks against it."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.copies: list[tuple[Tensor, Tensor]] = []
        self.known: set[str] = set()
        self.missing: list[str] = []
        self.errors: list[str] = []

    def visit(self, module: Module, prefix: str = "") -> None:
        for name, place in own_state(module):
            key = prefix + name
            self.known.add(key)
            if key in self.values:
                self._match(key, place)
            elif name not in module._optional_state:
                self.missing.append(key)
        for name, child in module._modules.items():
            if child is not None:
                self.visit(child, f"{prefix}{name}.")

    def _match(self, key: str, place: Tensor) -> None:
        try:
            value = _as_tensor(self.values[key])
        except TypeError as error:
            self.errors.append(f'While copying the parameter named "{key}", {error}.')
            return
        if value.shape != place.shape:
            self.errors.append(
                f"size mismatch for {key}: copying a param with shape {value.shape} from "
                f"checkpoint, the shape in current model is {place.shape}."
            )
            return
        self.copies.append((place, value))


def _as_tensor(value: Any) -> Tensor:
    """`value`, a Tensor or anything that is an array, as a Tensor; TypeError if it is neither."""
    if isinstance(value, Tensor):
        return value
    if not is_array(value):
        if not (hasattr(value, "__array__") and hasattr(value, "shape")):
            raise TypeError(f"expected a Tensor or an array but received {type(value)}")
        value = np.asarray(value)
    as_dtype(value.dtype)
    return Tensor._wrap(value)


def load(module: Module, values: Any, strict: bool) -> IncompatibleKeys:
    """Copy `values` into `module`; see Module.load_state_dict."""
    if not isinstance(values, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(values)}.")
    plan = _Plan(values)
    plan.visit(module)
    unexpected = [key for key in values if key not in plan.known]
    errors = plan.errors
    if strict:
        lists = (("Unexpected", unexpected), ("Missing", plan.missing))
        for what, keys in lists:
            if keys:
                quoted = ", ".join(f'"{key}"' for key in keys)
                errors.insert(0, f"{what} key(s) in state_dict: {quoted}. ")
    if errors:
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors)
        )
    with autograd.no_grad():
        for place, value in plan.copies:
            place.copy_(value)
    return IncompatibleKeys(plan.missing, unexpected)


@dataclass(frozen=True)
class Conversion:
    """A change of device, dtype and memory format, applied to one tensor by calling it."""

    device: str | None
    dtype: np.dtype | None
    memory_format: str | None

    @staticmethod
    def parse(
        *args: Any,
        device: Any = None,
        dtype: Any = None,
        memory_format: str | None = None,
        non_blocking: bool = False,
    ) -> Conversion:
        """Read the arguments of Module.to; `non_blocking` has no effect."""
        for arg in args:
            if isinstance(arg, Tensor):
                device, dtype = arg.device, arg.dtype
            elif arg is None or isinstance(arg, bool):
                continue
            elif _names_device(arg):
                device = arg
            else:
                dtype = arg
        if dtype is not None:
            dtype = as_dtype(dtype)
            if not is_floating_point(dtype):
                raise TypeError(
                    "nn.Module.to only accepts floating point dtypes, "
                    f"but got desired dtype={dtype}"
                )
        return Conversion(None if device is None else as_device(device), dtype, memory_format)

    def __call__(self, tensor: Tensor) -> Tensor:
        dtype = self.dtype if is_floating_point(tensor.dtype) else None
        changes: dict[str, Any] = {"device": self.device, "dtype": dtype}
        if tensor.ndim == 4:
            changes["memory_format"] = self.memory_format
        changes = {name: value for name, value in changes.items() if value is not None}
        return tensor.to(**changes) if changes else tensor


def _names_device(arg: Any) -> bool:
    return str(arg).partition(":")[0] in ("cpu", "cuda")
