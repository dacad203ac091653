#include "cuda/batch_norm_naive.cuh"

#include "cuda/batch_norm_walk.cuh"
#include "cuda/launch.cuh"
#include "primitives/batch_norm.h"

namespace pycnn::cuda {
namespace {

// The arrays of one call; x stands for those there are none of.
template <class A>
NaiveNorm<A> naive_norm(const ArrayView& x, const ArrayView* dy, const ArrayView* residual,
                        const ArrayView* out) {
    using Any = Elements<Mixed<A>>;
    const auto elements = [](const ArrayView* a) {
        return a == nullptr ? Any{nullptr, DType::f32} : Any::of(*a);
    };
    const auto shape = [&](const ArrayView* a) { return a == nullptr ? &x : a; };
    const auto walk = norm_walk_of<4>({&x, shape(dy), shape(residual), shape(out)});
    NaiveNorm<A> p{};
    p.x = Any::of(x), p.dy = elements(dy), p.residual = elements(residual), p.out = elements(out);
    p.channels = walk.channels;
    std::copy(walk.channel_steps, walk.channel_steps + 4, p.channel_steps);
    p.pixels = walk.pixels;
    return p;
}

template <class A>
void launch_naive(void (*kernel)(NaiveNorm<A>), int64_t threads, const NaiveNorm<A>& p) {
    if (threads > 0)
        launch(kernel, blocks_for(threads, kNaiveNormThreads), dim3(kNaiveNormThreads), 0, p);
}

template <class A, class Call>
void set_vectors(NaiveNorm<A>& p, const Call& a) {
    p.mean = FloatVector(a.mean), p.invstd = FloatVector(a.invstd);
    p.weight = FloatVector(a.weight), p.bias = FloatVector(a.bias);
}

}  // namespace

void batch_norm_stats_naive(const ArrayView& x, const ArrayView& mean, const ArrayView& m2) {
    with_accumulation(x.dtype, [&](auto zero) {
        auto p = naive_norm<decltype(zero)>(x, nullptr, nullptr, nullptr);
        p.first = FloatVector(mean), p.second = FloatVector(m2);
        launch_naive(batch_norm_stats_naive_kernel<decltype(zero)>, p.channels, p);
    });
}

void batch_norm_reduce_naive(const BatchNormReduce& a) {
    with_accumulation(a.x.dtype, [&](auto zero) {
        auto p = naive_norm<decltype(zero)>(a.x, &a.dy, nullptr, nullptr);
        set_vectors(p, a);
        p.first = FloatVector(a.sum_dy), p.second = FloatVector(a.sum_dy_xhat);
        p.relu = a.relu;
        launch_naive(batch_norm_reduce_naive_kernel<decltype(zero)>, p.channels, p);
    });
}

void batch_norm_apply_naive(const BatchNormApply& a) {
    with_accumulation(a.x.dtype, [&](auto zero) {
        auto p =
            naive_norm<decltype(zero)>(a.x, nullptr, a.residual ? &*a.residual : nullptr, &a.y);
        set_vectors(p, a);
        p.activation = a.activation;
        launch_naive(batch_norm_apply_naive_kernel<decltype(zero)>, a.y.numel(), p);
    });
}

void batch_norm_dgrad_naive(const BatchNormDgrad& a) {
    with_accumulation(a.x.dtype, [&](auto zero) {
        auto p = naive_norm<decltype(zero)>(a.x, &a.dy, nullptr, &a.dx);
        set_vectors(p, a);
        if (a.sum_dy && a.sum_dy_xhat)
            p.first = FloatVector(*a.sum_dy), p.second = FloatVector(*a.sum_dy_xhat);
        p.relu = a.relu;
        launch_naive(batch_norm_dgrad_naive_kernel<decltype(zero)>, a.dx.numel(), p);
    });
}

}  // namespace pycnn::cuda
