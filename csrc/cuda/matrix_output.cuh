// What the product engines do with a tile of sums: the epilogue, and a store of whole vectors.
#pragma once

#include <cstdint>

#include "cuda/epilogue.cuh"
#include "cuda/matrix_axes.cuh"

namespace pycnn::cuda {

// activate() on a vector: one decision for all of it.
template <class A, int N>
__device__ __forceinline__ void activate_all(Activation activation, A (&x)[N]) {
    const auto each = [&](auto f) {
#pragma unroll
        for (int i = 0; i < N; ++i) x[i] = f(x[i]);
    };
    switch (activation) {
        case Activation::none: return;
        case Activation::relu: return each([](A v) { return v < 0 ? A(0) : v; });
        default:
#pragma unroll 1
            for (int i = 0; i < N; ++i) {
                // the elements take turns in x[0], so that the code is there once and no index is
                // known only when it runs
                const A first = activate(activation, x[0]);
#pragma unroll
                for (int j = 0; j + 1 < N; ++j) x[j] = x[j + 1];
                x[N - 1] = first;
            }
    }
}

// The matrices a product writes, rows and columns at axes of their own, and its epilogue. The
// channel of column j of batch b is b * batch_channels + j % channels.
template <class T, class Rows, class Cols>
struct Output {
    static constexpr bool kImage = Rows::kImage && Cols::kImage;
    using A = Accumulation<T>;

    T* data;
    int64_t batch_step, residual_batch_step;
    Rows rows, residual_rows;
    Cols cols, residual_cols;
    int height, width;  // of the image
    Epilogue<T> epilogue;
    int64_t batch_channels, channels;
    bool vectors;     // kWidth<T> columns are one access, of data and of the residual
    bool along_rows;  // neighbours in memory are rows
    A* partials;      // not null: sums go here, (splits, batches, rows, columns), as they are
    int64_t row_count, col_count;

    struct Row {
        int64_t at, residual_at;
        int h, w;
        bool inside;
    };
    // kWidth<T> columns.
    struct Columns {
        static constexpr int kCount = kWidth<T>;
        int64_t first, at, residual_at;
        int h, w;
        bool inside;  // the first of them
        A bias[kCount], scale[kCount], shift[kCount];
    };

    __device__ __forceinline__ Row row(int64_t index, int64_t batch) const {
        Row r{};
        const auto c = rows.cursor(index);
        r.inside = index < row_count;
        r.at = c.at + batch * batch_step;
        if constexpr (kImage) r.h = c.h, r.w = c.w;
        if (epilogue.residual != nullptr)
            r.residual_at = residual_rows.cursor(index).at + batch * residual_batch_step;
        return r;
    }

    __device__ __forceinline__ Columns columns(int64_t first, int64_t batch) const {
        Columns c{};
        c.first = first;
        c.inside = first < col_count;
        if (!c.inside || partials != nullptr) return c;
        const auto place = cols.cursor(first);
        c.at = place.at;
        if constexpr (kImage) c.h = place.h, c.w = place.w;
        if (epilogue.residual != nullptr) c.residual_at = residual_cols.cursor(first).at;
        const int64_t channel = batch * batch_channels;
#pragma unroll
        for (int j = 0; j < Columns::kCount; ++j) {
            if (first + j >= col_count) break;
            int64_t k = first + j;
            if constexpr (kImage) k %= channels;
            k += channel;
            if (epilogue.bias != nullptr)
                c.bias[j] = convert<A>(epilogue.bias[k * epilogue.bias_step]);
            if (epilogue.scale != nullptr)
                c.scale[j] = convert<A>(epilogue.scale[k * epilogue.scale_step]);
            if (epilogue.shift != nullptr)
                c.shift[j] = convert<A>(epilogue.shift[k * epilogue.shift_step]);
        }
        return c;
    }

