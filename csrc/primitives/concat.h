// Joining arrays along one axis, and cutting one into parts.
#pragma once

#include <vector>

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// `parts` lie one after the other along `axis` of `whole` and have its other sizes and its dtype;
// any dtype and strides. concat fills whole, split the parts.
PYCNN_PER_BUILD(void concat(const std::vector<ArrayView>& parts, const ArrayView& whole, int axis);
                void split(const ArrayView& whole, const std::vector<ArrayView>& parts, int axis);)

}  // namespace pycnn
