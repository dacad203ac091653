// Sum and activation in one pass.
#pragma once

#include "common/array.h"
#include "common/epilogue.h"
#include "primitives/builds.h"

namespace pycnn {

// out = activation(a + b): one shape and float dtype, any strides; out may be a or b.
PYCNN_PER_BUILD(void add_activation(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                                    Activation activation);)

}  // namespace pycnn
