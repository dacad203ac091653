"""Peak memory of Xception forward and backward on one image, each framework in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_COMMON = """
import json, resource
def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
"""

_OURS = """
import numpy as np, pycnn
net = pycnn.models.xception()
x = pycnn.randn(1, 3, 299, 299).requires_grad_()
before = resident()
for _ in range(3):
    net.zero_grad()
    pycnn.functional.cross_entropy(net(x), pycnn.tensor([285])).backward()
"""

_THEIRS = """
import torch
from pycnn.references import get_reference
net = get_reference("xception").to(memory_format=torch.{layout})
x = torch.randn(1, 3, 299, 299).to(memory_format=torch.{layout}).requires_grad_()
before = resident()
for _ in range(3):
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(x), torch.tensor([285])).backward()
"""

_END = """
print(json.dumps({"before": before, "peak": resident()}))
"""


def _run(code: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", _COMMON + code + _END], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def xception() -> dict[str, Any]:
    """Bytes resident at most, and how many of them came after the network was built."""
    found = {"pycnn": _run(_OURS)}
    for layout in ("contiguous_format", "channels_last"):
        found[f"PyTorch, {layout}"] = _run(_THEIRS.format(layout=layout))
    grown = {name: f["peak"] - f["before"] for name, f in found.items()}
    least = min(value for name, value in grown.items() if name != "pycnn")
    return {
        "suite": "peak memory",
        "name": "xception forward and backward, 1x3x299x299",
        "bytes": found,
        "grown": grown,
        "ratio": least / grown["pycnn"],
    }
