#include "cuda/avg_pool2d.cuh"

#include "primitives/pool2d.h"

namespace pycnn::cuda {
namespace {

constexpr int64_t kManyTaps = 48;    // above which threads share a window
constexpr int64_t kFewBlocks = 264;  // two for every multiprocessor of an H100

DivisorOverride override_of(const Pool2dParams& g) {
    return {g.divisor_override.has_value(), g.divisor_override.value_or(0)};
}

// Whether windows are K x K pixels without gaps.
bool square(const Pool2dParams& g, int64_t K) {
    return !g.adaptive && g.R == K && g.S == K && g.dilation_h == 1 && g.dilation_w == 1 &&
           g.H > 0 && g.W > 0;
}

// The most pixels a window has inside the image.
int64_t most_taps(const Pool2dParams& g) { return std::min(g.R, g.H) * std::min(g.S, g.W); }

template <class T, int V>
void fprop(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    each_batch(g.N, g.P, g.Q, g.C / V, channels_inner(y), [&](int64_t n, const Pixels& pixels) {
        const AvgPool2dFprop<T> p{static_cast<const T*>(x.data) + n * x.strides[0],
                                  static_cast<T*>(y.data) + n * y.strides[0],
                                  image_steps(x),
                                  image_steps(y),
                                  pixels,
                                  pool_rows<int>(g),
                                  pool_columns<int>(g),
                                  override_of(g)};
        const auto run = [&](auto kernel) {
            launch(kernel, blocks_for(pixels.count, kPoolThreads), dim3(kPoolThreads), 0, p);
        };
        if constexpr (!std::is_integral_v<T>) {
            if (square(g, 2)) return run(avg_pool2d_fprop_square_kernel<T, 2, V>);
            if (square(g, 3)) return run(avg_pool2d_fprop_square_kernel<T, 3, V>);
        }
        run(avg_pool2d_fprop_gather_kernel<T, V>);
    });
}

// The parameters for images from n on; a block's channels in groups of `width`.
template <class T>
AvgPool2dWindow<T> window_params(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
                                 int64_t n, int64_t images, const Pixels& pixels) {
    return {static_cast<const T*>(x.data) + n * x.strides[0],
            static_cast<T*>(y.data) + n * y.strides[0],
            nullptr,
            image_steps(x),
            image_steps(y),
            pixels,
            pool_rows<int>(g),
            pool_columns<int>(g),
            override_of(g),
            static_cast<int>(images),
            static_cast<int>(g.C),
            1};
}

template <class T, int LANES, int V>
void window_channels(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    constexpr int64_t kChannels = LANES * V, kSlices = kWindowThreads / LANES;
    const int64_t groups = (g.C + kChannels - 1) / kChannels, outputs = g.P * g.Q;
    // parts of at least four loads a thread
    const int64_t wanted = (kFewBlocks + g.N * outputs * groups - 1) / (g.N * outputs * groups);
    const int64_t parts = std::max<int64_t>(std::min(wanted, most_taps(g) / (4 * kSlices)), 1);
    each_batch(g.N, g.P, g.Q, groups * parts, true, [&](int64_t n, const Pixels& blocks) {
        const int64_t images = blocks.count / (outputs * groups * parts);
        const Pixels pixels{static_cast<uint32_t>(images * outputs * groups), Division(g.P),
                            Division(g.Q), Division(groups), true};
        auto p = window_params<T>(g, x, y, n, images, pixels);
        const Workspace<Accumulation<T>> partial(parts > 1 ? parts * images * outputs * g.C : 0);
        p.partial = partial.data();
        p.parts = static_cast<int>(parts);
        launch(avg_pool2d_fprop_window_channels_kernel<T, LANES, V>, dim3(blocks.count),
               dim3(kWindowThreads), kWindowThreads * V * sizeof(Accumulation<T>), p);
        if (parts == 1) return;
        p.pixels = Pixels{static_cast<uint32_t>(images * outputs * g.C), Division(g.P),
                          Division(g.Q), Division(g.C), true};
        launch(avg_pool2d_fprop_parts_kernel<T>, blocks_for(p.pixels.count, kPoolThreads),
               dim3(kPoolThreads), 0, p);
    });
}

template <class T>
void window_plane(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    each_batch(g.N, g.P, g.Q, g.C, false, [&](int64_t n, const Pixels& pixels) {
        const auto p = window_params<T>(g, x, y, n, 0, pixels);
        const int64_t taps = most_taps(g);
        const bool whole_block = taps >= 2048 || (taps >= 512 && pixels.count < 8 * kFewBlocks);
        if (whole_block)
            launch(avg_pool2d_fprop_window_plane_kernel<T, kWindowThreads>, dim3(pixels.count),
                   dim3(kWindowThreads), kWindowThreads / 32 * sizeof(Accumulation<T>), p);
        else
            launch(avg_pool2d_fprop_window_plane_kernel<T, 32>,
                   blocks_for(pixels.count, kWindowThreads / 32), dim3(kWindowThreads), 0, p);
    });
}

template <class T, int V>
void dgrad(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx) {
    const auto run = [&](auto kernel, int64_t stride) {
        const int64_t first_row = stride > 0 ? g.pad_h / stride : 0,
                      first_column = stride > 0 ? g.pad_w / stride : 0;
        const int64_t rows = stride > 0 ? (g.H - 1 + g.pad_h) / stride - first_row + 1 : g.H,
                      columns = stride > 0 ? (g.W - 1 + g.pad_w) / stride - first_column + 1 : g.W;
        each_batch(
            g.N, rows, columns, g.C / V, channels_inner(dx), [&](int64_t n, const Pixels& pixels) {
                const AvgPool2dDgrad<T> p{static_cast<const T*>(dy.data) + n * dy.strides[0],
                                          static_cast<T*>(dx.data) + n * dx.strides[0],
                                          image_steps(dy),
                                          image_steps(dx),
                                          pixels,
                                          pool_rows<int>(g),
                                          pool_columns<int>(g),
                                          override_of(g),
                                          static_cast<int>(first_row),
                                          static_cast<int>(first_column)};
                launch(kernel, blocks_for(pixels.count, kPoolThreads), dim3(kPoolThreads), 0, p);
            });
    };
    const auto stride = [&](int64_t s) { return g.stride_h == s && g.stride_w == s; };
    if (g.P > 0 && g.Q > 0) {
        if (square(g, 2) && stride(2)) return run(avg_pool2d_dgrad_blocks_kernel<T, 2, 2, V>, 2);
        if (square(g, 3) && stride(2)) return run(avg_pool2d_dgrad_blocks_kernel<T, 3, 2, V>, 2);
        if (square(g, 3) && stride(1)) return run(avg_pool2d_dgrad_blocks_kernel<T, 3, 1, V>, 1);
    }
    run(avg_pool2d_dgrad_gather_kernel<T, V>, 0);
}

}  // namespace

void avg_pool2d_fprop_direct(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    if (!pool_fits(g) || !image_steps_fit(x) || !image_steps_fit(y))
        return avg_pool2d_fprop_naive(g, x, y);
    with_pooled_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        if constexpr (!std::is_integral_v<T>) {
            constexpr int V = kWidth<T>;
            const bool many = most_taps(g) > kManyTaps && g.dilation_h == 1 && g.dilation_w == 1;
            const bool vectors = in_channel_vectors(x, V) && in_channel_vectors(y, V);
            if (many && !channels_inner(x)) return window_plane<T>(g, x, y);
            if (many && !vectors) return window_channels<T, 32, 1>(g, x, y);
            if (many && g.C <= 8 * V) return window_channels<T, 8, V>(g, x, y);
            if (many) return window_channels<T, 32, V>(g, x, y);
            if (vectors) return fprop<T, V>(g, x, y);
        }
        fprop<T, 1>(g, x, y);
    });
}

