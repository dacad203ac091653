// Elementary functions on vectors, for float and double.
//
// Computes   exp expm1 exp2 log log1p log2 log10 tanh erf sin cos pow, lane by lane
// Numerics   float within about 1.5 units in the last place; double: exp expm1 log log1p tanh
//            likewise, the others are the C library's. NaN, infinities, zeros and subnormals as the
//            C library has them; nothing is flushed. Without FMA (baseline) slightly worse.
// Method     Reduction to an interval around 0 (Cody and Waite 1980, "Software Manual for the
//            Elementary Functions": the subtracted multiple is a sum of two numbers, the first
//            short enough for exact products), there a polynomial fitted by Remez's exchange,
//            relative error below 2^-27 for float and 2^-57 for double. log: the double form is
//            Tang 1990's and fdlibm's, in s = f/(2+f). erf beyond 0.925: 1 - exp(-a*G(a)), G fitted
//            to -log(erfc(a))/a. Where float would need two words (powers, logarithms to other
//            bases, multiples of pi) it is computed in double and rounded once.
#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// The lane type of a vector.
template <class V>
using Lane = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<V&>()[0])>>;

template <class V, class F>
PYCNN_INLINE V lane_by_lane(V v, F&& function) {
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); ++i) v[i] = function(v[i]);
    return v;
}

// --- the number format ---------------------------------------------------------------------------

template <class T>
struct Format;
template <>
struct Format<float> {
    static constexpr int32_t kMantissa = 23, kBias = 127, kSign = INT32_MIN;
    static constexpr int32_t kSqrtHalf = 0x3f3504f3;  // the bits of sqrt(1/2)
    static constexpr float kRound = 0x1.8p23f;        // adding it leaves the nearest integer
    static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
};
template <>
struct Format<double> {
    static constexpr int64_t kMantissa = 52, kBias = 1023, kSign = INT64_MIN;
    static constexpr int64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
    static constexpr double kRound = 0x1.8p52;
    static constexpr double kLn2High = 6.93147180369123816490e-01;
    static constexpr double kLn2Low = 1.90821492927058770002e-10;
};

template <class V>
PYCNN_INLINE V abs(V x) {
    using T = Lane<V>;
    return (V)((Mask<T>)x & ~Format<T>::kSign);
}

template <class V>
PYCNN_INLINE V copysign(V size, V sign) {
    using T = Lane<V>;
    return (V)(((Mask<T>)size & ~Format<T>::kSign) | ((Mask<T>)sign & Format<T>::kSign));
}

// The nearest integer of |x| < 2^22 (2^51), as a number and as an integer.
template <class V>
struct Nearest {
    V value;
    Mask<Lane<V>> integer;
};
template <class V>
PYCNN_INLINE Nearest<V> nearest(V x) {
    using T = Lane<V>;
    const V magic = broadcast<T>(Format<T>::kRound), sum = x + magic;
    return {sum - magic, (Mask<T>)sum - (Mask<T>)magic};
}

// 2^n of an exponent in range.
template <class T>
PYCNN_INLINE Vec<T> power_of_two(Mask<T> n) {
    return (Vec<T>)((n + Format<T>::kBias) << Format<T>::kMantissa);
}

// x * 2^n; where there is no instruction, in two steps: 2^n alone may overflow, or be subnormal.
template <class V>
PYCNN_INLINE V scaled(V x, Mask<Lane<V>> n) {
    using T = Lane<V>;
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (V)_mm512_scalef_ps((__m512)x, _mm512_cvtepi32_ps((__m512i)n));
    else
        return (V)_mm512_scalef_pd((__m512d)x, _mm512_cvtepi64_pd((__m512i)n));
#else
    const Mask<T> half = n >> 1;
    return x * power_of_two<T>(half) * power_of_two<T>(n - half);
#endif
}

template <class M>
PYCNN_INLINE bool any_of(M mask) {
    int64_t words[sizeof(M) / 8];
    std::memcpy(words, &mask, sizeof mask);
    int64_t all = 0;
    for (const int64_t word : words) all |= word;
    return all != 0;
}

// c0 + x*(c1 + x*(c2 + ...))
template <class V>
PYCNN_INLINE V polynomial(V, Lane<V> c0) {
    return broadcast<Lane<V>>(c0);
}
template <class V, class... C>
PYCNN_INLINE V polynomial(V x, Lane<V> c0, C... rest) {
    return fma(x, polynomial(x, rest...), broadcast<Lane<V>>(c0));
}

// --- float through double --------------------------------------------------------------------

typedef float HalfVec __attribute__((vector_size(kVectorBytes / 2)));

PYCNN_INLINE Vec<double> widened(HalfVec half) {
    return __builtin_convertvector(half, Vec<double>);
}

