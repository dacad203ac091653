// What a reduction does to one element, and the two loops that do it to many.
//
// An op has: start(), the accumulator of nothing; step(acc, x, shift, index), one element more; and
// merge(a, b) of two accumulators. They are written on vectors of A; merge() on single A too.
// `shift` is a number per output that an earlier pass found (a mean, a maximum, a power).
#pragma once

#include <limits>

#include "cpu/math.h"

namespace pycnn::PYCNN_ISA {

// Vectors of what is accumulated: double or int64_t.
template <class A>
struct LanesOf {
    using type = Vec<A>;
};
template <>
struct LanesOf<int64_t> {
    using type = Mask<double>;
};
template <class A>
using Lanes = typename LanesOf<A>::type;

template <class A>
PYCNN_INLINE Lanes<A> splat(A value) {
    return Lanes<A>{} + value;
}

struct Sum {
    static constexpr bool kIndexed = false;
    static constexpr double kCost = 0.08;
    template <class A>
    static A start() {
        return 0;
    }
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V, V) {
        return acc + x;
    }
    template <class V>
    static PYCNN_INLINE V merge(V a, V b) {
        return a + b;
    }
};

struct Product : Sum {
    template <class A>
    static A start() {
        return 1;
    }
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V, V) {
        return acc * x;
    }
    template <class V>
    static PYCNN_INLINE V merge(V a, V b) {
        return a * b;
    }
};

// NaN stays once it is met.
template <bool kLargest>
struct Extreme : Sum {
    template <class A>
    static A start() {
        using Limits = std::numeric_limits<A>;
        if constexpr (Limits::has_infinity)
            return kLargest ? -Limits::infinity() : Limits::infinity();
        else
            return kLargest ? Limits::min() : Limits::max();
    }
    template <class V>
    static PYCNN_INLINE V merge(V a, V b) {
        return ((kLargest ? b > a : b < a) | (b != b)) ? b : a;
    }
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V, V) {
        return merge(acc, x);
    }
};

struct Nonzeros : Sum {
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V, V) {
        return x != 0 ? acc + 1 : acc;
    }
};

struct Deviations : Sum {
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V mean, V) {
        const V d = x - mean;
        return fma(d, d, acc);
    }
};

struct Squares : Sum {
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V, V) {
        return fma(x, x, acc);
    }
};

struct Sizes : Sum {
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V, V) {
        return acc + abs(x);
    }
};

struct Powers : Sum {
    static constexpr double kCost = 10;
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V power, V) {
        return acc + pow(abs(x), power);
    }
};

struct Exponentials : Sum {
    static constexpr double kCost = 0.6;
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V top, V) {
        return acc + exp(x - top);
    }
};

// The lowest index at which x is the extreme found before, NaN being equal to NaN.
struct FirstMatch : Sum {
    static constexpr bool kIndexed = true;
    template <class A>
    static A start() {
        return std::numeric_limits<A>::max();
    }
    template <class V>
    static PYCNN_INLINE V merge(V a, V b) {
        return b < a ? b : a;
    }
    template <class V>
    static PYCNN_INLINE V step(V acc, V x, V extreme, V index) {
        return ((x == extreme) | ((x != x) & (extreme != extreme))) & (index < acc) ? index : acc;
    }
};

// A vector of A from stored elements: A itself, or float for double.
template <class A, class S>
PYCNN_INLINE Lanes<A> load_lanes(const S* from) {
    if constexpr (std::is_same_v<A, S>) {
        Lanes<A> v;
        std::memcpy(&v, from, sizeof v);
        return v;
    } else {
        HalfVec half;
        std::memcpy(&half, from, sizeof half);
        return widened(half);
    }
}

constexpr int kChains = 4;  // accumulators side by side, so that their latency is hidden

// n elements of one output into acc[0..kChains); the first has `index`, each next one `step` more.
template <class Op, class A, class S>
void reduce_row(const S* x, int64_t n, Lanes<A>* acc, A shift, A index, A step) {
    using V = Lanes<A>;
    constexpr int kWidth = sizeof(V) / sizeof(A);
    const V s = splat(shift);
    V lane{};
    for (int i = 0; i < kWidth; ++i) lane[i] = static_cast<A>(i);
    V at = splat(index) + lane * step;
    const V jump = splat(static_cast<A>(step * kWidth));
    int64_t i = 0;
    V a[kChains];
    for (int k = 0; k < kChains; ++k) a[k] = acc[k];
    for (; i + kChains * kWidth <= n; i += kChains * kWidth)
#pragma GCC unroll 4
        for (int k = 0; k < kChains; ++k) {
            a[k] = Op::step(a[k], load_lanes<A>(x + i + k * kWidth), s, at);
            if constexpr (Op::kIndexed) at = at + jump;
        }
    for (; i < n; i += kWidth) {
        S rest[kWidth]{};
        const int64_t m = std::min<int64_t>(n - i, kWidth);
        std::memcpy(rest, x + i, static_cast<size_t>(m) * sizeof(S));
        const V next = Op::step(a[0], load_lanes<A>(rest), s, at);
        a[0] = lane < static_cast<A>(m) ? next : a[0];
        if constexpr (Op::kIndexed) at = at + jump;
    }
    for (int k = 0; k < kChains; ++k) acc[k] = a[k];
}

// One element more of each of n outputs, all with one index. acc and shift are readable up to the
// next whole vector.
template <class Op, class A, class S>
void reduce_column(const S* x, int64_t n, A* acc, const A* shift, A index) {
    using V = Lanes<A>;
    constexpr int kWidth = sizeof(V) / sizeof(A);
    const V at = splat(index);
    const auto step = [&](int64_t j, V value) {
        const V next = Op::step(load_lanes<A>(acc + j), value, load_lanes<A>(shift + j), at);
        std::memcpy(acc + j, &next, sizeof next);
    };
    int64_t j = 0;
    for (; j + kWidth <= n; j += kWidth) step(j, load_lanes<A>(x + j));
    if (j < n) {
        S rest[kWidth]{};
        std::memcpy(rest, x + j, static_cast<size_t>(n - j) * sizeof(S));
        step(j, load_lanes<A>(rest));
    }
}

// The chains and lanes of a row, merged in order.
template <class Op, class A>
A merged(const Lanes<A>* acc) {
    constexpr int kWidth = sizeof(Lanes<A>) / sizeof(A);
    const Lanes<A> all = Op::merge(Op::merge(acc[0], acc[1]), Op::merge(acc[2], acc[3]));
    A result = all[0];
    for (int i = 1; i < kWidth; ++i) result = Op::merge(result, static_cast<A>(all[i]));
    return result;
}

}  // namespace pycnn::PYCNN_ISA
