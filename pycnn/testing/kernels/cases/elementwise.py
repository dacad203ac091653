"""Cases of elementwise's own ops: arithmetic, comparisons, selection, gradients of reductions."""

from __future__ import annotations

import math

import torch

from ....geometry import elementwise_geometry
from ..case import Case

SHAPE = (2, 3, 5, 7)
CHANNELS = (3, 1, 1)
EXP = 9  # "depth" of a formula with an exponential or two: each costs a few units of roundoff
INTEGERS = ("int32", "int64", "uint8", "bool")


def case(op, name, inputs, oracle, parameters=(), **options) -> Case:
    name = f"{op} {name}".strip()
    return Case(
        "elementwise", name, elementwise_geometry(op, parameters), inputs, oracle, **options
    )


def derivative(f, keep="x"):
    """dy, saved -> dx by torch's autograd; `saved` is x, or y with f's inverse in `keep`."""

    def oracle(dy, saved):
        x = (saved if keep == "x" else keep(saved)).detach().requires_grad_()
        return torch.autograd.grad(f(x), x, dy)[0]

    return oracle


def one(draw):
    return (draw(*SHAPE, scale=3),)


def one_below_11(draw):
    """exp(11.1) is more than float16 holds."""
    return (draw(*SHAPE, scale=2),)


def one_positive(draw):
    return (draw.positive(*SHAPE, low=0.1, high=5.0),)


def two(draw):
    return draw(*SHAPE), draw(*SHAPE)


def two_positive(draw):
    return draw(*SHAPE), draw.positive(*SHAPE)


def two_nonzero(draw):
    b = draw(*SHAPE)
    return draw(*SHAPE), b + (b == 0).astype(b.dtype)


def per_channel(draw):
    return draw(*SHAPE), draw(*CHANNELS)


# op, torch's, inputs, whether integers stay integers
_UNARY = [
    ("neg", torch.neg, one, True),
    ("abs", torch.abs, one, True),
    ("sign", torch.sign, one, True),
    ("square", torch.square, one, True),
    ("floor", torch.floor, one, True),
    ("ceil", torch.ceil, one, True),
    ("trunc", torch.trunc, one, True),
    ("round", torch.round, one, True),
    ("isnan", torch.isnan, one, True),
    ("isinf", torch.isinf, one, True),
    ("isfinite", torch.isfinite, one, True),
    ("logical_not", torch.logical_not, one, True),
    ("exp", torch.exp, one_below_11, False),
    ("exp2", torch.exp2, one, False),
    ("expm1", torch.expm1, one_below_11, False),
    ("log", torch.log, one_positive, False),
    ("log1p", torch.log1p, one_positive, False),
    ("log2", torch.log2, one_positive, False),
    ("log10", torch.log10, one_positive, False),
    ("sqrt", torch.sqrt, one_positive, False),
    ("rsqrt", torch.rsqrt, one_positive, False),
    ("reciprocal", torch.reciprocal, one_positive, False),
    ("sin", torch.sin, one, False),
    ("cos", torch.cos, one, False),
    ("tanh", torch.tanh, one, False),
    ("sigmoid", torch.sigmoid, one, False),
    ("erf", torch.erf, one, False),
]

# op, dy and saved -> dx
_DERIVATIVES = [
    ("abs", derivative(torch.abs), two, True),
    ("square", derivative(torch.square), two, True),
    ("sin", derivative(torch.sin), two, False),
    ("cos", derivative(torch.cos), two, False),
    ("erf", derivative(torch.erf), two, False),
    ("log", derivative(torch.log), two_positive, False),
    ("log1p", derivative(torch.log1p), two_positive, False),
    ("log2", derivative(torch.log2), two_positive, False),
    ("log10", derivative(torch.log10), two_positive, False),
    # from y
    ("exp", lambda dy, y: dy * y, two, True),
    ("expm1", lambda dy, y: dy * (y + 1), two, True),
    ("exp2", lambda dy, y: dy * y * math.log(2), two, False),
    ("sqrt", lambda dy, y: dy / (2 * y), two_positive, False),
    ("rsqrt", lambda dy, y: -0.5 * dy * y**3, two_positive, False),
    ("reciprocal", lambda dy, y: -dy * y * y, two_positive, True),
    ("tanh", torch.ops.aten.tanh_backward, two, True),
    ("sigmoid", torch.ops.aten.sigmoid_backward, two, True),
]

_BINARY = [
    ("add", torch.add, True),
    ("sub", torch.sub, True),
    ("mul", torch.mul, True),
    ("maximum", torch.maximum, True),
    ("minimum", torch.minimum, True),
    ("eq", torch.eq, True),
    ("ne", torch.ne, True),
    ("lt", torch.lt, True),
    ("le", torch.le, True),
    ("gt", torch.gt, True),
    ("ge", torch.ge, True),
    ("logical_and", torch.logical_and, True),
    ("logical_or", torch.logical_or, True),
    ("logical_xor", torch.logical_xor, True),
]

