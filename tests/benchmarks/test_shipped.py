"""PyTorch with malloc as shipped takes its turns in another process; here malloc keeps memory."""

import io
import json
import subprocess
import sys

import pytest

from pycnn.benchmarks import harness, measure, shipped
from pycnn.benchmarks.problem import Key

pytest.importorskip("torch")

KEY = Key("add + relu", "xcep.add", "forward", 1)

# page faults of filling a block that was used before and freed, on average
FAULTS = """
import resource, torch
from pycnn.benchmarks import measure
if {keep}:
    assert measure.keep_freed_memory()
def faults(calls):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(calls):
        torch.empty(1 << 24).fill_(1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / calls
faults(3)
print(min(faults(2) for _ in range(5)))  # a system may take idle pages back by itself
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc can be told")
@pytest.mark.parametrize("keep", [False, True])
def test_freed_memory_is_faulted_in_again_unless_malloc_is_told_to_keep_it(keep):
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)],
        capture_output=True, text=True, check=True, env=measure.environment(),
    )  # fmt: skip
    found = float(done.stdout)
    assert found < 10 if keep else found > 1000, found


# megabytes that this process holds: after every second of many blocks was freed, and given back
HELD = """
import os, torch
from pycnn.benchmarks import measure
assert measure.keep_freed_memory()
def held():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
blocks = [torch.ones(1 << 21) for _ in range(40)]
full = held()
del blocks[::2]
freed = held()
measure.give_back_freed_memory()
print(full - freed, full - held())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc can be told")
def test_memory_kept_by_one_problem_is_given_back_before_the_next():
    done = subprocess.run(
        [sys.executable, "-c", HELD], capture_output=True, text=True, check=True,
        env=measure.environment(),
    )  # fmt: skip
    kept, given_back = map(float, done.stdout.split())
    assert kept < 20 and given_back > 120, done.stdout  # 20 blocks of 8.4 MB were freed


def test_the_other_process_answers_and_ends():
    process = shipped.Shipped()
    try:
        contenders = process.open(KEY, 1)
        names = ["PyTorch, contiguous", "PyTorch, channels-last"]
        assert [c.name for c in contenders] == [n + ", malloc as shipped" for n in names]
        found = harness.compare(contenders, 0.0)
        assert all(0 < m.times.least < 1 and 0 < m.error < 1e-6 for m in found.values())
        child = process._process
    finally:
        process.close()
    assert child.returncode == 0
    process.close()


def asked(*questions):
    """What serve() answers."""
    answers = io.StringIO()
    shipped.serve([json.dumps(q) for q in questions], answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_a_call_that_is_caught_there_is_an_error_here(monkeypatch):
    def lie(self):
        raise harness.Caught("PyTorch: it changed its input 0")

    opened, turned = {"open": list(KEY), "threads": 1}, {"turn": "contiguous"}
    (first, second) = asked(opened, turned)
    assert set(first["answer"]) == {"contiguous", "channels-last"} and len(second["answer"]) == 3
    calls = []

    def turn(self, honest=harness.Contender.turn):
        calls.append(1)
        return honest(self) if len(calls) < 3 else lie(self)

    monkeypatch.setattr(harness.Contender, "turn", turn)
    assert asked(opened, turned)[1] == {"caught": "PyTorch: it changed its input 0"}
