"""Elementary functions that Triton lacks, or has only where libdevice can be linked.

Each takes and returns float32 or float64 blocks and is built from exp, log, exp2 and log2, so that
the interpreter and the compiler run the same formula. NaN propagates; infinities, zeros and signs
are C's.

Source     expm1, log1p: Kahan, after Goldberg 1991, "What Every Computer Scientist Should Know
           About Floating-Point Arithmetic", theorem 4; the split of a product: Dekker 1971, "A
           floating-point technique for extending the available precision", Numerische Mathematik 18
"""

import triton
import triton.language as tl


@triton.jit
def maximum(a, b):
    """The larger; NaN if either is."""
    return tl.where((a > b) | (a != a), a, b)


@triton.jit
def minimum(a, b):
    """The smaller; NaN if either is."""
    return tl.where((a < b) | (a != a), a, b)


@triton.jit
def divide(a, b):
    """a / b rounded to the nearest, where `/` may be off by two units of float32's last place."""
    if (a + b).dtype == tl.float32:
        quotient = tl.div_rn(a, b)
    else:
        quotient = a / b
    return quotient


@triton.jit
def sqrt(x):
    """The square root rounded to the nearest."""
    if x.dtype == tl.float32:
        root = tl.sqrt_rn(x)
    else:
        root = tl.sqrt(x)
    return root


@triton.jit
def narrowed(y, out):
    """y in the dtype that `out` points at; a half by way of float32."""
    kind: tl.constexpr = out.dtype.element_ty
    if kind.is_floating() and kind.primitive_bitwidth == 16:
        y = y.to(tl.float32)
    return y.to(kind)


@triton.jit
def expm1(x):
    """exp(x) - 1 without the cancellation near zero."""
    # the errors of e in (e - 1) and in log(e) cancel; at e = 1 the quotient's limit is x
    e = tl.exp(x)
    small = e == 1.0
    large = (e == 0.0) | (e > 1e30)  # there e - 1 needs no help
    safe = tl.where(small | large, 2.0, e)
    return tl.where(small, x, tl.where(large, e - 1.0, (safe - 1.0) * x / tl.log(safe)))


@triton.jit
def log1p(x):
    """log(1 + x) without the cancellation near zero."""
    u = 1.0 + x
    small = u == 1.0
    whole = (x > 1e30) | (u == 0.0)  # 1 + x is x or 0: nothing to correct
    safe = tl.where(small | whole, 2.0, u)
    return tl.where(small, x, tl.where(whole, tl.log(u), tl.log(safe) * x / (safe - 1.0)))


@triton.jit
def tanh(x):
    """-m / (2 + m) with m = exp(-2|x|) - 1, and the sign of x."""
    m = expm1(-2.0 * tl.abs(x))
    t = -m / (2.0 + m)
    return tl.where(x == 0.0, x, tl.where(x < 0, -t, t))


@triton.jit
def log1p_exp(x):
    """log(1 + exp(x)), which no x overflows."""
    return tl.where(x < 0, 0.0, x) + log1p(tl.exp(-tl.abs(x)))


@triton.jit
def rint(x):
    """The nearest integer, ties to even."""
    # adding 2**23 or 2**52 to |x| leaves no digit behind the point
    tl.static_assert((x.dtype == tl.float32) | (x.dtype == tl.float64))
    if x.dtype == tl.float32:
        shift = 8388608.0
    else:
        shift = 4503599627370496.0
    size = tl.abs(x)
    near = (size + shift) - shift
    return tl.where(size < shift, tl.where(x < 0, -near, near), x)


@triton.jit
def trunc(x):
    """x without its fraction."""
    return tl.where(x < 0, tl.ceil(x), tl.floor(x))


@triton.jit
def fmod(a, b):
    """a - trunc(a / b) * b. float32 in float64, which is exact for quotients below 2**29."""
    return (a.to(tl.float64) % b.to(tl.float64)).to(a.dtype)


@triton.jit
def _by_squaring(a, b):
    """a**b for whole b of at most 64: exact wherever every product is."""
    left = tl.abs(b).to(tl.int32)
    power = a * 0.0 + 1.0
    for _ in tl.static_range(7):
        power = tl.where(left % 2 == 1, power * a, power)
        a = tl.where(left > 1, a * a, a)
        left = left // 2
    return tl.where(b < 0, 1.0 / power, power)


@triton.jit
def pow(a, b):
    """a**b by C's rules, in float64: to the last place of float32, and to |b log2(a)| roundings of
    float64 unless b is a small integer."""
    base, exponent = tl.broadcast(a.to(tl.float64), b.to(tl.float64))
    size = tl.abs(base)
    whole = tl.floor(exponent) == exponent
    power = tl.where(size == 1, 1.0, tl.exp2(exponent * tl.log2(size)))
    odd = whole & (tl.floor(exponent * 0.5) * 2.0 != exponent)
    negative = (base < 0) | ((base == 0) & (1.0 / base < 0))
    power = tl.where(negative & odd, -power, power)
    power = tl.where((base < 0) & (exponent != tl.floor(exponent)), float("nan"), power)
    few = whole & (tl.abs(exponent) <= 64)
    short = _by_squaring(base, tl.where(few, exponent, 0.0))
    # an intermediate product of a negative power may have overflowed
    sound = few & (tl.abs(short) < 1e290) & (tl.abs(short) > 1e-290)
    power = tl.where(sound, short, power)
    return tl.where((exponent == 0) | (base == 1), 1.0, power).to(a.dtype)


@triton.jit
def whole_pow(a, b):
    """a**b of int64, modulo 2**64; of a negative b only the powers of 1 and -1 are integers."""
    a, b = tl.broadcast(a, b)
    reachable = (b >= 0) | (a == 1) | (a == -1)
    left = tl.where(b < 0, b & 1, b)
    power = tl.where(reachable, a * 0 + 1, 0)
    for _ in tl.static_range(63):
        power = tl.where((left & 1) == 1, power * a, power)
        a = a * a
        left = left >> 1
    return power


@triton.jit
def trunc_quotient(a, b):
    """The quotient of integers rounded towards zero; 0 where b is."""
    return tl.where(b == 0, 0, a // tl.where(b == 0, 1, b))


@triton.jit
def floor_quotient(a, b):
    """The quotient of integers rounded down; 0 where b is 0."""
    quotient = trunc_quotient(a, b)
    below = ((a < 0) != (b < 0)) & (quotient * b != a) & (b != 0)
    return tl.where(below, quotient - 1, quotient)