void avg_pool2d_dgrad_direct(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx) {
    if (!pool_fits(g) || !image_steps_fit(dy) || !image_steps_fit(dx))
        return avg_pool2d_dgrad_naive(g, dy, dx);
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        constexpr int V = kWidth<T>;
        if (in_channel_vectors(dy, V) && in_channel_vectors(dx, V))
            dgrad<T, V>(g, dy, dx);
        else
            dgrad<T, 1>(g, dy, dx);
    });
}

void avg_pool2d_fprop_naive(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    with_pooled_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        const NaiveAvgPool2d<T> p{
            elements_of<T>(x),     elements_of<T>(y),        y.numel(),     g.C,
            pool_rows<int64_t>(g), pool_columns<int64_t>(g), override_of(g)};
        launch(avg_pool2d_fprop_naive_kernel<T>, blocks_for(p.count, kPoolThreads),
               dim3(kPoolThreads), 0, p);
    });
}

void avg_pool2d_dgrad_naive(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx) {
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        const NaiveAvgPool2d<T> p{
            elements_of<T>(dx),    elements_of<T>(dy),       dx.numel(),    g.C,
            pool_rows<int64_t>(g), pool_columns<int64_t>(g), override_of(g)};
        launch(avg_pool2d_dgrad_naive_kernel<T>, blocks_for(p.count, kPoolThreads),
               dim3(kPoolThreads), 0, p);
    });
}

}  // namespace pycnn::cuda
