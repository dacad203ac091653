// Softmax cross entropy of logits with class indices, and its gradient, without storing the
// probabilities.
//
// Computes   loss[n,*] = (1-s) * w_t * (lse - x_t) + s/C * sum_c w_c * (lse - x_c),
//            logsumexp[n,*] = lse = log(sum_c exp(x_c)), t = target[n,*], s = label_smoothing
//            dx_c = dloss * ((1-s) * w_t * (p_c - [c = t]) + s/C * (p_c * sum_k w_k - w_c)),
//            p_c = exp(x_c - lse); loss and dx are 0 where t is ignore_index
// Arrays     logits, dx (N,C,*)  target (N,*) integers  class_weight (C,) or none
//            loss, logsumexp, dloss (N,*); any strides and float dtypes: logits and dx 16 bytes at
//            a time where classes, or neighbouring positions, lie side by side in vectors; one by
//            one otherwise, and where their dtypes differ
// Grid       x: positions; see softmax_rows.cuh. fprop gives those with many classes a block of 256
//            threads. dgrad gives a warp 4 vectors a thread of the classes of a position: nothing
//            is summed over them but w, once, by a launch of its own
// Tiling     every thread its own maximum and sum; label smoothing walks the classes once more
// Traffic    fprop: logits read (twice with smoothing), 3 numbers a position; dgrad: logits read,
//            dx written; 21 classes of 8x512x512 pixels in f32: 193 MB read, 17 written: bandwidth
// Numerics   f32 (f64); differences are taken from the maximum; rounded once; a class outside [0,
//            C) gives NaN
// Refuses    nothing
// Source     Szegedy et al. 2016, arXiv:1512.00567 (smoothing); Milakov and Gimelshein 2018,
//            arXiv:1805.02867 (one pass for maximum and sum)
#pragma once

#include "cuda/softmax_rows.cuh"

namespace pycnn::cuda {

// An array of integers, or one of floats, of a dtype that is known when the program runs.
struct Numbers {
    void* data;
    DType dtype;

    static Numbers of(const ArrayView& a) { return {a.data, a.dtype}; }
};

__device__ __forceinline__ int64_t load_integer(const Numbers& a, int64_t at) {
    switch (a.dtype) {
        case DType::i64: return static_cast<const int64_t*>(a.data)[at];
        case DType::i32: return static_cast<const int32_t*>(a.data)[at];
        case DType::i16: return static_cast<const int16_t*>(a.data)[at];
        case DType::i8: return static_cast<const int8_t*>(a.data)[at];
        case DType::u8: return static_cast<const uint8_t*>(a.data)[at];
        default: return static_cast<const uint8_t*>(a.data)[at] != 0;
    }
}

// What both passes know of the classes.
template <class A>
struct Classes {
    const A* weight;  // and behind the weights their sum; null where all are 1
    int64_t ignored;
    A keep, share;  // 1 - s and s / C

