"""Runs pytest on the tree that holds this file, once per line of JSON on stdin, each in a fork.

What every run needs and no mutant touches is imported before the forks, so that a run takes a
second rather than five. Answers go to stdout, one line of JSON each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes  # noqa: F401  (imported for the forks)
import numpy  # noqa: F401
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = 99  # exit code: the tests imported a pycnn that is not this copy


def child(request: dict) -> int:
    """In the fork: run the tests, then make sure of what they imported."""
    os.environ.update(request["environment"])
    signal.alarm(int(request["timeout"]))
    torch.set_num_threads(1)
    code = int(
        pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *request["arguments"]])
    )
    for name, module in list(sys.modules.items()):
        ours = name.partition(".")[0] in ("pycnn", "tests")
        file = getattr(module, "__file__", None)
        if ours and file and not Path(file).resolve().is_relative_to(ROOT):
            print(f"{name} came from {file}, not from {ROOT}")
            return FOREIGN
    if "pycnn" not in sys.modules:
        print("the killer never imported pycnn")
        return FOREIGN
    return code


def serve() -> None:
    for line in sys.stdin:
        start = time.perf_counter()
        with tempfile.TemporaryFile("w+") as log:
            pid = os.fork()
            if pid == 0:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                code = FOREIGN
                try:
                    code = child(json.loads(line))
                finally:
                    sys.stdout.flush()
                    os._exit(code)
            _, status = os.waitpid(pid, 0)
            # a crash or the alarm is a failure that the killer brought to light
            code = 1 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            log.seek(0)
            output = log.read()[-4000:]
        answer = {"code": code, "seconds": time.perf_counter() - start, "output": output}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    serve()