template <size_t... I>
PYCNN_INLINE HalfVec half_of(Vec<float> v, bool high, std::index_sequence<I...>) {
    return high ? __builtin_shufflevector(v, v, (I + sizeof...(I))...)
                : __builtin_shufflevector(v, v, I...);
}
template <size_t... I>
PYCNN_INLINE Vec<float> joined(HalfVec low, HalfVec high, std::index_sequence<I...>) {
    return __builtin_shufflevector(low, high, I...);
}

// The lower or the higher lanes of floats as doubles.
PYCNN_INLINE Vec<double> half_of(Vec<float> v, bool high) {
    return widened(half_of(v, high, std::make_index_sequence<kLanes<double>>{}));
}

// function of each half of the lanes in double, rounded once.
template <class F, class... V>
PYCNN_INLINE Vec<float> through_double(F&& function, V... x) {
    return joined(__builtin_convertvector(function(half_of(x, false)...), HalfVec),
                  __builtin_convertvector(function(half_of(x, true)...), HalfVec),
                  std::make_index_sequence<kLanes<float>>{});
}

// --- exponentials --------------------------------------------------------------------------------

// x = n ln(2) + r, |r| <= ln(2)/2
template <class V>
struct Reduced {
    V r;
    Mask<Lane<V>> n;
};
template <class V>
PYCNN_INLINE Reduced<V> reduce_ln2(V x) {
    using T = Lane<V>;
    const Nearest<V> n = nearest(x * static_cast<T>(1.4426950408889634074));
    const V r = fma(n.value, broadcast<T>(-Format<T>::kLn2High), x);
    return {fma(n.value, broadcast<T>(-Format<T>::kLn2Low), r), n.integer};
}

template <class V>
PYCNN_INLINE V exp(V x) {
    using T = Lane<V>;
    constexpr bool single = sizeof(T) == 4;
    x = min(broadcast<T>(single ? 89 : 710), max(broadcast<T>(single ? -104 : -746), x));
    const Reduced<V> c = reduce_ln2(x);
    const V r = c.r;
    V q;
    if constexpr (single)
        q = polynomial(r, 0.5f, 0.166665122f, 0.0416661873f, 0.00836959854f, 0.00139517197f);
    else
        q = polynomial(r, 0.50000000000000144, 0.16666666666666702, 0.041666666666503017,
                       0.0083333333333050746, 0.0013888888950555065, 0.00019841269921988663,
                       2.4801486028185934e-05, 2.755721219205542e-06, 2.7632753083330739e-07,
                       2.5119160530884047e-08);
    const V p = fma(r * r, q, r) + 1;
    return scaled(p, c.n);
}

// exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), at half its size until the end: 2^128 is no float
template <class V>
PYCNN_INLINE V expm1(V x) {
    using T = Lane<V>;
    constexpr bool single = sizeof(T) == 4;
    const V clamped =
        min(broadcast<T>(single ? 89 : 710), max(broadcast<T>(single ? -18 : -40), x));
    const Reduced<V> c = reduce_ln2(clamped);
    const V r = c.r;
    V q;
    if constexpr (single)
        q = polynomial(r, 0.5f, 0.166666672f, 0.0416663438f, 0.00833327044f, 0.00139420072f,
                       0.00019915594f);
    else
        q = polynomial(r, 0.5, 0.16666666666666666, 0.041666666666666692, 0.0083333333333333384,
                       0.001388888888887061, 0.00019841269841243593, 2.480158735288112e-05,
                       2.7557319280817009e-06, 2.755724933022011e-07, 2.5052045159581682e-08,
                       2.0922437074117899e-09, 1.6094056938198904e-10);
    const V scale = power_of_two<T>(c.n - 1);
    const V p = fma(scale, fma(r * r, q, r), scale - static_cast<T>(0.5));
    return select(abs(x) < std::numeric_limits<T>::min(), x, p + p);
}

// --- logarithms ----------------------------------------------------------------------------------

// x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive finite x
template <class V>
struct Split {
    V e, f;
};
template <class V>
PYCNN_INLINE Split<V> split_log(V x) {
    using T = Lane<V>;
    using M = Mask<T>;
    using Fm = Format<T>;
    const M tiny = x < std::numeric_limits<T>::min();
    x = select(tiny, x * static_cast<T>(sizeof(T) == 4 ? 0x1p24 : 0x1p54), x);
    constexpr auto one = Fm::kBias << Fm::kMantissa;
    // in unsigned lanes: the bits of an infinity or a NaN carry into the sign
    typedef std::make_unsigned_t<decltype(one)> Unsigned;
    typedef Unsigned Bits __attribute__((vector_size(sizeof(V))));
    const M bits = (M)((Bits)x + static_cast<Unsigned>(one - Fm::kSqrtHalf));
    M e = (bits >> Fm::kMantissa) - Fm::kBias;
    e = select(tiny, e - (sizeof(T) == 4 ? 24 : 54), e);
    const V m = (V)((bits & ((decltype(one){1} << Fm::kMantissa) - 1)) + Fm::kSqrtHalf);
    const V magic = broadcast<T>(Fm::kRound);
    return {(V)(e + (M)magic) - magic, m - 1};
}