# op, the number, torch's
_SCALAR = [
    ("add_scalar", 3.0, lambda x: x + 3),
    ("mul_scalar", -2.0, lambda x: x * -2),
    ("rsub_scalar", 3.0, lambda x: 3 - x),
    ("pow_scalar", 2.0, lambda x: x**2),
    ("pow_scalar", 3.0, lambda x: x**3),
    ("eq_scalar", 1.0, lambda x: x == 1),
    ("ne_scalar", 1.0, lambda x: x != 1),
    ("lt_scalar", 1.0, lambda x: x < 1),
    ("le_scalar", 1.0, lambda x: x <= 1),
    ("gt_scalar", 1.0, lambda x: x > 1),
    ("ge_scalar", 1.0, lambda x: x >= 1),
    ("clamp_min", 1.0, lambda x: x.clamp(min=1)),
    ("clamp_max", 1.0, lambda x: x.clamp(max=1)),
]


def _tie_gradient(function, position):
    def oracle(dy, a, b):
        leaves = [t.detach().requires_grad_() for t in (a, b)]
        return torch.autograd.grad(function(*leaves), leaves[position], dy)[0]

    return oracle


def _cases():
    for op, f, inputs, exact in _UNARY:
        yield case(op, "", inputs, f, depth=1 if exact else EXP, exact=exact)
    for op, f, inputs, exact in _DERIVATIVES:
        size = lambda dy, saved: dy.abs() * (1 + saved.abs()) ** 2
        yield case(f"{op}_dgrad", "", inputs, f, depth=EXP, exact=exact, magnitude=size)
    for op, f, exact in _BINARY:
        size = lambda a, b: a.abs() + b.abs() + (a * b).abs()
        yield case(op, "", two, f, exact=exact, magnitude=size)
        if op in ("add", "mul", "maximum", "lt"):
            yield case(op, "per channel", per_channel, f, exact=exact, magnitude=size)
    for op, number, f in _SCALAR:
        yield case(op, f"{number:g}", one, f, (number,), magnitude=lambda x: 3 + x.abs(), depth=4)
    for op, f in (("bitwise_and", torch.bitwise_and), ("bitwise_xor", torch.bitwise_xor)):
        yield case(op, "", two, f, dtypes=INTEGERS)
    for op, f in (("add", torch.add), ("mul", torch.mul), ("maximum", torch.maximum)):
        yield case(op, "integers", two, f, dtypes=INTEGERS)
    yield case("floor_divide", "integers", two_nonzero, torch.floor_divide, dtypes=INTEGERS[:2])


def _three(draw):
    return draw(*SHAPE), draw(*SHAPE), draw(*SHAPE)


def _three_positive(draw):
    return draw(*SHAPE), draw(*SHAPE), draw.positive(*SHAPE)


def _mask(draw, *shape):
    return draw.rng.random(shape) < 0.5


def _gradients_of_two():
    for op, f in (("maximum", torch.maximum), ("minimum", torch.minimum)):
        for position, letter in enumerate("ab"):
            # ties halve dy: even integers stay integers
            yield case(
                f"{op}_dgrad_{letter}", "",
                lambda draw: (2 * draw(*SHAPE), draw(*SHAPE), draw(*SHAPE)),
                _tie_gradient(f, position),
            )  # fmt: skip
    yield case(
        "div_dgrad_b", "", _three_positive, lambda dy, a, b: -dy * a / (b * b), exact=False, depth=4
    )
    yield case("div", "", two_positive, torch.div, exact=False)
    yield case("div_scalar", "", one, lambda x: x / 3, (3.0,), exact=False)
    yield case("rdiv_scalar", "", one_positive, lambda x: 3 / x, (3.0,), exact=False)
    yield case(
        "rdiv_scalar_dgrad", "", two_positive, lambda dy, x: -dy * 3 / (x * x), (3.0,),
        exact=False, depth=4,
    )  # fmt: skip
    positive = lambda draw: (draw.positive(*SHAPE), draw(*SHAPE))
    yield case("pow", "", positive, torch.pow, exact=False, depth=EXP)
    dy_positive = lambda draw: (draw(*SHAPE), draw.positive(*SHAPE), draw(*SHAPE))
    for letter, f in (
        ("a", lambda dy, a, b: dy * b * a ** (b - 1)),
        ("b", lambda dy, a, b: dy * a**b * a.log()),
    ):
        size = lambda dy, a, b: dy.abs() * a**b * (1 + b.abs())
        yield case(
            f"pow_dgrad_{letter}", "", dy_positive, f, exact=False, depth=EXP, magnitude=size
        )
    yield case("pow_scalar_dgrad", "", two, lambda dy, x: 3 * dy * x**2, (3.0,), depth=4)
    yield case("add", "alpha", two, lambda a, b: a + 3 * b, (3.0,), depth=2,
               magnitude=lambda a, b: a.abs() + 3 * b.abs())  # fmt: skip
    yield case(
        "floor_divide", "", two_positive, lambda a, b: torch.div(a, b, rounding_mode="floor"),
        exact=True, dtypes=("float32", "float64"), opponent=None,
    )  # fmt: skip
    yield case("trunc_divide", "", lambda draw: (draw(*SHAPE), 1 + draw.positive(*SHAPE)),
               lambda a, b: torch.div(a, b, rounding_mode="trunc"),
               dtypes=("float32", "float64", "int32", "int64"))  # fmt: skip


