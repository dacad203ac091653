// The adjoint of a convolution whose filter does not reach over its stride: every input pixel meets
// one tap at most, as in a U-Net's 2x2 transposed convolution with stride 2.
//
// Computes   dx[n, c, p*stride_h + r, q*stride_w + s] = sum_k dy[n,k,p,q] * w[k,c,r,s], and zero
//            (its epilogue) where no tap reaches
// Arrays     dx channels-last, its pixels written where they belong by a product (N*P*Q, K) x
//            (K, R*S*C), or one for each filter row; dy any strides; w and any other dx through
//            copies
// Threads    cpu/gemm_core.cpp; the pixels without a tap: a task per image row
// Tiling     cpu/gemm_core.cpp
// Traffic    dy is read once (or R times), dx written once: 2*K FLOP per element written
// Numerics   cpu/gemm_core.cpp
// Refuses    padding, dilation, groups, filters larger than the stride
// Source     Shi et al. 2016, arXiv:1609.05158 (sub-pixel convolution)
#include "cpu/conv2d.h"
#include "cpu/gemm_core.h"
#include "cpu/gemm_tile.h"

namespace pycnn::PYCNN_ISA {
namespace {

void check_shuffle(const Conv2dParams& p) {
    const bool near = (p.dilation_h == 1 || p.R == 1) && (p.dilation_w == 1 || p.S == 1);
    if (p.R > p.stride_h || p.S > p.stride_w || !near || p.G != 1 || p.top != 0 || p.left != 0 ||
        p.bottom > 0 || p.right > 0)
        throw ValueError(
            "geometry: the pixel shuffle takes filters no larger than their stride, "
            "without padding, dilation or groups");
}

// Whether every pixel along an axis meets a tap.
bool covers(int64_t size, int64_t outputs, int64_t stride, int64_t taps) {
    return taps == stride && size == outputs * stride;
}

bool meets_tap(int64_t i, int64_t outputs, int64_t stride, int64_t taps) {
    return i / stride < outputs && i % stride < taps;
}

// What a sum without terms gives, for every pixel that no tap meets.
template <class T>
void fill_gaps(const Conv2dParams& p, const Epilogue<T>& e, T* dx) {
    if (covers(p.H, p.P, p.stride_h, p.R) && covers(p.W, p.Q, p.stride_w, p.S)) return;
    parallel_ranges(
        p.N * p.H, 8 * num_threads(), 0.1 * static_cast<double>(p.W * p.C),
        [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
                const bool some = meets_tap(row % p.H, p.P, p.stride_h, p.R);
                for (int64_t w = 0; w < p.W; ++w) {
                    if (some && meets_tap(w, p.Q, p.stride_w, p.S)) continue;
                    const int64_t offset = (row * p.W + w) * p.C;
                    if (!e.any()) {
                        std::fill_n(dx + offset, p.C, T(0));
                        continue;
                    }
                    for (int64_t c = 0; c < p.C; c += kLanes<T>) {
                        const int n = static_cast<int>(std::min<int64_t>(kLanes<T>, p.C - c));
                        store(dx + offset + c, e.finish(zero<T>(), c, offset + c, n), n);
                    }
                    if (!e.activates_inline()) activate(dx + offset, p.C, e.activation);
                }
            }
        });
}

// `vector`, of C channels, once for each tap.
template <class T>
const T* repeated(const T* vector, int64_t C, int64_t taps, Buffer<T>& kept) {
    if (!vector || taps == 1) return vector;
    kept = Buffer<T>(C * taps);
    for (int64_t tap = 0; tap < taps; ++tap) std::copy_n(vector, C, kept.data() + tap * C);
    return kept.data();
}

template <class T>
void shuffle(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w, const ArrayView& dx,
             const EpilogueView& epilogue) {
    const DenseInput<T> filters(w, Layout::channels_last);  // (K, R, S, C)
    const DenseOutput<T> to(dx, Layout::channels_last);
    const DenseEpilogue<T> e(epilogue, Layout::channels_last);
    fill_gaps(p, e.epilogue, to.data());

    Buffer<T> widened;
    ArrayView from = dy;
    if (dy.dtype != DTypeOf<T>::value) {
        widened = Buffer<T>(dy.numel());
        from = dense_view(widened.data(), DTypeOf<T>::value, dy, Layout::channels_last);
        copy(dy, from);
    }
    Buffer<T> bias, scale, shift;
    Gemm<T> g{};
    g.M = p.N * p.P * p.Q, g.N = p.S * p.C, g.K = p.K;
    g.a = static_cast<const T*>(from.data);
    g.a_m = Axis::pixels(p.N, p.P, p.Q, from.strides[0], from.strides[2], from.strides[3]);
    g.a_k = Axis::even(p.K == 1 ? 1 : from.strides[1]);
    g.b_k = Axis::even(p.R * p.S * p.C), g.b_n = Axis::even(1);
    g.c_m = Axis::pixels(p.N, p.P, p.Q, p.H * p.W * p.C, p.stride_h * p.W * p.C, p.stride_w * p.C);
    g.epilogue = e.epilogue;
    g.epilogue.bias = repeated(e.epilogue.bias, p.C, p.R * p.S, bias);
    g.epilogue.scale = repeated(e.epilogue.scale, p.C, p.R * p.S, scale);
    g.epilogue.shift = repeated(e.epilogue.shift, p.C, p.R * p.S, shift);
    // All filter rows in one product where no register tile lies across two of them.
    const bool once = g.N % kTileColumns<T> == 0;
    const int64_t down = p.W * p.C;
    if (once) {
        g.c_n = {1, g.N, 1, 0, down};
        g.N *= p.R;
    }
    for (int64_t r = 0; r < (once ? 1 : p.R); ++r) {
        Gemm<T> row = g;
        row.b = filters.data() + r * p.S * p.C;
        row.c = to.data() + r * down;
        if (row.epilogue.residual) row.epilogue.residual += r * down;
        multiply(row);
    }
    to.finish();
}

}  // namespace

void conv2d_dgrad_pixel_shuffle(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                                const ArrayView& dx, const EpilogueView& epilogue) {
    check_shuffle(p);
    with_accumulation(dx.dtype, [&](auto t) { shuffle<decltype(t)>(p, dy, w, dx, epilogue); });
}

}  // namespace pycnn::PYCNN_ISA
