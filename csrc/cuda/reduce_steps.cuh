// What a reduction does to one element, to two accumulators, and to the last of them.
//
// V is what an element is read as: float, double or int64_t. A step has
//
//   Acc                       what is accumulated: double, or 64-bit integers, which wrap
//   start()                   the accumulator of nothing
//   add(acc, x, place, with)  one element more; `place` is its row-major index over the reduced
//                             axes, used where kIndexed
//   merge(a, b)               two accumulators, in any order
//   finish(acc, with)         what is stored
//
// `with` is what the call brings: a number (the divisor of a mean, the power of a norm), what an
// earlier pass found for this output (a mean, a maximum), and which of two finishes is wanted.
#pragma once

#include <math.h>

#include <limits>

#include "cuda/numbers.cuh"

namespace pycnn::cuda {

enum class Finish : uint8_t { plain, quotient, root, finite, any, all };

struct With {
    double number, center;
    Finish finish;
};

template <class V>
constexpr bool kWhole = std::is_same_v<V, int64_t>;
template <class V>
using Total = std::conditional_t<kWhole<V>, int64_t, double>;

template <class V>
struct Sum {
    using Acc = Total<V>;
    static constexpr bool kIndexed = false, kWide = true;
    __device__ static Acc start() { return 0; }
    __device__ static Acc add(Acc acc, V x, int64_t, const With&) {
        return merge(acc, static_cast<Acc>(x));
    }
    __device__ static Acc merge(Acc a, Acc b) {
        if constexpr (kWhole<V>)
            return static_cast<Acc>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
        else
            return a + b;
    }
    __device__ static Acc finish(Acc acc, const With& with) {
        if constexpr (!kWhole<V>)
            if (with.finish == Finish::quotient) return acc / with.number;
        return acc;
    }
};

template <class V>
struct Product : Sum<V> {
    using typename Sum<V>::Acc;
    static constexpr bool kWide = false;
    __device__ static Acc start() { return 1; }
    __device__ static Acc add(Acc acc, V x, int64_t, const With&) {
        return merge(acc, static_cast<Acc>(x));
    }
    __device__ static Acc merge(Acc a, Acc b) {
        if constexpr (kWhole<V>)
            return static_cast<Acc>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
        else
            return a * b;
    }
    __device__ static Acc finish(Acc acc, const With&) { return acc; }
};

// Which of two is further on: the largest or the smallest; NaN is further than any number.
template <bool Largest, class V>
__device__ __forceinline__ bool beats(V b, V a) {
    return (Largest ? b > a : b < a) || (b != b && a == a);
}
template <bool Largest, class V>
__device__ __forceinline__ V last_of_all() {
    using Limits = std::numeric_limits<V>;
    if constexpr (kWhole<V>)
        return Largest ? Limits::min() : Limits::max();
    else
        return Largest ? -Limits::infinity() : Limits::infinity();
}

template <bool Largest>
struct Extreme {
    template <class V>
    struct Of {
        using Acc = V;
        static constexpr bool kIndexed = false, kWide = true;
        __device__ static Acc start() { return last_of_all<Largest, V>(); }
        __device__ static Acc add(Acc acc, V x, int64_t, const With&) { return merge(acc, x); }
        __device__ static Acc merge(Acc a, Acc b) { return beats<Largest>(b, a) ? b : a; }
        __device__ static Acc finish(Acc acc, const With& with) {
            if constexpr (!kWhole<V>)  // a number that others may be taken relative to
                if (with.finish == Finish::finite)
                    return fabs(acc) < std::numeric_limits<V>::infinity() ? acc : V{0};
            return acc;
        }
    };
};

// The place of the extreme: the first of equals, NaN being equal to NaN.
template <class V>
struct Found {
    V value;
    int64_t place;
};
template <bool Largest>
struct Place {
    template <class V>
    struct Of {
        using Acc = Found<V>;
        static constexpr bool kIndexed = true, kWide = true;
        __device__ static Acc start() {
            return {last_of_all<Largest, V>(), std::numeric_limits<int64_t>::max()};
        }
        __device__ static Acc add(const Acc& acc, V x, int64_t place, const With&) {
            return merge(acc, {x, place});
        }
        __device__ static Acc merge(const Acc& a, const Acc& b) {
            const bool better = beats<Largest>(b.value, a.value);
            const bool equal = !better && !beats<Largest>(a.value, b.value);
            return better || (equal && b.place < a.place) ? b : a;
        }
        __device__ static int64_t finish(const Acc& acc, const With&) { return acc.place; }
    };
};

template <class V>
struct Nonzeros {
    using Acc = int64_t;
    static constexpr bool kIndexed = false, kWide = true;
    __device__ static Acc start() { return 0; }
    __device__ static Acc add(Acc acc, V x, int64_t, const With&) { return acc + (x != 0); }
    __device__ static Acc merge(Acc a, Acc b) { return a + b; }
    __device__ static Acc finish(Acc acc, const With& with) {
        if (with.finish == Finish::any) return acc > 0;
        if (with.finish == Finish::all) return acc == static_cast<Acc>(with.number);
        return acc;
    }
};

template <class V>
struct Deviations : Sum<double> {
    __device__ static Acc add(Acc acc, V x, int64_t, const With& with) {
        const double d = static_cast<double>(x) - with.center;
        return acc + d * d;
    }
    __device__ static Acc finish(Acc acc, const With& with) {
        const double variance = acc / with.number;
        return with.finish == Finish::root ? sqrt(variance) : variance;
    }
};

template <class V>
struct SumOfExponentials : Sum<double> {
    __device__ static Acc add(Acc acc, V x, int64_t, const With& with) {
        return acc + static_cast<double>(exp(x - static_cast<V>(with.center)));
    }
    __device__ static Acc finish(Acc acc, const With& with) { return with.center + log(acc); }
};

template <class V>
struct Squares : Sum<double> {
    __device__ static Acc add(Acc acc, V x, int64_t, const With&) {
        const double wide = static_cast<double>(x);
        return acc + wide * wide;
    }
    __device__ static Acc finish(Acc acc, const With&) { return sqrt(acc); }
};

template <class V>
struct Sizes : Sum<double> {
    static constexpr bool kWide = false;
    __device__ static Acc add(Acc acc, V x, int64_t, const With&) {
        return acc + fabs(static_cast<double>(x));
    }
    __device__ static Acc finish(Acc acc, const With&) { return acc; }
};

template <class V>
struct PowersOf : Sum<double> {
    static constexpr bool kWide = false;
    __device__ static Acc add(Acc acc, V x, int64_t, const With& with) {
        return acc + pow(fabs(static_cast<double>(x)), with.number);
    }
    __device__ static Acc finish(Acc acc, const With& with) { return pow(acc, 1 / with.number); }
};

}  // namespace pycnn::cuda
