"""A run: problems in order, rows as they come, a file at the end; it goes on where it stopped.

With a file to write, rows are kept in FILE.partial as they are measured, one JSON object a line.
The first line says what they were measured with; a run that finds it equal to its own (machine,
versions, commit, options) takes the rows and the roof from there and measures the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import measure, schema

RESULTS = Path(__file__).resolve().parent / "results"
Row = dict[str, Any]


def auto_file(what: str, suite: str, provenance: dict[str, Any]) -> Path:
    """benchmarks/results/<device>/<what>.json, to be committed; of the smoke suite, which is not,
    out/bench/<what>.json where the command runs.

    Raises:
        ValueError: there is no source tree to write into.
    """
    if suite == "smoke":
        return Path("out", "bench", f"{what}.json")
    if not (measure.SOURCES / "setup.py").exists():
        raise ValueError("out: got 'auto', but pycnn runs outside of its source tree")
    folder = re.sub(r"[^a-z0-9]+", "-", provenance["device"].lower()).strip("-")
    return RESULTS / folder / f"{what}.json"


class Session:
    """The rows of a run.

    Args:
        provenance: of measure.provenance.
        options: what was asked for, JSON; part of what must be equal to go on.
        out: the file of results, or None to keep nothing.
    """

    def __init__(
        self, provenance: dict[str, Any], options: dict[str, Any], out: Path | None
    ) -> None:
        self.provenance, self.options, self.out = provenance, options, out
        self.roofs: dict[str, Any] = {}
        self.done: dict[str, list[Row]] = {}
        same = {k: v for k, v in provenance.items() if k != "date"}
        self._head = json.loads(json.dumps({"with": same, "options": options}))
        if out is not None:
            self._resume(self._partial)

    @property
    def _partial(self) -> Path:
        assert self.out is not None
        return self.out.with_name(f"{self.out.name}.partial")

    def _resume(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = []
        for line in lines:
            try:
                kept.append(json.loads(line))
            except json.JSONDecodeError:  # the line at which it was interrupted
                break
        if not kept or kept[0] != self._head:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self._head) + "\n", encoding="utf-8")
            return
        for entry in kept[1:]:
            self.roofs |= entry.get("roofs", {})
            if "problem" in entry:
                self.done[entry["problem"]] = entry["rows"]
        # a line cut short would spoil the one written after it
        path.write_text("".join(json.dumps(e) + "\n" for e in kept), encoding="utf-8")

    def _keep(self, entry: dict[str, Any]) -> None:
        if self.out is not None:
            with self._partial.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def roof(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The record of a roof, measured by `make` where it was not before."""
        if name not in self.roofs:
            self.found_roof(name, make())
        return self.roofs[name]

    def found_roof(self, name: str, record: dict[str, Any]) -> None:
        """Keep a roof's record in place of the one before."""
        if self.roofs.get(name) != record:
            self.roofs[name] = record
            self._keep({"roofs": {name: record}})

    def run(
        self,
        problems: Iterable[tuple[str, Callable[[], list[Row]]]],
        step: Callable[[str, list[Row]], Any] = lambda name, rows: None,
    ) -> list[Row]:
        """The rows of (name, measure) pairs, `step` told of each; rows there already are not
        measured again. Then the file is written."""
        rows: list[Row] = []
        for name, measured in problems:
            if name not in self.done:
                self.done[name] = measured()
                self._keep({"problem": name, "rows": self.done[name]})
            rows += self.done[name]
            step(name, self.done[name])
        if self.out is not None:
            self.write(rows)
        return rows

    def write(self, rows: list[Row]) -> None:
        """The file of results, validated; the side file goes."""
        assert self.out is not None
        document = {
            "schema": schema.VERSION,
            **self.provenance,
            "roof": self.roofs,
            "settings": self.options,
            "rows": rows,
        }
        schema.write(self.out, document)
        self._partial.unlink(missing_ok=True)
