// Convolution with 1x1 filters and no padding: the matrix product of cuda/gemm.cu over the pixels.
//
// Computes   fprop y[n,k,p,q] = sum_c x[n, c, p*Sh, q*Sw] * w[k,c], and its gradients
// Arrays     any strides. Where the pixels of a batch, or of each of its images, are evenly apart,
//            in all arrays, they are the rows of one product, or of one for each image: a dense
//            channels-last or contiguous layout without strides. The others are implicit products,
//            of which a strided dgrad is a pixel shuffle
// Grid       gemm_tiles.cuh
// Tiling     gemm_tiles.cuh
// Traffic    2*C*K FLOP for C + K elements of a pixel: 56x56x64 -> 256 in float32, 26 FLOP/byte
// Numerics   gemm_tiles.cuh
// Refuses    larger filters, padding, groups
// Source     Lin, Chen and Yan 2014, arXiv:1312.4400
#include <optional>

#include "common/params.h"
#include "cuda/conv2d.h"
#include "cuda/gemm.h"

namespace pycnn::cuda {
namespace {

void check_pointwise(const Conv2dParams& g) {
    if (g.R != 1 || g.S != 1 || g.G != 1 || g.top != 0 || g.left != 0 || g.bottom > 0 ||
        g.right > 0)
        throw ValueError(
            "geometry: the pointwise algorithm takes 1x1 filters without padding or groups");
}

bool dense(const Conv2dParams& g) { return g.P == g.H && g.Q == g.W; }

// Images (N,C,H,W) as matrices of pixels and channels, (1, N*H*W, C) or (N, H*W, C), if their
// strides allow.
std::optional<ArrayView> pixel_matrices(const ArrayView& a, bool joined) {
    const int64_t N = a.shape[0], C = a.shape[1], H = a.shape[2], W = a.shape[3];
    const int64_t n = a.strides[0], h = a.strides[2], w = W > 1 ? a.strides[3] : a.strides[2];
    if (W > 1 && H > 1 && h != w * W) return std::nullopt;
    const int64_t step = H * W > 1 ? w : n;
    if (joined && N > 1 && H * W > 1 && n != step * H * W) return std::nullopt;
    ArrayView m = a;
    m.ndim = 3;
    m.shape[0] = joined ? 1 : N, m.shape[1] = joined ? N * H * W : H * W, m.shape[2] = C;
    m.strides[0] = joined ? 0 : n, m.strides[1] = step, m.strides[2] = a.strides[1];
    return m;
}

// w (K,C,1,1) as (batches, C, K), or as (batches, K, C).
ArrayView filter_matrix(const ArrayView& w, int64_t batches, bool channels_first) {
    ArrayView m = w;
    const int rows = channels_first ? 1 : 0;
    m.ndim = 3;
    m.shape[0] = batches, m.shape[1] = w.shape[rows], m.shape[2] = w.shape[1 - rows];
    m.strides[0] = 0, m.strides[1] = w.strides[rows], m.strides[2] = w.strides[1 - rows];
    return m;
}

// out = from times the filters, pixel by pixel; false where the pixels are no matrices.
bool multiply(const ArrayView& from, const ArrayView& w, const ArrayView& out,
              const EpilogueView& epilogue, bool channels_first) {
    for (const bool joined : {true, false}) {
        const auto a = pixel_matrices(from, joined), to = pixel_matrices(out, joined);
        EpilogueView last = epilogue;
        if (epilogue.residual) last.residual = pixel_matrices(*epilogue.residual, joined);
        if (!a || !to || (epilogue.residual && !last.residual)) continue;
        gemm_tiled(*a, filter_matrix(w, a->shape[0], channels_first), *to, last);
        return true;
    }
    return false;
}

}  // namespace

void conv2d_fprop_pointwise(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                            const ArrayView& y, const EpilogueView& epilogue) {
    check_pointwise(g);
    if (!dense(g) || !multiply(x, w, y, epilogue, true))
        conv2d_fprop_implicit_gemm(g, x, w, y, epilogue);
}

void conv2d_dgrad_pointwise(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                            const ArrayView& dx, const EpilogueView& epilogue) {
    check_pointwise(g);
    if (!dense(g) || !multiply(dy, w, dx, epilogue, false))
        conv2d_dgrad_pixel_shuffle(g, dy, w, dx, epilogue);
}

void conv2d_wgrad_pointwise(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                            const ArrayView& dw, const EpilogueView& epilogue) {
    check_pointwise(g);
    const auto pixels = pixel_matrices(x, true), gradients = pixel_matrices(dy, true);
    if (!dense(g) || !pixels || !gradients)
        return conv2d_wgrad_implicit_gemm(g, x, dy, dw, epilogue);
    ArrayView transposed = *gradients;
    std::swap(transposed.shape[1], transposed.shape[2]);
    std::swap(transposed.strides[1], transposed.strides[2]);
    gemm_tiled(transposed, *pixels, filter_matrix(dw, 1, false), epilogue);
}

}  // namespace pycnn::cuda