// log(2^e (1 + f)) + low, a low word of the size of a rounding error
template <class V>
PYCNN_INLINE V log_of_split(Split<V> x, V low) {
    using T = Lane<V>;
    const V f = x.f;
    const V high = broadcast<T>(Format<T>::kLn2High);
    low = fma(x.e, broadcast<T>(Format<T>::kLn2Low), low);
    const V half_square = f * f * static_cast<T>(0.5);
    if constexpr (sizeof(T) == 4) {
        const V cube = f * f * f;
        const V p =
            polynomial(f, 0.333333135f, -0.250000089f, 0.200021192f, -0.166679963f, 0.142195523f,
                       -0.124055885f, 0.118881591f, -0.116756544f, 0.0674665123f);
        return fma(x.e, high, f - (half_square - fma(cube, p, low)));
    } else {
        const V s = f / (f + 2), z = s * s;
        const V r = z * polynomial(z, 0.6666666666666734, 0.39999999999414898, 0.28571428742345878,
                                   0.22222198576983171, 0.18183564146790812, 0.15314054788940284,
                                   0.14795910084914041);
        return fma(x.e, high, f - (half_square - fma(s, half_square + r, low)));
    }
}

// What a logarithm is at the ends of its domain: x is 1 there where it is 0.
template <class V>
PYCNN_INLINE V log_ends(V x, V result) {
    using T = Lane<V>;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    result = select(x == infinity, x, result);
    result = select(x > 0, result, broadcast<T>(std::numeric_limits<T>::quiet_NaN()));
    return select(x == 0, broadcast<T>(-infinity), result);
}

template <class V>
PYCNN_INLINE V log(V x) {
    return log_ends(x, log_of_split(split_log(x), zero<Lane<V>>()));
}

// log(u) + c/u for u = 1 + x rounded and c what the rounding lost
template <class V>
PYCNN_INLINE V log1p(V x) {
    const V u = x + 1;
    const V lost = select(u > 2, 1 - (u - x), x - (u - 1));
    const V result = log_ends(u, log_of_split(split_log(u), lost / u));
    return select(x == 0, x, result);
}

// --- the others ----------------------------------------------------------------------------------

template <class V>
PYCNN_INLINE V exp2(V x) {
    if constexpr (sizeof(x[0]) == 4)
        return through_double([](Vec<double> v) { return exp(v * 0.69314718055994530942); }, x);
    else
        return lane_by_lane(x, [](double a) { return std::exp2(a); });
}

template <class V>
PYCNN_INLINE V log2(V x) {
    if constexpr (sizeof(x[0]) == 4)
        return through_double([](Vec<double> v) { return log(v) * 1.4426950408889634074; }, x);
    else
        return lane_by_lane(x, [](double a) { return std::log2(a); });
}

template <class V>
PYCNN_INLINE V log10(V x) {
    if constexpr (sizeof(x[0]) == 4)
        return through_double([](Vec<double> v) { return log(v) * 0.43429448190325182765; }, x);
    else
        return lane_by_lane(x, [](double a) { return std::log10(a); });
}

// An odd polynomial up to 0.625, 1 - 2/(exp(2a) + 1) beyond
template <class V>
PYCNN_INLINE V tanh(V x) {
    using T = Lane<V>;
    const V a = abs(x), z = x * x;
    V q;
    if constexpr (sizeof(T) == 4)
        q = polynomial(z, -0.333333313f, 0.133332103f, -0.0539472066f, 0.0217029806f,
                       -0.00818270352f, 0.00214756117f);
    else
        q = polynomial(z, -0.33333333333332876, 0.13333333333264966, -0.053968253932500924,
                       0.021869487602314618, -0.0088632213231515187, 0.0035919915980129401,
                       -0.0014549706005938495, 0.00058635285208263638, -0.00022863392054679019,
                       7.7219891389039441e-05, -1.6107869551565338e-05);
    const V large = 1 - 2 / (exp(a + a) + 1);
    return copysign(select(a < static_cast<T>(0.625), fma(a * z, q, a), large), x);
}

