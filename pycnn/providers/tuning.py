"""The shipped tuning table: data only. A row puts a kernel before the others of its primitive on a
kind of device, and says which measurement put it there. Kernels without a row follow in the
device's order of providers."""

from __future__ import annotations

from typing import TypedDict


class Row(TypedDict):
    primitive: str
    device: str  # "cpu" or "cuda"
    provider: str
    algorithm: str
    measured: str  # the measurement that earned the row its place


# providers that may be chosen unasked, first choice first
AUTOMATIC: dict[str, tuple[str, ...]] = {
    "cpu": ("native", "reference"),
    "cuda": ("cuda", "triton", "reference"),
}

ROWS: tuple[Row, ...] = ()
