"""Cases of softmax_cross_entropy_fprop and _dgrad: class indices, weights, smoothing, ignored
targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ....geometry import cross_entropy_geometry
from ..case import Case


def _losses(x, target, weight, g):
    return cross_entropy(
        x,
        target.long(),
        weight,
        ignore_index=g.ignore_index,
        reduction="none",
        label_smoothing=g.label_smoothing,
    )


def _fprop(g):
    return lambda x, target, weight: (_losses(x, target, weight, g), torch.logsumexp(x, 1))


def _fprop_magnitude(g):
    def magnitude(x, target, weight):
        gap = x.amax(1, keepdim=True) - x
        size = gap.amax(1) + torch.exp(-gap).sum(1).log() + 1
        heaviest = 1.0 if weight is None else float(weight.abs().max())
        return size * heaviest, x.abs().amax(1) + size

    return magnitude


def _dgrad(g):
    def dgrad(dloss, x, target, weight, logsumexp):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(_losses(x, target, weight, g), x, dloss)[0]

    return dgrad


def _dgrad_magnitude(g):
    def magnitude(dloss, x, target, weight, logsumexp):
        heaviest = 1.0 if weight is None else float(weight.abs().max())
        size = 1 + x.abs().amax(1, keepdim=True) + logsumexp.abs().unsqueeze(1)
        return (dloss.abs().unsqueeze(1) * size * heaviest).expand_as(x)

    return magnitude


def _logsumexp(x):
    with np.errstate(all="ignore"):
        top = x.max(1, keepdims=True, initial=-np.inf)
        return (top + np.log(np.exp(x - top).sum(1, keepdims=True))).squeeze(1)


# name: logits' shape, what differs from the plain case
SHAPES: dict[str, Any] = {
    "plain": ((5, 7), {}),
    "weights": ((5, 7), {"weighted": True}),
    "smoothing": ((5, 7), {"smoothing": 0.1}),
    "weights and smoothing": ((6, 5), {"weighted": True, "smoothing": 0.3}),
    "full smoothing": ((3, 4), {"smoothing": 1.0}),
    "ignored": ((9, 4), {"ignore": 2, "weighted": True, "smoothing": 0.2}),
    "all ignored": ((3, 1), {"ignore": 0}),
    "ignored outside": ((6, 5), {"ignore": -100, "some": True}),
    "pixels": ((2, 5, 4, 3), {"ignore": -1, "some": True, "weighted": True}),
    "one axis": ((2, 3, 6), {}),
    "more pixels than a vector": ((2, 3, 5, 7), {"ignore": 1, "smoothing": 0.2, "weighted": True}),
    "1000 classes": ((3, 1000), {"smoothing": 0.1}),
    "2056 classes": ((2, 2056), {"smoothing": 0.1, "weighted": True}),
    "many classes of pixels": (
        (2, 40, 4, 6),
        {"ignore": 3, "some": True, "smoothing": 0.2, "weighted": True},
    ),
    "far apart": ((4, 6), {"scale": 60.0}),
    "int32 targets": ((4, 6), {"dtype": "int32"}),
    "uint8 targets": ((4, 6), {"dtype": "uint8"}),
    "no rows": ((0, 3), {"weighted": True}),
}


def _case(
    name, shape, ignore=-100, weighted=False, smoothing=0.0, some=False, scale=1.0, dtype="int64"
):
    g = cross_entropy_geometry(ignore, smoothing, weighted)
    positions = (shape[0], *shape[2:])

    def operands(draw):
        x = draw(*shape, scale=scale)
        target = draw.indices(shape[1], *positions, dtype=dtype)
        if some:
            target.reshape(-1)[::3] = ignore
        return x, target, draw.positive(shape[1]) if weighted else None

    def with_gradient(draw):
        x, target, weight = operands(draw)
        return draw(*positions), x, target, weight, _logsumexp(x).astype(draw.accumulation)

    for sums in (False, True) if name == "weights" else (False,):
        yield Case(
            "softmax_cross_entropy_fprop",
            f"{name} to be summed" if sums else name,
            g,
            operands,
            _fprop(g),
            depth=shape[1],
            magnitude=_fprop_magnitude(g),
            exact=False,
            out_dtypes=("accumulation" if sums else None, "accumulation"),
        )
    yield Case(
        "softmax_cross_entropy_dgrad",
        name,
        g,
        with_gradient,
        _dgrad(g),
        depth=shape[1],
        magnitude=_dgrad_magnitude(g),
        exact=False,
    )


CASES = [
    case for name, (shape, options) in SHAPES.items() for case in _case(name, shape, **options)
]
