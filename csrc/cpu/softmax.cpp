// Softmax and log-softmax along one axis, and their gradients.
//
// Computes   fprop and dgrad of cpu/softmax.h
// Arrays     any strides: walked in the memory order of the first array, where it has no gaps; the
//            others are copied into that order where theirs differs
// Threads    ranges of rows, or of vectors of columns
// Tiling     a row where the axis is innermost, else some vectors of columns, copied into L1
// Traffic    every operand comes from memory once; a row is read again from L1 for each of its
//            three passes: maximum, sum, store
// Numerics   halves in float32, rounded once; sums in accumulation dtype, carried into float64
//            every 256 vectors. NaN, an infinite maximum and nothing but -inf give NaN
// Refuses    nothing
// Source     Blanchard, Higham, Higham 2021, "Accurately computing the log-sum-exp and softmax
//            functions", IMA J. Numer. Anal. 41
#include "primitives/softmax.h"

#include <cmath>

#include "cpu/softmax_rows.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr double kCostOfExp = 1;  // nanoseconds for an element, about

// How many columns are brought side by side into a workspace that stays in L1: along an axis with a
// large step every element is in another page, and all of them in one set of a cache.
template <class A>
int64_t width_of(const Cut& cut) {
    constexpr int64_t kElements = 16 * 1024 / sizeof(A), lanes = kLanes<A>;
    const int64_t fitting = kElements / std::max<int64_t>(cut.size, 1) / lanes * lanes;
    const int64_t there = (cut.inner + lanes - 1) / lanes * lanes;
    return std::max(lanes, std::min({fitting, there, 16 * lanes}));
}

template <class T>
void fprop(const T* x, T* y, const Cut& cut, bool log) {
    using A = Accumulation<T>;
    const bool past_caches = streams(y, cut.outer * cut.size, cut.inner);
    const auto row = [&](int64_t o) {
        const T* from = x + o * cut.size;
        T* to = y + o * cut.size;
        const auto most = broadcast<A>(row_max(from, cut.size));
        LongSum<A> sum;
        // float and double keep the exponentials in y; halves have no room there
        constexpr bool kept = std::is_same_v<T, A>;
        row_vectors<A>(cut.size, [&](int64_t i, int n) {
            const Vec<A> e = exp(load_or_least(from + i, n) - most);
            sum.add(e);
            if constexpr (kept)
                if (!log) store_some(to + i, e, n);
        });
        const double total = sum.total();
        const auto divisor = broadcast<A>(static_cast<A>(total));
        const auto shift = broadcast<A>(log ? static_cast<A>(std::log(total)) : A{0});
        row_vectors<A>(cut.size, [&](int64_t i, int n) {
            if (log)
                store_some(to + i, load_some(from + i, n) - most - shift, n);
            else if constexpr (kept)
                store_some(to + i, load_some(to + i, n) / divisor, n);
            else
                store_some(to + i, exp(load_some(from + i, n) - most) / divisor, n);
        });
    };
    const auto columns = [&](int64_t o, int64_t j, int n) {
        const int64_t step = cut.inner, width = width_of<A>(cut);
        const T* from = x + o * cut.size * step + j;
        T* to = y + o * cut.size * step + j;
        const Buffer<A> held(cut.size * width + 2 * width);
        A *most = held.data() + cut.size * width, *divisor = most + width;
        std::fill_n(most, width, -std::numeric_limits<A>::infinity());
        for (int64_t i = 0; i < cut.size; ++i)
            row_vectors<A>(n, [&](int64_t k, int m) {
                const Vec<A> v = load_some(from + i * step + k, m);
                store(held.data() + i * width + k, v);
                store(most + k, max(v, load(most + k)));
            });
        for (int64_t k = 0; k < n; k += kLanes<A>) {
            LongLaneSum<A> sum;
            const Vec<A> top = load(most + k);
            for (int64_t i = 0; i < cut.size; ++i) {
                A* at = held.data() + i * width + k;
                const Vec<A> below = load(at) - top, e = exp(below);
                sum.add(e);
                store(at, log ? below : e);
            }
            store(divisor + k, log ? pycnn::PYCNN_ISA::log(sum.total()) : sum.total());
        }
        for (int64_t i = 0; i < cut.size; ++i)
            row_vectors<A>(n, [&](int64_t k, int m) {
                const Vec<A> v = load(held.data() + i * width + k), d = load(divisor + k);
                const Vec<A> result = log ? v - d : v / d;
                past_caches ? put<true>(to + i * step + k, result, m)
                            : store_some(to + i * step + k, result, m);
            });
    };
    along<A>(cut, 2 * kCostOfExp, row, columns, width_of<A>(cut));
}

