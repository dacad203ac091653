// The adjoint of a convolution whose filter does not reach over its stride: every pixel of dx meets
// one tap at most, as in a U-Net's 2x2 transposed convolution with stride 2.
//
// Computes   dx[n, c, p*Sh - top + r, q*Sw - left + s] = sum_k dy[n,k,p,q] * w[k,c,r,s], and zero
//            (its epilogue) where no tap reaches: one product [N*P*Q, K] x [K, R*S*C/G] per group,
//            whose every element is a pixel of its own
// Arrays     dy (N,K,P,Q)  w (K,C/G,R,S)  dx (N,C,H,W); f16/bf16/f32/f64, any strides. 16-byte
//            accesses where they are channels-last and the channels fill vectors
// Grid       gemm_tiles.cuh; for the gaps x: a vector of channels a thread
// Tiling     gemm_tiles.cuh
// Traffic    U-Net's 2x2 stride 2 (28x28x1024 -> 512, N=8, f16): 43 MB, 26 GFLOP, 610 FLOP/byte;
//            its last (128x128x128 -> 64): 101 MB, 8.6 GFLOP, 85 FLOP/byte
// Numerics   gemm_tiles.cuh
// Refuses    dilation, filters larger than the stride; 2^31 pixels or more
// Source     Shi et al. 2016, arXiv:1609.05158
#pragma once

#include "cuda/conv2d_implicit_gemm.cuh"

namespace pycnn::cuda {

template <class T>
using ShuffleProduct =
    Product<Operand<T, Plain, EvenAxis>, Operand<T, Plain, EvenAxis>, Output<T, Pixels, Taps>>;

constexpr int kGapThreads = 256;

// The pixels of dx that no tap reaches: `out` has all of them as rows, a group's channels as
// columns.
template <class T>
struct Gaps {
    Output<T, Plain, EvenAxis> out;
    int batches, H, W, P, Q, R, S, stride_h, stride_w, top, left;
};

template <class T>
__global__ void __launch_bounds__(kGapThreads) shuffle_gaps_kernel(Gaps<T> p) {
    constexpr int N = kWidth<T>;
    const int64_t groups = (p.out.col_count + N - 1) / N;
    const int64_t index = int64_t{blockIdx.x} * kGapThreads + threadIdx.x;
    const int64_t row = index / groups % p.out.row_count, batch = index / groups / p.out.row_count;
    if (batch >= p.batches) return;
    const int w = static_cast<int>(row % p.W) + p.left;
    const int h = static_cast<int>(row / p.W % p.H) + p.top;
    if (h % p.stride_h < p.R && h / p.stride_h < p.P && w % p.stride_w < p.S &&
        w / p.stride_w < p.Q)
        return;
    Accumulation<T> zeros[N] = {};
    p.out.store(p.out.row(row, batch), p.out.columns(index % groups * N, batch), zeros);
}

}  // namespace pycnn::cuda
