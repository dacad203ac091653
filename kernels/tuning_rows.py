"""Measured configurations: the form of a row, the shipped table and the user's cache.

Both are files of one form, {"schema": 1, "rows": [row, ...]}; a row is an object with the fields of
FIELDS and holds for one kernel, in one version of its source, on one model of GPU, in one dtype, on
the calls of one key. Whatever a file says otherwise is ignored, and a row of a kernel that has been
edited since counts as not there.

The shipped table lies beside this file. The cache holds what was measured on this machine, one file
for each model of GPU, and wins over the table.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1
FOLDER = Path(__file__).parent
SHIPPED = FOLDER / "tuning_table.json"
KEY = ("kernel", "source", "gpu", "arch", "dtype", "key")  # what a row is found by
FIELDS: dict[str, type] = {
    "kernel": str,  # "<stem>.<kernel>", the name of its Configurations
    "source": str,  # source_hash() of the kernel that was measured
    "gpu": str,  # "NVIDIA H200"
    "arch": str,  # "sm_90"
    "dtype": str,
    "key": str,  # the launcher's key, its sizes in buckets: tuning.bucket()
    "config": str,  # the fastest configuration, as str(Config) spells it
    "microseconds": float,  # its time
    "analytic": str,  # what would have been chosen without the row
    "analytic_microseconds": float,
    "call": str,  # on which call, "conv2d_fprop on resnet50.l3_conv2"
    "software": str,  # versions of Triton, CuPy and the driver
    "date": str,
}

Row = dict[str, Any]


class GPU(NamedTuple):
    name: str
    arch: int  # the compute capability: 90 is 9.0

    @property
    def word(self) -> str:
        return f"sm_{self.arch}"


def problems(document: Any) -> list[str]:
    """What is wrong with a file's contents, a sentence each."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return [f"expected an object whose schema is {SCHEMA}"]
    if not isinstance(document.get("rows"), list):
        return ["rows: expected a list"]
    found = [f"row {i}: {p}" for i, row in enumerate(document["rows"]) if (p := wrong_with(row))]
    keys = [_key(row) for row in document["rows"] if wrong_with(row) is None]
    found += [f"two rows for {' | '.join(k)}" for k in sorted(set(keys)) if keys.count(k) > 1]
    return found


def wrong_with(row: Any) -> str | None:
    """What is wrong with a row, or None."""
    if not isinstance(row, dict):
        return "expected an object"
    if set(row) != set(FIELDS):
        return f"its fields differ in {', '.join(sorted(set(row) ^ set(FIELDS)))}"
    for name, kind in FIELDS.items():
        value = row[name]
        if kind is str and not (isinstance(value, str) and (value or name == "key")):
            return f"{name}: got {value!r}, expected a string"
        if kind is float and not (type(value) in (int, float) and 0 < value < float("inf")):
            return f"{name}: got {value!r}, expected a positive number"
    return None


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in KEY)


# --- the source a row was measured on -------------------------------------------------------------

_HOST_ONLY = {"interpreter", "mode", "tuning", "tuning_rows"}  # do not reach the machine code


@lru_cache(maxsize=256)
def source_hash(stem: str) -> str | None:
    """Of kernels/<stem>.py and of the modules beside it that it imports, and so on; None without
    such a file."""
    texts: dict[str, str] = {}
    waiting = [stem]
    while waiting:
        name = waiting.pop()
        path = FOLDER / f"{name}.py"
        if name in texts or name in _HOST_ONLY or not path.is_file():
            continue
        texts[name] = path.read_text(encoding="utf-8")
        waiting += _imported(texts[name])
    if stem not in texts:
        return None
    whole = "\0".join(f"{name}\0{texts[name]}" for name in sorted(texts))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _imported(text: str) -> Iterator[str]:
    """The names of the modules of this folder that a kernel file imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


# --- reading --------------------------------------------------------------------------------------


def read(path: Path) -> list[Row]:
    """The rows of a file that are well formed; none if it cannot be read or is something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return []
    rows = document.get("rows")
    return [r for r in rows if wrong_with(r) is None] if isinstance(rows, list) else []


def is_current(row: Row) -> bool:
    """Whether the kernel is still the one that was measured."""
    return row["source"] == source_hash(row["kernel"].partition(".")[0])


def cache_folder() -> Path | None:
    """$PYCNN_CACHE_DIR, else `pycnn` in the user's cache folder; None for a user without a home."""
    chosen = os.environ.get("PYCNN_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the standard says to ignore a relative one
        return Path(base) / "pycnn"
    try:
        return Path.home() / ".cache" / "pycnn"
    except RuntimeError:
        return None


def cache_file(gpu: GPU) -> Path | None:
    folder = cache_folder()
    name = re.sub(r"[^a-z0-9]+", "-", f"{gpu.name} {gpu.word}".lower()).strip("-")
    return None if folder is None else folder / f"tuning-{name}.json"


_lock = threading.RLock()
_tables: dict[GPU, dict[tuple[str, ...], str]] = {}  # a table is replaced, never changed


def find(gpu: GPU, kernel: str, dtype: str, key: str) -> str | None:
    """The configuration that the row of this call names: the cache's, else the shipped table's."""
    table = _tables.get(gpu)
    if table is None:
        with _lock:
            table = _tables.get(gpu) or _load(gpu)
    source = source_hash(kernel.partition(".")[0])
    if source is None:
        return None
    return table.get((kernel, source, gpu.name, gpu.word, dtype, key))


def _load(gpu: GPU) -> dict[tuple[str, ...], str]:
    path = cache_file(gpu)
    rows = read(SHIPPED) + ([] if path is None else read(path))
    _tables[gpu] = {_key(row): row["config"] for row in rows}
    return _tables[gpu]


def forget() -> None:
    """Read the files anew at the next call."""
    with _lock:
        _tables.clear()
        source_hash.cache_clear()


# --- writing --------------------------------------------------------------------------------------


def store(gpu: GPU, rows: Iterable[Row]) -> Path:
    """Adds the rows to the user's cache and returns its file; OSError if that cannot be written.

    Processes take turns, so that none loses another's rows. The file is always whole: it is written
    under another name, then renamed. Rows of kernels edited since are left out, and a file that
    cannot be understood is replaced."""
    path = cache_file(gpu)
    if path is None:
        raise OSError("no cache folder: set PYCNN_CACHE_DIR")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock, _turn(path):
        kept = {_key(row): row for row in read(path) if is_current(row)}
        kept |= {_key(row): row for row in rows}
        ordered = [kept[key] for key in sorted(kept)]
        text = json.dumps({"schema": SCHEMA, "rows": ordered}, indent=1) + "\n"
        _write_atomically(path, text)
        _load(gpu)
    return path


def _write_atomically(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Other processes wait. Where files cannot be locked, two that write at once may lose rows,
    which are then measured again, but never leave a broken file."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path.with_suffix(".lock"), "a", encoding="utf-8") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
