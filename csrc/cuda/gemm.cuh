// The plainest matrix product: every element an inner product of its own.
//
// Computes   out[b,m,n] = epilogue(sum_k a[b,m,k] * b[b,k,n])
// Arrays     a (B,M,K)  b (B,K,N)  out (B,M,N); f16/bf16/f32/f64; any strides
// Grid       x: 128 threads a block, an element each, n the fastest
// Tiling     none
// Traffic    two loads for a multiply-add: what caches hold of b's rows decides
// Numerics   float32 sums (f64: float64), k ascending, one rounding at the store
// Refuses    nothing
#pragma once

#include "cuda/epilogue.cuh"

namespace pycnn::cuda {

constexpr int kGemmNaiveThreads = 128;

template <class T>
struct GemmNaive {
    const T *a, *b;
    T* out;
    int64_t a_steps[3], b_steps[3], out_steps[3];
    int64_t batches, rows, cols, depth;
    Epilogue<T> epilogue;
};

template <class T>
__global__ void __launch_bounds__(kGemmNaiveThreads) gemm_naive_kernel(GemmNaive<T> p) {
    using A = Accumulation<T>;
    const int64_t index = int64_t{blockIdx.x} * kGemmNaiveThreads + threadIdx.x;
    const int64_t n = index % p.cols, m = index / p.cols % p.rows, batch = index / p.cols / p.rows;
    if (batch >= p.batches) return;
    const T* a = p.a + batch * p.a_steps[0] + m * p.a_steps[1];
    const T* b = p.b + batch * p.b_steps[0] + n * p.b_steps[2];
    A sum = 0;
    for (int64_t k = 0; k < p.depth; ++k)
        sum += convert<A>(a[k * p.a_steps[2]]) * convert<A>(b[k * p.b_steps[1]]);
    const int64_t* r = p.epilogue.residual_steps;
    sum = finish(p.epilogue, sum, n, batch * r[0] + m * r[1] + n * r[2]);
    p.out[batch * p.out_steps[0] + m * p.out_steps[1] + n * p.out_steps[2]] = convert<T>(sum);
}

}  // namespace pycnn::cuda
