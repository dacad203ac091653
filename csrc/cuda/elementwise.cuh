// Arrays broadcast against each other, one formula an element.
//
// Computes   out = formula(inputs...; numbers)
// Arrays     inputs and out of any dtypes and strides, step 0 where an input is broadcast; out may
//            be an input. Computed in A: double, float or int64_t
// Grid       x: 256 threads a block, N elements each that lie side by side in out. N > 1 where
//            every input lies so too, or is one element repeated, the innermost axis is a whole
//            number of N (or the only axis), and all N lie on a multiple of their size: then 16
//            bytes of the widest array are one access. N = 1 for all else
// Tiling     none: every element is used once. What is repeated along the innermost axis is loaded
//            once a thread
// Traffic    every input read once, out written once; add: 3 b bytes per element, 1 FLOP:
//            0.08 FLOP/byte in float32, bandwidth. The loads of all inputs are under way before the
//            first is converted
// Numerics   halves in float32, rounded once; whole numbers in 64 bits, stored modulo their range
// Refuses    nothing
#pragma once

#include "cuda/elementwise_table.cuh"
#include "cuda/stored.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kElementwiseThreads = 256;
constexpr int kMostNumbers = 4;

template <class A, int Inputs>
struct Elementwise {
    const void* input[Inputs];
    void* out;
    DType dtype[Inputs], out_dtype;
    uint8_t bytes[Inputs];  // of an element
    bool repeated[Inputs];  // along the innermost axis
    int inputs, op;
    int64_t elements;  // in a walk of one axis, where the last thread may have fewer than N
    uint32_t threads;
    A numbers[kMostNumbers];
    Walk<Inputs + 1> walk;  // out, inputs; the innermost axis in steps of N elements
};

template <class A, int N>
__device__ __forceinline__ void store_some(void* array, int64_t at, const A (&y)[N], DType dtype,
                                           int count) {
    constexpr DTypes kAccepted = N == 1 ? kAllDTypes : kVectorDTypes<A>;
    with_stored<kAccepted>(dtype, [&](auto t) {
        using T = decltype(t);
        if constexpr (sizeof(T) * N <= sizeof(Loaded<N>)) {
            T* to = static_cast<T*>(array) + at;
            Vector<T, N> v;
#pragma unroll
            for (int j = 0; j < N; ++j) v.v[j] = narrowed<T>(y[j]);
            if (count == N) {
                store_vector(to, v);
            } else {
#pragma unroll
                for (int j = 0; j < N; ++j)
                    if (j < count) to[j] = v.v[j];
            }
        }
    });
}

// A thread's elements, and the formula on each of them.
template <class A, int Inputs, int N>
struct OwnElements {
    A input[Inputs][N], out[N];
    const A* numbers;

    template <int K, class F>
    __device__ __forceinline__ void operator()(Arrays<K>, const F& formula) {
#pragma unroll
        for (int j = 0; j < N; ++j)
            out[j] =
                static_cast<A>(applied<K>(formula, j, std::make_index_sequence<kArguments<F>>{}));
    }

    template <int K, class F, size_t... I>
    __device__ __forceinline__ auto applied(const F& formula, int j, std::index_sequence<I...>) {
        return formula(argument<K, I>(j)...);
    }
    template <int K, size_t I>
    __device__ __forceinline__ A argument(int j) const {
        if constexpr (I < K)
            return input[I][j];
        else
            return numbers[I - K];
    }
};

template <class A, class Group, int N>
__global__ void __launch_bounds__(kElementwiseThreads)
    elementwise_kernel(Elementwise<A, Group::kArrays> p) {
    static_assert(N == 1 || N * sizeof(A) >= 16 || std::is_same_v<A, int64_t>);
    constexpr int kInputs = Group::kArrays;
    const uint32_t i = blockIdx.x * kElementwiseThreads + threadIdx.x;
    if (i >= p.threads) return;
    int64_t at[kInputs + 1];
    locate(p.walk, i, at);
    const int64_t left = N > 1 && p.walk.axes == 1 ? p.elements - int64_t{i} * N : N;
    const int count = left < N ? static_cast<int>(left) : N;
    Loaded<N> loaded[kInputs] = {};
#pragma unroll
    for (int k = 0; k < kInputs; ++k)
        if (k < p.inputs)
            load_bytes(loaded[k], p.input[k], at[k + 1], p.bytes[k], count, N > 1 && p.repeated[k]);
    OwnElements<A, kInputs, N> elements;
    elements.numbers = p.numbers;
#pragma unroll
    for (int k = 0; k < kInputs; ++k) {
#pragma unroll
        for (int j = 0; j < N; ++j) elements.input[k][j] = A{};
        if (k < p.inputs) widen(elements.input[k], loaded[k], p.dtype[k], N > 1 && p.repeated[k]);
    }
#pragma unroll
    for (int j = 0; j < N; ++j) elements.out[j] = A{};
    Group::template formulas<A>(Choice<OwnElements<A, kInputs, N>>(p.op, elements));
    store_some(p.out, at[0], elements.out, p.out_dtype, count);
}

}  // namespace pycnn::cuda
