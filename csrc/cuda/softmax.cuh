// Softmax and log-softmax along one axis, and their gradients.
//
// Computes   fprop  y_i = exp(x_i - m) / s, m = max_j x_j, s = sum_j exp(x_j - m); log: x_i - m -
//                   log(s)
//            dgrad  dx_i = y_i * (dy_i - sum_j dy_j y_j); log: dy_i - exp(y_i) * sum_j dy_j
// Arrays     x, y, dy, dx of one shape, any strides and float dtypes: 16 bytes at a time where
//            rows, or neighbouring rows, lie side by side in vectors; one by one otherwise, and
//            where dtypes differ. y may be x, dx may be dy or y
// Grid       x: rows; see softmax_rows.cuh. A warp takes a row of up to 4 vectors a thread, a block
//            of 256 threads a longer one
// Tiling     a row of up to 4 vectors a thread, 4,096 float32 in a block, stays in registers;
//            longer ones, and columns, are read once for their sums (every thread its own maximum
//            and sum) and again, from a cache, for their values
// Traffic    fprop: x read, y written; dgrad: y and dy read, dx written; 32x1000 logits in bf16: 64
//            KB each way, 1 exponential per 4 bytes: latency
// Numerics   f32 (f64); an all -inf row, +inf or NaN gives NaN, as x - m does; rounded once
// Refuses    nothing
// Source     Milakov and Gimelshein 2018, arXiv:1805.02867 (one pass for maximum and sum);
//            Blanchard, Higham, Higham 2021, IMA J. Numer. Anal. 41 (accuracy)
#pragma once

#include "cuda/softmax_rows.cuh"

namespace pycnn::cuda {

constexpr int kHeld = 4;           // vectors of a row that a thread keeps
constexpr int kGradientLoads = 2;  // of each of two arrays

template <class T>
struct SoftmaxFprop {
    Elements<T> y, x;
    bool log;
    Rows<2> rows;  // y, x

    // What is stored for a value of a row with this maximum, and 1 / sum or log(sum).
    template <class A>
    __device__ __forceinline__ A result(A value, A top, A last) const {
        return log ? value - top - last : exp(value - top) * last;
    }
    template <class A>
    __device__ __forceinline__ A last(A total) const {
        return log ? ::log(total) : A(1) / total;
    }
};

template <class T>
struct SoftmaxDgrad {
    Elements<T> dx, dy, y;
    bool log;
    Rows<3> rows;  // dx, dy, y

    template <class A>
    __device__ __forceinline__ A term(A dy, A y) const {
        return log ? dy : dy * y;
    }
    template <class A>
    __device__ __forceinline__ A result(A dy, A y, A sum) const {
        return log ? dy - exp(y) * sum : y * (dy - sum);
    }
};

// --- rows whose elements lie side by side --------------------------------------------------------

template <int Group>
__device__ __forceinline__ int64_t row_of_group() {
    return int64_t{blockIdx.x} * (blockDim.x / Group) + threadIdx.x / Group;
}

template <class T, int N, int Group, bool Held>
__global__ void __launch_bounds__(kRowThreads) softmax_rows_kernel(SoftmaxFprop<T> p) {
    using A = Accumulation<T>;
    __shared__ A room[Group / 32];
    const int64_t row = row_of_group<Group>();
    if (row >= p.rows.walk.count) return;  // all of a group
    int64_t at[2];
    locate(p.rows.walk, static_cast<uint32_t>(row), at);
    const int64_t first = int64_t{threadIdx.x % Group} * N;
    const int64_t left = p.rows.length - first;  // from the thread's first element on
    for (int64_t& begin : at) begin += first;
    if constexpr (Held) {
        Vector<T, N> x[kHeld];
        A values[kHeld][N];
#pragma unroll
        for (int i = 0; i < kHeld; ++i)
            if (const int64_t c = i * Group * N; c < left) x[i] = p.x.template load<N>(at[1] + c);
        A top = -std::numeric_limits<A>::infinity(), total = 0;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            const bool inside = i * Group * N < left;
#pragma unroll
            for (int j = 0; j < N; ++j) {
                values[i][j] = inside ? convert<A>(x[i].v[j]) : -std::numeric_limits<A>::infinity();
                top = larger(top, values[i][j]);
            }
        }
        top = fold_group<Group>(top, room, larger<A>);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i * Group * N >= left) continue;
#pragma unroll
            for (int j = 0; j < N; ++j) {
                values[i][j] -= top;
                const A power = exp(values[i][j]);
                total += power;
                if (!p.log) values[i][j] = power;
            }
        }
        total = fold_group<Group>(total, room, sum_of<A>);
        const A last = p.last(total);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            const int64_t c = i * Group * N;
            if (c >= left) continue;
