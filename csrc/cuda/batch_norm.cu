#include "cuda/batch_norm.cuh"

#include "primitives/batch_norm.h"

namespace pycnn::cuda {
void batch_norm_apply(const BatchNormApply& a) {
    if (a.y.numel() == 0) return;
    const ArrayView& residual = a.residual ? *a.residual : a.x;
    const NormVectors vectors{FloatVector(a.mean), FloatVector(a.invstd), FloatVector(a.weight),
                              FloatVector(a.bias)};
    const bool plain = a.activation == Activation::none || a.activation == Activation::relu;
    with_elements({&a.y, &a.x, &residual}, [&](auto t) {
        using T = decltype(t);
        auto walk = norm_walk_of<3>({&a.y, &a.x, &residual});
        with_vectors<T>(walk, aligned_to_vectors({a.y.data, a.x.data, residual.data}), kNormLoads,
                        [&](auto channels, auto pixels, auto index) {
                            constexpr int C = decltype(channels)::value;
                            constexpr int P = decltype(pixels)::value;
                            const NormApply<T> p{Elements<T>::of(a.x),
                                                 Elements<T>::of(residual),
                                                 Elements<T>::of(a.y),
                                                 a.residual.has_value(),
                                                 vectors,
                                                 a.activation,
                                                 walk};
                            using Index = decltype(index);
                            launch(plain ? batch_norm_apply_kernel<T, C, P, true, Index>
                                         : batch_norm_apply_kernel<T, C, P, false, Index>,
                                   dim3(walk.blocks()), dim3(walk.threads()), 0, p);
                        });
    });
}

void batch_norm_dgrad(const BatchNormDgrad& a) {
    if (a.dx.numel() == 0) return;
    const NormVectors vectors{FloatVector(a.mean), FloatVector(a.invstd), FloatVector(a.weight),
                              FloatVector(a.bias)};
    const bool trains = a.sum_dy && a.sum_dy_xhat;
    with_elements({&a.dx, &a.dy, &a.x}, [&](auto t) {
        using T = decltype(t);
        auto walk = norm_walk_of<3>({&a.dx, &a.dy, &a.x});
        const auto elements = static_cast<double>(walk.pixels.count);
        const std::optional<ArrayView> none;
        with_vectors<T>(walk, aligned_to_vectors({a.dx.data, a.dy.data, a.x.data}), kNormLoads,
                        [&](auto channels, auto pixels, auto index) {
                            constexpr int C = decltype(channels)::value;
                            constexpr int P = decltype(pixels)::value;
                            const NormDgrad<T> p{Elements<T>::of(a.dy),
                                                 Elements<T>::of(a.x),
                                                 Elements<T>::of(a.dx),
                                                 vectors,
                                                 FloatVector(trains ? a.sum_dy : none),
                                                 FloatVector(trains ? a.sum_dy_xhat : none),
                                                 a.relu,
                                                 elements,
                                                 walk};
                            launch(batch_norm_dgrad_kernel<T, C, P, decltype(index)>,
                                   dim3(walk.blocks()), dim3(walk.threads()), 0, p);
                        });
    });
}

}  // namespace pycnn::cuda
