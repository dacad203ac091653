"""Providers of kernels, and the order in which they are chosen.

`reference` is the specification: it refuses nothing. A provider whose module is not there, or that
cannot run on this machine, says why through `status`.
"""

from __future__ import annotations

from collections.abc import Callable

from . import tuning


def load() -> None:
    """Import every provider that can run here; each registers its kernels."""
    from ..config import cuda_modules, native_status, warn_without_native
    from . import reference

    if native_status()[0] is not None:
        from . import native
    if _why_no_triton() is None:
        from . import triton
    if cuda_modules():
        from . import cuda
    warn_without_native()


def _why_no_triton() -> str | None:
    from ..kernels import mode

    return mode.why_not()


def status(name: str) -> tuple[bool, str]:
    """(usable, note): whether `using(name)` works in this process, and what the provider has or
    lacks."""
    from .. import dispatch

    kernels = [e for group in dispatch._table.values() for e in group if e.provider == name]
    if kernels:
        covered = len({e.primitive for e in kernels})
        note = f"{len(kernels)} kernels for {covered} of {len(dispatch.PRIMITIVES)} primitives"
        if name == "cuda" and all(e.devices == ("cpu",) for e in kernels):
            note += ", emulated on the CPU"
        return True, note
    if name == "native":
        from ..config import native_status

        return False, native_status()[1]
    if name == "triton" and (reason := _why_no_triton()) is not None:
        return False, reason
    from ..config import extension_status

    return False, extension_status("_emulated")[1]


def require(name: str) -> None:
    """RuntimeError in one sentence if the provider has no kernels in this process."""
    from ..dispatch import _load_providers

    _load_providers()
    usable, note = status(name)
    if not usable:
        raise RuntimeError(f"provider {name!r} cannot be used: {note}")
    if name == "triton":
        from ..kernels import mode

        mode.settle()


def chosen_automatically(provider: str, device_kind: str) -> bool:
    """Whether select() may pick the provider unasked: interpreted and emulated kernels only run
    when asked for."""
    return provider in tuning.AUTOMATIC[device_kind]


def ranking(primitive: str, device_kind: str) -> Callable[[str, str], tuple[int, int]]:
    """A sort key for (provider, algorithm): measured rows first, then the device's order of
    providers.

    Kernels of equal rank keep the order of their registration, special before general."""
    rows = [
        (row["provider"], row["algorithm"])
        for row in tuning.ROWS
        if row["primitive"] == primitive and row["device"] == device_kind
    ]
    order = tuning.AUTOMATIC[device_kind]

    def rank(provider: str, algorithm: str) -> tuple[int, int]:
        measured = rows.index((provider, algorithm)) if (provider, algorithm) in rows else len(rows)
        return measured, order.index(provider) if provider in order else len(order)

    return rank
