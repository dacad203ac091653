"""The .safetensors format, through its own library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import bfloat16

# safetensors' names of the dtypes that NumPy does not have
_BFLOAT16 = "BF16"


def _library() -> Any:
    try:
        import safetensors
    except ImportError:
        raise ImportError(
            ".safetensors files need the package safetensors: pip install safetensors"
        ) from None
    return safetensors


def read(path: Path) -> dict[str, np.ndarray]:
    library = _library()
    data = path.read_bytes()
    try:
        entries = library.deserialize(data)
    except library.SafetensorError as error:
        raise ValueError(f"{path} is not a .safetensors file: {error}") from None
    arrays = {}
    for name, entry in entries:
        dtype = bfloat16 if entry["dtype"] == _BFLOAT16 else _numpy_dtype(path, entry["dtype"])
        values = np.frombuffer(bytearray(entry["data"]), dtype)
        arrays[name] = values.reshape(entry["shape"])
    return arrays


def metadata(path: Path) -> dict[str, str]:
    """The texts that a file holds beside its tensors."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > 100_000_000:
            raise ValueError(f"{path} is not a .safetensors file: its header is {size} bytes long")
        return json.loads(file.read(size)).get("__metadata__", {})


_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}


def _numpy_dtype(path: Path, name: str) -> np.dtype:
    if name not in _DTYPES:
        raise ValueError(f"{path} holds a tensor of {name}; accepted: BF16, {', '.join(_DTYPES)}")
    return np.dtype(_DTYPES[name])


def write(path: Path, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> None:
    _library()
    from safetensors.numpy import save_file

    for name, a in arrays.items():
        if a.dtype != bfloat16 and a.dtype not in [np.dtype(d) for d in _DTYPES.values()]:
            raise TypeError(f"state_dict[{name!r}]: .safetensors cannot hold {a.dtype}")
    dense = {name: np.array(a, order="C", ndmin=a.ndim) for name, a in arrays.items()}
    save_file(dense, str(path), metadata=dict(texts) or None)