    __device__ __forceinline__ A weight_of(int64_t c) const {
        return weight == nullptr ? A(1) : weight[c];
    }
};

constexpr int64_t kIgnored = -1, kOutside = -2;

// The target as a class, kIgnored or kOutside.
template <class A>
__device__ __forceinline__ int64_t class_at(const Classes<A>& classes, const Numbers& target,
                                            int64_t at, int64_t length) {
    const int64_t t = load_integer(target, at);
    return t == classes.ignored ? kIgnored : t < 0 || t >= length ? kOutside : t;
}

// One block: the weights as A, their sum behind them.
template <class A>
struct ClassWeights {
    FloatVector weight;
    A* to;
    int64_t count;
};

template <class A>
__global__ void __launch_bounds__(kRowThreads) class_weights_kernel(ClassWeights<A> p) {
    __shared__ double room[kRowThreads / 32];
    double sum = 0;
    for (int64_t c = threadIdx.x; c < p.count; c += kRowThreads) {
        p.to[c] = load_float<A>(p.weight.data, p.weight.dtype, c * p.weight.step);
        sum += static_cast<double>(p.to[c]);
    }
    sum = fold_group<kRowThreads>(sum, room, [](double a, double b) { return a + b; });
    if (threadIdx.x == 0) p.to[p.count] = static_cast<A>(sum);
}

template <class T>
struct CrossEntropyFprop {
    Elements<T> logits;
    Numbers target, loss, logsumexp;
    Classes<Accumulation<T>> classes;
    bool smooths;
    Rows<4> rows;  // logits, target, loss, logsumexp
};

// log(sum exp(x - top)); of classes that are all -inf NaN, of no classes -inf.
template <class A>
__device__ __forceinline__ A log_of(A top, A total, int64_t classes) {
    if (classes > 0 && top == -std::numeric_limits<A>::infinity())
        return std::numeric_limits<A>::quiet_NaN();
    return log(total);
}

// Stores the loss and lse of one position: `spread` is sum w_c * (lse - x_c), at[] where the
// position lies in the four arrays.
template <class T, class A = Accumulation<T>>
__device__ __forceinline__ void finish_loss(const CrossEntropyFprop<T>& p, int64_t logits,
                                            int64_t target, int64_t loss, int64_t logsumexp, A top,
                                            A log_sum, A spread) {
    const int64_t t = class_at(p.classes, p.target, target, p.rows.length);
    A value = t == kIgnored ? A(0) : std::numeric_limits<A>::quiet_NaN();
    if (t >= 0) {
        const A x = convert<A>(p.logits.template load<1>(logits + t * p.rows.steps[0]).v[0]);
        value = p.classes.weight_of(t) * (log_sum - (x - top));
        if (p.smooths) value = p.classes.keep * value + p.classes.share * spread;
    }
    store_float(p.loss.data, p.loss.dtype, loss, value);
    store_float(p.logsumexp.data, p.logsumexp.dtype, logsumexp, log_sum + top);
}

// Classes side by side: a group of threads for each position.
template <class T, int N, int Group>
__global__ void __launch_bounds__(kRowThreads) cross_entropy_rows_kernel(CrossEntropyFprop<T> p) {
    using A = Accumulation<T>;
    __shared__ A room[Group / 32];
    const int64_t row = int64_t{blockIdx.x} * (blockDim.x / Group) + threadIdx.x / Group;
    if (row >= p.rows.walk.count) return;  // all of a group
    int64_t at[4];
    locate(p.rows.walk, static_cast<uint32_t>(row), at);
    const int64_t first = int64_t{threadIdx.x % Group} * N, step = int64_t{Group} * N;
    const auto all = row_exponentials<Group, N>(p.logits, at[0], first, p.rows.length, room);
    const A top = all.top, log_sum = log_of(top, all.total, p.rows.length);
    A spread = 0;
    if (p.smooths) {
        for (int64_t c = first; c < p.rows.length; c += step) {
            const auto x = p.logits.template load<N>(at[0] + c);
#pragma unroll
            for (int j = 0; j < N; ++j)
                spread += p.classes.weight_of(c + j) * (log_sum - (convert<A>(x.v[j]) - top));
        }
        spread = fold_group<Group>(spread, room, sum_of<A>);
    }
    if (threadIdx.x % Group == 0) finish_loss(p, at[0], at[1], at[2], at[3], top, log_sum, spread);
}

// Positions side by side: a vector of them for each thread.
template <class T, int N, class Index>
__global__ void __launch_bounds__(kRowThreads)
    cross_entropy_columns_kernel(CrossEntropyFprop<T> p) {
    using A = Accumulation<T>;
    __shared__ A tops[N][kRowThreads], totals[N][kRowThreads];
    const auto own = column_of<Index>(p.rows);
    int64_t at[4]{};
    Exponentials<A> sums[N];
    if (own.inside) locate(p.rows.walk, own.rows, at);
    column_exponentials(p.logits, at[0], p.rows.steps[0], p.rows, own, tops, totals, sums);
    A spread[N]{};
#pragma unroll
    for (int j = 0; j < N; ++j) sums[j].total = log_of(sums[j].top, sums[j].total, p.rows.length);
    if (p.smooths) {
        if (own.inside)
            for (int64_t c = own.row; c < p.rows.length; c += p.rows.down) {
                const auto x = p.logits.template load<N>(at[0] + c * p.rows.steps[0]);
                const A weight = p.classes.weight_of(c);
#pragma unroll
                for (int j = 0; j < N; ++j)
                    spread[j] += weight * (sums[j].total - (convert<A>(x.v[j]) - sums[j].top));
            }
        if (p.rows.down > 1) {
            __syncthreads();  // tops and totals were read
#pragma unroll
            for (int j = 0; j < N; ++j) totals[j][threadIdx.x] = spread[j];
            fold_rows(own.row, p.rows.across, p.rows.down, [&](int slot, int other) {
#pragma unroll
                for (int j = 0; j < N; ++j) totals[j][slot] += totals[j][other];
            });
#pragma unroll
            for (int j = 0; j < N; ++j) spread[j] = totals[j][threadIdx.x];
        }
    }
    if (!own.inside || own.row != 0) return;
#pragma unroll
    for (int j = 0; j < N; ++j)
        finish_loss(p, at[0] + j * p.rows.beside[0], at[1] + j * p.rows.beside[1],
                    at[2] + j * p.rows.beside[2], at[3] + j * p.rows.beside[3], sums[j].top,
                    sums[j].total, spread[j]);
}

// --- the gradient --------------------------------------------------------------------------------

template <class T>
struct CrossEntropyDgrad {
    Elements<T> dx, logits;
    Numbers target, dloss, logsumexp;
    Classes<Accumulation<T>> classes;
    bool smooths;
    int64_t chunks;  // of the classes of a position, where they lie side by side
    Rows<5> rows;    // dx, logits, target, dloss, logsumexp
};

// What the gradient of a position's classes has in common.
template <class A>
struct Slopes {
    int64_t t;
    A target, sum, dloss, logsumexp;  // keep * w_t, sum w

