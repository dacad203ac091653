// Depthwise fprop and dgrad by strips, in two files that compile side by side.
#pragma once

#include "primitives/conv2d.h"

namespace pycnn::cuda {

// Runs the pass and returns true, or false where it has no kernel for the problem.
bool depthwise_strips_3x3(const Conv2dParams& g, const ArrayView& source, const ArrayView& w,
                          const ArrayView& out, const EpilogueView& epilogue, bool adjoint);
// 5 or 7 taps along the strip.
bool depthwise_strips_wide(const Conv2dParams& g, const ArrayView& source, const ArrayView& w,
                           const ArrayView& out, const EpilogueView& epilogue, bool adjoint);

}  // namespace pycnn::cuda
