"""Colours of the pictures and of the page, on light and on dark paper."""

from __future__ import annotations

from typing import NamedTuple


class Theme(NamedTuple):
    """Colours as "#rrggbb"."""

    paper: str
    raised: str  # of cards, code and tables' heads
    ink: str
    muted: str
    rule: str
    accent: str
    win: str  # pycnn is faster
    loss: str  # the opponent is
    series: tuple[str, ...]  # the last is for whatever comes after the others


LIGHT = Theme(
    paper="#ffffff", raised="#f6f7f8", ink="#1d2125", muted="#626a73", rule="#dde1e5",
    accent="#1d5fae", win="#2f6fb3", loss="#c2571f",
    series=("#2f6fb3", "#d9822b", "#35916a", "#8b5fbf", "#b8426b", "#8a7420", "#2a9aa6",
            "#a05a3c", "#4b5fc4", "#6f9a1f", "#777e86"),
)  # fmt: skip
DARK = Theme(
    paper="#15181b", raised="#1e2226", ink="#e4e7ea", muted="#99a1aa", rule="#343a40",
    accent="#7db3ee", win="#6ca8e6", loss="#ee9159",
    series=("#6ca8e6", "#f0a75e", "#66c39c", "#b794e0", "#e57f9f", "#cdb558", "#62c8d3",
            "#cf9379", "#98a6f5", "#aed05f", "#a3aab2"),
)  # fmt: skip
