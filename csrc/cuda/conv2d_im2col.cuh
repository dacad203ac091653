// Convolution by columns: unfold the image, then one matrix product.
//
// Computes   the three passes of a convolution with any filter, as passes of a pointwise one on the
//            image's columns, (N, C*R*S, P, Q): y = columns * w, dcolumns = dy * w transposed and
//            dx = their fold, dw = dy * columns transposed
// Arrays     x (N,C,H,W)  w (K,C/G,R,S)  y (N,K,P,Q); f16/bf16/f32/f64; any strides
// Grid       that of im2col.cuh, then that of the product: conv2d_pointwise.cu, or in groups
//            conv2d_implicit_gemm.cuh
// Tiling     theirs
// Traffic    the columns are written and read, 2 b N C R S P Q bytes beside what an implicit
//            product moves. VGG's 56x56 256 -> 256 3x3, N=32, bf16: 925 MB of columns, 103 MB of
//            images. fprop and dgrad make them for some images at a time, kColumnsBytes or fewer
// Numerics   those of the products: f32 sums (f64 for f64), one rounding at the store. The columns
//            of dx are f32 (f64 for f64), so that they are not rounded on the way: halves are
//            widened for their product
// Refuses    what conv2d_implicit_gemm.cuh does
// Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
//            Document Processing; Chetlur et al. 2014, arXiv:1410.0759
#pragma once

#include "cuda/numbers.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int64_t kColumnsBytes = int64_t{1} << 28;
constexpr int kWidenThreads = 256;

template <class T>
struct Widen {
    const T* from;
    Accumulation<T>* to;
    Walk<2> walk;  // to, from
};

// A copy in the accumulation dtype.
template <class T, class Index>
__global__ void __launch_bounds__(kWidenThreads) widen_kernel(Widen<T> p) {
    const int64_t i = int64_t{blockIdx.x} * kWidenThreads + threadIdx.x;
    if (i >= p.walk.count) return;
    int64_t at[2];
    locate(p.walk, static_cast<Index>(i), at);
    p.to[at[0]] = convert<Accumulation<T>>(p.from[at[1]]);
}

}  // namespace pycnn::cuda
