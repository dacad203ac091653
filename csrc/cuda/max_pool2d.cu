#include "cuda/max_pool2d.cuh"

#include "primitives/pool2d.h"

namespace pycnn::cuda {
namespace {

// Calls function(Offset{}) with the type of offsets.
template <class F>
void with_offsets(const ArrayView& offsets, F&& function) {
    if (offsets.dtype == DType::u8)
        function(uint8_t{});
    else
        function(int32_t{});
}

// Whether windows are K x K pixels without gaps; K is 0 where that does not matter.
bool square(const Pool2dParams& g, int64_t K) {
    return !g.adaptive && g.R == K && g.S == K && g.dilation_h == 1 && g.dilation_w == 1 &&
           g.H > 0 && g.W > 0;
}

template <class T, class Offset, int V>
void fprop(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
           const ArrayView& offsets) {
    each_batch(g.N, g.P, g.Q, g.C / V, channels_inner(y), [&](int64_t n, const Pixels& pixels) {
        const MaxPool2dFprop<T, Offset> p{
            static_cast<const T*>(x.data) + n * x.strides[0],
            static_cast<T*>(y.data) + n * y.strides[0],
            static_cast<Offset*>(offsets.data) + n * offsets.strides[0],
            image_steps(x),
            image_steps(y),
            image_steps(offsets),
            pixels,
            pool_rows<int>(g),
            pool_columns<int>(g)};
        const auto run = [&](auto kernel) {
            launch(kernel, blocks_for(pixels.count, kPoolThreads), dim3(kPoolThreads), 0, p);
        };
        if constexpr (std::is_same_v<Offset, uint8_t> && !std::is_integral_v<T>) {
            if (square(g, 2)) return run(max_pool2d_fprop_square_kernel<T, Offset, 2, V>);
            if (square(g, 3)) return run(max_pool2d_fprop_square_kernel<T, Offset, 3, V>);
        }
        run(max_pool2d_fprop_gather_kernel<T, Offset, V>);
    });
}

template <class T, class Offset, int V>
void dgrad(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
           const ArrayView& dx) {
    const auto run = [&](auto kernel, int64_t stride) {
        const int64_t first_row = stride > 0 ? g.pad_h / stride : 0,
                      first_column = stride > 0 ? g.pad_w / stride : 0;
        const int64_t rows = stride > 0 ? (g.H - 1 + g.pad_h) / stride - first_row + 1 : g.H,
                      columns = stride > 0 ? (g.W - 1 + g.pad_w) / stride - first_column + 1 : g.W;
        each_batch(
            g.N, rows, columns, g.C / V, channels_inner(dx), [&](int64_t n, const Pixels& pixels) {
                const MaxPool2dDgrad<T, Offset> p{
                    static_cast<const T*>(dy.data) + n * dy.strides[0],
                    static_cast<const Offset*>(offsets.data) + n * offsets.strides[0],
                    static_cast<T*>(dx.data) + n * dx.strides[0],
                    image_steps(dy),
                    image_steps(offsets),
                    image_steps(dx),
                    pixels,
                    pool_rows<int>(g),
                    pool_columns<int>(g),
                    static_cast<int>(first_row),
                    static_cast<int>(first_column)};
                launch(kernel, blocks_for(pixels.count, kPoolThreads), dim3(kPoolThreads), 0, p);
            });
    };
    const auto stride = [&](int64_t s) { return g.stride_h == s && g.stride_w == s; };
    if constexpr (std::is_same_v<Offset, uint8_t>) {
        if (g.P > 0 && g.Q > 0) {
            if (square(g, 2) && stride(2))
                return run(max_pool2d_dgrad_blocks_kernel<T, 2, 2, V>, 2);
            if (square(g, 3) && stride(2))
                return run(max_pool2d_dgrad_blocks_kernel<T, 3, 2, V>, 2);
            if (square(g, 3) && stride(1))
                return run(max_pool2d_dgrad_blocks_kernel<T, 3, 1, V>, 1);
        }
    }
    run(max_pool2d_dgrad_gather_kernel<T, Offset, V>, 0);
}

}  // namespace

void max_pool2d_fprop_direct(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
                             const ArrayView& offsets) {
    if (!pool_fits(g) || !image_steps_fit(x) || !image_steps_fit(y) || !image_steps_fit(offsets))
        return max_pool2d_fprop_naive(g, x, y, offsets);
    with_pooled_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        with_offsets(offsets, [&](auto o) {
            using Offset = decltype(o);
            if constexpr (std::is_same_v<Offset, uint8_t> && !std::is_integral_v<T>) {
                constexpr int V = kWidth<T>;
                if (in_channel_vectors(x, V) && in_channel_vectors(y, V) &&
                    in_channel_vectors(offsets, V))
                    return fprop<T, Offset, V>(g, x, y, offsets);
            }
            fprop<T, Offset, 1>(g, x, y, offsets);
        });
    });
}

void max_pool2d_dgrad_direct(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
                             const ArrayView& dx) {
    if (!pool_fits(g) || !image_steps_fit(dy) || !image_steps_fit(offsets) || !image_steps_fit(dx))
        return max_pool2d_dgrad_naive(g, dy, offsets, dx);
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        with_offsets(offsets, [&](auto o) {
            using Offset = decltype(o);
            if constexpr (std::is_same_v<Offset, uint8_t>) {
                constexpr int V = kWidth<T>;
                if (in_channel_vectors(dy, V) && in_channel_vectors(offsets, V) &&
                    in_channel_vectors(dx, V))
                    return dgrad<T, Offset, V>(g, dy, offsets, dx);
            }
            dgrad<T, Offset, 1>(g, dy, offsets, dx);
        });
    });
}

void max_pool2d_fprop_naive(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
                            const ArrayView& offsets) {
    with_pooled_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        with_offsets(offsets, [&](auto o) {
            using Offset = decltype(o);
            const NaiveMaxPool2d<T, Offset> p{elements_of<T>(x),
                                              elements_of<T>(y),
                                              elements_of<Offset>(offsets),
                                              y.numel(),
                                              g.C,
                                              pool_rows<int64_t>(g),
                                              pool_columns<int64_t>(g)};
            launch(max_pool2d_fprop_naive_kernel<T, Offset>, blocks_for(p.count, kPoolThreads),
                   dim3(kPoolThreads), 0, p);
        });
    });
}

void max_pool2d_dgrad_naive(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
                            const ArrayView& dx) {
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        with_offsets(offsets, [&](auto o) {
            using Offset = decltype(o);
            const NaiveMaxPool2d<T, Offset> p{elements_of<T>(dx),
                                              elements_of<T>(dy),
                                              elements_of<Offset>(offsets),
                                              dx.numel(),
                                              g.C,
                                              pool_rows<int64_t>(g),
                                              pool_columns<int64_t>(g)};
            launch(max_pool2d_dgrad_naive_kernel<T, Offset>, blocks_for(p.count, kPoolThreads),
                   dim3(kPoolThreads), 0, p);
        });
    });
}

}  // namespace pycnn::cuda
