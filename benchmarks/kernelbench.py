"""KernelBench's convolution problems of level 1, by their shapes.

Ouyang et al. 2025, arXiv:2502.10517; the numbers are those of its problems' numbers. Those in one
dimension have a height of 1. 86, a depthwise convolution followed by a pointwise one, is listed as
its two convolutions; the three-dimensional ones have no counterpart here. Batches are KernelBench's
own unless others are asked for: they are made for a GPU's memory.
"""

from __future__ import annotations

from typing import Any

from .convolutions import Shape

# name: batch, C, H, W, K, filter, stride, padding, dilation, groups, transposed
# fmt: off
_ROWS: dict[str, tuple[Any, ...]] = {
    "50": (256, 3, 224, 224, 96, (11, 11), (4, 4), (2, 2)),
    "55": (8, 64, 512, 1024, 128, (3, 3)),
    "56": (8, 64, 512, 256, 128, (5, 7)),
    "57.transposed": (8, 64, 1024, 1024, 64, (3, 3), (1, 1), (0, 0), (1, 1), 1, True),
    "62": (8, 32, 512, 512, 64, (5, 9)),
    "63": (16, 16, 1024, 1024, 128, (3, 3)),
    "64.transposed.1d": (64, 128, 1, 65536, 128, (1, 3), (1, 1), (0, 0), (1, 1), 1, True),
    "65.transposed": (8, 64, 512, 512, 64, (3, 7), (1, 1), (0, 0), (1, 1), 1, True),
    "67.1d": (32, 64, 1, 131072, 128, (1, 3)),
    "69.transposed": (64, 64, 128, 256, 128, (3, 5), (1, 1), (0, 0), (1, 1), 1, True),
    "71.transposed": (8, 32, 512, 1024, 32, (3, 3), (1, 1), (0, 0), (1, 1), 1, True),
    "74.transposed.1d": (32, 32, 1, 131072, 64, (1, 5), (1, 1), (0, 0), (1, 3), 1, True),
    "75.transposed": (16, 32, 128, 256, 64, (3, 5), (2, 3), (1, 2), (2, 1), 4, True),
    "76.1d": (64, 64, 1, 524280, 128, (1, 3), (1, 3), (0, 0), (1, 4)),
    "78.transposed": (8, 32, 512, 1024, 32, (3, 7), (1, 1), (1, 3), (1, 1), 1, True),
    "79.transposed.1d": (16, 32, 1, 131072, 64, (1, 3), (1, 2), (0, 1), (1, 2), 1, True),
    "80": (8, 32, 512, 512, 64, (5, 9), (1, 1), (2, 4), (2, 3)),
    "81.transposed": (16, 32, 64, 128, 64, (3, 3), (5, 5), (1, 1), (2, 2), 1, True),
    "82.depthwise": (16, 64, 512, 512, 64, (3, 3), (1, 1), (0, 0), (1, 1), 64),
    "83.depthwise": (64, 8, 512, 512, 8, (3, 1), (1, 1), (0, 0), (1, 1), 8),
    "84.depthwise": (64, 128, 256, 512, 128, (3, 3), (1, 1), (0, 0), (1, 1), 128),
    "85.depthwise": (32, 128, 128, 256, 128, (3, 7), (1, 1), (0, 0), (1, 1), 128),
    "86.depthwise": (16, 64, 512, 512, 64, (3, 3), (1, 1), (1, 1), (1, 1), 64),
    "86.pointwise": (16, 64, 512, 512, 128, (1, 1)),
    "87.pointwise": (16, 64, 1024, 1024, 128, (1, 1)),
}
# fmt: on

SHAPES = {name: Shape(*row[1:]) for name, row in _ROWS.items()}
BATCHES = {name: row[0] for name, row in _ROWS.items()}
