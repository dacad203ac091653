// Softmax and log-softmax along one axis, and their gradients.
//
// Computes   fprop and dgrad of cpu/softmax.h
// Arrays     any strides: walked in the memory order of the first array, where it has no gaps; the
//            others are copied into that order where theirs differs
// Threads    ranges of rows, or of vectors of columns
// Tiling     a row where the axis is innermost, else as many columns side by side as a vector holds
// Traffic    every operand comes from memory once; a row is read again from L1 for each of its
// three
//            passes: maximum, sum, store
// Numerics   halves in float32, rounded once; sums in accumulation dtype, carried into float64
// every
//            256 vectors. NaN, an infinite maximum and nothing but -inf give NaN
// Refuses    nothing
// Source     Blanchard, Higham, Higham 2021, "Accurately computing the log-sum-exp and softmax
//            functions", IMA J. Numer. Anal. 41
#include "cpu/softmax.h"

#include <cmath>

#include "cpu/softmax_rows.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr double kCostOfExp = 1;  // nanoseconds for an element, about

template <class T>
void fprop(const T* x, T* y, const Cut& cut, bool log) {
    using A = Accumulation<T>;
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
        const auto shift = broadcast<A>(static_cast<A>(std::log(total)));
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
        const int64_t step = cut.inner;
        const T* from = x + o * cut.size * step + j;
        T* to = y + o * cut.size * step + j;
        const Vec<A> most = column_max(from, cut.size, step, n);
        LongLaneSum<A> sum;
        for (int64_t i = 0; i < cut.size; ++i) sum.add(exp(load_some(from + i * step, n) - most));
        const Vec<A> total = sum.total(), shift = pycnn::PYCNN_ISA::log(total);
        for (int64_t i = 0; i < cut.size; ++i) {
            const Vec<A> below = load_some(from + i * step, n) - most;
            store_some(to + i * step, log ? below - shift : exp(below) / total, n);
        }
    };
    along<A>(cut, 2 * kCostOfExp, row, columns);
}

template <class T>
void dgrad(const T* dy, const T* y, T* dx, const Cut& cut, bool log) {
    using A = Accumulation<T>;
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
        const int64_t first = o * cut.size * cut.inner + j;
        LongLaneSum<A> sum;
        for (int64_t i = 0; i < cut.size; ++i) {
            const int64_t at = first + i * cut.inner;
            sum.add(term(load_some(dy + at, n), load_some(y + at, n)));
        }
        const Vec<A> total = sum.total();
        for (int64_t i = 0; i < cut.size; ++i) {
            const int64_t at = first + i * cut.inner;
            store_some(dx + at, gradient(load_some(dy + at, n), load_some(y + at, n), total), n);
        }
    };
    along<A>(cut, log ? kCostOfExp : 0.1, row, columns);
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
