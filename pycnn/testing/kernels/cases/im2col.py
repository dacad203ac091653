"""Cases of im2col and col2im: torch.nn.functional.unfold and fold."""

from __future__ import annotations

import torch
from torch.nn.functional import pad, unfold

from ..case import Case
from .conv2d import geometry


def _unfold(g):
    def columns(x):
        if 0 in g.x_shape:
            return x.new_zeros(g.N, g.C * g.R * g.S, g.P * g.Q)
        x = pad(x, (g.pad_left, g.pad_right, g.pad_top, g.pad_bottom))
        return unfold(x, (g.R, g.S), dilation=g.dilation, stride=g.stride)

    return columns


def _fold(g):
    def images(columns):
        x = columns.new_zeros(g.x_shape, requires_grad=True)
        if 0 in g.x_shape:
            return x.detach()
        return torch.autograd.grad(_unfold(g)(x), x, columns)[0]

    return images


GEOMETRIES = {
    "2x2": geometry((2, 3, 4, 4), (3, 3, 2, 2), 2),
    "3x3 padded": geometry((1, 2, 5, 6), (2, 2, 3, 3), 1, 1),
    "uneven all": geometry((2, 3, 11, 13), (3, 3, 3, 2), (2, 3), (2, 1), (1, 2)),
    "asymmetric padding": geometry((2, 2, 6, 7), (2, 2, 3, 4), (2, 1), (0, 1, 2, 1)),
    "taps that miss": geometry((1, 2, 2, 3), (2, 2, 3, 3), 1, 5, 5),
    "one pixel": geometry((1, 2, 1, 1), (2, 2, 1, 1)),
    "no batch": geometry((0, 3, 4, 4), (3, 3, 2, 2), 2),
}


def _cases(name, g):
    columns = (g.N, g.C * g.R * g.S, g.P * g.Q)
    yield Case("im2col", name, g, lambda draw: (draw(*g.x_shape),), _unfold(g))
    fold = _fold(g)
    yield Case(
        "col2im",
        name,
        g,
        lambda draw: (draw(*columns),),
        fold,
        depth=g.R * g.S,
        magnitude=lambda c: torch.sqrt(fold(c * c)),
    )


CASES = [case for name, g in GEOMETRIES.items() for case in _cases(name, g)]
