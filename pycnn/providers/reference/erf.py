"""The error function in double precision, on NumPy or CuPy arrays.

Computes   erf(x) = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x
Arrays     x of any shape, float64; a new array comes back
Numerics   five rational approximations by |x|: below 0.84375, 1.25, 1/0.35 and 6, and beyond; error
           below one unit in the last place. NaN propagates, erf(-0) = -0
Source     Sun Microsystems' fdlibm, s_erf.c (1993); coefficients are quoted from it
"""

from __future__ import annotations

from typing import Any

from ...array import Array

_EFX = 1.28379167095512586316e-01  # 2/sqrt(pi) - 1
_ERX = 8.45062911510467529297e-01  # erf(1), rounded to single precision

_PP = (
    1.28379167095512558561e-01,
    -3.25042107247001499370e-01,
    -2.84817495755985104766e-02,
    -5.77027029648944159157e-03,
    -2.37630166566501626084e-05,
)
_QQ = (
    1.0,
    3.97917223959155352819e-01,
    6.50222499887672944485e-02,
    5.08130628187576562776e-03,
    1.32494738004321644526e-04,
    -3.96022827877536812320e-06,
)
_PA = (
    -2.36211856075265944077e-03,
    4.14856118683748331666e-01,
    -3.72207876035701323847e-01,
    3.18346619901161753674e-01,
    -1.10894694282396677476e-01,
    3.54783043256182359371e-02,
    -2.16637559486879084300e-03,
)
_QA = (
    1.0,
    1.06420880400844228286e-01,
    5.40397917702171048937e-01,
    7.18286544141962662868e-02,
    1.26171219808761642112e-01,
    1.36370839120290507362e-02,
    1.19844998467991074170e-02,
)
_RA = (
    -9.86494403484714822705e-03,
    -6.93858572707181764372e-01,
    -1.05586262253232909814e01,
    -6.23753324503260060396e01,
    -1.62396669462573470355e02,
    -1.84605092906711035994e02,
    -8.12874355063065934246e01,
    -9.81432934416914548592e00,
)
_SA = (
    1.0,
    1.96512716674392571292e01,
    1.37657754143519042600e02,
    4.34565877475229228821e02,
    6.45387271733267880336e02,
    4.29008140027567833386e02,
    1.08635005541779435134e02,
    6.57024977031928170135e00,
    -6.04244152148580987438e-02,
)
_RB = (
    -9.86494292470009928597e-03,
    -7.99283237680523006574e-01,
    -1.77579549177547519889e01,
    -1.60636384855821916062e02,
    -6.37566443368389627722e02,
    -1.02509513161107724954e03,
    -4.83519191608651397019e02,
)
_SB = (
    1.0,
    3.03380607434824582924e01,
    3.25792512996573918826e02,
    1.53672958608443695994e03,
    3.19985821950859553908e03,
    2.55305040643316442583e03,
    4.74528541206955367215e02,
    -2.24409524465858183362e01,
)


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's rule, the constant first."""
    value = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value


def erf(xp: Any, x: Array) -> Array:
    """erf of a float64 array; every branch is evaluated only where it applies."""
    a = xp.abs(x)
    y = xp.where(xp.isnan(x), x, 1.0)  # from 6 on erf is 1 to the last bit
    near = a < 0.84375
    t = x[near]
    z = t * t
    y[near] = xp.abs(t + t * (_polynomial(z, _PP) / _polynomial(z, _QQ)))
    middle = (a >= 0.84375) & (a < 1.25)
    s = a[middle] - 1.0
    y[middle] = _ERX + _polynomial(s, _PA) / _polynomial(s, _QA)
    for inside, p, q in (
        ((a >= 1.25) & (a < 1 / 0.35), _RA, _SA),
        ((a >= 1 / 0.35) & (a < 6.0), _RB, _SB),
    ):
        t = a[inside]
        s = 1.0 / (t * t)
        # exp(-t^2) through z = t rounded to 32 bits fewer, whose square is exact
        z = (t.view(xp.uint64) & xp.uint64(0xFFFFFFFF00000000)).view(xp.float64)
        r = xp.exp(-z * z - 0.5625) * xp.exp(
            (z - t) * (z + t) + _polynomial(s, p) / _polynomial(s, q)
        )
        y[inside] = 1.0 - r / t
    return xp.copysign(y, x)
