#include "cuda/conv2d_im2col.cuh"

#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/im2col.h"
#include "cuda/launch.cuh"
#include "primitives/im2col.h"

namespace pycnn::cuda {
namespace {

// An array of `shape` over `data`, its last axis the fastest.
ArrayView dense(void* data, DType dtype, std::initializer_list<int64_t> shape) {
    ArrayView a{};
    a.data = data, a.dtype = dtype, a.writable = true;
    for (const int64_t size : shape) a.shape[a.ndim++] = size;
    int64_t step = 1;
    for (int axis = a.ndim - 1; axis >= 0; --axis) {
        a.strides[axis] = step;
        step *= a.shape[axis];
    }
    return a;
}

// Images [first, first + count).
ArrayView images_of(ArrayView a, int64_t first, int64_t count) {
    a.data = static_cast<char*>(a.data) + first * a.strides[0] * info(a.dtype).bytes;
    a.shape[0] = count;
    return a;
}
EpilogueView images_of(EpilogueView epilogue, int64_t first, int64_t count) {
    if (epilogue.residual) epilogue.residual = images_of(*epilogue.residual, first, count);
    return epilogue;
}

// The pointwise convolution on the columns of `images` images.
Conv2dParams on_columns(const Conv2dParams& g, int64_t images) {
    Conv2dParams p = g;
    p.N = images, p.C = g.C * g.R * g.S, p.H = g.P, p.W = g.Q, p.R = p.S = 1;
    p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
    p.top = p.bottom = p.left = p.right = 0;
    return p;
}

// Filters as images whose columns, under a 1x1 filter, are they themselves.
Conv2dParams on_filters(const Conv2dParams& g) {
    Conv2dParams p{};
    p.N = g.K, p.C = g.C / g.G, p.H = p.P = g.R, p.W = p.Q = g.S;
    p.K = p.R = p.S = p.G = 1;
    p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
    return p;
}

// Filters (K,C,R,S) as (K, C*R*S, 1, 1); false where their terms are not evenly apart.
bool as_columns(const ArrayView& w, ArrayView& matrix) {
    int64_t count = 1, step = 1;
    for (int axis = 3; axis > 0; --axis) {
        if (w.shape[axis] == 1) continue;
        if (count == 1) step = w.strides[axis];
        if (w.strides[axis] != step * count) return false;
        count *= w.shape[axis];
    }
    matrix = w;
    matrix.shape[1] = w.shape[1] * w.shape[2] * w.shape[3], matrix.strides[1] = step;
    matrix.shape[2] = matrix.shape[3] = matrix.strides[2] = matrix.strides[3] = 1;
    return true;
}

ArrayView columns_of_filters(const ArrayView& dense_filters) {
    ArrayView columns = dense_filters;
    columns.ndim = 3;
    columns.shape[2] = dense_filters.shape[2] * dense_filters.shape[3], columns.strides[2] = 1;
    return columns;
}

// `a` in the accumulation dtype of T, dense.
template <class T>
void widen(const ArrayView& a, const ArrayView& to) {
    Widen<T> p{static_cast<const T*>(a.data), static_cast<Accumulation<T>*>(to.data),
               walk_of<2>(to, {to.strides, a.strides})};
    if (p.walk.count == 0) return;
    with_index(p.walk.count, [&](auto index) {
        launch(widen_kernel<T, decltype(index)>, blocks_for(p.walk.count, kWidenThreads),
               dim3(kWidenThreads), 0, p);
    });
}

int64_t images_at_a_time(const Conv2dParams& g, int64_t itemsize) {
    const int64_t image = g.C * g.R * g.S * g.P * g.Q * itemsize;
    return std::clamp<int64_t>(kColumnsBytes / std::max<int64_t>(image, 1), 1,
                               std::max<int64_t>(g.N, 1));
}

template <class T>
void fprop(const Conv2dParams& g, const ArrayView& x, const ArrayView& w, const ArrayView& y,
           const EpilogueView& epilogue) {
    Workspace<T> copy;
    ArrayView filters;
    if (!as_columns(w, filters)) {
        copy = Workspace<T>(w.numel());
        const ArrayView all =
            dense(copy.data(), w.dtype, {w.shape[0], w.shape[1], w.shape[2], w.shape[3]});
        im2col(on_filters(g), w, columns_of_filters(all));
        as_columns(all, filters);
    }
    const int64_t rows = g.C * g.R * g.S, most = images_at_a_time(g, sizeof(T));
    const Workspace<T> columns(most * rows * g.P * g.Q);
    for (int64_t first = 0; first < g.N; first += most) {
        const int64_t n = std::min(most, g.N - first);
        Conv2dParams unfolding = g;
        unfolding.N = n;
        im2col(unfolding, images_of(x, first, n),
               dense(columns.data(), x.dtype, {n, rows, g.P * g.Q}));
        (g.G == 1 ? conv2d_fprop_pointwise : conv2d_fprop_implicit_gemm)(
            on_columns(g, n), dense(columns.data(), x.dtype, {n, rows, g.P, g.Q}), filters,
            images_of(y, first, n), images_of(epilogue, first, n));
    }
}

template <class T>
void dgrad(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w, const ArrayView& dx,
           const EpilogueView& epilogue) {
    using A = Accumulation<T>;
    constexpr DType kDType = DTypeOf<A>::value;
    const Workspace<A> wide_w(w.numel());
    const ArrayView all =
        dense(wide_w.data(), kDType, {w.shape[0], w.shape[1], w.shape[2], w.shape[3]});
    widen<T>(w, all);
    ArrayView filters;
    as_columns(all, filters);
    const int64_t rows = g.C * g.R * g.S, most = images_at_a_time(g, sizeof(A));
    const Workspace<A> columns(most * rows * g.P * g.Q);
    const Workspace<A> wide_dy(std::is_same_v<T, A> ? 0 : most * g.K * g.P * g.Q);
    for (int64_t first = 0; first < g.N; first += most) {
        const int64_t n = std::min(most, g.N - first);
        ArrayView from = images_of(dy, first, n);
        if constexpr (!std::is_same_v<T, A>) {
            const ArrayView wide = dense(wide_dy.data(), kDType, {n, g.K, g.P, g.Q});
            widen<T>(from, wide);
            from = wide;
        }
        (g.G == 1 ? conv2d_dgrad_pointwise : conv2d_dgrad_implicit_gemm)(
            on_columns(g, n), from, filters, dense(columns.data(), kDType, {n, rows, g.P, g.Q}),
            {});
        Conv2dParams folding = g;
        folding.N = n;
        col2im_sums(folding, dense(columns.data(), kDType, {n, rows, g.P * g.Q}),
                    images_of(dx, first, n), images_of(epilogue, first, n));
    }
}

template <class T>
void wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    const int64_t rows = g.C * g.R * g.S;
    const Workspace<T> columns(g.N * rows * g.P * g.Q);
    im2col(g, x, dense(columns.data(), x.dtype, {g.N, rows, g.P * g.Q}));
    Workspace<T> copy;
    ArrayView filters, all{};
    const bool in_place = as_columns(dw, filters);
    if (!in_place) {
        copy = Workspace<T>(dw.numel());
        all = dense(copy.data(), dw.dtype, {dw.shape[0], dw.shape[1], dw.shape[2], dw.shape[3]});
        as_columns(all, filters);
    }
    (g.G == 1 ? conv2d_wgrad_pointwise : conv2d_wgrad_implicit_gemm)(
        on_columns(g, g.N), dense(columns.data(), x.dtype, {g.N, rows, g.P, g.Q}), dy, filters, {});
    if (!in_place) col2im(on_filters(g), columns_of_filters(all), dw);
}

}  // namespace

void conv2d_fprop_im2col(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                         const ArrayView& y, const EpilogueView& epilogue) {
    with_float_dtype(y.dtype, [&](auto t) { fprop<decltype(t)>(g, x, w, y, epilogue); });
}

void conv2d_dgrad_im2col(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                         const ArrayView& dx, const EpilogueView& epilogue) {
    with_float_dtype(dx.dtype, [&](auto t) { dgrad<decltype(t)>(g, dy, w, dx, epilogue); });
}

void conv2d_wgrad_im2col(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                         const ArrayView& dw, const EpilogueView&) {
    with_float_dtype(dw.dtype, [&](auto t) { wgrad<decltype(t)>(g, x, dy, dw); });
}

}  // namespace pycnn::cuda
