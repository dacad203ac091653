"""A torch sample as pycnn arguments: tensors with their strides, dtypes, memory formats; and as one
line of text."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import pycnn

MEMORY_FORMATS = {
    torch.contiguous_format: pycnn.contiguous_format,
    torch.channels_last: pycnn.channels_last,
    torch.preserve_format: pycnn.preserve_format,
}
PLAIN = (bool, int, float, str, slice, type(None), type(Ellipsis))


class Unconvertible(Exception):
    """The sample uses something pycnn has no counterpart of: complex numbers, other devices, sparse
    tensors."""


def as_numpy(t: torch.Tensor) -> np.ndarray:
    """The tensor's own memory with its strides, in any dtype pycnn has."""
    t = t.detach()
    if t.dtype == torch.bfloat16:
        return t.view(torch.int16).numpy().view(pycnn.bfloat16)
    return t.numpy()


def as_dtype(dtype: torch.dtype) -> np.dtype:
    try:
        return pycnn.dtypes.as_dtype(dtype)
    except TypeError:
        raise Unconvertible(f"dtype {dtype}") from None


def detached_copy(t: torch.Tensor) -> torch.Tensor:
    """A leaf with the tensor's values and strides over memory of its own."""
    as_dtype(t.dtype)
    if t.device.type != "cpu" or t.layout != torch.strided:
        raise Unconvertible(f"a {t.layout} tensor on {t.device}")
    if t.ndim > 64:
        raise Unconvertible("more dimensions than NumPy has")
    requires_grad = t.requires_grad
    t = t.detach().resolve_neg()
    storage = torch.empty(0, dtype=torch.uint8).set_(t.untyped_storage()).clone().untyped_storage()
    copy = torch.empty(0, dtype=t.dtype).set_(storage, t.storage_offset(), t.shape, t.stride())
    return copy.requires_grad_(requires_grad)


class Arguments:
    """One call's arguments twice: for torch and for pycnn, over separate memory, no sample's own.

    `leaves` pairs the tensors of both sides; one tensor passed twice stays one."""

    def __init__(self, *values: Any, **keywords: Any) -> None:
        self.leaves: list[tuple[torch.Tensor, pycnn.Tensor]] = []
        self._memo: dict[int, tuple[torch.Tensor, pycnn.Tensor]] = {}
        self._keep = (values, keywords)
        pairs = [self._pair(v) for v in values]
        named = {k: self._pair(v) for k, v in keywords.items()}
        self.torch_args = [p[0] for p in pairs]
        self.pycnn_args = [p[1] for p in pairs]
        self.torch_kwargs = {k: p[0] for k, p in named.items()}
        self.pycnn_kwargs = {k: p[1] for k, p in named.items()}

    def _pair(self, value: Any) -> tuple[Any, Any]:
        if isinstance(value, torch.Tensor):
            return self._tensors(value)
        if isinstance(value, torch.dtype):
            return value, as_dtype(value)
        if isinstance(value, torch.memory_format):
            return value, MEMORY_FORMATS[value]
        if isinstance(value, torch.device) and value.type == "cpu":
            return value, "cpu"
        if isinstance(value, torch.Size):
            return value, tuple(value)
        if isinstance(value, (tuple, list)):
            pairs = [self._pair(v) for v in value]
            return type(value)(p[0] for p in pairs), type(value)(p[1] for p in pairs)
        if isinstance(value, (np.generic, *PLAIN)):
            return value, value
        raise Unconvertible(f"{type(value).__name__} {value!r}")

    def _tensors(self, t: torch.Tensor) -> tuple[torch.Tensor, pycnn.Tensor]:
        if id(t) not in self._memo:
            theirs = detached_copy(t)
            ours = pycnn.from_numpy(as_numpy(detached_copy(t)))
            ours.requires_grad_(t.requires_grad)
            self._memo[id(t)] = theirs, ours
            self.leaves.append(self._memo[id(t)])
        return self._memo[id(t)]


def describe(value: Any) -> str:
    """`value` as it would be written in a call; small tensors with their numbers, others by shape
    and strides."""
    if isinstance(value, torch.Tensor):
        grad = ", requires_grad=True" if value.requires_grad else ""
        strides = "" if value.is_contiguous() else f", strides={tuple(value.stride())}"
        dtype = str(value.dtype).removeprefix("torch.")
        if value.numel() <= 12:
            return f"tensor({value.tolist()}, shape={tuple(value.shape)}{strides}, {dtype}{grad})"
        return f"randn({tuple(value.shape)}{strides}, {dtype}{grad})"
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        inside = ", ".join(map(describe, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
    return repr(tuple(value)) if isinstance(value, torch.Size) else repr(value)


def call_line(name: str, sample: Any) -> str:
    """The call a sample stands for, on one line."""
    arguments = [describe(a) for a in (sample.input, *sample.args)]
    arguments += [f"{k}={describe(v)}" for k, v in sample.kwargs.items()]
    return f"{name}({', '.join(arguments)})"
