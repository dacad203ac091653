// Grouped fprop and dgrad on tensor cores.
#pragma once

#include "primitives/conv2d.h"

namespace pycnn::cuda {

constexpr int64_t kGroupedSharedBytes = 96 * 1024;  // of a block's filters

// Runs the pass and returns true, or false where it has no kernel for the problem.
bool grouped_on_tensor_cores(const Conv2dParams& g, const ArrayView& source, const ArrayView& w,
                             const ArrayView& out, const EpilogueView& epilogue, bool adjoint);

}  // namespace pycnn::cuda
