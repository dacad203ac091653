// The end of a convolution or a product, in registers, before the one rounding at the store:
// activation((acc + bias) * scale + shift + residual).
#pragma once

#include "common/epilogue.h"
#include "cuda/activation.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

// An EpilogueView whose arrays have the type T; null where there is none. Steps in elements.
template <class T>
struct Epilogue {
    const T *bias, *scale, *shift, *residual;
    int64_t bias_step, scale_step, shift_step;
    int64_t residual_steps[4];  // of the output's axes
    Activation activation;
};

template <class T>
Epilogue<T> epilogue_of(const EpilogueView& view) {
    Epilogue<T> e{};
    const auto vector = [](const std::optional<ArrayView>& a, const T*& data, int64_t& step) {
        if (!a) return;
        data = static_cast<const T*>(a->data);
        step = a->strides[0];
    };
    vector(view.bias, e.bias, e.bias_step);
    vector(view.scale, e.scale, e.scale_step);
    vector(view.shift, e.shift, e.shift_step);
    if (view.residual) {
        e.residual = static_cast<const T*>(view.residual->data);
        for (int i = 0; i < view.residual->ndim && i < 4; ++i)
            e.residual_steps[i] = view.residual->strides[i];
    }
    e.activation = view.activation;
    return e;
}

// `acc` of one channel with the epilogue applied; `residual_at` is where its residual lies.
template <class T, class A>
__device__ __forceinline__ A finish(const Epilogue<T>& e, A acc, int64_t channel,
                                    int64_t residual_at) {
    if (e.bias != nullptr) acc += convert<A>(e.bias[channel * e.bias_step]);
    if (e.scale != nullptr) acc *= convert<A>(e.scale[channel * e.scale_step]);
    if (e.shift != nullptr) acc += convert<A>(e.shift[channel * e.shift_step]);
    if (e.residual != nullptr) acc += convert<A>(e.residual[residual_at]);
    return activate(e.activation, acc);
}

}  // namespace pycnn::cuda