#pragma unroll
            for (int j = 0; j < N; ++j)
                values[i][j] = p.log ? values[i][j] - last : values[i][j] * last;
            p.y.template store<N>(at[0] + c, values[i]);
        }
    } else {
        const auto all = row_exponentials<Group, N>(p.x, at[1], int64_t{0}, left, room);
        const A last = p.last(all.total);
        for (int64_t c = 0; c < left; c += Group * N) {
            const auto x = p.x.template load<N>(at[1] + c);
            A y[N];
#pragma unroll
            for (int j = 0; j < N; ++j) y[j] = p.result(convert<A>(x.v[j]), all.top, last);
            p.y.template store<N>(at[0] + c, y);
        }
    }
}

template <class T, int N, int Group, bool Held>
__global__ void __launch_bounds__(kRowThreads) softmax_rows_dgrad_kernel(SoftmaxDgrad<T> p) {
    using A = Accumulation<T>;
    __shared__ A room[Group / 32];
    const int64_t row = row_of_group<Group>();
    if (row >= p.rows.walk.count) return;  // all of a group
    int64_t at[3];
    locate(p.rows.walk, static_cast<uint32_t>(row), at);
    const int64_t first = int64_t{threadIdx.x % Group} * N;
    const int64_t left = p.rows.length - first;  // from the thread's first element on
    for (int64_t& begin : at) begin += first;
    const auto add = [&](const Vector<T, N>& dy, const Vector<T, N>& y, A& sum) {
#pragma unroll
        for (int j = 0; j < N; ++j) sum += p.term(convert<A>(dy.v[j]), convert<A>(y.v[j]));
    };
    const auto finish = [&](const Vector<T, N>& dy, const Vector<T, N>& y, A sum, int64_t c) {
        A dx[N];
#pragma unroll
        for (int j = 0; j < N; ++j) dx[j] = p.result(convert<A>(dy.v[j]), convert<A>(y.v[j]), sum);
        p.dx.template store<N>(at[0] + c, dx);
    };
    A sum = 0;
    if constexpr (Held) {
        Vector<T, N> dy[kHeld], y[kHeld];
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            const int64_t c = i * Group * N;
            if (c >= left) continue;
            dy[i] = p.dy.template load<N>(at[1] + c);
            y[i] = p.y.template load<N>(at[2] + c);
        }
#pragma unroll
        for (int i = 0; i < kHeld; ++i)
            if (i * Group * N < left) add(dy[i], y[i], sum);
        sum = fold_group<Group>(sum, room, sum_of<A>);
#pragma unroll
        for (int i = 0; i < kHeld; ++i)
            if (const int64_t c = i * Group * N; c < left) finish(dy[i], y[i], sum, c);
    } else {
        for_groups<kGradientLoads>(int64_t{0}, left, int64_t{Group} * N, [&](auto many, int64_t c) {
            constexpr int Many = decltype(many)::value;
            Vector<T, N> dy[Many], y[Many];
#pragma unroll
            for (int i = 0; i < Many; ++i) {
                dy[i] = p.dy.template load<N>(at[1] + c + i * Group * N);
                y[i] = p.y.template load<N>(at[2] + c + i * Group * N);
            }
#pragma unroll
            for (int i = 0; i < Many; ++i) add(dy[i], y[i], sum);
        });
        sum = fold_group<Group>(sum, room, sum_of<A>);
        for (int64_t c = 0; c < left; c += Group * N)
            finish(p.dy.template load<N>(at[1] + c), p.y.template load<N>(at[2] + c), sum, c);
    }
}

