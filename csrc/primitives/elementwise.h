// The primitive `elementwise`: out = op(inputs...; parameters) after broadcasting.
#pragma once

#include <string>
#include <vector>

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// A parameter of an op as Python gave it: a number as both.
struct Number {
    double real;
    int64_t integer;
};

constexpr int kMostInputs = 6;
constexpr int kMostParameters = 4;

struct ElementwiseCall {
    std::string op;
    int inputs = 0;
    ArrayView input[kMostInputs];
    int parameters = 0;
    Number parameter[kMostParameters];
    ArrayView out;
};

// Runs a call whose inputs broadcast to out's shape; TypeError where the op has no such form.
PYCNN_PER_BUILD(void elementwise(const ElementwiseCall& call);)

// The names of all ops.
PYCNN_PER_BUILD(std::vector<std::string> elementwise_ops();)

}  // namespace pycnn
