"""Files of results, as the report reads them: one shape of row, whatever was measured.

A row is a dictionary with every key of `KEYS`, its "family" and its "device"; None is what its file
does not know.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ...benchmarks.schema import VERSION

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = Path(__file__).resolve().parents[2]

KEYS = (
    "suite", "name", "primitive", "pass", "batch", "threads", "size", "geometry", "dtype", "layout",
    "cache", "provider", "algorithm", "seconds", "gflops", "gbytes_per_second", "percent_of_roof",
    "bound", "flops", "bytes", "error", "opponent", "opponent_seconds", "opponents", "ratio",
    "ratio_of_medians", "others_busy", "grown",
)  # fmt: skip
NETS = ("forward", "training step")
MEMORY = "memory"

# The families of kernels, in the order of docs/kernels/README.md; the last two are on the CPU only.
FAMILIES = (
    "gemm", "im2col", "conv2d_naive", "conv2d_im2col", "conv2d_implicit_gemm", "conv2d_pointwise",
    "conv2d_depthwise", "conv2d_grouped", "conv2d_transposed", "max_pool2d", "avg_pool2d",
    "max_unpool2d", "batch_norm", "local_response_norm", "add_activation", "elementwise", "reduce",
    "concat", "resize2d", "softmax", "softmax_cross_entropy", "dropout", "conv2d_direct",
    "conv2d_winograd",
)  # fmt: skip
# algorithms and primitives that are not called after their family
_ALGORITHMS = {
    "phases": "conv2d_transposed",
    "pixel_shuffle": "conv2d_transposed",
    "tensor_core": "conv2d_implicit_gemm",
    "tf32": "conv2d_implicit_gemm",
}
_PRIMITIVES = {"split": "concat", "col2im": "im2col"}

Row = dict[str, Any]


class Results(NamedTuple):
    """One file of results."""

    path: Path
    device: str
    kind: str  # "cpu" or "gpu"
    isa: str
    versions: dict[str, str]
    commit: str
    date: str
    roof: dict[str, dict[str, Any]]  # threads as text, or "gpu" -> the measured roof
    rows: list[Row]


def folder() -> Path:
    """Where results are committed: in the source tree, or in an installation."""
    here = ROOT / "benchmarks" / "results"
    return here if here.is_dir() else PACKAGE / "benchmarks" / "results"


def committed() -> list[Path]:
    """The committed files of results, in a fixed order."""
    return sorted(folder().glob("*/*.json"))


def read(path: str | os.PathLike[str]) -> Results:
    """A file of results.

    Raises:
        ValueError: it is no such file; says which row, and what is expected.
        OSError: it cannot be read.
    """
    path = Path(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("rows"), list):
        raise ValueError(f"{path}: not a file of results; expected an object with a list 'rows'")
    schema = found.get("schema")
    if schema != VERSION:
        raise ValueError(f"{path}: schema {schema!r}; accepted: {VERSION}")
    rows = [_row(path, i, row) for i, row in enumerate(found["rows"])]
    device = str(found.get("device", "unknown device"))
    for row in rows:
        row["device"] = device
    return Results(
        path, device, found.get("kind", "cpu"),
        found.get("isa", ""), found.get("versions", {}), found.get("commit", ""),
        found.get("date", ""), _roof(path, found.get("roof")), rows,
    )  # fmt: skip


def read_all(paths: Iterable[str | os.PathLike[str]]) -> list[Results]:
    """The files, without the rows that a newer one of the same device measured anew."""
    files = [read(path) for path in paths]
    newest: dict[tuple[Any, ...], str] = {}
    for file in files:
        for row in file.rows:
            key = _identity(file, row)
            newest[key] = max(newest.get(key, ""), file.date)
    return [
        file._replace(rows=[r for r in file.rows if newest[_identity(file, r)] == file.date])
        for file in files
    ]


def _identity(file: Results, row: Row) -> tuple[Any, ...]:
    """What a row measures."""
    keys = (
        "suite", "name", "pass", "batch", "threads", "size", "dtype", "layout", "cache", "provider"
    )  # fmt: skip
    return file.device, *(row[key] for key in keys)


def _roof(path: Path, roof: Any) -> dict[str, dict[str, Any]]:
    for one in (roof or {}).values():
        numbers = [one.get("gbytes_per_second"), *one.get("gflops", {}).values()]
        if not all(_positive(n) for n in numbers):
            raise ValueError(
                f"{path}: roof {one!r}; expected positive gbytes_per_second and gflops by dtype"
            )
    return roof or {}


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0


def _row(path: Path, index: int, given: Any) -> Row:
    if not isinstance(given, dict) or not {"suite", "name"} <= given.keys():
        raise ValueError(f"{path}: row {index} is {given!r:.60}; expected a suite and a name")
    row: Row = {key: given.get(key) for key in KEYS}
    needed = "seconds" if row["grown"] is None else "ratio"
    for key in ("seconds", "opponent_seconds", "ratio"):
        value = row[key]
        if value is None and key != needed:
            continue
        least = value.get("least") if isinstance(value, dict) else None
        if not _positive(value if key == "ratio" else least):
            raise ValueError(
                f"{path}: row {index}, {row['name']!r}: {key} is {value!r}; expected a positive "
                "number, of seconds an object with the least of them"
            )
    row["family"] = family(row["primitive"], row["algorithm"])
    return row


def family(primitive: str | None, algorithm: str | None) -> str | None:
    """The family of kernels that runs a primitive by an algorithm, None where that is unknown."""
    if primitive is None:
        return None
    if primitive.startswith("conv2d_"):
        first = (algorithm or "").split(" + ")[0]
        found = _ALGORITHMS.get(first, f"conv2d_{first}")
        return found if found in FAMILIES else None
    primitive = _PRIMITIVES.get(primitive, primitive)
    fitting = [f for f in FAMILIES if re.fullmatch(rf"{f}(_.*)?", primitive)]
    return max(fitting, key=len, default=None)


def geometric_mean(ratios: Iterable[float]) -> float:
    """Of at least one positive number."""
    logs = [math.log(ratio) for ratio in ratios]
    return math.exp(sum(logs) / len(logs))


def varying(rows: list[Row], keys: Iterable[str]) -> list[str]:
    """Those of the keys that have more than one value in these rows; None, of a file that does not
    say, is none."""
    return [key for key in keys if len({row[key] for row in rows} - {None}) > 1]


def image_side(row: Row) -> int | None:
    """Rows of pixels of a row's images: its size, or the third number of a geometry NxCxHxW."""
    if row["size"] is not None:
        return int(row["size"])
    found = re.match(r"\d+x(?:\d+|\([\d, ]+\))x(\d+)x\d+", row["geometry"] or "")
    return int(found[1]) if found else None
