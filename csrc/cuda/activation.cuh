// The activations an epilogue may end with, on accumulators.
#pragma once

#include "common/epilogue.h"
#include "cuda/machine.cuh"

namespace pycnn::cuda {

// 1 / (1 + exp(-x)); exp never sees a positive argument, so that it does not overflow.
template <class A>
__device__ __forceinline__ A sigmoid(A x) {
    const A e = exp(x < 0 ? x : -x);
    return (x < 0 ? e : A(1)) / (A(1) + e);
}

// NaN goes through every one of them: comparisons with it are false.
template <class A>
__device__ __forceinline__ A activate(Activation activation, A x) {
    const auto hard = [](A v) { return v < -3 ? A(0) : v > 3 ? A(6) : v + 3; };
    switch (activation) {
        case Activation::none: return x;
        case Activation::relu: return x < 0 ? A(0) : x;
        case Activation::relu6: return x < 0 ? A(0) : x > 6 ? A(6) : x;
        case Activation::leaky_relu: return x < 0 ? x * A(0.01) : x;
        case Activation::sigmoid: return sigmoid(x);
        case Activation::tanh: return tanh(x);
        case Activation::silu: return x * sigmoid(x);
        case Activation::hardswish: return x * hard(x) / A(6);
        case Activation::hardsigmoid: return hard(x) / A(6);
        case Activation::gelu: return A(0.5) * x * (A(1) + erf(x * A(0.70710678118654752)));
        case Activation::elu: return x > 0 ? x : expm1(x);
    }
    return x;
}

}  // namespace pycnn::cuda
