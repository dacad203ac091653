"""Cases of reduce: every op over leading, trailing, several and all axes."""

from __future__ import annotations

import numpy as np
import torch

from ....geometry import reduce_geometry
from ..case import Case

SHAPE = (3, 4, 5, 6)
AXES = [(1,), (3,), (0, 2, 3), (0, 1, 2, 3), ()]
FEW = [(1,), (0, 2, 3)]


def _over(f):
    """f(x, axes) in torch; no axes at all leave x as it is."""
    return lambda axes: lambda x: f(x, axes) if axes else f(x[None], 0)


def _count(axes, shape=SHAPE):
    number = 1
    for axis in axes:
        number *= shape[axis]
    return number


def _flat(f):
    """argmax and argmin of several axes: the position within them, row-major."""

    def over(axes):
        def oracle(x):
            kept = [i for i in range(x.ndim) if i not in axes]
            moved = x.permute(*kept, *axes)
            return f(moved.reshape(*moved.shape[: len(kept)], -1), -1)

        return oracle

    return over


def _prod(x, axes):
    for axis in sorted((axes,) if isinstance(axes, int) else axes, reverse=True):
        x = x.prod(axis)
    return x


# op, torch's by axes, the axes tried, the size of the terms, whether integers stay integers
_OPS = [
    ("sum", _over(torch.sum), AXES, lambda x: x * x, True),
    ("mean", _over(torch.mean), FEW, lambda x: x * x, False),
    ("prod", _over(_prod), [(1,), (1, 3), ()], None, False),
    ("amax", _over(torch.amax), AXES, None, True),
    ("amin", _over(torch.amin), FEW, None, True),
    ("any", _over(torch.any), FEW, None, True),
    ("all", _over(torch.all), FEW, None, True),
    ("count_nonzero", _over(torch.count_nonzero), FEW, None, True),
    ("argmax", _flat(torch.argmax), AXES[:4], None, True),
    ("argmin", _flat(torch.argmin), FEW, None, True),
    ("norm", _over(lambda x, axes: torch.linalg.vector_norm(x, 2, axes)), FEW, None, False),
    ("norm1", _over(lambda x, axes: x.abs().sum(axes)), FEW, None, True),
    ("logsumexp", _over(torch.logsumexp), FEW, lambda x: 1 + x * x, False),
]


def _magnitude(size, axes):
    if size is None:
        return None
    return lambda x: torch.sqrt(size(x).sum(axes)) if axes else torch.sqrt(size(x))


def _cases():
    for op, f, several, size, exact in _OPS:
        for axes in several:
            yield Case(
                "reduce", f"{op} over {axes}", reduce_geometry(op, axes),
                lambda draw: (draw(*SHAPE),), f(axes), depth=max(_count(axes), 1),
                magnitude=_magnitude(size, axes), exact=exact,
            )  # fmt: skip
    for op, f in (("var", torch.var), ("std", torch.std)):
        for correction in (0.0, 1.0, 2.0):
            for axes in ((1,), (0, 2, 3)):
                yield Case(
                    "reduce", f"{op} over {axes} less {correction:g}",
                    reduce_geometry(op, axes, correction), lambda draw: (draw(*SHAPE),),
                    lambda x, f=f, a=axes, c=correction: f(x, a, correction=c),
                    depth=_count(axes), exact=False,
                )  # fmt: skip


def _sums(name, shape, axes, **options):
    return Case(
        "reduce", f"sum {name}", reduce_geometry("sum", axes), lambda draw: (draw(*shape),),
        lambda x: x.sum(axes), depth=max(_count(axes, shape), 1),
        magnitude=lambda x: torch.sqrt((x * x).sum(axes)), **options,
    )  # fmt: skip


def _power_norms():
    for p in (3.0, 1.5, 0.5, -1.0):
        yield Case(
            "reduce", f"norm of power {p:g}", reduce_geometry("norm_power", (1, 3), p),
            lambda draw: (draw(*SHAPE),),
            lambda x, p=p: torch.linalg.vector_norm(x, p, (1, 3)),
            depth=_count((1, 3)), exact=False,
        )  # fmt: skip


def _extreme(op, name, shape, axes):
    """All on one side of 0; NaN in the second output, an infinity in the third."""
    sign = -1 if op == "amax" else 1

    def inputs(draw):
        x = sign * (1 + abs(draw(*shape)))
        along = np.moveaxis(x, axes[0], -1)
        along[1, 40] = np.nan
        along[2, 41] = sign * np.inf
        return (x,)

    return Case(
        "reduce", f"{op} of {name}", reduce_geometry(op, axes), inputs,
        lambda x: getattr(torch, op)(x, axes), exact=False,
    )  # fmt: skip


CASES = [
    *_cases(),
    *_power_norms(),
    _sums("of nothing", (3, 0, 2), (1,)),
    _sums("of no rows", (0, 3), (1,)),
    _sums("of no images of 6 channels", (0, 6, 4, 4), (0, 2, 3)),
    _sums("of no pixels of 6 channels", (2, 6, 0, 4), (0, 2, 3)),
    _sums("down no rows", (0, 18), (0,)),
    _sums("of one element", (1,), (0,)),
    _sums("of a long row", (3, 5003), (1,)),
    _sums("of a tall column", (5003, 3), (0,)),
    # float32 in blocks: a fold of rows and what is left of it, rows that are too long to fold
    _sums("of 198 pixels of 70 channels", (2, 70, 9, 11), (0, 2, 3)),
    _sums("of 78 pixels of 300 channels", (1, 300, 6, 13), (0, 2, 3)),
    _sums("of 77 rows of 1100", (77, 1100), (0,)),
    *(_extreme(op, name, shape, axes)
      for op in ("amax", "amin")
      for name, shape, axes in (
          ("a long row", (3, 5003), (1,)), ("80 rows of 130", (80, 130), (0,)))),
    _sums("of apart axes", (7, 3, 5, 2, 3), (0, 2, 4)),
    Case(  # sorted: the largest is near the end
        "reduce", "argmax of long apart axes", reduce_geometry("argmax", (0, 2)),
        lambda draw: (np.sort(draw(20001, 2, 3), 0),), _flat(torch.argmax)((0, 2)), exact=False,
        dtypes=("float32",), large=True,
    ),
    Case(
        "reduce", "sum of integers", reduce_geometry("sum", (1,)), lambda draw: (draw(3, 40),),
        lambda x: x.sum(1), dtypes=("int32", "int64", "uint8", "bool"),
    ),
]  # fmt: skip
