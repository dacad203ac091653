"""Cases of add_activation, the end of a residual block."""

from __future__ import annotations

from .... import dispatch
from ....geometry import elementwise_geometry
from ..case import EXACT_ACTIVATIONS, Case
from ..problems import TORCH_ACTIVATIONS
from .activation import EXP, hardsigmoid, hardswish

_OWN = {"hardsigmoid": hardsigmoid, "hardswish": hardswish}


def _case(activation, name, shape):
    f = _OWN.get(activation, TORCH_ACTIVATIONS[activation])
    return Case(
        "add_activation",
        f"{activation} {name}",
        elementwise_geometry(activation),
        lambda draw: (draw(*shape), draw(*shape)),
        lambda a, b: f(a + b),
        depth=EXP,
        magnitude=lambda a, b: 1 + a.abs() + b.abs(),
        exact=activation in EXACT_ACTIVATIONS,
    )


CASES = [
    *(_case(activation, "odd sizes", (2, 3, 5, 7)) for activation in dispatch.ACTIVATIONS),
    _case("relu", "one pixel", (3, 5, 1, 1)),
    _case("relu", "vector", (131,)),
    _case("relu", "no batch", (0, 3, 2, 2)),
    _case("gelu", "more than a buffer", (1, 3, 29, 71)),
    _case("relu", "more than a tile", (1, 4, 33, 67)),
]
