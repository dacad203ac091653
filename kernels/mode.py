"""Whether this process interprets Triton kernels or compiles them.

Triton decorates its own library as it is imported, so that the mode is settled before.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys

from ..array import gpu_status

INTERPRETED, COMPILED = "interpreted", "compiled"
_ASKED = {"interpret": INTERPRETED, "compile": COMPILED}


def wanted() -> str:
    """What the process asks for: PYCNN_TRITON=interpret|compile, then TRITON_INTERPRET=1, then
    compiled where a GPU answers."""
    asked = os.environ.get("PYCNN_TRITON")
    if asked:
        if asked not in _ASKED:
            raise ValueError(f"PYCNN_TRITON: got {asked!r}, expected one of {', '.join(_ASKED)}")
        return _ASKED[asked]
    if os.environ.get("TRITON_INTERPRET") == "1":
        return INTERPRETED
    return COMPILED if gpu_status() is None else INTERPRETED


@functools.lru_cache(maxsize=1)
def settle() -> str:
    """The mode, with Triton imported in it. ImportError without Triton; RuntimeError if somebody
    imported it in the other mode before."""
    mode = wanted()
    if "triton" not in sys.modules:
        before = os.environ.get("TRITON_INTERPRET")
        os.environ["TRITON_INTERPRET"] = "1" if mode == INTERPRETED else "0"
        try:
            import triton

            triton.knobs.runtime.interpret = mode == INTERPRETED
        finally:  # children of this process choose for themselves; setting the knob sets it too
            if before is None:
                os.environ.pop("TRITON_INTERPRET", None)
            else:
                os.environ["TRITON_INTERPRET"] = before
    found = imported_in()
    if found != mode:
        how = "TRITON_INTERPRET=1" if mode == INTERPRETED else "TRITON_INTERPRET unset"
        raise RuntimeError(
            f"Triton was imported before, with its kernels {found}, and cannot change in a running "
            f"process: import pycnn and use its triton provider first, or start with {how}"
        )
    return mode


def imported_in() -> str:
    """The mode in which Triton was imported."""
    import triton.language as tl
    from triton.runtime.jit import JITFunction

    return COMPILED if isinstance(tl.zeros, JITFunction) else INTERPRETED


def why_not() -> str | None:
    """A sentence if Triton kernels cannot run in this process, without importing Triton."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (pip install pycnn[triton])"
    return None