// --- rows side by side ---------------------------------------------------------------------------

template <class T, int N, class Index>
__global__ void __launch_bounds__(kRowThreads) softmax_columns_kernel(SoftmaxFprop<T> p) {
    using A = Accumulation<T>;
    __shared__ A tops[N][kRowThreads], totals[N][kRowThreads];
    const auto own = column_of<Index>(p.rows);
    int64_t at[2]{};
    Exponentials<A> sums[N];
    if (own.inside) locate(p.rows.walk, own.rows, at);
    column_exponentials(p.x, at[1], p.rows.steps[1], p.rows, own, tops, totals, sums);
    if (!own.inside) return;
#pragma unroll
    for (int j = 0; j < N; ++j) sums[j].total = p.last(sums[j].total);
    for (int64_t c = own.row; c < p.rows.length; c += p.rows.down) {
        const auto x = p.x.template load<N>(at[1] + c * p.rows.steps[1]);
        A y[N];
#pragma unroll
        for (int j = 0; j < N; ++j) y[j] = p.result(convert<A>(x.v[j]), sums[j].top, sums[j].total);
        p.y.template store<N>(at[0] + c * p.rows.steps[0], y);
    }
}

template <class T, int N, class Index>
__global__ void __launch_bounds__(kRowThreads) softmax_columns_dgrad_kernel(SoftmaxDgrad<T> p) {
    using A = Accumulation<T>;
    using V = Vector<typename Elements<T>::Stored, N>;
    __shared__ A sums[N][kRowThreads];
    const auto own = column_of<Index>(p.rows);
    int64_t at[3]{};
    A sum[N]{};
    if (own.inside) {
        locate(p.rows.walk, own.rows, at);
        constexpr bool narrow = N == 1 && sizeof(A) == 4;  // more of them fit the registers
        for_groups<narrow ? 2 * kGradientLoads : kGradientLoads>(
            int64_t{own.row}, p.rows.length, int64_t{p.rows.down}, [&](auto many, int64_t c) {
                constexpr int Many = decltype(many)::value;
                V dy[Many], y[Many];
#pragma unroll
                for (int i = 0; i < Many; ++i) {
                    const int64_t place = c + i * p.rows.down;
                    dy[i] = p.dy.template load<N>(at[1] + place * p.rows.steps[1]);
                    y[i] = p.y.template load<N>(at[2] + place * p.rows.steps[2]);
                }
#pragma unroll
                for (int i = 0; i < Many; ++i) {
#pragma unroll
                    for (int j = 0; j < N; ++j)
                        sum[j] += p.term(convert<A>(dy[i].v[j]), convert<A>(y[i].v[j]));
                }
            });
    }
    if (p.rows.down > 1) {
#pragma unroll
        for (int j = 0; j < N; ++j) sums[j][threadIdx.x] = sum[j];
        fold_rows(own.row, p.rows.across, p.rows.down, [&](int slot, int other) {
#pragma unroll
            for (int j = 0; j < N; ++j) sums[j][slot] += sums[j][other];
        });
        __syncthreads();
#pragma unroll
        for (int j = 0; j < N; ++j) sum[j] = sums[j][own.column];
    }
    if (!own.inside) return;
    for (int64_t c = own.row; c < p.rows.length; c += p.rows.down) {
        const V dy = p.dy.template load<N>(at[1] + c * p.rows.steps[1]);
        const V y = p.y.template load<N>(at[2] + c * p.rows.steps[2]);
        A dx[N];
#pragma unroll
        for (int j = 0; j < N; ++j)
            dx[j] = p.result(convert<A>(dy.v[j]), convert<A>(y.v[j]), sum[j]);
        p.dx.template store<N>(at[0] + c * p.rows.steps[0], dx);
    }
}

}  // namespace pycnn::cuda
