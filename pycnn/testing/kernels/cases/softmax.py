"""Cases of softmax_fprop and softmax_dgrad: softmax and log-softmax along one axis."""

from __future__ import annotations

import numpy as np
import torch

from ....geometry import softmax_geometry
from ..case import Case


def _below(x, axis):
    """max(x) - x, finite."""
    return torch.nan_to_num(x.amax(axis, keepdim=True) - x, 0.0, 0.0, 0.0)


def _fprop_magnitude(axis, log):
    def magnitude(x):
        if not x.numel():
            return x
        gap = _below(x, axis)
        if log:
            return gap + torch.exp(-gap).sum(axis, keepdim=True).log() + 1
        return torch.nan_to_num(x.softmax(axis)) * (1 + gap)

    return magnitude


def _dgrad(axis, log):
    """From what the forward stored, in the dtype it stored."""
    name = "_log_softmax_backward_data" if log else "_softmax_backward_data"
    backward = getattr(torch, name)
    return lambda dy, y: backward(dy, y, axis, y.dtype)


def _dgrad_magnitude(axis, log):
    def magnitude(dy, y):
        if log:
            return dy.abs() + y.exp() * (1 + y.abs()) * dy.square().sum(axis, keepdim=True).sqrt()
        return y.abs() * (dy.abs() + (dy * y).square().sum(axis, keepdim=True).sqrt())

    return magnitude


def _spiked(draw, *shape):
    """Values whose exponentials overflow every dtype, and a few that vanish beside them."""
    x = draw(*shape, scale=8.0)
    x[0] += 128.0
    x[-1] -= 64.0
    return draw.round(x)


def _special(draw, *shape):
    """A row with -inf, one of nothing else, one with +inf, one with NaN."""
    x = draw(*shape)
    x[0, 0] = -np.inf
    x[1] = -np.inf
    x[2, 1] = np.inf
    x[3, 2] = np.nan
    return x


def _plain(draw, *shape):
    return draw(*shape)


def _gradient_and_output(shape, log):
    """dgrad's inputs: log-softmax stores what is at most 0."""
    return lambda draw: (draw(*shape), -abs(draw(*shape)) if log else draw(*shape))


# name: shape, axis, how x is drawn
SHAPES = {
    "rows": ((5, 7), 1, _plain),
    "columns": ((5, 7), 0, _plain),
    "one dimension": ((13,), 0, _plain),
    "classes of pixels": ((2, 5, 4, 3), 1, _plain),
    "last of four": ((2, 3, 4, 5), 3, _plain),
    "middle of three": ((3, 17, 2), 1, _plain),
    "1000 classes": ((3, 1000), 1, _plain),
    "one class": ((4, 1), 1, _plain),
    "more columns than a vector": ((2, 5, 33), 1, _plain),
    "more columns than a group": ((2, 3, 273), 1, _plain),
    "groups of a few vectors": ((70, 83), 0, _plain),
    "a long row": ((2, 9001), 1, _plain),
    "a long column": ((601, 3), 0, _plain),
    "rows of vectors": ((19, 40), 1, _plain),
    "odd rows": ((9, 37), 1, _plain),
    "a long row of vectors": ((2, 9008), 1, _plain),
    "columns of vectors": ((2, 40, 24), 1, _plain),
    "overflow": ((4, 9), 1, _spiked),
    "infinities": ((5, 6), 1, _special),
    "no rows": ((0, 4), 1, _plain),
    "no classes": ((3, 0), 1, _plain),
}


def _cases(name, shape, axis, make):
    for log in (False, True):
        title = f"log {name}" if log else name
        geometry = softmax_geometry(axis, log)
        forward = torch.log_softmax if log else torch.softmax
        yield Case(
            "softmax_fprop",
            title,
            geometry,
            lambda draw: (make(draw, *shape),),
            lambda x, forward=forward: forward(x, axis),
            depth=max(shape[axis], 1),
            magnitude=_fprop_magnitude(axis, log),
            exact=False,
        )
        if make is not _plain:
            continue
        yield Case(
            "softmax_dgrad",
            title,
            geometry,
            _gradient_and_output(shape, log),
            _dgrad(axis, log),
            depth=max(shape[axis], 1),
            magnitude=_dgrad_magnitude(axis, log),
            exact=not log,
        )


CASES = [case for name, values in SHAPES.items() for case in _cases(name, *values)]
