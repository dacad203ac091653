// Sum and activation in one pass.
//
// Computes   out[i] = activation(a[i] + b[i])
// Arrays     a, b, out of one shape and dtype: f16, bf16, f32, f64; any strides, out without
//            overlap; out may be a or b. Arrays that fill their memory alike and begin on a
//            multiple of 16 bytes take the vector kernel, others the strided one.
// Grid       x: 256 threads a block, an element or a vector of 16 bytes each
// Tiling     none: every element is used once
// Traffic    3 b bytes per element, 1 FLOP: 0.08 FLOP/byte in float32, bandwidth. Two loads of 16
//            bytes per thread are under way at a time
// Numerics   halves in float32, rounded once
// Refuses    nothing
#pragma once

#include "cuda/activation.cuh"
#include "cuda/numbers.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kAddThreads = 256;

template <class T>
struct AddActivation {
    const T *a, *b;
    T* out;
    Activation activation;
    Walk<3> walk;  // out, a, b
};

template <class T>
__device__ __forceinline__ T add_and_activate(T a, T b, Activation activation) {
    using A = Accumulation<T>;
    return convert<T>(activate(activation, convert<A>(a) + convert<A>(b)));
}

template <class T>
__global__ void __launch_bounds__(kAddThreads) add_activation_vector_kernel(AddActivation<T> p) {
    constexpr int N = kWidth<T>;
    const int64_t i = (int64_t{blockIdx.x} * kAddThreads + threadIdx.x) * N;
    if (i + N <= p.walk.count) {
        const auto a = load_vector<T, N>(p.a + i), b = load_vector<T, N>(p.b + i);
        Vector<T, N> sum;
#pragma unroll
        for (int j = 0; j < N; ++j) sum.v[j] = add_and_activate(a.v[j], b.v[j], p.activation);
        store_vector(p.out + i, sum);
    } else {  // the last elements, fewer than a vector
        for (int64_t j = i; j < p.walk.count; ++j)
            p.out[j] = add_and_activate(p.a[j], p.b[j], p.activation);
    }
}

template <class T, class Index>
__global__ void __launch_bounds__(kAddThreads) add_activation_strided_kernel(AddActivation<T> p) {
    const int64_t i = int64_t{blockIdx.x} * kAddThreads + threadIdx.x;
    if (i >= p.walk.count) return;
    int64_t at[3];
    locate(p.walk, static_cast<Index>(i), at);
    p.out[at[0]] = add_and_activate(p.a[at[1]], p.b[at[2]], p.activation);
}

}  // namespace pycnn::cuda