template <class T>
void dgrad(const T* dy, const T* y, T* dx, const Cut& cut, bool log) {
    using A = Accumulation<T>;
    const bool past_caches = streams(dx, cut.outer * cut.size, cut.inner);
    const auto term = [&](Vec<A> g, Vec<A> v) { return log ? g : g * v; };
    const auto gradient = [&](Vec<A> g, Vec<A> v, Vec<A> sum) {
        return log ? g - exp(v) * sum : v * (g - sum);
    };
    const auto row = [&](int64_t o) {
        const int64_t first = o * cut.size;
        LongSum<A> sum;
        row_vectors<A>(cut.size, [&](int64_t i, int n) {
            sum.add(term(load_some(dy + first + i, n), load_some(y + first + i, n)));
        });
        const auto total = broadcast<A>(static_cast<A>(sum.total()));
        row_vectors<A>(cut.size, [&](int64_t i, int n) {
            const Vec<A> g = load_some(dy + first + i, n), v = load_some(y + first + i, n);
            store_some(dx + first + i, gradient(g, v, total), n);
        });
    };
    const auto columns = [&](int64_t o, int64_t j, int n) {
        const int64_t first = o * cut.size * cut.inner + j, width = width_of<A>(cut);
        const Buffer<A> held(2 * cut.size * width + width);
        A *gradients = held.data(), *values = gradients + cut.size * width,
          *totals = values + cut.size * width;
        for (int64_t i = 0; i < cut.size; ++i)
            row_vectors<A>(n, [&](int64_t k, int m) {
                const int64_t at = first + i * cut.inner + k;
                store(gradients + i * width + k, load_some(dy + at, m));
                store(values + i * width + k, load_some(y + at, m));
            });
        for (int64_t k = 0; k < n; k += kLanes<A>) {
            LongLaneSum<A> sum;
            for (int64_t i = 0; i < cut.size; ++i)
                sum.add(term(load(gradients + i * width + k), load(values + i * width + k)));
            store(totals + k, sum.total());
        }
        for (int64_t i = 0; i < cut.size; ++i)
            row_vectors<A>(n, [&](int64_t k, int m) {
                const Vec<A> g = load(gradients + i * width + k), v = load(values + i * width + k);
                const Vec<A> result = gradient(g, v, load(totals + k));
                T* to = dx + first + i * cut.inner + k;
                past_caches ? put<true>(to, result, m) : store_some(to, result, m);
            });
    };
    along<A>(cut, log ? kCostOfExp : 0.1, row, columns, width_of<A>(cut));
}

}  // namespace

void softmax_fprop(const ArrayView& x, const ArrayView& y, int axis, bool log) {
    if (x.numel() == 0) return;
    const ArrayView walk = without_gaps({&x, &y});
    with_common_dtype({&x, &y}, [&](auto t) {
        using T = decltype(t);
        const OrderedInput<T> from(x, walk);
        const OrderedOutput<T> to(y, walk);
        fprop(from.data(), to.data(), cut_at(walk, axis), log);
        to.finish();
    });
}

void softmax_dgrad(const ArrayView& dy, const ArrayView& y, const ArrayView& dx, int axis,
                   bool log) {
    if (y.numel() == 0) return;
    const ArrayView walk = without_gaps({&y, &dy, &dx});
    with_common_dtype({&dy, &y, &dx}, [&](auto t) {
        using T = decltype(t);
        const OrderedInput<T> gradient(dy, walk), value(y, walk);
        const OrderedOutput<T> to(dx, walk);
        dgrad(gradient.data(), value.data(), to.data(), cut_at(walk, axis), log);
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
