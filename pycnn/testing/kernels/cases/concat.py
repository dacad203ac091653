"""Cases of concat and split: the same parts, joined and cut, along every axis."""

from __future__ import annotations

import torch

from ....geometry import ConcatGeometry
from ..case import FLOATS, Case

DTYPES = (*FLOATS, "int64", "bool")

# name, shape without the axis' size, axis, sizes
_PARTS = [
    ("channels", (2, 0, 5, 7), 1, (3, 1, 4)),
    ("batch", (0, 3, 5, 7), 0, (2, 3)),
    ("height", (2, 3, 0, 7), 2, (4, 2)),
    ("width", (2, 3, 5, 0), 3, (1, 6, 2)),
    ("one part", (2, 0, 5, 7), 1, (3,)),
    ("an empty part", (2, 0, 3), 1, (2, 0, 1)),
    ("empty parts", (0, 0, 3), 1, (2, 2)),
    ("many parts", (2, 0), 1, (1,) * 17),
    ("more parts than a launch takes", (2, 0, 2), 1, (1,) * 60),
    ("a vector", (0,), 0, (5, 3)),
    ("past a block", (2, 0, 40), 1, (129, 151)),
    ("long runs", (1, 0, 5, 1300), 1, (3, 11)),
    ("rows of channels", (2, 0, 9, 13), 1, (17, 3, 33)),
    ("past the caches", (2, 0, 126, 131), 1, (64, 32)),
]


def _shapes(shape, axis, sizes):
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _draws(*shapes):
    return lambda draw: tuple(draw(*shape) for shape in shapes)


def _cases():
    for name, shape, axis, sizes in _PARTS:
        geometry = ConcatGeometry(axis, sizes)
        shapes = _shapes(shape, axis, sizes)
        whole = (*shape[:axis], sum(sizes), *shape[axis + 1 :])
        yield Case(
            "concat", name, geometry,
            _draws(*shapes), lambda *parts, axis=axis: torch.cat(parts, axis), dtypes=DTYPES,
            large=name == "past the caches",
        )  # fmt: skip
        yield Case(
            "split", name, geometry, _draws(whole),
            lambda x, axis=axis, sizes=sizes: torch.split(x, sizes, axis), dtypes=DTYPES,
            large=name == "past the caches",
        )  # fmt: skip


CASES = list(_cases())
