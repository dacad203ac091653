// Sum and activation in one pass: the end of a residual block.
//
// Computes   out = activation(a + b)
// Arrays     any strides: arrays that step alike and have no gaps are walked as vectors, whatever
//            the order of their axes; otherwise a, b or out goes through a dense copy
// Threads    ranges of elements
// Traffic    a and b read once, out written once: two thirds of an addition and an activation
// Numerics   halves in float32; the sum is not rounded before the activation
// Refuses    nothing
// Source     He et al. 2015, arXiv:1512.03385, section 3.2
#include "primitives/add_activation.h"

#include "cpu/epilogue.h"
#include "cpu/memory_order.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {
namespace {

template <bool Relu, class T, class Out>
void add(const T* a, const T* b, Out* out, int64_t count) {
    using A = Accumulation<T>;
    constexpr int lanes = kLanes<A>;
    const auto finish = [&](Vec<A> v) {
        if constexpr (Relu) return max(zero<A>(), v);
        return v;
    };
    int64_t i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes) {
        Vec<A> v[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k)
            v[k] = finish(load(a + i + k * lanes) + load(b + i + k * lanes));
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) store(out + i + k * lanes, v[k]);
    }
    for (; i < count; i += lanes) {
        const int n = static_cast<int>(std::min<int64_t>(lanes, count - i));
        store(out + i, finish(load(a + i, n) + load(b + i, n)), n);
    }
}

template <class T>
void add_range(const T* a, const T* b, T* out, int64_t count, Activation activation) {
    using A = Accumulation<T>;
    if (activation == Activation::none) return add<false>(a, b, out, count);
    if (activation == Activation::relu) return add<true>(a, b, out, count);
    constexpr int64_t some = 1024;
    alignas(64) A sums[some];
    for (int64_t at = 0; at < count; at += some) {
        const int64_t length = std::min(some, count - at);
        add<false>(a + at, b + at, sums, length);
        activate(sums, length, activation);
        for (int64_t i = 0; i < length; i += kLanes<A>) {
            const int n = static_cast<int>(std::min<int64_t>(kLanes<A>, length - i));
            n == kLanes<A> ? store(out + at + i, load(sums + i))
                           : store(out + at + i, load(sums + i), n);
        }
    }
}

}  // namespace

void add_activation(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                    Activation activation) {
    const int64_t count = out.numel();
    if (count == 0) return;
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        const ArrayView walk = without_gaps({&out, &a, &b});
        const OrderedInput<T> from(a, walk), other(b, walk);
        const OrderedOutput<T> to(out, walk);
        const bool cheap = activation == Activation::none || activation == Activation::relu;
        const double cost = 0.06 * sizeof(T) + (cheap ? 0 : 0.5);
        const int64_t parts = std::clamp<int64_t>(count / 8192, 1, 4 * num_threads());
        parallel_ranges((count + 63) / 64, parts, 64 * cost, [&](int64_t begin, int64_t end) {
            begin *= 64;
            end = std::min(count, end * 64);
            add_range(from.data() + begin, other.data() + begin, to.data() + begin, end - begin,
                      activation);
        });
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
