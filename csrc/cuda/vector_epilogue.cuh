// The epilogue on vectors of neighbouring channels in registers; its bias, scale and shift lie in
// shared memory, where a block copies those of its channels.
#pragma once

#include "cuda/epilogue.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

// activate() on every element. What is cheap, or common after a convolution, is unrolled; for the
// rest the elements take turns in x[0], so that its code is there once.
template <class A, int N>
__device__ __forceinline__ void activate_each(Activation activation, A (&x)[N]) {
    const auto each = [&](Activation known) {
#pragma unroll
        for (int i = 0; i < N; ++i) x[i] = activate(known, x[i]);
    };
    switch (activation) {
        case Activation::none: return;
        case Activation::relu: return each(Activation::relu);
        case Activation::relu6: return each(Activation::relu6);
        case Activation::silu: return each(Activation::silu);
        case Activation::hardswish: return each(Activation::hardswish);
        default:
#pragma unroll 1
            for (int i = 0; i < N; ++i) {
                const A first = activate(activation, x[0]);
#pragma unroll
                for (int j = 0; j + 1 < N; ++j) x[j] = x[j + 1];
                x[N - 1] = first;
            }
    }
}

// Copies the block's part of the epilogue's vectors, `count` channels from `first` on, to
// shared[0, 3 * count): bias, scale, shift. A barrier has to follow.
template <class T>
__device__ __forceinline__ void stage_epilogue(const Epilogue<T>& e, int64_t first, int count,
                                               int64_t channels, T* shared) {
    const auto stage = [&](const T* from, int64_t step, T* to) {
        if (from == nullptr) return;
        for (int c = static_cast<int>(threadIdx.x); c < count; c += static_cast<int>(blockDim.x))
            if (first + c < channels) to[c] = from[(first + c) * step];
    };
    stage(e.bias, e.bias_step, shared);
    stage(e.scale, e.scale_step, shared + count);
    stage(e.shift, e.shift_step, shared + 2 * count);
}

// The epilogue but for the residual and the activation, on `Places` vectors of the same channels,
// which begin at `channel` of the `count` that are staged.
template <class T, class A, int Places, int N>
__device__ __forceinline__ void scale_and_shift(const Epilogue<T>& e, const T* shared, int count,
                                                int channel, A (&x)[Places][N]) {
    const auto each = [&](const T* from, auto f) {
        const auto v = load_vector<T, N>(from + channel);
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const A value = convert<A>(v.v[i]);
#pragma unroll
            for (int place = 0; place < Places; ++place) f(x[place][i], value);
        }
    };
    if (e.bias != nullptr) each(shared, [](A& a, A b) { a += b; });
    if (e.scale != nullptr) each(shared + count, [](A& a, A b) { a *= b; });
    if (e.shift != nullptr) each(shared + 2 * count, [](A& a, A b) { a += b; });
}

// Adds the residual of N neighbouring channels that lie `step` apart; side by side and aligned
// where `vectors`.
template <class T, class A, int N>
__device__ __forceinline__ void add_residual(const T* residual, int64_t step, bool vectors,
                                             A (&x)[N]) {
    if (vectors) {
        const auto v = load_vector<T, N>(residual);
#pragma unroll
        for (int i = 0; i < N; ++i) x[i] += convert<A>(v.v[i]);
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) x[i] += convert<A>(residual[i * step]);
    }
}

template <class T, class A, int N>
__device__ __forceinline__ Vector<T, N> rounded(const A (&x)[N]) {
    Vector<T, N> v;
#pragma unroll
    for (int i = 0; i < N; ++i) v.v[i] = convert<T>(x[i]);
    return v;
}

}  // namespace pycnn::cuda
