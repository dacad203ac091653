"""The file of results: what a document holds, checked whenever one is written or read.

Seconds are those of one call, bytes and flops those of the formula (each array moved once, a
multiply-add is two operations); docs/benchmarks.md explains every key.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..files import replacing

VERSION = 2


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_NUMBER = {"type": "number", "minimum": 0}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_COUNT = {"type": "integer", "minimum": 0}


def _or_null(kind: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [kind, {"type": "null"}]}


_TIMES = _object(dict.fromkeys(("least", "p20", "p50", "p80"), _POSITIVE))

_COMMON = {
    "suite": _NAME,
    "name": _NAME,
    "primitive": _or_null(_NAME),
    "pass": _NAME,
    "batch": {"type": "integer", "minimum": 1},
    "threads": _or_null({"type": "integer", "minimum": 1}),
    "geometry": _TEXT,
    "dtype": {"enum": ["float16", "bfloat16", "float32", "float64"]},
    "layout": {"enum": ["contiguous", "channels-last"]},
}
_ROW = _object(
    _COMMON
    | {
        "cache": {"enum": ["warm", "cold"]},
        "provider": _NAME,
        "algorithm": _TEXT,
        "seconds": _TIMES,
        "gflops": _NUMBER,
        "gbytes_per_second": _NUMBER,
        "percent_of_roof": _POSITIVE,
        "bound": {"enum": ["memory", "compute"]},
        "flops": _COUNT,
        "bytes": _COUNT,
        "error": _NUMBER,
        "opponent": _or_null(_NAME),  # null where none runs this, or none was asked for
        "opponent_seconds": _or_null(_TIMES),
        "opponents": {"type": "object", "additionalProperties": _TIMES},
        "ratio": _or_null(_POSITIVE),
        "ratio_of_medians": _or_null(_POSITIVE),
        "others_busy": _NUMBER,
    },
    {"size": {"type": "integer", "minimum": 1}},  # pixels, of a network's image
)
_MEMORY_ROW = _object(
    {key: _COMMON[key] for key in ("name", "batch")}
    | {
        "suite": {"const": "memory"},
        "size": {"type": "integer", "minimum": 1},
        "grown": _object({"pycnn": _COUNT, "PyTorch": _COUNT}),
        "grown_by_layout": {"type": "object", "additionalProperties": _COUNT},
        "ratio": _POSITIVE,
    }
)
_ROOF = _object(
    {
        "gbytes_per_second": _POSITIVE,
        "gflops": {"type": "object", "additionalProperties": _POSITIVE},
    },
    # [[bytes, GB/s], ...]: what a working set of that size reaches, caches included
    {"by_working_set": {"type": "array", "items": {"type": "array", "items": _POSITIVE}}},
)

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "pycnn benchmark results",
} | _object(
    {
        "schema": {"const": VERSION},
        "device": _NAME,
        "kind": {"enum": ["cpu", "gpu"]},
        "isa": _TEXT,
        "versions": {"type": "object", "additionalProperties": _TEXT},
        "commit": _TEXT,
        "date": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        # by number of threads, "gpu" on a GPU
        "roof": {
            "type": "object",
            "patternProperties": {r"^(\d+|gpu)$": _ROOF},
            "additionalProperties": False,
        },
        "rows": {"type": "array", "items": {"anyOf": [_ROW, _MEMORY_ROW]}},
    },
    # what the run was set to: TF32, malloc, the options of the command
    {"settings": {"type": "object"}},
)


def validate(document: Any) -> None:
    """Check a document against SCHEMA.

    Raises:
        ValueError: it does not fit; the message names the place and what is wrong there.
        ImportError: jsonschema is not installed.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    for index, row in enumerate(document.get("rows", ()) if isinstance(document, dict) else ()):
        kind = _MEMORY_ROW if isinstance(row, dict) and row.get("suite") == "memory" else _ROW
        error = best_match(Draft202012Validator(kind).iter_errors(row))
        if error is not None:
            raise ValueError(f"results: rows[{index}]{_place(error)}: {error.message}")
    error = best_match(Draft202012Validator(SCHEMA).iter_errors(document))
    if error is not None:
        raise ValueError(f"results: {_place(error) or 'the document'}: {error.message}")


def _place(error: Any) -> str:
    return "".join(f"[{part!r}]" for part in error.absolute_path)


def write(path: str | os.PathLike[str], document: dict[str, Any]) -> None:
    """Validate the document and write it, complete or not at all; its folder is made.

    Raises:
        ValueError: the document is not valid. Nothing is written.
    """
    validate(document)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        unfinished.write_text(text, encoding="utf-8")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A document of results. One without a "schema" key is of schema 1, and returned as it is.

    Raises:
        ValueError: it is no document of results, or not valid.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(document, dict) or "rows" not in document:
        raise ValueError(f"{path}: no document of results: it has no rows")
    if "schema" in document:
        try:
            validate(document)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return document
