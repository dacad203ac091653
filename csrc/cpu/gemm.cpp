// The primitive gemm: arrays of any strides and dtype handed to the blocked product.
//
// Computes   out[b,m,n] = epilogue(sum_k a[b,m,k] * b[b,k,n])
// Arrays     as cpu/gemm.h says. Transposed views are read as they lie; halves are widened into
//            dense copies; an out whose rows are dense instead of its columns is computed as
//            out^T = b^T a^T, any other through a dense copy
// Threads    cpu/gemm_core.cpp; products side by side where there are enough. naive: a task per row
// Tiling     cpu/gemm_core.cpp
// Traffic    cpu/gemm_core.cpp; naive reads two elements for 2 FLOP
// Numerics   sums in float32 for the halves; naive: one accumulator per element, k in order
// Refuses    nothing
// Source     reference BLAS level 3: Dongarra et al. 1990, doi:10.1145/77626.79170
#include "cpu/gemm.h"

#include "cpu/gemm_core.h"

namespace pycnn::PYCNN_ISA {
namespace {

bool same_strides(const ArrayView& a, const ArrayView& b) {
    for (int i = 0; i < a.ndim; ++i)
        if (a.shape[i] > 1 && a.strides[i] != b.strides[i]) return false;
    return true;
}

// Whether the product can be stored to `out` as it lies, its axis `columns` adjacent.
template <class T>
bool stores_in_place(const ArrayView& out, const EpilogueView& epilogue, int columns) {
    return out.dtype == DTypeOf<T>::value &&
           (out.strides[columns] == 1 || out.shape[columns] == 1) &&
           (!epilogue.residual || same_strides(*epilogue.residual, out));
}

// The elements of an operand as T where they lie, or widened.
template <class T>
class Operand {
  public:
    explicit Operand(const ArrayView& a) : view_(a) {
        if (a.dtype == DTypeOf<T>::value) return;
        dense_ = Buffer<T>(a.numel());
        view_ = dense_view(dense_.data(), DTypeOf<T>::value, a, Layout::contiguous);
        copy(a, view_);
    }
    const T* data(int64_t batch) const {
        return static_cast<const T*>(view_.data) + batch * view_.strides[0];
    }
    Axis axis(int i) const { return Axis::even(view_.shape[i] == 1 ? 1 : view_.strides[i]); }

  private:
    ArrayView view_;
    Buffer<T> dense_;
};

// `out` has columns or, with `turned`, rows that are adjacent; `residual` lies as it does.
template <class T>
void run(const ArrayView& a, const ArrayView& b, const ArrayView& out, bool turned,
         const Epilogue<T>& epilogue) {
    const Operand<T> left(a), right(b);
    multiply_each(out.shape[0], [&](int64_t i) {
        Gemm<T> g{};
        g.M = out.shape[1], g.N = out.shape[2], g.K = a.shape[2];
        g.a = left.data(i), g.a_m = left.axis(1), g.a_k = left.axis(2);
        g.b = right.data(i), g.b_k = right.axis(1), g.b_n = right.axis(2);
        g.c = static_cast<T*>(out.data) + i * out.strides[0];
        g.epilogue = epilogue;
        if (epilogue.residual) g.epilogue.residual = epilogue.residual + i * out.strides[0];
        if (turned) {
            std::swap(g.M, g.N);
            std::swap(g.a, g.b);
            std::swap(g.a_m, g.b_n);
            std::swap(g.a_k, g.b_k);
            g.per_row = true;
        }
        g.c_m = Axis::even(out.strides[turned ? 2 : 1]);
        return g;
    });
}

template <class T>
T* at(const ArrayView& a, int64_t i, int64_t j, int64_t k) {
    return static_cast<T*>(a.data) + i * a.strides[0] + j * a.strides[1] + k * a.strides[2];
}

template <class T>
void naive(const ArrayView& a, const ArrayView& b, const ArrayView& out, const EpilogueView& e) {
    using A = Accumulation<T>;
    const int64_t M = out.shape[1], N = out.shape[2], K = a.shape[2];
    const auto value = [](const ArrayView& vector, int64_t n) {
        return static_cast<A>(static_cast<const T*>(vector.data)[n * vector.strides[0]]);
    };
    parallel_for(out.shape[0] * M, static_cast<double>(N * (K + 1)), [&](int64_t row) {
        const int64_t i = row / M, m = row % M;
        for (int64_t n = 0; n < N; ++n) {
            A sum = 0;
            for (int64_t k = 0; k < K; ++k)
                sum += static_cast<A>(*at<T>(a, i, m, k)) * static_cast<A>(*at<T>(b, i, k, n));
            if (e.bias) sum += value(*e.bias, n);
            if (e.scale) sum *= value(*e.scale, n);
            if (e.shift) sum += value(*e.shift, n);
            if (e.residual) sum += static_cast<A>(*at<T>(*e.residual, i, m, n));
            activate(&sum, 1, e.activation);
            *at<T>(out, i, m, n) = static_cast<T>(sum);
        }
    });
}

}  // namespace

void gemm_tiled(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                const EpilogueView& epilogue) {
    with_accumulation(out.dtype, [&](auto t) {
        using T = decltype(t);
        for (const int columns : {2, 1}) {
            if (!stores_in_place<T>(out, epilogue, columns)) continue;
            EpilogueView vectors = epilogue;
            vectors.residual.reset();
            DenseEpilogue<T> e(vectors, Layout::contiguous);
            if (epilogue.residual)
                e.epilogue.residual = static_cast<const T*>(epilogue.residual->data);
            return run<T>(a, b, out, columns == 1, e.epilogue);
        }
        const DenseOutput<T> dense(out, Layout::contiguous);
        const DenseEpilogue<T> e(epilogue, Layout::contiguous);
        run<T>(a, b, dense_view(dense.data(), DTypeOf<T>::value, out, Layout::contiguous), false,
               e.epilogue);
        dense.finish();
    });
}

void gemm_naive(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                const EpilogueView& epilogue) {
    with_float_dtype(out.dtype, [&](auto t) { naive<decltype(t)>(a, b, out, epilogue); });
}

const std::vector<GemmAlgorithm>& gemm_algorithms() {
    static const std::vector<GemmAlgorithm> algorithms = {
        {"tiled", gemm_tiled},
        {"naive", gemm_naive},
    };
    return algorithms;
}

}  // namespace pycnn::PYCNN_ISA
