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

// Whether float32 elements are first combined in float32, some at a time: exact for extremes.
template <class Op>
constexpr bool kNarrow = std::is_same_v<Op, Sum>;
template <bool kLargest>
constexpr bool kNarrow<Extreme<kLargest>> = true;

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

// acc[0..1] with the lanes of one vector of floats more.
template <class Op>
PYCNN_INLINE void merge_widened(Vec<float> v, Vec<double>* acc) {
    acc[0] = Op::merge(acc[0], half_of(v, false));
    acc[1] = Op::merge(acc[1], half_of(v, true));
}

// The whole vectors of a row of floats, in blocks of at most kRounds per chain that are combined in
// float32; returns how many elements that were.
template <class Op>
int64_t reduce_narrow_row(const float* x, int64_t n, Vec<double>* acc) {
    constexpr int kWide = 8, kRounds = 16, L = kLanes<float>;
    constexpr int kAhead = 1024;  // elements: processors prefetch one stream too late
    const Vec<float> start = splat(Op::template start<float>());
    int64_t i = 0;
    while (i + L <= n) {
        Vec<float> sums[kWide];
        for (int k = 0; k < kWide; ++k) sums[k] = start;
        for (int round = 0; round < kRounds && i + kWide * L <= n; ++round, i += kWide * L)
#pragma GCC unroll 8
            for (int k = 0; k < kWide; ++k) {
                __builtin_prefetch(x + i + k * L + kAhead);
                sums[k] = Op::merge(sums[k], load(x + i + k * L));
            }
        if (i + kWide * L > n)
            for (; i + L <= n; i += L)
                sums[i / L % kWide] = Op::merge(sums[i / L % kWide], load(x + i));
        for (int half = kWide / 2; half > 0; half /= 2)
            for (int k = 0; k < half; ++k) sums[k] = Op::merge(sums[k], sums[k + half]);
        merge_widened<Op>(sums[0], acc);
    }
    return i;
}

// `rows` rows of n floats, `step` apart, combined column by column: four at a time, and at most 32
// in float32. acc is readable and writable up to the next whole vector.
template <class Op>
void reduce_narrow_columns(const float* x, int64_t rows, int64_t step, int64_t n, double* acc,
                           float* partial) {
    constexpr int L = kLanes<float>;
    constexpr int64_t kRows = 32;
    Mask<float> lane{};
    for (int i = 0; i < L; ++i) lane[i] = i;
    const auto load_some = [](const float* from, int m) {
        return m == L ? load(from) : load(from, m);
    };
    for (int64_t first = 0; first < rows; first += kRows) {
        const int64_t last = std::min(rows, first + kRows);
        for (int64_t r = first; r < last;) {
            const float* from = x + r * step;
            const bool four = r + 4 <= last, fresh = r == first;
            const auto unit = [&](int64_t j, int m) {
                Vec<float> v = load_some(from + j, m);
                if (four)
                    v = Op::merge(Op::merge(v, load_some(from + step + j, m)),
                                  Op::merge(load_some(from + 2 * step + j, m),
                                            load_some(from + 3 * step + j, m)));
                store(partial + j, fresh ? v : Op::merge(load(partial + j), v));
            };
            int64_t j = 0;
            for (; j + L <= n; j += L) unit(j, L);
            if (j < n) unit(j, static_cast<int>(n - j));
            r += four ? 4 : 1;
        }
        for (int64_t j = 0; j < n; j += L) {
            Vec<double> wide[2] = {load(acc + j), load(acc + j + kLanes<double>)};
            Vec<float> v = load(partial + j);  // the lanes behind the last column are another's
            v = select(lane < Mask<float>{} + static_cast<int>(std::min<int64_t>(n - j, L)), v,
                       splat(Op::template start<float>()));
            merge_widened<Op>(v, wide);
            store(acc + j, wide[0]);
            store(acc + j + kLanes<double>, wide[1]);
        }
    }
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
    if constexpr (kNarrow<Op> && std::is_same_v<S, float>) i = reduce_narrow_row<Op>(x, n, acc);
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
    V lane{};
    for (int i = 0; i < kWidth; ++i) lane[i] = static_cast<A>(i);
    const auto unit = [&](int64_t j, int m) {
        V v[kEach];
        load_lanes<A>(x + j, m, v);
        for (int u = 0; u < kEach; ++u) {
            A* to = acc + j + u * kWidth;
            V next = Op::step(load_whole(to), v[u], load_whole(shift + j + u * kWidth), at);
            if (m < kUnit)  // the accumulators behind the last column are another row's
                next = lane < static_cast<A>(m - u * kWidth) ? next : load_whole(to);
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
