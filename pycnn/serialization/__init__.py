"""State dicts in files: .safetensors, .npz, and PyTorch's .pth.

    pycnn.save(net.state_dict(), "resnet18.safetensors")
    net.load_state_dict(pycnn.load("resnet18-f37072fd.pth"))

The suffix names the format. Reading a file never runs code from it: .pth files are pickles, and
`pth.py` unpickles nothing but tensors and plain containers. A file is written under another name
and put in place in one step, so that it is complete or not there.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..array import to_device
from ..autograd import wrap
from ..files import replacing
from ..tensor import Tensor
from . import npz, pth, safetensors

__all__ = ["FORMATS", "Format", "format_of", "load", "save"]


class Format(NamedTuple):
    """How one kind of file is read and written, as a mapping of names to NumPy arrays."""

    suffixes: tuple[str, ...]
    read: Callable[[Path], dict[str, np.ndarray]]
    write: Callable[[Path, Mapping[str, np.ndarray], Mapping[str, str]], None]


FORMATS = {
    "safetensors": Format((".safetensors",), safetensors.read, safetensors.write),
    "npz": Format((".npz",), npz.read, npz.write),
    "pth": Format((".pth", ".pt", ".bin"), pth.read, pth.write),
}


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that a file's suffix names; ValueError for another suffix."""
    suffix = Path(path).suffix.lower()
    for known in FORMATS.values():
        if suffix in known.suffixes:
            return known
    accepted = ", ".join(s for known in FORMATS.values() for s in known.suffixes)
    raise ValueError(f"path: {os.fspath(path)!r} ends in {suffix!r}; accepted: {accepted}")


def save(
    state_dict: Mapping[str, Any],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a state dict, tensors or arrays by name.

    Args:
        state_dict: what `Module.state_dict()` returns, or any mapping of names to Tensors or NumPy
            arrays, of pycnn's dtypes.
        path: its suffix names the format: .safetensors, .npz, .pth, .pt or .bin.
        metadata: texts by name; only .safetensors holds them.

    Raises:
        ValueError: another suffix, or metadata where the format has none.
        TypeError: a value that is neither a tensor nor an array, or of a dtype that the format
            cannot hold.
        OSError: the file cannot be written. What was there before is then still there.
    """
    path = Path(path)
    known = format_of(path)
    arrays = {str(name): _host_array(name, value) for name, value in state_dict.items()}
    with replacing(path) as unfinished:
        known.write(unfinished, arrays, dict(metadata or {}))


def load(path: str | os.PathLike[str], device: str = "cpu") -> OrderedDict[str, Tensor]:
    """Read a state dict: {name: Tensor}, in the order of the file.

    Args:
        path: its suffix names the format, as in `save`.
        device: where the tensors shall be, "cpu" or "cuda".

    Raises:
        ValueError: another suffix, or a file that is not what its suffix says, is cut short, or
            (.pth) holds more than tensors in plain containers.
        OSError: there is no such file, or it cannot be read.
    """
    path = Path(path)
    known = format_of(path)
    from ..array import as_device

    where = as_device(device)
    arrays = known.read(path)
    return OrderedDict((name, wrap(to_device(a, where))) for name, a in arrays.items())


def _host_array(name: Any, value: Any) -> np.ndarray:
    if not isinstance(name, str):
        raise TypeError(f"state_dict: its names must be strings, got {name!r}")
    if isinstance(value, Tensor):
        value = to_device(value.detach()._data, "cpu")
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"state_dict[{name!r}] must be a Tensor or a NumPy array, not {type(value).__name__}"
        )
    return value
