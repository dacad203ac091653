"""Elementwise functions against torch: values, dtypes, gradients, errors, in-place forms."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
import torch

import pycnn
from pycnn.functional import _pointwise, elementwise

from .parity import assert_equal, fresh, from_torch, parity, same_error, to_torch

SHAPES = [(), (0, 3), (7,), (2, 3, 4, 5)]
TOLERANCE = {"float64": 1e-12, "float32": 4e-7, "float16": 1e-3, "bfloat16": 8e-3}
SPECIALS = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e30, -1e30])

# op -> whether its domain is the positive numbers
UNARY = {
    "abs": False, "neg": False, "sign": False, "exp": False, "exp2": False, "expm1": False, "log":
    True, "log1p": True, "log2": True, "log10": True, "sqrt": True, "rsqrt": True, "reciprocal":
    True, "square": False, "sin": False, "cos": False, "tanh": False, "sigmoid": False, "erf":
    False, "floor": False, "ceil": False, "trunc": False, "round": False,
}  # fmt: skip
PREDICATES = ["isnan", "isinf", "isfinite", "logical_not"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float32", "float64", "float16", "bfloat16"]


def as_dtype(name: str) -> np.dtype:
    return pycnn.dtypes.as_dtype(name)


def both(a: np.ndarray) -> tuple[pycnn.Tensor, torch.Tensor]:
    """The same array as a tensor of either library, no memory shared."""
    return pycnn.from_numpy(a.copy()), to_torch(a.copy())


def same(ours, theirs, tolerance: float = 1e-12) -> None:
    assert_equal(ours, theirs, tolerance, tolerance, "output")


# --- one operand ----------------------------------------------------------------------------------


@pytest.mark.parametrize("op", UNARY)
def test_unary(op):
    call = lambda T, x: getattr(T, op)(x)
    for shape in SHAPES:
        x = np.asarray(fresh(*shape) * 2)
        parity(call, np.asarray(np.abs(x) + 0.1) if UNARY[op] else x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", UNARY)
def test_unary_dtypes_and_special_values(op, dtype):
    a = np.concatenate([SPECIALS, fresh(40) * 3])
    if dtype == "float16":
        a = a[np.abs(a) != 1e30]
    x, t = both(a.astype(as_dtype(dtype)))
    same(getattr(pycnn, op)(x), getattr(torch, op)(t), TOLERANCE[dtype])


@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_unary_of_integers(op, dtype):
    a = np.array([0, 1, 2, 5, 3]).astype(dtype)
    x, t = both(a)
    try:
        expected = getattr(torch, op)(t)
    except (RuntimeError, NotImplementedError) as error:
        with pytest.raises(type(error)):
            getattr(pycnn, op)(x)
    else:
        same(getattr(pycnn, op)(x), expected, 1e-6)


@pytest.mark.parametrize("op", PREDICATES)
def test_predicates(op):
    for dtype in (*FLOATS, "int64", "bool"):
        a = SPECIALS if dtype in FLOATS else np.array([0, 1, 3])
        with np.errstate(over="ignore"):
            x, t = both(a.astype(as_dtype(dtype)))
        same(getattr(pycnn, op)(x), getattr(torch, op)(t))


def test_gradients_at_kinks():
    zeros = np.array([0.0, -0.0, 1.0, -1.0, 4.0])
    parity(lambda T, x: T.abs(x), zeros)
    parity(lambda T, x: T.sqrt(x), np.array([0.0, 4.0]))
    parity(lambda T, x: T.clamp(x, -1, 1), zeros)
    parity(lambda T, x: T.clamp(x, 2, 1), zeros)
    parity(lambda T, x: T.clamp(x, min=0), zeros)
    parity(lambda T, x: T.clamp(x, max=1.0), zeros)
    parity(lambda T, x: x**0, zeros)
    parity(lambda T, x: x**0.0, zeros)
    parity(lambda T, x: x**1, zeros)
    parity(lambda T, x: x**2, zeros)
    parity(lambda T, x, y: T.pow(x, y), zeros, np.array([0.0, 0.0, 2.0, 3.0, -1.0]))
    parity(lambda T, y: T.pow(0.0, y), np.array([0.0, 1.0, 2.0]))
    parity(lambda T, x, y: T.maximum(x, y), zeros, np.array([0.0, 0.0, 2.0, -1.0, 1.0]))
    parity(lambda T, x, y: T.minimum(x, y), zeros, np.array([0.0, 0.0, 2.0, -1.0, 1.0]))


def test_nan_gradients():
    a = np.array([math.nan, 1.0, math.nan, 2.0])
    b = np.array([1.0, math.nan, math.nan, 2.0])
    parity(lambda T, x, y: T.maximum(x, y), a, b)
    parity(lambda T, x, y: T.minimum(x, y), a, b)
    parity(lambda T, x: T.clamp(x, 0.0, 1.0), a)
    parity(lambda T, x: T.clamp(x, min=0.0), a)
    parity(lambda T, x: T.abs(x), a)


def test_erf_is_within_an_ulp():
    a = np.concatenate([fresh(4000) * 2, np.linspace(-7, 7, 4001), 10.0 ** -np.arange(1, 300.0)])
    ours = pycnn.erf(pycnn.from_numpy(a)).numpy()
    exact = np.array([math.erf(v) for v in a])
    assert np.all(np.abs(ours - exact) <= np.spacing(np.abs(exact)))
    single = pycnn.erf(pycnn.from_numpy(a.astype(np.float32))).numpy()
    truth = np.array([math.erf(v) for v in a.astype(np.float32).astype(np.float64)])
    # the vector functions' bound, csrc/cpu/math.h
    assert np.all(np.abs(single - truth) <= 1.5 * np.spacing(np.abs(truth).astype(np.float32)))


def test_round_decimals():
    parity(lambda T, x: T.round(x, decimals=2), np.array([1.234, -0.005, 0.125, 10.0]))
    parity(lambda T, x: T.round(x, decimals=-1), np.array([1.234, 15.0, 25.0, 99.0]))


# --- two operands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "maximum", "minimum", "true_divide"])
def test_binary(op):
    call = lambda T, x, y: getattr(T, op)(x, y)
    for a, b in [
        ((3, 4), (3, 4)),
        ((3, 1), (4,)),
        ((), (2, 3)),
        ((2, 1, 4), (3, 1)),
        ((0, 3), (3,)),
        ((1,), ()),
    ]:
        parity(call, a, b)


def test_pow():
    base, exponent = np.abs(fresh(3, 4)) + 0.1, fresh(4, seed=1)
    parity(lambda T, x, y: T.pow(x, y), base, exponent)
    for number in (0, 1, 2, 3, 0.5, -0.5, -1, -2, 2.5):
        parity(lambda T, x, number=number: x**number, base)
        parity(lambda T, x, number=number: T.pow(abs(number), x), exponent)


def test_rounded_division_and_remainder():
    a = np.array([7.0, -7.0, 7.5, -7.5, 0.0, 5.0, -5.0, 6.0])
    b = np.array([2.0, 2.0, -2.0, -2.0, 3.0, math.inf, math.inf, 0.0])
    for mode in ("floor", "trunc"):
        parity(lambda T, x, y, mode=mode: T.div(x, y, rounding_mode=mode), a, b)
        parity(lambda T, x, mode=mode: T.div(x, 2, rounding_mode=mode), a)
    parity(lambda T, x, y: T.remainder(x, y), a[:5], b[:5])
    parity(lambda T, x: x % 2.5, a)
    parity(lambda T, x: 7 % (x + 0.25), a, gradients=False)
    parity(lambda T, x, y: T.floor_divide(x, y), a, b, gradients=False)
    for x, y in [(7, 2), (-7, 2), (7, -2), (-7, -2), (6, 3)]:
        i, j = np.array([x]), np.array([y])
        parity(lambda T, x, y: T.div(x, y, rounding_mode="trunc"), i, j, gradients=False)
        parity(lambda T, x, y: x // y, i, j, gradients=False)
        parity(lambda T, x, y: x % y, i, j, gradients=False)


OPERATORS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//":
    operator.floordiv, "%": operator.mod, "**": operator.pow, "==": operator.eq, "<": operator.lt,
    "&": operator.and_,
}  # fmt: skip
ALL_DTYPES = ["bool", "uint8", "int8", "int32", "int64", *FLOATS]


def outcome(call):
    try:
        return call()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return error


@pytest.mark.parametrize("symbol", OPERATORS)
def test_promotion_of_every_pair_of_dtypes(symbol):
    """Tensor with tensor, zero-dimensional tensor and number: result and dtype, or the error."""
    function = OPERATORS[symbol]
    numbers = [True, 2, 1.5]
    values = np.array([1, 2, 3])
    for left in ALL_DTYPES:
        x, t = both(values.astype(as_dtype(left)))
        others = [both(np.array([3, 1, 2]).astype(as_dtype(right))) for right in ALL_DTYPES]
        others += [both(np.array(2).astype(as_dtype(right))) for right in ALL_DTYPES]
        others += [(n, n) for n in numbers]
        for i, (y, u) in enumerate(others):
            swapped = ((y, x), (u, t)) if i >= len(ALL_DTYPES) else None
            for ours, theirs in filter(None, (((x, y), (t, u)), swapped)):
                expected = outcome(lambda theirs=theirs: function(*theirs))
                found = outcome(lambda ours=ours: function(*ours))
                case = f"{theirs[0]} {symbol} {theirs[1]}"
                if isinstance(expected, Exception):
                    assert isinstance(found, (RuntimeError, TypeError)), (
                        f"{case}: {found!r}, torch {expected!r}"
                    )
                else:
                    assert not isinstance(found, Exception), (
                        f"{case}: {found!r}, torch {expected!r}"
                    )
                    assert_equal(found, expected, 1e-2, 1e-2, case)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "pow", "remainder", *COMPARISONS])
def test_binary_dtypes_and_special_values(op, dtype):
    left, right = (g.ravel() for g in np.meshgrid(SPECIALS, SPECIALS))
    with np.errstate(over="ignore"):
        x, t = both(left.astype(as_dtype(dtype)))
        y, u = both(right.astype(as_dtype(dtype)))
    same(getattr(pycnn, op)(x, y), getattr(torch, op)(t, u), TOLERANCE[dtype])
    for number in (0.0, -0.0, 2.0, math.inf, -1.5):
        if op == "remainder" and number == math.inf:
            continue
        same(getattr(pycnn, op)(x, number), getattr(torch, op)(t, number), TOLERANCE[dtype])


def test_negative_zero_is_not_taken_for_zero():
    x = pycnn.tensor([1.0])
    assert (x / 0.0).item() == math.inf
    assert (x / -0.0).item() == -math.inf
    assert math.copysign(1, (x * -0.0).item()) == -1


def test_reversed_operators():
    x = fresh(3, 4)
    parity(lambda T, x: 2 - x, x)
    parity(lambda T, x: 2 / x, x)
    parity(lambda T, x: 2.5**x, x)
    parity(lambda T, x: 3 + x * 2, x)
    parity(lambda T, x: T.rsub(x, 2, alpha=3), x)
    parity(lambda T, x, y: T.rsub(x, y), x, fresh(4, seed=2))


def test_alpha():
    parity(lambda T, x, y: T.add(x, y, alpha=2.5), (3, 4), (4,))
    parity(lambda T, x, y: T.sub(x, y, alpha=-2), (3, 4), (3, 1))
    parity(lambda T, x: T.add(x, 3, alpha=2.5), (3, 4))
    integers = np.arange(5)
    parity(lambda T, x: T.add(x, x, alpha=3), integers, gradients=False)
    parity(lambda T, x: T.sub(x, 1, alpha=3), integers.astype(np.uint8), gradients=False)
    parity(lambda T, x: T.add(x, x, alpha=True), np.array([True, False]), gradients=False)
    parity(lambda T: T.add(1, 2), gradients=False)
    parity(lambda T, x: T.add(1, x), (3,))


def test_integers_wrap():
    for dtype in INTEGERS:
        info = np.iinfo(dtype)
        a = np.array([info.max, info.min, 1], dtype)
        parity(lambda T, x: x + x, a, gradients=False)
        parity(lambda T, x: x * 3, a, gradients=False)
        parity(lambda T, x: x + (-1), a, gradients=False)
        parity(lambda T, x: -x, a, gradients=False)
        parity(lambda T, x: x.sum() + x[0], a, gradients=False)


def test_integer_powers():
    a = np.array([1, -1, 2, -3, 0])
    parity(lambda T, x, y: x**y, a, np.array([-1, -3, -3, 3, 0]), gradients=False)
    parity(lambda T, x: x**3, a, gradients=False)
    parity(lambda T, x: 2**x, np.array([0, 5, -2]), gradients=False)


def test_wide_operands_round_once():
    """A half plus a number is computed in float32 and rounded once."""
    for dtype in ("float16", "bfloat16"):
        a, b = (fresh(500, seed=i).astype(as_dtype(dtype)) for i in range(2))
        wide = [v.astype(np.float32) for v in (a, b)]
        ours = pycnn.add(pycnn.from_numpy(a), pycnn.from_numpy(b), alpha=1.3).numpy()
        assert np.array_equal(ours, (wide[0] + np.float32(1.3) * wide[1]).astype(a.dtype))
        ours = (pycnn.from_numpy(a) * 1.3).numpy()
        assert np.array_equal(ours, (wide[0] * np.float32(1.3)).astype(a.dtype))


# --- layout ---------------------------------------------------------------------------------------


def test_outputs_keep_the_layout():
    x = pycnn.randn(2, 3, 4, 5).contiguous(memory_format=pycnn.channels_last)
    bias = pycnn.randn(3, 1, 1)
    for y in (
        x.exp(),
        x + 1,
        x * x,
        x + bias,
        bias * x,
        x.clamp(0, 1),
        x > 0,
        pycnn.where(x > 0, x, bias),
        x.double(),
    ):
        assert y.is_contiguous(memory_format=pycnn.channels_last), y.stride()
    t = pycnn.randn(4, 3).t()
    assert (t + t).stride() == t.stride()


def test_noncontiguous_operands():
    parity(lambda T, x, y: x.t() * y[::2] + y[1::2].exp(), (4, 3), (6, 4))
    parity(lambda T, x: T.maximum(x.expand(3, 4), x.expand(3, 4)), (4,))
    parity(lambda F, x, y: (x + y) * y, (2, 3, 4, 5), (3, 1, 1), channels_last=True)


def test_half_gradients_of_mixed_dtypes():
    x = pycnn.tensor([1.0, 2.0], dtype="float16", requires_grad=True)
    y = pycnn.tensor([[3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.dtype == pycnn.float16
    assert x.grad.tolist() == [8.0, 10.0]
    assert y.grad.tolist() == [[1.0, 2.0], [1.0, 2.0]]


# --- clamp, where, masked_fill --------------------------------------------------------------------


def test_clamp():
    x = fresh(3, 4) * 2
    parity(lambda T, x: T.clamp(x, -0.5, 0.5), x)
    parity(lambda T, x, low, high: T.clamp(x, low, high), x, fresh(4, seed=1), fresh(3, 1, seed=2))
    parity(lambda T, x, low: T.clamp(x, min=low), x, fresh(4, seed=1))
    parity(lambda T, x, low: T.clamp(x, min=low), (), ())
    parity(lambda T, x, high: T.clamp(x, max=high), x, fresh(4, seed=1))
    tie = np.array([1.0, 2.0, 3.0, math.nan])
    parity(
        lambda T, x, low, high: T.clamp(x, low, high),
        tie,
        tie.copy(),
        np.array([1.0, 1.0, 4.0, 1.0]),
    )
    i = np.arange(-3, 4)
    parity(lambda T, x: T.clamp(x, -1, 2), i, gradients=False)
    parity(lambda T, x: T.clamp(x, min=0.5), i, gradients=False)
    parity(lambda T, x: x.clamp_min(1).clamp_max(2), i, gradients=False)
    parity(lambda T, x: T.clamp(x, 0, 1), np.array([True, False]), gradients=False)


def test_where():
    condition = fresh(3, 4) > 0
    parity(lambda T, c, x, y: T.where(c, x, y), condition, (3, 4), (4,))
    parity(lambda T, c, x: T.where(c, x, 2.0), condition, (3, 1))
    parity(lambda T, c, x: T.where(c, 1, x), condition, (4,))
    parity(lambda T, c, x: x.where(c, 5), condition, (3, 4))
    parity(lambda T, c: T.where(c, 1, 2), condition, gradients=False)
    parity(lambda T, c: T.where(c, 1.0, 2), condition, gradients=False)
    parity(lambda T, c, i: T.where(c, i, 2.5), condition, np.arange(4), gradients=False)
    parity(lambda T, c: T.where(c), condition, gradients=False)
    # what is not chosen gets no gradient, however infinite its slope
    parity(lambda T, x: T.where(x > 0, x.sqrt(), T.zeros_like(x)), np.array([4.0, 0.25]))
    parity(lambda T, c, x, y: T.where(c, x * math.inf, y), np.array([True, False]), (2,), (2,))


def test_masked_fill():
    mask = fresh(3, 4) > 0
    parity(lambda T, x, m: x.masked_fill(m, 2), (3, 4), mask)
    parity(lambda T, x, m: x.masked_fill(m, -math.inf), (4,), mask)
    parity(lambda T, x, m, v: x.masked_fill(m, v), (3, 4), mask, ())
    parity(lambda T, x, m: x.masked_fill(m, 2.5), np.ones((3, 4), np.int64), mask, gradients=False)
    parity(lambda T, x, m: x.masked_fill(m, True), np.zeros((3, 4), bool), mask, gradients=False)


# --- comparisons ----------------------------------------------------------------------------------


def test_scalars_are_rounded_as_the_tensor_is():
    for dtype in FLOATS:
        x, t = both(np.array([0.1, 0.2]).astype(as_dtype(dtype)))
        same(x == 0.1, t == 0.1)
        same(x < 0.1, t < 0.1)
    x, t = both(np.array([44], np.uint8))
    same(x == 300, t == 300)
    same(x > -1, t > -1)


def test_logic_and_bits():
    a, b = np.array([0, 1, 2, 3]), np.array([0, 0, 7, 1])
    for op in (
        "logical_and",
        "logical_or",
        "logical_xor",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
    ):
        parity(lambda T, x, y, op=op: getattr(T, op)(x, y), a, b, gradients=False)
    parity(lambda T, x: ~x, a, gradients=False)
    parity(lambda T, x: ~x & True, a > 1, gradients=False)
    parity(lambda T, x, y: T.logical_and(x, y), fresh(4), np.array([0, 1, 0, 1]), gradients=False)


def test_equal_and_close():
    a = np.array([1.0, 2.0, math.nan, math.inf])
    near = np.array([1.0 + 1e-9, 2.1, math.nan, math.inf])
    for equal_nan in (False, True):
        parity(lambda T, x, y, e=equal_nan: T.isclose(x, y, equal_nan=e), a, near, gradients=False)
        parity(
            lambda T, x, y, e=equal_nan: T.allclose(x, y, equal_nan=e), a, a.copy(), gradients=False
        )
    parity(lambda T, x, y: T.isclose(x, y), np.arange(3), np.array([0, 2, 2]), gradients=False)
    parity(lambda T, x: T.isclose(x, -x), np.array([math.inf, 0.0]), gradients=False)
    parity(lambda T, x, y: T.isclose(x, y), np.array([1.0]), np.array([math.inf]), gradients=False)
    parity(lambda T, x, y: T.equal(x, y), a[:2], a[:2].copy(), gradients=False)
    parity(lambda T, x, y: T.equal(x, y), a, a.copy(), gradients=False)
    parity(lambda T, x, y: T.equal(x, y), a, a[:2].copy(), gradients=False)
    parity(lambda T, x, y: T.equal(x, y), np.arange(3), np.arange(3.0), gradients=False)


def test_comparison_with_other_objects():
    x = pycnn.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True
    with pytest.raises(TypeError):
        x < "a"  # noqa: B015


# --- in place -------------------------------------------------------------------------------------

INPLACE = {
    "add_": (2.0,), "sub_": (2.0,), "mul_": (3.0,), "div_": (4.0,), "pow_": (2,), "clamp_": (-0.5,
    0.5), "clamp_min_": (0.0,), "clamp_max_": (0.0,), "neg_": (), "abs_": (), "exp_": (), "sin_":
    (), "cos_": (), "tanh_": (), "sigmoid_": (), "erf_": (), "square_": (), "floor_": (), "ceil_":
    (), "trunc_": (), "round_": (), "reciprocal_": (), "zero_": (), "fill_": (3.0,), "remainder_":
    (0.3,), "floor_divide_": (0.3,),
}  # fmt: skip


@pytest.mark.parametrize("op", INPLACE)
def test_inplace_is_recorded(op):
    def call(T, x):
        y = x * 1
        z = y.exp()  # retains its output, which the edit of y does not touch
        assert getattr(y, op)(*INPLACE[op]) is y
        return y * z

    if op == "floor_divide_":
        parity(call, (3, 4), gradients=False)
    else:
        parity(call, (3, 4))


@pytest.mark.parametrize("op", INPLACE)
def test_inplace_writes_into_the_same_memory(op):
    a = fresh(3, 4, dtype="float32")
    t = to_torch(a.copy())
    x = pycnn.from_numpy(a)
    assert getattr(x, op)(*INPLACE[op]) is x
    assert x.numpy() is a
    assert x._version == 1
    same(x, getattr(t, op)(*INPLACE[op]), 1e-6)


def test_inplace_domain_of_the_positive_numbers():
    a = np.abs(fresh(3, 4)) + 0.5
    for op in ("log_", "sqrt_", "rsqrt_"):
        parity(lambda T, x, op=op: getattr(x * 1, op)(), a)


def test_inplace_of_tensors():
    def call(T, x, y):
        z = x.clone()
        z += y
        z *= 2
        z -= y * z.clone()
        z /= y
        z.add_(y, alpha=0.5).sub_(y, alpha=2).mul_(y)
        z.masked_fill_(y > 1, 7)
        return z.copy_(z * 2)

    parity(call, (3, 4), (4,))
    for op in ("add_", "sub_", "mul_", "div_"):
        a, b = fresh(3, 4, dtype="float32"), fresh(3, 1, seed=1, dtype="float32")
        x, t = both(a)
        y, u = both(b)
        same(getattr(x, op)(y), getattr(t, op)(u), 1e-6)


def test_inplace_dtypes():
    def call(left, right, op, ours):
        x = [pycnn.from_numpy, to_torch][not ours](np.array([5, 6]).astype(as_dtype(left)))
        y = [pycnn.from_numpy, to_torch][not ours](np.array([2, 3]).astype(as_dtype(right)))
        return getattr(x, op)(y)

    for op in ("add_", "mul_", "div_", "copy_"):
        for left in ALL_DTYPES:
            for right in ALL_DTYPES:
                expected = outcome(lambda case=(left, right, op): call(*case, False))
                found = outcome(lambda case=(left, right, op): call(*case, True))
                case = f"{left}.{op}({right})"
                if isinstance(expected, Exception):
                    assert isinstance(found, RuntimeError), f"{case}: {found!r}, torch {expected!r}"
                else:
                    assert not isinstance(found, Exception), (
                        f"{case}: {found!r}, torch {expected!r}"
                    )
                    assert_equal(found, expected, 1e-2, 1e-2, case)


def test_inplace_on_overlapping_operands():
    """The kernel may not read through the transpose what it has already overwritten."""
    a = fresh(4, 4)
    x = pycnn.from_numpy(a.copy())
    x.add_(x.t())
    np.testing.assert_array_equal(x.numpy(), a + a.T)
    y = pycnn.from_numpy(np.arange(6.0))
    y[1:].add_(y[:-1])
    np.testing.assert_array_equal(y.numpy(), [0, 1, 3, 5, 7, 9])
    assert not _pointwise.may_write_directly(x, x.t())
    assert not _pointwise.may_write_directly(y[1:], y[:-1])
    assert _pointwise.may_write_directly(y[3:], y[:3])
    z = pycnn.from_numpy(np.arange(6.0))
    assert _pointwise.may_write_directly(z, z[:])
    z.mul_(z)
    np.testing.assert_array_equal(z.numpy(), np.arange(6.0) ** 2)


def test_inplace_edit_of_a_retained_tensor_is_noticed():
    x = pycnn.ones(3, requires_grad=True)
    for spoil in (
        lambda t: t.add_(1),
        lambda t: t.zero_(),
        lambda t: t.exp_(),
        lambda t: t.copy_(pycnn.zeros(3)),
    ):
        y = x * 2
        z = y.exp() * y
        spoil(y)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()


def test_inplace_on_views():
    def call(T, x):
        y = x * 1
        y[0].add_(1)
        y[:, 1].mul_(y[:, 2].clone())
        y.view(-1)[3].exp_()
        return y * y

    parity(call, (3, 4))


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x + x[:2],
        lambda T, x: x * T.ones(2, 2),
        lambda T, x: T.maximum(x, 2),
        lambda T, x: T.div(x, 2, rounding_mode="nearest"),
        lambda T, x: T.clamp(x),
        lambda T, x: T.where(x, x, x),
        lambda T, x: T.where(x > 0, x, x[:2]),
        lambda T, x: x.masked_fill(x, 1),
        lambda T, x: x.masked_fill(x > 0, x),
        lambda T, x: T.exp([1.0]),
        lambda T, x: T.exp(2.0),
        lambda T, x: T.add(x, "a"),
        lambda T, x: T.add(x, None),
        lambda T, x: T.add(x, x, alpha="a"),
        lambda T, x: x + "a",
        lambda T, x: x - [1, 2, 3],
        lambda T, x: ~x,
        lambda T, x: x & 1,
        lambda T, x: -(x > 0),
        lambda T, x: (x > 0) - (x > 0),
        lambda T, x: 1 - (x > 0),
        lambda T, x: T.abs(x > 0),
        lambda T, x: (x > 0) % (x > 0),
        lambda T, x: T.isclose(x, x.float()),
        lambda T, x: T.isclose(x, x, rtol=-1),
        lambda T, x: T.equal(x, 1),
        lambda T, x: x.copy_(T.ones(4)),
        lambda T, x: x.copy_(T.ones(2, 3)),
        lambda T, x: x.add_(T.ones(2, 3)),
        lambda T, x: x.fill_(T.ones(3)),
        lambda T, x: x.expand(2, 3).add_(1),
        lambda T, x: x.requires_grad_().add_(1),
        lambda T, x: x.requires_grad_()[0].add_(1),
    ],
)
def test_errors(call):
    same_error(call, fresh(3))


@pytest.mark.parametrize(
    "call",
    [
        lambda T, i: i // 0,
        lambda T, i: i % 0,
        lambda T, i: i % T.zeros_like(i),
        lambda T, i: i**-1,
        lambda T, i: T.add(i, i, alpha=1.5),
        lambda T, i: T.add(i, 1, alpha=1.5),
        lambda T, i: i.add_(1.5),
        lambda T, i: i.div_(2),
        lambda T, i: i.exp_(),
        lambda T, i: i.clamp_(0.5),
        lambda T, i: i.pow_(-1),
        lambda T, i: i.requires_grad_(),
        lambda T, i: i.fill_(math.inf),
        lambda T, i: (i > 0).add_(1),
    ],
)
def test_integer_errors(call):
    same_error(call, np.array([1, 2, 3]))


def test_overflow_of_halves_is_infinite():
    x = pycnn.tensor([60000.0], dtype="float16")
    assert (x + x).item() == math.inf
    assert from_torch(torch.tensor([60000.0]).half() * 2)[0] == (x * 2).item()


def test_names_are_torchs():
    for name in elementwise.__all__:
        assert hasattr(torch, name), name
        assert hasattr(pycnn, name), name


def test_unary_path_records_nothing_under_no_grad():
    x = pycnn.ones(2, requires_grad=True)
    with pycnn.no_grad():
        y = _pointwise.unary("exp", x, keep="y")
    assert not y.requires_grad
    assert y.grad_fn is None