    template <class T>
    __device__ __forceinline__ static Slopes of(const CrossEntropyDgrad<T>& p, int64_t target,
                                                int64_t dloss, int64_t logsumexp) {
        Slopes s;
        s.t = class_at(p.classes, p.target, target, p.rows.length);
        s.target = s.t >= 0 ? p.classes.keep * p.classes.weight_of(s.t) : A(0);
        s.sum = p.classes.weight == nullptr ? static_cast<A>(p.rows.length)
                                            : p.classes.weight[p.rows.length];
        s.dloss = load_float<A>(p.dloss.data, p.dloss.dtype, dloss);
        s.logsumexp = load_float<A>(p.logsumexp.data, p.logsumexp.dtype, logsumexp);
        return s;
    }
    template <class T>
    __device__ __forceinline__ A gradient(const CrossEntropyDgrad<T>& p, int64_t c, A x) const {
        const A power = exp(x - logsumexp);
        A slope = target * (power - (c == t ? A(1) : A(0)));
        if (p.smooths) slope += p.classes.share * (power * sum - p.classes.weight_of(c));
        return t == kIgnored   ? A(0)
               : t == kOutside ? std::numeric_limits<A>::quiet_NaN()
                               : slope * dloss;
    }
};

constexpr int kClassVectors = 4;  // of a thread

template <class T, int N>
__global__ void __launch_bounds__(kRowThreads)
    cross_entropy_rows_dgrad_kernel(CrossEntropyDgrad<T> p) {
    using A = Accumulation<T>;
    const int64_t warp = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
    const int64_t row = warp / p.chunks;
    if (row >= p.rows.walk.count) return;
    int64_t at[5];
    locate(p.rows.walk, static_cast<uint32_t>(row), at);
    const int64_t first = (warp % p.chunks * kClassVectors * 32 + lane()) * N;
    Vector<T, N> x[kClassVectors];
#pragma unroll
    for (int i = 0; i < kClassVectors; ++i)
        if (const int64_t c = first + i * 32 * N; c < p.rows.length)
            x[i] = p.logits.template load<N>(at[1] + c);
    const auto slopes = Slopes<A>::of(p, at[2], at[3], at[4]);
#pragma unroll
    for (int i = 0; i < kClassVectors; ++i) {
        const int64_t c = first + i * 32 * N;
        if (c >= p.rows.length) continue;
        A dx[N];
#pragma unroll
        for (int j = 0; j < N; ++j) dx[j] = slopes.gradient(p, c + j, convert<A>(x[i].v[j]));
        p.dx.template store<N>(at[0] + c, dx);
    }
}

template <class T, int N, class Index>
__global__ void __launch_bounds__(kRowThreads)
    cross_entropy_columns_dgrad_kernel(CrossEntropyDgrad<T> p) {
    using A = Accumulation<T>;
    const auto own = column_of<Index>(p.rows);
    if (!own.inside) return;
    int64_t at[5];
    locate(p.rows.walk, own.rows, at);
    Slopes<A> slopes[N];
#pragma unroll
    for (int j = 0; j < N; ++j)
        slopes[j] = Slopes<A>::of(p, at[2] + j * p.rows.beside[2], at[3] + j * p.rows.beside[3],
                                  at[4] + j * p.rows.beside[4]);
    for_groups<2>(int64_t{own.row}, p.rows.length, int64_t{p.rows.down}, [&](auto many, int64_t c) {
        constexpr int Many = decltype(many)::value;
        Vector<typename Elements<T>::Stored, N> x[Many];
#pragma unroll
        for (int i = 0; i < Many; ++i)
            x[i] = p.logits.template load<N>(at[1] + (c + i * p.rows.down) * p.rows.steps[1]);
#pragma unroll
        for (int i = 0; i < Many; ++i) {
            const int64_t place = c + i * p.rows.down;
            A dx[N];
#pragma unroll
            for (int j = 0; j < N; ++j) dx[j] = slopes[j].gradient(p, place, convert<A>(x[i].v[j]));
            p.dx.template store<N>(at[0] + place * p.rows.steps[0], dx);
        }
    });
}

}  // namespace pycnn::cuda
