"""PyTorch's .pth files, read and written without PyTorch, and without running what they contain.

A .pth file is a pickle, and unpickling may call anything. Here an unpickler knows a dozen names,
those of which a state dict is made, and refuses every other before it is looked up. Tensors lie on
the file's storages after their offset, size and strides have been checked against them.

Both layouts are read: the zip archive of PyTorch 1.6 and later (data.pkl, data/0, data/1 ...), and
the sequence of pickles followed by raw storages of the versions before it. Written is the first.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..dtypes import bfloat16

# the storage classes of torch, and the elements they hold
_STORAGES: dict[str, np.dtype] = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": bfloat16,
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class _StorageType(NamedTuple):
    name: str
    dtype: np.dtype


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> np.ndarray:
    """The view of a storage that a tensor is; ValueError where it would reach outside."""
    plain = isinstance(storage, np.ndarray) and storage.ndim == 1
    numbers = (offset, *size, *stride) if plain else ()
    if not plain or len(size) != len(stride) or not all(type(n) is int for n in numbers):
        raise ValueError("a tensor is not described as a storage, an offset, sizes and strides")
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if any(n < 0 for n in numbers) or (0 not in size and reach >= storage.size):
        raise ValueError(
            f"a tensor of size {tuple(size)}, strides {tuple(stride)} at {offset} lies outside its "
            f"storage of {storage.size} elements"
        )
    if 0 in size:
        return np.empty(size, storage.dtype)
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], tuple(size), strides)


def _rebuild_parameter(data: Any, *rest: Any) -> np.ndarray:
    if not isinstance(data, np.ndarray):
        raise ValueError("a parameter is not made of a tensor")
    return data


_CALLABLES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
}


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors in plain containers; `storages` gives the one of a key."""

    def __init__(self, file: IO[bytes], storages: Any) -> None:
        super().__init__(file, encoding="utf-8")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _StorageType(name, _STORAGES[name])
        if (module, name) in _CALLABLES:
            return _CALLABLES[module, name]
        raise ValueError(f"it names {module}.{name}, which is not a part of a state dict")

    def persistent_load(self, identity: Any) -> Any:
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise ValueError(f"it refers to {identity!r}, which is not a storage")
        _, kind, key, _, count = identity[:5]
        if not isinstance(kind, _StorageType) or type(count) is not int or count < 0:
            raise ValueError(f"it refers to {identity!r}, which is not a storage")
        if len(identity) > 5 and identity[5] is not None:
            raise ValueError("it holds a view of a storage, which only very old files have")
        return self._storages(str(key), kind.dtype, count)


def read(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        try:
            found = _read_zip(file) if is_zip else _read_legacy(file)
            return _tensors(found)
        except (
            ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, struct.error,
            pickle.UnpicklingError, zipfile.BadZipFile, MemoryError, UnicodeDecodeError,
        ) as error:  # fmt: skip
            raise ValueError(f"{path} is not a .pth file with a state dict: {error}") from None


def _read_zip(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = {name.partition("/")[2]: name for name in archive.namelist()}
        if "data.pkl" not in names:
            raise ValueError("the archive has no data.pkl")
        if "byteorder" in names and archive.read(names["byteorder"]) != b"little":
            raise ValueError("it was written on a machine of the other byte order")
        known: dict[str, np.ndarray] = {}

        def storage(key: str, dtype: np.dtype, count: int) -> np.ndarray:
            if key not in known:
                data = bytearray(archive.read(names[f"data/{key}"]))
                if len(data) < count * dtype.itemsize:
                    raise ValueError(f"storage {key} is cut short")
                known[key] = np.frombuffer(data, dtype, count)
            if known[key].dtype != dtype:
                raise ValueError(f"storage {key} is used as two dtypes")
            return known[key]

        return _Unpickler(io.BytesIO(archive.read(names["data.pkl"])), storage).load()


def _read_legacy(file: IO[bytes]) -> Any:
    known: dict[str, np.ndarray] = {}

    def storage(key: str, dtype: np.dtype, count: int) -> np.ndarray:
        return known.setdefault(key, np.zeros(count, dtype))

    def plain() -> Any:
        return _Unpickler(file, storage).load()

    if plain() != _LEGACY_MAGIC:
        raise ValueError("it begins with neither an archive nor PyTorch's magic number")
    plain()  # the version of the protocol
    system = plain()
    if not system.get("little_endian", True):
        raise ValueError("it was written on a machine of the other byte order")
    found = plain()
    for key in plain():
        values = known[str(key)]
        (count,) = struct.unpack("<q", file.read(8))
        data = file.read(values.nbytes)
        if count != values.size or len(data) < values.nbytes:
            raise ValueError(f"storage {key} is cut short")
        values[...] = np.frombuffer(data, values.dtype)
    return found


def _tensors(found: Any) -> dict[str, np.ndarray]:
    """The tensors of a state dict, or of the one inside a training checkpoint."""
    for inner in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(inner), dict):
            found = found[inner]
    if not isinstance(found, dict) or not found:
        raise ValueError(f"it holds a {type(found).__name__}, not tensors by name")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise ValueError(f"its entry {name!r} is a {type(value).__name__}, not a tensor")
    return dict(found)


# --- writing --------------------------------------------------------------------------------------


def write(path: Path, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> None:
    if texts:
        raise ValueError("metadata: a .pth file holds none; accepted: {}")
    names = {dtype: name for name, dtype in _STORAGES.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        described = []
        for key, (name, a) in enumerate(arrays.items()):
            if a.dtype not in names:
                raise TypeError(f"state_dict[{name!r}]: .pth cannot hold {a.dtype}")
            described.append((name, names[a.dtype], str(key), a.shape))
        archive.writestr("archive/data.pkl", _pickled(described))
        archive.writestr("archive/byteorder", b"little")
        for key, a in enumerate(arrays.values()):
            with archive.open(f"archive/data/{key}", "w", force_zip64=True) as entry:
                entry.write(np.ascontiguousarray(a).tobytes())
        archive.writestr("archive/version", b"3\n")


def _pickled(tensors: list[tuple[str, str, str, tuple[int, ...]]]) -> bytes:
    """An OrderedDict of contiguous tensors, (name, storage class, key, shape), as torch pickles it.

    Written opcode by opcode: a pickler would have to import the classes it names."""
    text = lambda s: b"X" + struct.pack("<I", len(s.encode())) + s.encode()
    name_of = lambda module, name: f"c{module}\n{name}\n".encode()
    number = lambda n: pickle.dumps(int(n), protocol=2)[2:-1]
    several = lambda numbers: b"(" + b"".join(number(n) for n in numbers) + b"t"
    empty_dict = name_of("collections", "OrderedDict") + b")R"

    def tensor(storage: str, key: str, shape: tuple[int, ...]) -> bytes:
        strides = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
        count = int(np.prod(shape, dtype=np.int64))
        identity = text("storage") + name_of("torch", storage) + text(key) + text("cpu")
        return (
            name_of("torch._utils", "_rebuild_tensor_v2")
            + b"((" + identity + number(count) + b"tQ"  # the persistent id
            + number(0) + several(shape) + several(strides) + b"\x89" + empty_dict + b"tR"
        )  # fmt: skip

    items = b"".join(text(name) + tensor(*rest) for name, *rest in tensors)  # type: ignore[arg-type]
    return b"\x80\x02" + empty_dict + b"(" + items + b"u."
