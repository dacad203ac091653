// The end of a convolution or a product: activation((acc + bias) * scale + shift + residual).
#pragma once

#include <cstdint>
#include <optional>

#include "common/array.h"

namespace pycnn {

// With the names and the default parameters of pycnn.dispatch.ACTIVATIONS.
enum class Activation : uint8_t {
    none,
    relu,
    relu6,
    leaky_relu,
    sigmoid,
    tanh,
    silu,
    hardswish,
    hardsigmoid,
    gelu,
    elu
};

constexpr const char* kActivations[] = {"",     "relu", "relu6",     "leaky_relu",  "sigmoid",
                                        "tanh", "silu", "hardswish", "hardsigmoid", "gelu",
                                        "elu"};

// As the caller hands it in: bias, scale and shift have one element per channel, the residual has
// the output's shape; all have the output's dtype.
struct EpilogueView {
    std::optional<ArrayView> bias, scale, shift, residual;
    Activation activation = Activation::none;
};

}  // namespace pycnn
