#include "cuda/local_response_norm.cuh"

#include "common/dtypes.h"
#include "cuda/launch.cuh"
#include "primitives/local_response_norm.h"

namespace pycnn::cuda {
namespace {

constexpr int64_t kMostThreads = (int64_t{1} << 31) - 1;
constexpr int kSize = 5;                     // of the windows that have kernels of their own
constexpr int kFpropRun = 8, kDgradRun = 4;  // channels of a thread that are not a vector

// The array without its axis of channels.
ArrayView pixels_of(const ArrayView& a) {
    ArrayView pixels = a;
    for (int axis = 1; axis + 1 < a.ndim; ++axis) {
        pixels.shape[axis] = a.shape[axis + 1];
        pixels.strides[axis] = a.strides[axis + 1];
    }
    --pixels.ndim;
    return pixels;
}

template <class A>
LocalResponse<A> norm_of(const LocalResponseNormParams& g, int64_t C) {
    const double share = g.alpha / static_cast<double>(g.size);
    return {static_cast<A>(g.k),
            static_cast<A>(share),
            static_cast<A>(g.beta),
            static_cast<A>(2 * share * g.beta),
            static_cast<int>(std::min(g.size / 2, C)),
            static_cast<int>(std::min((g.size - 1) / 2, C))};
}

// Runs of `run` channels of the array that is written.
Runs runs_of(const ArrayView& out, int64_t run) {
    const int64_t C = out.shape[1], runs = (C + run - 1) / run, pixels = out.numel() / C;
    Runs numbered{static_cast<uint32_t>(pixels * runs), Division(pixels), Division(runs), true};
    for (int axis = 2; axis < out.ndim; ++axis)
        if (out.shape[axis] > 1 && std::abs(out.strides[axis]) < std::abs(out.strides[1]))
            numbered.channels_inner = false;
    return numbered;
}

// Whether the channels of every pixel are whole vectors of `width` elements.
bool in_vectors(const ArrayView& a, int64_t width) {
    bool whole = a.shape[1] % width == 0 && a.strides[1] == 1 && aligned_to_vectors({a.data});
    for (int axis = 0; axis < a.ndim; ++axis)
        whole = whole && (axis == 1 || a.shape[axis] == 1 || a.strides[axis] % width == 0);
    return whole;
}

template <class T>
Channels<T> channels_of(const ArrayView& a) {
    return {static_cast<T*>(a.data), a.strides[1]};
}

// Calls function(arrays) for parts, cut along an axis of pixels, in which threads can be numbered.
template <size_t Count, class F>
void each_part(std::array<ArrayView, Count> arrays, F&& function) {
    const ArrayView& first = arrays[0];
    if (first.numel() <= kMostThreads) return function(arrays);
    int longest = 0;
    for (int axis = 2; axis < first.ndim; ++axis)
        if (first.shape[axis] > first.shape[longest]) longest = axis;
    const int64_t half = first.shape[longest] / 2;
    if (half == 0)
        throw ValueError(refusal("a pixel's channels", std::to_string(first.shape[1]),
                                 "at most " + std::to_string(kMostThreads)));
    std::array<ArrayView, Count> rest = arrays;
    for (size_t i = 0; i < Count; ++i) {
        arrays[i].shape[longest] = half;
        rest[i].shape[longest] -= half;
        rest[i].data = static_cast<char*>(rest[i].data) +
                       half * rest[i].strides[longest] * info(rest[i].dtype).bytes;
    }
    each_part(arrays, function);
    each_part(rest, function);
}

template <class Params>
void launch_runs(void (*kernel)(Params), const Params& p) {
    launch(kernel, blocks_for(p.runs.count, kNormThreads), dim3(kNormThreads), 0, p);
}

void fprop(const LocalResponseNormParams& g, const ArrayView& x, const ArrayView& y) {
    const ArrayView from = pixels_of(x), to = pixels_of(y);
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        LocalResponseNormFprop<T> p{channels_of<const T>(x),
                                    channels_of<T>(y),
                                    norm_of<Accumulation<T>>(g, y.shape[1]),
                                    runs_of(y, 1),
                                    walk_of<2>(to, {to.strides, from.strides}),
                                    static_cast<int>(y.shape[1])};
        if (g.size != kSize) return launch_runs(local_response_norm_fprop_window_kernel<T>, p);
        constexpr int V = kWidth<T>;
        if constexpr (2 * (kSize / 2) <= V) {
            if (in_vectors(x, V) && in_vectors(y, V)) {
                p.runs = runs_of(y, V);
                return launch_runs(local_response_norm_fprop_run_kernel<T, kSize, V, true>, p);
            }
        }
        p.runs = runs_of(y, kFpropRun);
        launch_runs(local_response_norm_fprop_run_kernel<T, kSize, kFpropRun, false>, p);
    });
}

void dgrad(const LocalResponseNormParams& g, const ArrayView& dy, const ArrayView& x,
           const ArrayView& y, const ArrayView& dx) {
    const ArrayView given = pixels_of(dy), from = pixels_of(x), result = pixels_of(y),
                    to = pixels_of(dx);
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        LocalResponseNormDgrad<T> p{
            channels_of<const T>(dy),
            channels_of<const T>(x),
            channels_of<const T>(y),
            channels_of<T>(dx),
            norm_of<Accumulation<T>>(g, dx.shape[1]),
            runs_of(dx, 1),
            walk_of<4>(to, {to.strides, given.strides, from.strides, result.strides}),
            static_cast<int>(dx.shape[1])};
        if (g.size != kSize) return launch_runs(local_response_norm_dgrad_window_kernel<T>, p);
        constexpr int V = kWidth<T>;
        if constexpr (2 * (kSize / 2) <= V) {
            if (in_vectors(dy, V) && in_vectors(x, V) && in_vectors(y, V) && in_vectors(dx, V)) {
                p.runs = runs_of(dx, V);
                return launch_runs(local_response_norm_dgrad_run_kernel<T, kSize, V, true>, p);
            }
        }
        p.runs = runs_of(dx, kDgradRun);
        launch_runs(local_response_norm_dgrad_run_kernel<T, kSize, kDgradRun, false>, p);
    });
}

}  // namespace

void local_response_norm_fprop(const LocalResponseNormParams& g, const ArrayView& x,
                               const ArrayView& y) {
    each_part<2>({x, y}, [&](const std::array<ArrayView, 2>& a) { fprop(g, a[0], a[1]); });
}

void local_response_norm_dgrad(const LocalResponseNormParams& g, const ArrayView& dy,
                               const ArrayView& x, const ArrayView& y, const ArrayView& dx) {
    each_part<4>({dy, x, y, dx},
                 [&](const std::array<ArrayView, 4>& a) { dgrad(g, a[0], a[1], a[2], a[3]); });
}

}  // namespace pycnn::cuda
