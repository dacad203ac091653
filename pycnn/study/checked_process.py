"""A file's kernel, checked in a process of its own: a crash or a hang there is a line of a report.

The process, `python -m pycnn.study.checked_process`, is told what to do as JSON in its argument and
says how it goes in lines of JSON on what was its standard output; what the kernel prints goes to
the standard error.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from . import check_kernel, own_kernel
from .check_report import DIED, NOT_RUN, SLOW, CaseRow, CheckReport

_STARTING = 180.0  # seconds to import, load and compile
_TIMING = 30.0  # times a case's own limit, for all of `bench`


def check_file(
    path: Path,
    primitive: str | None,
    name: str | None,
    every: bool,
    dtypes: Sequence[str] | None,
    cases: str,
    seed: int | None,
    device: str | None,
    bench: bool,
    timeout: float,
    progress: check_kernel.Progress | None,
) -> CheckReport:
    """`check` for a file; the arguments are its."""
    asked = {
        "path": str(path), "primitive": primitive, "name": name, "every": every,
        "dtypes": None if dtypes is None else list(dtypes), "cases": cases, "seed": seed,
        "device": device, "bench": bench,
    }  # fmt: skip
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    if device == "cpu":
        environment["PYCNN_TRITON"] = "interpret"
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(asked)],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        return _Listener(process, timeout, progress).report()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class _Listener:
    """Makes a report of what the process says."""

    def __init__(
        self, process: subprocess.Popen[str], timeout: float, progress: check_kernel.Progress | None
    ) -> None:
        self.process, self.timeout, self.progress = process, timeout, progress
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.todo: list[dict[str, Any]] = []
        self.made: CheckReport | None = None
        self.running = ""
        self.limit = _STARTING
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                self.lines.put(line)
        except ValueError:  # closed while it was read
            pass
        self.lines.put(None)

    def report(self) -> CheckReport:
        while True:
            try:
                line = self.lines.get(timeout=self.limit)
            except queue.Empty:
                self.process.kill()
                return self._ended(SLOW, f"it took longer than {self.limit:g} s")
            if line is None:
                return self._ended(DIED, f"its process died: {self._death()}")
            said = json.loads(line)
            if "error" in said:
                raise own_kernel.LoadError(said["error"])
            if "refused argument" in said:
                raise ValueError(said["refused argument"])
            if "begins" in said:
                self.made = CheckReport(**said["begins"])
                self.todo = said["cases"]
            assert self.made is not None
            self.running = said.get("runs", self.running)
            self.limit = self.timeout
            if "row" in said:
                self.made.rows.append(CaseRow(**said["row"]))
                if self.progress is not None:
                    self.progress(len(self.made.rows), len(self.todo), self.made.rows[-1])
            if "timing" in said:
                self.running, self.limit = "timing", self.timeout * _TIMING
            if "done" in said:
                self.made.times = said["done"]
                return self.made

    def _death(self) -> str:
        code = self.process.wait()
        if code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"

    def _ended(self, verdict: str, line: str) -> CheckReport:
        """The report of a process that does not answer any more."""
        if self.made is None:
            raise own_kernel.LoadError(f"loading the file: {line}")
        if self.running == "timing":
            self.made.problem = f"{self.made.name} passed every case, but as it was timed {line}"
            return self.made
        rest = self.todo[len(self.made.rows) :]
        for case in rest:
            row = CaseRow(**case, verdict=NOT_RUN)
            if case is rest[0]:
                row.verdict, row.where, row.line = verdict, self.running, line
            self.made.rows.append(row)
        return self.made


# --- in the process -------------------------------------------------------------------------------


def main(asked: dict[str, Any], channel: IO[str]) -> None:
    def say(**words: Any) -> None:
        channel.write(json.dumps(words) + "\n")
        channel.flush()

    try:
        own = own_kernel.load(
            Path(asked["path"]), asked["primitive"], asked["name"], asked["device"]
        )
    except own_kernel.LoadError as error:
        say(error=str(error))
        return
    try:
        todo = check_kernel.select(own.primitive, asked["every"], asked["cases"])
        plans = [check_kernel.plan(own, case, asked["every"], asked["dtypes"]) for case in todo]
    except ValueError as error:
        say(**{"refused argument": str(error)})
        return
    report = check_kernel.begin(own, asked["seed"], asked["every"], asked["dtypes"])
    named = [{"case": check_kernel.name_of(case), "geometry": str(case.geometry)} for case in todo]
    say(begins=dataclasses.asdict(report), cases=named)
    for case, runs in zip(todo, plans, strict=True):
        row = check_kernel.check_case(own, case, runs, report.seed, lambda run: say(runs=str(run)))
        report.rows.append(row)
        say(row=dataclasses.asdict(row))
    times: list[dict[str, Any]] = []
    if asked["bench"] and report:
        from . import side_by_side

        say(timing=True)
        times = side_by_side.time_own(own)
    say(done=times)


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as said:
        os.dup2(2, 1)
        main(json.loads(sys.argv[1]), said)
