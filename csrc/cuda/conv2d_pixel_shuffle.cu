#include "cuda/conv2d_pixel_shuffle.cuh"

#include "common/dtypes.h"
#include "cuda/conv2d.h"

namespace pycnn::cuda {
namespace {

void check_shuffle(const Conv2dParams& g) {
    const bool near = (g.dilation_h == 1 || g.R == 1) && (g.dilation_w == 1 || g.S == 1);
    if (g.R > g.stride_h || g.S > g.stride_w || !near)
        throw ValueError(
            "geometry: the pixel shuffle takes filters no larger than their stride, without "
            "dilation");
}

template <class T>
void fill_gaps(const Conv2dParams& g, const ArrayView& dx, const EpilogueView& epilogue) {
    const auto covered = [](int64_t size, int64_t outputs, int64_t stride, int64_t taps,
                            int64_t before) {
        return taps == stride && size + before <= outputs * stride;
    };
    if (covered(g.H, g.P, g.stride_h, g.R, g.top) && covered(g.W, g.Q, g.stride_w, g.S, g.left))
        return;
    Gaps<T> p{};
    const int64_t C = g.C / g.G;
    set_output<T>(
        p.out, dx, epilogue, C,
        [&](const Tensor4<T>& t) { return digits<Plain>(g.N, g.H, g.W, t.n, t.h, t.w); },
        [&](const Tensor4<T>& t) { return EvenAxis::of(C, t.c); });
    p.out.row_count = g.N * g.H * g.W, p.out.col_count = C;
    p.out.settle();
    p.batches = static_cast<int>(g.G);
    p.H = static_cast<int>(g.H), p.W = static_cast<int>(g.W);
    p.P = static_cast<int>(g.P), p.Q = static_cast<int>(g.Q);
    p.R = static_cast<int>(g.R), p.S = static_cast<int>(g.S);
    p.stride_h = static_cast<int>(g.stride_h), p.stride_w = static_cast<int>(g.stride_w);
    p.top = static_cast<int>(g.top), p.left = static_cast<int>(g.left);
    const int64_t groups = (C + kWidth<T> - 1) / kWidth<T>;
    launch(shuffle_gaps_kernel<T>, blocks_for(g.G * p.out.row_count * groups, kGapThreads),
           dim3(kGapThreads), 0, p);
}

template <class T>
ShuffleProduct<T> shuffle_product(const Conv2dParams& g, const ArrayView& gradient,
                                  const Tensor4<T>& w, const ArrayView& dx,
                                  const EpilogueView& epilogue) {
    const Tensor4<T> dy(gradient);
    const int64_t C = g.C / g.G, K = g.K / g.G;
    ShuffleProduct<T> p{};
    p.left.data = dy.data;
    p.left.batch_step = g.G > 1 ? K * dy.c : 0;
    p.left.line = digits<Plain>(g.N, g.P, g.Q, dy.n, dy.h, dy.w);
    p.left.depth = EvenAxis::of(K, dy.c);
    p.right.data = w.data;
    p.right.batch_step = g.G > 1 ? K * w.n : 0;
    p.right.line = digits<Plain>(g.R, g.S, C, w.h, w.w, w.c);
    p.right.depth = EvenAxis::of(K, w.n);
    set_output<T>(
        p.out, dx, epilogue, C,
        [&](const Tensor4<T>& t) {
            auto rows = digits<Pixels>(g.N, g.P, g.Q, t.n, g.stride_h * t.h, g.stride_w * t.w);
            rows.set_coordinates(g.stride_h, g.stride_w, -g.top, -g.left);
            return rows;
        },
        [&](const Tensor4<T>& t) {
            auto cols = digits<Taps>(g.R, g.S, C, t.h, t.w, t.c);
            cols.set_coordinates(1, 1, 0, 0);
            return cols;
        });
    const auto corner = [&](const ArrayView& a) {
        return g.top * a.strides[2] + g.left * a.strides[3];
    };
    p.out.data -= corner(dx);
    if (epilogue.residual) p.out.epilogue.residual -= corner(*epilogue.residual);
    p.out.height = static_cast<int>(g.H), p.out.width = static_cast<int>(g.W);
    p.out.row_count = g.N * g.P * g.Q, p.out.col_count = g.R * g.S * C;
    p.depth = K;
    p.batches = static_cast<int>(g.G);
    return p;
}

}  // namespace

void conv2d_dgrad_pixel_shuffle(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                                const ArrayView& dx, const EpilogueView& epilogue) {
    check_shuffle(g);
    check_countable(g);
    with_float_dtype(dx.dtype, [&](auto t) {
        using T = decltype(t);
        fill_gaps<T>(g, dx, epilogue);
        auto p = shuffle_product<T>(g, dy, Tensor4<T>(w), dx, epilogue);
        const bool vectors = p.left.vectors_along(true, kWidth<T>);
        const Filters<T> filters(w, vectors);
        p = shuffle_product<T>(g, dy, filters.tensor, dx, epilogue);
        if (vectors && p.right.vectors_along(false, kWidth<T>))
            launch_simt<true, false, true>(p);
        else if (p.left.runs_along_depth())
            launch_simt<true, false, false>(p);
        else
            launch_simt<false, false, false>(p);
    });
}

}  // namespace pycnn::cuda
