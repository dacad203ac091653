"""Cases of the activations and their derivatives, ops of `elementwise`."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ....geometry import elementwise_geometry
from ..case import Case

SHAPE = (2, 3, 5, 7)
EXP = 9  # "depth" of a formula with an exponential or two: each costs a few units of roundoff
_aten = torch.ops.aten


def derivative(f):
    """dy, x -> dx by torch's autograd."""

    def oracle(dy, x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(f(x), x, dy)[0]

    return oracle


def linear_size(dy, x):
    return dy.abs() * (1 + x.abs())


def cubic_size(dy, x):
    return dy.abs() * (1 + x.abs() ** 3)


def hardsigmoid(x):
    """torch's own takes 1/6 in float32 even for float64."""
    return F.relu6(x + 3) / 6


def hardswish(x):
    return x * F.relu6(x + 3) / 6


# op, its parameters, torch's, the size of forward's and derivative's terms, whether integers stay
# integers
UNARY = [
    ("leaky_relu", (), F.leaky_relu, None, None, False),
    ("leaky_relu", (2.0,), lambda x: F.leaky_relu(x, 2.0), None, None, True),
    ("leaky_relu", (-1.0,), lambda x: F.leaky_relu(x, -1.0), None, None, True),
    ("elu", (), F.elu, None, None, False),
    (
        "elu",
        (0.5, 1.5, 2.0),
        lambda x: torch.where(x > 0, 1.5 * x, 0.75 * torch.expm1(2 * x)),
        None,
        linear_size,
        False,
    ),
    ("silu", (), F.silu, None, linear_size, False),
    ("hardswish", (), hardswish, torch.abs, linear_size, False),
    ("hardsigmoid", (), hardsigmoid, torch.ones_like, None, False),
    ("gelu", (), F.gelu, torch.abs, linear_size, False),
    ("gelu_tanh", (), lambda x: F.gelu(x, approximate="tanh"), torch.abs, cubic_size, False),
    ("softplus", (), F.softplus, None, None, False),
    ("softplus", (2.0, 3.0), lambda x: F.softplus(x, 2.0, 3.0), None, None, False),
    ("mish", (), F.mish, None, linear_size, False),
    ("logsigmoid", (), F.logsigmoid, None, None, False),
    ("softsign", (), F.softsign, None, None, False),
]


def _unary():
    for op, parameters, f, forward_size, derivative_size, exact in UNARY:
        name = " ".join([op, *map(str, parameters)])
        yield Case(
            "elementwise",
            name,
            elementwise_geometry(op, parameters),
            lambda draw: (draw(*SHAPE, scale=3),),
            f,
            depth=EXP,
            magnitude=forward_size,
            exact=exact,
        )
        op, _, rest = name.partition(" ")
        yield Case(
            "elementwise",
            f"{op}_dgrad {rest}".strip(),
            elementwise_geometry(f"{op}_dgrad", parameters),
            lambda draw: (draw(*SHAPE), draw(*SHAPE, scale=3)),
            derivative(f),
            depth=EXP,
            magnitude=derivative_size,
            exact=exact,
        )


def _clipping():
    """Ops whose derivative is computed from y; integers meet every kink."""
    for op, parameters, f, backward in (
        ("relu", (), F.relu, lambda dy, y: _aten.threshold_backward(dy, y, 0)),
        ("relu6", (), F.relu6, lambda dy, y: _aten.hardtanh_backward(dy, y, 0, 6)),
        ("hardtanh", (), F.hardtanh, lambda dy, y: _aten.hardtanh_backward(dy, y, -1, 1)),
        (
            "hardtanh",
            (-2.0, 3.0),
            lambda x: F.hardtanh(x, -2, 3),
            lambda dy, y: _aten.hardtanh_backward(dy, y, -2, 3),
        ),
    ):
        name = " ".join([op, *map(str, parameters)])
        yield Case(
            "elementwise",
            name,
            elementwise_geometry(op, parameters),
            lambda draw: (draw(*SHAPE, scale=3),),
            f,
        )
        yield Case(
            "elementwise",
            f"{name} dgrad",
            elementwise_geometry(f"{op}_dgrad", parameters),
            lambda draw: (draw(*SHAPE), draw(*SHAPE, scale=3)),
            backward,
        )


def _two_operands():
    channels = (1, 3, 1, 1)
    yield Case(
        "elementwise",
        "prelu",
        elementwise_geometry("prelu"),
        lambda draw: (draw(*SHAPE), draw(*channels)),
        lambda x, w: torch.where(x > 0, x, w * x),
    )
    yield Case(
        "elementwise",
        "prelu dgrad",
        elementwise_geometry("prelu_dgrad"),
        lambda draw: (draw(*SHAPE), draw(*SHAPE), draw(*channels)),
        lambda dy, x, w: torch.where(x > 0, dy, w * dy),
    )
    yield Case(
        "elementwise",
        "prelu wgrad",
        elementwise_geometry("prelu_wgrad"),
        lambda draw: (draw(*SHAPE), draw(*SHAPE)),
        lambda dy, x: torch.where(x > 0, 0, x * dy),
    )
    yield Case(
        "elementwise",
        "glu",
        elementwise_geometry("glu"),
        lambda draw: (draw(*SHAPE), draw(*SHAPE)),
        lambda a, b: a * torch.sigmoid(b),
        depth=EXP,
        exact=False,
    )
    yield Case(
        "elementwise",
        "glu gate dgrad",
        elementwise_geometry("glu_gate_dgrad"),
        lambda draw: (draw(*SHAPE), draw(*SHAPE), draw(*SHAPE)),
        lambda dy, a, b: dy * a * torch.sigmoid(b) * (1 - torch.sigmoid(b)),
        depth=EXP,
        magnitude=lambda dy, a, b: (dy * a).abs(),
        exact=False,
    )


CASES = [*_unary(), *_clipping(), *_two_operands()]
