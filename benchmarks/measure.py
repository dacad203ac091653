"""What every measurement needs: quantiles, an idle machine, the C library's memory, provenance."""

from __future__ import annotations

import ctypes
import datetime
import gc
import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import array

_BUSY = 0.15  # the share of one core's time that others may use on a machine called idle


class Times(NamedTuple):
    """Seconds of one call: the least, and the quantiles."""

    least: float
    p20: float
    p50: float
    p80: float


def times_of(samples: Sequence[float]) -> Times:
    return Times(min(samples), *(float(np.quantile(samples, q)) for q in (0.2, 0.5, 0.8)))


def keep_freed_memory() -> bool:
    """Tell the C library to keep what this process frees; whether it can be told (glibc can).

    PyTorch allocates through the C library, which by default returns a large output to the system
    when it is freed and faults it in again, page by page, at the next call. Told to keep it, what
    is compared is kernels. pycnn's own arrays come from a cache of its own either way."""
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, -1) and mallopt(top_pad, 1 << 28))


def give_back_freed_memory() -> None:
    """Return to the system what this process has freed. After keep_freed_memory nothing else does,
    and holes that one problem leaves are of no use to the next, which is of other sizes."""
    gc.collect()
    array.empty_cache()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return  # a C library that has no such thing


def _busy_seconds() -> float:
    """CPU time of everything on this machine so far, in seconds; 0 where it cannot be read."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    ticks = [int(f) for f in fields]
    idle = ticks[3] + ticks[4]
    return (sum(ticks[:8]) - idle) / os.sysconf("SC_CLK_TCK")


class Idle:
    """Waits before a measurement until others leave the machine alone.

    `patience` is in seconds and for a whole run: on a machine that is never idle the rows say so
    (others_busy), and the run ends nevertheless."""

    def __init__(self, patience: float = 60.0, look: float = 0.1) -> None:
        self.patience, self.look = patience, look

    def wait(self) -> float:
        """The share of a core that others use, after waiting."""
        while True:
            busy, start = _busy_seconds(), time.perf_counter()
            time.sleep(self.look)
            passed = time.perf_counter() - start
            share = (_busy_seconds() - busy) / passed
            if share <= _BUSY or self.patience <= 0:
                return round(share, 3)
            self.patience -= passed


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return name


def cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


SOURCES = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """For a Python process that must import the same pycnn as this one."""
    from .. import __file__ as package

    inherited = os.environ.get("PYTHONPATH")
    paths = [str(Path(package).parents[1]), *([inherited] if inherited else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _git(*arguments: str) -> str:
    if not (SOURCES / "setup.py").exists():  # an installation, in whatever repository
        return ""
    done = subprocess.run(
        ["git", *arguments],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def commit() -> str:
    """The commit of the source tree; with a mark, the same for the same edits, where files differ
    from it. Empty outside of a repository."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changes = ""
    if head:
        changes = _git("diff", "HEAD", "--", "benchmarks/*.py", "pycnn", "kernels", "csrc")
    return head + ("+" + hashlib.sha256(changes.encode()).hexdigest()[:6] if changes else "")


def provenance(kind: str) -> dict[str, Any]:
    """What a result was measured with: machine, versions, commit, date. `kind` is cpu or gpu."""
    import torch

    from .. import __version__, array
    from ..config import native_status

    native, reason = native_status()
    versions = {
        "pycnn": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "compiler": native.compiler() if native is not None else "",
    }
    device, isa = f"{processor()}, {cores()} cores", f"none: {reason}"
    if kind == "gpu":
        from .. import cuda
        from ..study.tune import software

        device, isa = array.gpu_name(), "sm_{}{}".format(*cuda.get_device_capability())
        versions |= {"gpu": software(), "cudnn": str(torch.backends.cudnn.version())}
    elif native is not None:
        isa = native.isa()
    return {
        "device": device,
        "kind": kind,
        "isa": isa,
        "versions": versions,
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }
