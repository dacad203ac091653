// Batch normalisation of (N, C, *), any strides.
#pragma once

#include <optional>

#include "common/array.h"
#include "common/epilogue.h"
#include "primitives/builds.h"

namespace pycnn {

// All float dtypes. Statistics, sums and parameters are (C,), of any float dtype and stride.
//   stats    mean = sum x / M, m2 = sum (x - mean)^2 over the M = N * size elements of a channel
//   apply    y = activation((x - mean) * invstd * weight + bias + residual)
//   reduce   sum_dy = sum dy, sum_dy_xhat = sum dy * (x - mean) * invstd
//   dgrad    dx = weight * invstd * (dy - sum_dy / M - (x - mean) * invstd * sum_dy_xhat / M),
//            without the sums weight * invstd * dy
// With `relu` the gradient that comes in is that of relu(y), y without a residual: dy then counts
// where (x - mean) * invstd * weight + bias, which is computed as apply does, is positive or NaN.
struct BatchNormApply {
    ArrayView x, mean, invstd;
    std::optional<ArrayView> weight, bias, residual;
    Activation activation;
    ArrayView y;
};
struct BatchNormReduce {
    ArrayView dy, x, mean, invstd;
    std::optional<ArrayView> weight, bias;
    bool relu;
    ArrayView sum_dy, sum_dy_xhat;
};
struct BatchNormDgrad {
    ArrayView dy, x, mean, invstd;
    std::optional<ArrayView> weight, bias, sum_dy, sum_dy_xhat;
    bool relu;
    ArrayView dx;
};

PYCNN_PER_BUILD(void batch_norm_stats(const ArrayView& x, const ArrayView& mean,
                                      const ArrayView& m2);
                void batch_norm_apply(const BatchNormApply& a);
                void batch_norm_reduce(const BatchNormReduce& a);
                void batch_norm_dgrad(const BatchNormDgrad& a);

                void batch_norm_stats_naive(const ArrayView& x, const ArrayView& mean,
                                            const ArrayView& m2);
                void batch_norm_apply_naive(const BatchNormApply& a);
                void batch_norm_reduce_naive(const BatchNormReduce& a);
                void batch_norm_dgrad_naive(const BatchNormDgrad& a);)

}  // namespace pycnn
