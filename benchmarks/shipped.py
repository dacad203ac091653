"""PyTorch with the C library's memory as shipped: an opponent in a process of its own.

`measure.keep_freed_memory` changes malloc for a whole process and for good. So that PyTorch is
measured both ways, this one leaves it alone and takes its turns when it is told to, between those
of the process that asked: one JSON object a line, a question and its answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from . import measure
from .harness import Caught, Turns
from .problem import LAYOUTS, Key

SUFFIX = ", malloc as shipped"


class Shipped:
    """The other process. It starts with the first problem and ends with `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def open(self, key: Key, threads: int) -> list[Turns]:
        """PyTorch's contenders on a problem, those that can run it; earlier ones end."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pycnn.benchmarks.shipped"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=measure.environment(),
            )
        errors = self.ask({"open": list(key), "threads": threads})
        return [_Remote(self, name, error) for name, error in errors.items()]

    def ask(self, question: dict[str, Any]) -> Any:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of PyTorch as shipped ended, {process.wait()}")
        answer = json.loads(line)
        if "caught" in answer:
            raise Caught(answer["caught"])
        return answer["answer"]

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()  # closes what it reads, and waits for its end
            self._process = None


class _Remote:
    def __init__(self, process: Shipped, layout: str, error: float) -> None:
        self.name, self.error = f"PyTorch, {layout}{SUFFIX}", error
        self._process, self._layout = process, layout

    def rehearse(self) -> None:
        """Done when it was opened."""

    def turn(self) -> list[float]:
        return self._process.ask({"turn": self._layout})


def serve(questions: Any, answers: Any) -> None:
    """Answer until the questions end."""
    import torch

    from . import suites
    from .clock import HostClock
    from .harness import Contender, Pool

    contenders: dict[str, Contender] = {}

    def opened(key: Sequence[Any], threads: int) -> dict[str, float]:
        torch.set_num_threads(threads)
        contenders.clear()
        problem = suites.make(Key(*key))
        pool = Pool(problem)
        for layout in LAYOUTS:
            one = Contender(layout, pool, problem.theirs(layout), layout, HostClock())
            try:
                one.rehearse()
            except (RuntimeError, NotImplementedError):  # not in this dtype, or not well
                continue
            contenders[layout] = one
        return {layout: one.error for layout, one in contenders.items()}

    for line in questions:
        question = json.loads(line)
        try:
            if "open" in question:
                answer: dict[str, Any] = {"answer": opened(question["open"], question["threads"])}
            else:
                answer = {"answer": contenders[question["turn"]].turn()}
        except Caught as error:
            answer = {"caught": str(error)}
        try:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
        except BrokenPipeError:  # who asked is gone
            return


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
