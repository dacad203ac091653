// Dropout whose mask is computed from a counter.
#pragma once

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// out = x * mask: one shape and float dtype, any strides; out may be x. The mask has the first
// `axes` axes of x; element i is `scale` where word i of Philox 4x32-10 is at least `threshold`.
struct DropoutMask {
    int axes;
    ArrayView key;  // (2,) of int64: the seed and the offset of the counter
    uint32_t threshold;
    double scale;
};
PYCNN_PER_BUILD(void dropout(const ArrayView& x, const ArrayView& out, const DropoutMask& mask);)

}  // namespace pycnn
