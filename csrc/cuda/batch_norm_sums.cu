#include "cuda/batch_norm_sums.cuh"

#include "primitives/batch_norm.h"

namespace pycnn::cuda {
namespace {

// Launches with the outputs as parts, or with a workspace that a second launch merges.
template <class A, bool Moving, int Arrays, class F>
void run_in_parts(const NormWalk<Arrays>& w, int64_t pixels_in_vector, const ArrayView& first,
                  const ArrayView& second, F&& run) {
    if (w.slabs == 1) return run(NormParts{FloatVector(first), FloatVector(second), 0});
    const int64_t each = w.slabs * w.channels;
    const Workspace<A> parts(2 * each);
    constexpr DType dtype = DTypeOf<A>::value;
    run(NormParts{{parts.data(), dtype, 1}, {parts.data() + each, dtype, 1}, w.channels});
    const NormMerge<A> merge{parts.data(),
                             parts.data() + each,
                             FloatVector(first),
                             FloatVector(second),
                             w.channels,
                             w.slabs,
                             w.pixels.count * pixels_in_vector,
                             w.each * pixels_in_vector};
    launch(batch_norm_merge_kernel<A, Moving>, blocks_for(w.channels, kMergeChannels),
           dim3(kNormThreads), 0, merge);
}

}  // namespace

void batch_norm_stats(const ArrayView& x, const ArrayView& mean, const ArrayView& m2) {
    if (mean.numel() == 0) return;
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        auto walk = norm_walk_of<1>({&x});
        with_vectors<T>(
            walk, aligned_to_vectors({x.data}), kSumLoads,
            [&](auto channels, auto pixels, auto index) {
                constexpr int C = decltype(channels)::value, P = decltype(pixels)::value;
                run_in_parts<Accumulation<T>, true>(walk, P, mean, m2, [&](const NormParts& parts) {
                    launch(batch_norm_stats_kernel<T, C, P, decltype(index)>, dim3(walk.blocks()),
                           dim3(walk.threads()), 0, NormStats<T>{Elements<T>::of(x), parts, walk});
                });
            });
    });
}

void batch_norm_reduce(const BatchNormReduce& a) {
    if (a.sum_dy.numel() == 0) return;
    with_elements({&a.dy, &a.x}, [&](auto t) {
        using T = decltype(t);
        auto walk = norm_walk_of<2>({&a.dy, &a.x});
        const NormVectors vectors{FloatVector(a.mean), FloatVector(a.invstd), FloatVector(a.weight),
                                  FloatVector(a.bias)};
        with_vectors<T>(
            walk, aligned_to_vectors({a.dy.data, a.x.data}), kReduceLoads,
            [&](auto channels, auto pixels, auto index) {
                constexpr int C = decltype(channels)::value, P = decltype(pixels)::value;
                run_in_parts<Accumulation<T>, false>(
                    walk, P, a.sum_dy, a.sum_dy_xhat, [&](const NormParts& parts) {
                        launch(batch_norm_reduce_kernel<T, C, P, decltype(index)>,
                               dim3(walk.blocks()), dim3(walk.threads()), 0,
                               NormReduce<T>{Elements<T>::of(a.dy), Elements<T>::of(a.x), vectors,
                                             a.relu, parts, walk});
                    });
            });
    });
}

}  // namespace pycnn::cuda
