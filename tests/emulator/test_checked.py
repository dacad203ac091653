"""What the sanitizers' builds of the emulator find: seeded faults, each with its file and line; and
nothing in the same kernels without them."""

from __future__ import annotations

import os
import subprocess

import pytest

from ..sanitize import SANITIZERS, library
from .conftest import lines

pytestmark = pytest.mark.timeout(600)  # the first of each build compiles it

LINES = lines("checked.cu")
NONE, FIRST, SECOND, WARP, COPY, BLOCKS, STATIC, DYNAMIC, HEAP = range(9)
# a fault -> the two lines of the race
RACES = {
    "no barrier before the tile is read": (FIRST, (LINES.fill, LINES.static), (LINES.use,)),
    "no barrier before it is written again": (SECOND, (LINES.fill, LINES.static), (LINES.use,)),
    "no barrier between lanes": (WARP, (LINES.dynamic,), (LINES.lane,)),
    "no barrier after a copy": (COPY, (LINES.copied,), (LINES.read,)),
}
BOUNDS = {
    "past a static array": (STATIC, LINES.static),
    "past what the launch gave": (DYNAMIC, LINES.dynamic),
    "past an array of the host": (HEAP, LINES.heap),
}


def run(compiled, build: str, fault: int) -> subprocess.CompletedProcess[str]:
    if library(SANITIZERS[build][1]) is None:
        pytest.skip(f"the compiler has no {SANITIZERS[build][1]}")
    return subprocess.run(
        [str(compiled("checked.cu", build)), str(fault)],
        env=os.environ | SANITIZERS[build][2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("build", ["thread", "address"])
@pytest.mark.parametrize("fault", [NONE, BLOCKS], ids=["no fault", "one that they do not see"])
def test_silence(compiled, build, fault):
    done = run(compiled, build, fault)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("name", RACES)
def test_races(compiled, name):
    fault, writes, reads = RACES[name]
    done = run(compiled, "thread", fault)
    assert done.returncode != 0 and "ThreadSanitizer: data race" in done.stderr
    accesses = done.stderr.partition("Location is")[0]
    for places in (writes, reads):
        assert any(f"checked.cu:{line} " in accesses for line in places), done.stderr
    assert "of its block'" in done.stderr, "the threads have names"


@pytest.mark.parametrize("name", BOUNDS)
def test_out_of_bounds(compiled, name):
    fault, line = BOUNDS[name]
    done = run(compiled, "address", fault)
    assert done.returncode != 0
    assert f"checked.cu:{line}" in done.stderr, done.stderr