// erf(a)/a - 1 for a^2 = z, a below kErfMiddle, and erfc(a) from there on, of a >= 0; erfc ends at
// 4
constexpr float kErfMiddle = 0.925f;
PYCNN_INLINE Vec<float> erf_middle(Vec<float> z) {
    return polynomial(z, 0.128379166f, -0.376126319f, 0.11283686f, -0.0268588513f, 0.00519960001f,
                      -0.000812580751f, 8.29661294e-05f);
}
PYCNN_INLINE Vec<float> erfc_tail(Vec<float> a) {
    const Vec<float> bounded = min(broadcast(4.0f), a);
    const Vec<float> g =
        polynomial(bounded, 1.12837934f, 0.636614621f, 0.10280934f, -0.019249225f, -4.59456351e-06f,
                   0.001525242f, -0.000560450775f, 9.83741993e-05f, -7.18383671e-06f);
    return select(a > 4, zero<float>(), exp(-bounded * g));
}

template <class V>
PYCNN_INLINE V erf(V x) {
    if constexpr (sizeof(x[0]) == 4) {
        const V a = abs(x);
        const V large = copysign(1 - erfc_tail(a), x);
        return select(a < kErfMiddle, fma(x, erf_middle(x * x), x), large);
    } else {
        return lane_by_lane(x, [](double a) { return std::erf(a); });
    }
}

// (1 + erf(x / sqrt(2))) / 2, the normal distribution; in float without cancellation below 0.
template <class V>
PYCNN_INLINE V normal_distribution(V x) {
    x = x * static_cast<Lane<V>>(0.70710678118654752440);
    if constexpr (sizeof(x[0]) == 4) {
        const V tail = 0.5f * erfc_tail(abs(x));
        return select(x < 0, tail, 1 - tail);
    } else {
        return (1 + erf(x)) * 0.5;
    }
}

// sin(x + quarters*pi/2). float: the multiple of pi/2 is taken out in double, beyond 2^19 by the C
// library.
template <class V>
PYCNN_INLINE V sin_shifted(V x, int quarters) {
    const auto by_library = [quarters](auto a) { return quarters ? std::cos(a) : std::sin(a); };
    if constexpr (sizeof(x[0]) == 4) {
        if (any_of(abs(x) > 0x1p19f)) return lane_by_lane(x, by_library);
        const auto turns = [](Vec<double> v) { return nearest(v * 0.63661977236758134308).value; };
        const V r = through_double(
            [&](Vec<double> v) {
                const Vec<double> k = turns(v);
                return (v - k * 1.57079632673412561417e+00) - k * 6.07710050650619224932e-11;
            },
            x);
        const Mask<float> k = nearest(through_double(turns, x)).integer + quarters;
        const V z = r * r;
        const V q = polynomial(z, -0.166666672f, 0.00833332911f, -0.000198392561f, 2.71756494e-06f);
        const V s = copysign(fma(r * z, q, r), r);  // of a zero too
        const V c = fma(
            z * z, polynomial(z, 0.0416666679f, -0.00138888834f, 2.47994358e-05f, -2.72033049e-07f),
            1 - 0.5f * z);
        const V y = select((k & 1) != 0, c, s);
        return (V)((Mask<float>)y ^ ((k & 2) << 30));
    } else {
        return lane_by_lane(x, by_library);
    }
}
template <class V>
PYCNN_INLINE V sin(V x) {
    return sin_shifted(x, 0);
}
template <class V>
PYCNN_INLINE V cos(V x) {
    return sin_shifted(x, 1);
}

template <class V>
PYCNN_INLINE V pow(V a, V b) {
    if constexpr (sizeof(a[0]) == 4) {
        const auto size = [](Vec<double> base, Vec<double> exponent) {
            return exp(exponent * log(abs(base)));
        };
        V y = through_double(size, a, b);
        const auto integral = [](V v) {
            const V size = abs(v), magic = broadcast(0x1p23f);  // from here on every float is
            return (size >= magic) | ((size + magic) - magic == size);
        };
        const V half = b * 0.5f;
        const Mask<float> odd = integral(b) & ~integral(half) & (abs(b) < 0x1p24f);
        const Mask<float> negative = (Mask<float>)a < 0;
        y = select(negative & odd, -y, y);
        const Mask<float> finite = abs(a) < std::numeric_limits<float>::infinity();
        const V nan = broadcast(std::numeric_limits<float>::quiet_NaN());
        y = select((a < 0) & finite & ~integral(b), nan, y);
        const V one = broadcast(1.0f);
        const Mask<float> endless = abs(b) == std::numeric_limits<float>::infinity();
        return select((b == 0) | (a == 1) | ((a == -1) & endless), one, y);
    } else {
        for (int i = 0; i < kLanes<double>; ++i) a[i] = std::pow(a[i], b[i]);
        return a;
    }
}

}  // namespace pycnn::PYCNN_ISA
