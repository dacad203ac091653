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

constexpr int kChains = 4;  // accumulators side by side, so that their latency is hidden

// How many vectors of A one vector of stored elements gives: A itself, or float for double.
template <class A, class S>
constexpr int kVectors = static_cast<int>(sizeof(A) / sizeof(S));

// The first m elements of a whole vector of S as vectors of A, the rest 0.
template <class A, class S>
PYCNN_INLINE void load_lanes(const S* from, int m, Lanes<A>* to) {
    constexpr int kUnit = kVectorBytes / static_cast<int>(sizeof(S));
    if constexpr (std::is_same_v<S, int64_t>) {
        Lanes<A> v{};
        if (m == kUnit)
            std::memcpy(&v, from, sizeof v);
        else
            for (int i = 0; i < m; ++i) v[i] = from[i];
        to[0] = v;
    } else if constexpr (std::is_same_v<A, S>) {
        to[0] = m == kUnit ? load(from) : load(from, m);
    } else {
        if (m == kUnit) {  // two loads of half a vector: cheaper than to take one apart
            HalfVec halves[2];
            std::memcpy(halves, from, sizeof halves);
            to[0] = widened(halves[0]);
            to[1] = widened(halves[1]);
        } else {
            const Vec<S> v = load(from, m);
            to[0] = half_of(v, false);
            to[1] = half_of(v, true);
        }
    }
}

template <class A>
PYCNN_INLINE Lanes<A> load_whole(const A* from) {
    Lanes<A> v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

// n elements of one output into chains[0..kChains); the first has `index`, each next one `step`
// more.
template <class Op, class A, class S>
void reduce_row(const S* x, int64_t n, Lanes<A>* chains, A shift, A index, A step) {
    using V = Lanes<A>;
    constexpr int kWidth = sizeof(V) / sizeof(A), kUnit = kVectorBytes / sizeof(S);
    constexpr int kEach = kVectors<A, S>;
    const V s = splat(shift);
    V lane{};
    for (int i = 0; i < kWidth; ++i) lane[i] = static_cast<A>(i);
    V at = splat(index) + lane * step;
    const V jump = splat(static_cast<A>(step * kWidth));
    V acc[kChains];
    for (int k = 0; k < kChains; ++k) acc[k] = chains[k];
    int64_t i = 0;
    for (; i + kChains / kEach * kUnit <= n; i += kChains / kEach * kUnit)
#pragma GCC unroll 4
        for (int k = 0; k < kChains; k += kEach) {
            V v[kEach];
            load_lanes<A>(x + i + k * kWidth, kUnit, v);
            for (int u = 0; u < kEach; ++u) {
                acc[k + u] = Op::step(acc[k + u], v[u], s, at);
                if constexpr (Op::kIndexed) at = at + jump;
            }
        }
    for (; i < n; i += kUnit) {
        const int m = static_cast<int>(std::min<int64_t>(n - i, kUnit));
        V v[kEach];
        load_lanes<A>(x + i, m, v);
        for (int u = 0; u < kEach; ++u) {
            const V next = Op::step(acc[u], v[u], s, at);
            acc[u] = lane < static_cast<A>(m - u * kWidth) ? next : acc[u];
            if constexpr (Op::kIndexed) at = at + jump;
        }
    }
    for (int k = 0; k < kChains; ++k) chains[k] = acc[k];
}

// One element more of each of n outputs, all with one index. acc and shift are readable and
// writable up to the next whole vector of S.
template <class Op, class A, class S>
void reduce_column(const S* x, int64_t n, A* acc, const A* shift, A index) {
    using V = Lanes<A>;
    constexpr int kWidth = sizeof(V) / sizeof(A), kUnit = kVectorBytes / sizeof(S);
    constexpr int kEach = kVectors<A, S>;
    const V at = splat(index);
    const auto unit = [&](int64_t j, int m) {
        V v[kEach];
        load_lanes<A>(x + j, m, v);
        for (int u = 0; u < kEach; ++u) {
            A* to = acc + j + u * kWidth;
            const V next = Op::step(load_whole(to), v[u], load_whole(shift + j + u * kWidth), at);
            std::memcpy(to, &next, sizeof next);
        }
    };
    int64_t j = 0;
    for (; j + kUnit <= n; j += kUnit) unit(j, kUnit);
    if (j < n) unit(j, static_cast<int>(n - j));
}

// The chains and lanes of a row, merged in a fixed order: halves first.
template <class Op, class A>
PYCNN_INLINE A merged(const Lanes<A>* acc) {
    constexpr int kWidth = sizeof(Lanes<A>) / sizeof(A);
    const Lanes<A> all = Op::merge(Op::merge(acc[0], acc[1]), Op::merge(acc[2], acc[3]));
    A lanes[kWidth];
    std::memcpy(lanes, &all, sizeof lanes);
    for (int half = kWidth / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) lanes[i] = Op::merge(lanes[i], lanes[i + half]);
    return lanes[0];
}

}  // namespace pycnn::PYCNN_ISA
