"""A training step of every model at its own size takes a process of at most 24 GiB."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pycnn.models import list_models

LIMIT = 24 * 2**30
STEP = """
import resource, sys
import pycnn
from pycnn.models import get_model, model_entry

entry = model_entry(sys.argv[1])
net = get_model(entry.name)
inputs = [pycnn.from_numpy(a) for a in entry.example_inputs(1, entry.size)]
try:
    made = net(*inputs)
except ValueError as error:  # batch norm of single pixels needs two images
    assert "more than 1 value per channel" in str(error), error
    made = net.eval()(*inputs)

def total(value):
    return value.sum() if isinstance(value, pycnn.Tensor) else sum(map(total, value))

total(made).backward()
assert any(p.grad is not None for p in net.parameters())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list_models())
def test_a_step_at_native_resolution(name):
    done = subprocess.run(
        [sys.executable, "-c", STEP, name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) <= LIMIT
