"""Peak memory of a network, forward and backward, on one image: each framework in a process of its
own, malloc as shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from . import measure

_COMMON = """
def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
"""

_OURS = """
import pycnn
net = pycnn.models.{name}()
x = pycnn.randn(1, 3, {size}, {size}).requires_grad_()
before = resident()
for _ in range(3):
    net.zero_grad()
    pycnn.functional.cross_entropy(net(x), pycnn.tensor([285])).backward()
"""

_THEIRS = """
import torch
from pycnn.references import get_reference
net = get_reference("{name}").to(memory_format=torch.{layout})
x = torch.randn(1, 3, {size}, {size}).to(memory_format=torch.{layout}).requires_grad_()
before = resident()
for _ in range(3):
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(x), torch.tensor([285])).backward()
"""

_END = """
print(resident() - before)
"""

NETS = {"xception": 299, "resnet50": 224}


def _grown(code: str) -> int:
    """How many bytes were resident at most beyond those before the first pass."""
    done = subprocess.run(
        [sys.executable, "-c", _COMMON + code + _END],
        capture_output=True,
        text=True,
        check=True,
        env=measure.environment(),
    )
    return int(json.loads(done.stdout.splitlines()[-1]))


def rows(name: str) -> list[dict[str, Any]]:
    """The row of a network: PyTorch in its smaller layout."""
    size = NETS[name]
    ours = _grown(_OURS.format(name=name, size=size))
    layouts = {
        label: _grown(_THEIRS.format(name=name, size=size, layout=layout))
        for label, layout in (
            ("contiguous", "contiguous_format"),
            ("channels-last", "channels_last"),
        )
    }
    theirs = min(layouts.values())
    row = {
        "suite": "memory",
        "name": name,
        "batch": 1,
        "size": size,
        "grown": {"pycnn": ours, "PyTorch": theirs},
        "grown_by_layout": layouts,
        "ratio": theirs / ours,
    }
    return [row]