def _selection():
    yield case(
        "where", "", lambda draw: (_mask(draw, *SHAPE), draw(*SHAPE), draw(*SHAPE)), torch.where
    )
    yield case(
        "where", "broadcast", lambda draw: (_mask(draw, *SHAPE), draw(*CHANNELS), draw(1, 7)),
        torch.where,
    )  # fmt: skip
    yield case(
        "masked_fill", "", lambda draw: (draw(*SHAPE), _mask(draw, *SHAPE)),
        lambda x, mask: x.masked_fill(mask, 5), (5.0,),
    )  # fmt: skip
    yield case("clamp", "", one, lambda x: x.clamp(-1, 2), (-1.0, 2.0))
    yield case("clamp", "crossed", one, lambda x: x.clamp(2, -1), (2.0, -1.0))
    yield case("clamp_dgrad", "", two, derivative(lambda x: x.clamp(-1, 2)), (-1.0, 2.0))
    yield case("clamp_min_dgrad", "", two, derivative(lambda x: x.clamp(min=1)), (1.0,))
    yield case("clamp_max_dgrad", "", two, derivative(lambda x: x.clamp(max=1)), (1.0,))


def _of_reductions():
    """dy and the results have size 1 where x was reduced."""
    kept = (2, 1, 5, 1)
    yield case(
        "var_dgrad", "", lambda draw: (draw(*kept), draw(*SHAPE), draw(*kept)),
        lambda dy, x, mean: dy * 2 * (x - mean), (2.0,), depth=2,
        magnitude=lambda dy, x, mean: dy.abs() * 2 * (x.abs() + mean.abs()),
    )  # fmt: skip
    yield case(
        "std_dgrad", "",
        lambda draw: (draw(*kept), draw(*SHAPE), draw(*kept), draw.positive(*kept)),
        lambda dy, x, mean, std: dy / (2 * std) * 2 * (x - mean), (2.0,), depth=4, exact=False,
        magnitude=lambda dy, x, mean, std: dy.abs() / std * (x.abs() + mean.abs()),
    )  # fmt: skip
    yield case(
        "norm_dgrad", "", lambda draw: (draw(*kept), draw(*SHAPE), draw.positive(*kept)),
        lambda dy, x, y: dy * x / y, exact=False, depth=2,
    )  # fmt: skip
    yield case(
        "norm1_dgrad", "", lambda draw: (draw(*kept), draw(*SHAPE), draw(*kept)),
        lambda dy, x, y: dy * x.sign(),
    )  # fmt: skip
    yield case(
        "norm_power_dgrad", "", lambda draw: (draw(*kept), draw(*SHAPE), draw.positive(*kept)),
        lambda dy, x, y: dy * x.sign() * (x.abs() / y) ** 2, (3.0,), exact=False, depth=4,
    )  # fmt: skip
    yield case(
        "logsumexp_dgrad", "", lambda draw: (draw(*kept), draw(*SHAPE), draw(*kept)),
        lambda dy, x, y: dy * torch.exp(x - y), exact=False, depth=EXP,
        magnitude=lambda dy, x, y: dy.abs() * torch.exp(x - y) * (1 + (x - y).abs()),
    )  # fmt: skip


def _corners():
    yield case("add", "no elements", lambda draw: (draw(0, 3), draw(0, 3)), torch.add)
    yield case("mul", "zero dimensions", lambda draw: (draw(), draw()), torch.mul)
    yield case("add", "one element", lambda draw: (draw(1, 1, 1, 1), draw(1)), torch.add)
    yield case("mul", "outer", lambda draw: (draw(13, 1), draw(1, 17)), torch.mul)
    yield case("add", "past a block", lambda draw: (draw(3, 4099), draw(3, 4099)), torch.add)
    yield case(
        "exp", "special values",
        lambda draw: (draw(4) + [math.nan, math.inf, -math.inf, 1000.0],), torch.exp, exact=False,
        depth=EXP,
    )  # fmt: skip


CASES = [*_cases(), *_gradients_of_two(), *_selection(), *_of_reductions(), *_corners()]