    // Ends and stores the sums of one row and kWidth<T> columns.
    __device__ __forceinline__ void store(const Row& r, const Columns& c,
                                          A (&sums)[Columns::kCount]) const {
        constexpr int N = Columns::kCount;
        if (!r.inside || !c.inside) return;
        const auto element = [&](int j, int64_t& at, int64_t& residual_at) {
            at = r.at, residual_at = r.residual_at;
            if constexpr (Cols::kEven) {
                at += c.at + j * cols.step;
                residual_at += c.residual_at + j * residual_cols.step;
                return c.first + j < col_count;
            } else {
                const auto place = cols.cursor(c.first + j);
                at += place.at;
                if (epilogue.residual != nullptr)
                    residual_at += residual_cols.cursor(c.first + j).at;
                if constexpr (kImage)
                    if (!meet(r, place.h, place.w)) return false;
                return c.first + j < col_count;
            }
        };
        if constexpr (kImage) {
            if (vectors && !meet(r, c.h, c.w)) return;
        }
        if (epilogue.bias != nullptr) {
#pragma unroll
            for (int j = 0; j < N; ++j) sums[j] += c.bias[j];
        }
        if (epilogue.scale != nullptr) {
#pragma unroll
            for (int j = 0; j < N; ++j) sums[j] *= c.scale[j];
        }
        if (epilogue.shift != nullptr) {
#pragma unroll
            for (int j = 0; j < N; ++j) sums[j] += c.shift[j];
        }
        if (epilogue.residual != nullptr) {
            if (vectors) {
                const auto residual =
                    load_vector<T, N>(epilogue.residual + r.residual_at + c.residual_at);
#pragma unroll
                for (int j = 0; j < N; ++j) sums[j] += convert<A>(residual.v[j]);
            } else {
#pragma unroll
                for (int j = 0; j < N; ++j) {
                    int64_t at, residual_at;
                    if (element(j, at, residual_at))
                        sums[j] += convert<A>(epilogue.residual[residual_at]);
                }
            }
        }
        activate_all(epilogue.activation, sums);
        if (vectors) {
            Vector<T, N> out;
#pragma unroll
            for (int j = 0; j < N; ++j) out.v[j] = convert<T>(sums[j]);
            store_vector(data + r.at + c.at, out);
        } else {
#pragma unroll
            for (int j = 0; j < N; ++j) {
                int64_t at, residual_at;
                if (element(j, at, residual_at)) data[at] = convert<T>(sums[j]);
            }
        }
    }

    // The sums of one row and kWidth<T> columns of a part of the depth, kept as they are.
    __device__ __forceinline__ void keep(int64_t index, const Row& r, const Columns& c,
                                         int64_t matrix, const A (&sums)[Columns::kCount]) const {
        if (!r.inside || !c.inside) return;
        A* to = partials + (matrix * row_count + index) * col_count + c.first;
#pragma unroll
        for (int j = 0; j < Columns::kCount; ++j)
            if (c.first + j < col_count) to[j] = sums[j];
    }

    __device__ __forceinline__ bool meet(const Row& r, int h, int w) const {
        return static_cast<unsigned>(r.h + h) < static_cast<unsigned>(height) &&
               static_cast<unsigned>(r.w + w) < static_cast<unsigned>(width);
    }

    // Decides `vectors` and `along_rows`; for launchers.
    void settle() {
        constexpr int N = kWidth<T>;
        const auto fits = [](const void* p, int64_t batches, const Rows& down, const Cols& across) {
            return reinterpret_cast<uintptr_t>(p) % 16 == 0 && batches % N == 0 &&
                   across.holds_vectors(N) && down.steps_by(N);
        };
        vectors = fits(data, batch_step, rows, cols) &&
                  (epilogue.residual == nullptr ||
                   fits(epilogue.residual, residual_batch_step, residual_rows, residual_cols));
        along_rows = rows.nearest() < cols.nearest();
    }
};

}  // namespace pycnn::cuda
