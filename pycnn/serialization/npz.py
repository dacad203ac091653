"""NumPy's .npz: an array per name.

bfloat16, which NumPy cannot name in a file, is stored as its 16 bits under `<name>:bfloat16`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..dtypes import bfloat16

_MARK = ":bfloat16"


def read(path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    if not zipfile.is_zipfile(path):
        path.open("rb").close()  # OSError where there is no file at all
        raise ValueError(f"{path} is not an .npz file of arrays: it is not a zip archive")
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                a = file[name]
                if name.endswith(_MARK):
                    name, a = name.removesuffix(_MARK), a.view(bfloat16)
                arrays[name] = a
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} is not an .npz file of arrays: {error}") from None
    return arrays


def write(path: Path, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> None:
    if texts:
        raise ValueError("metadata: an .npz file holds none; accepted: {}")
    entries = {}
    for name, a in arrays.items():
        a = np.ascontiguousarray(a) if a.ndim else a
        marked = a.dtype == bfloat16
        entries[name + _MARK if marked else name] = a.view(np.uint16) if marked else a
    with path.open("wb") as file:  # np.savez adds a suffix to a path, and takes `file` as a name
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, a in entries.items():
                with archive.open(name + ".npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asarray(a), allow_pickle=False)
