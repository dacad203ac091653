// The primitive `reduce`: out = op of x over a set of axes, which out does not have.
#pragma once

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

enum class Reduction : uint8_t {
    sum,
    mean,
    prod,
    var,
    std,
    amax,
    amin,
    argmax,
    argmin,
    any,
    all,
    count_nonzero,
    logsumexp,
    norm,
    norm1,
    norm_power
};

struct ReduceCall {
    Reduction op;
    ArrayView x, out;
    bool reduced[kMaxDims];  // of x's axes
    double correction;       // var's and std's; the power of norm_power
};

// Runs a call whose shapes fit; ValueError for the largest of no elements.
PYCNN_PER_BUILD(void reduce(const ReduceCall& call);)

}  // namespace pycnn
