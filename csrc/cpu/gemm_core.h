// Matrix products for other kernels: raw pointers, and axes as cpu/matrix.h has them.
//
// What calls this: gemm itself, convolutions of 1x1 filters, and im2col.
#pragma once

#include "cpu/epilogue.h"
#include "cpu/matrix.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {

// c[m,n] = epilogue(sum_k a[m,k] * b[k,n]), or c[m,n] += ... with `add`.
//
// The columns of c are adjacent, in runs of whole register tiles where c_n says so. The epilogue's
// vectors run along the columns, or with `per_row` along the rows; its residual lies as c does. c
// overlaps nothing else.
template <class T>
struct Gemm {
    int64_t M, N, K;
    const T* a;
    Axis a_m, a_k;
    const T* b;
    Axis b_k, b_n;
    T* c;
    Axis c_m, c_n = Axis::even(1);
    bool add = false;
    bool per_row = false;
    Epilogue<T> epilogue{};
};

// Runs a product, on the threads there are. Exists for float and double.
template <class T>
void multiply(const Gemm<T>& g);

extern template void multiply(const Gemm<float>&);
extern template void multiply(const Gemm<double>&);

// What one multiplication and addition takes, in nanoseconds or so.
template <class T>
constexpr double kTermCost = 0.15 / kLanes<T>;

// Runs `count` products of one size, of which product(i) gives the i-th: side by side where there
// are enough to keep every thread busy.
template <class F>
void multiply_each(int64_t count, F&& product) {
    if (count <= 0) return;
    if (count < 4 * num_threads() && count % num_threads() != 0) {
        for (int64_t i = 0; i < count; ++i) multiply(product(i));
        return;
    }
    const auto g = product(int64_t{0});
    using T = std::remove_reference_t<decltype(*g.c)>;
    const double terms = static_cast<double>(g.M) * static_cast<double>(g.N) *
                         static_cast<double>(std::max<int64_t>(g.K, 1));
    parallel_for(count, terms * kTermCost<T>, [&](int64_t i) { multiply(product(i)); });
}

}  // namespace pycnn::PYCNN_ISA
