// Depthwise convolution over contiguous arrays: see conv2d_depthwise_planes.cpp.
#pragma once

#include "common/epilogue.h"
#include "cpu/conv2d_gather.h"

namespace pycnn::PYCNN_ISA {

// Whether the arrays lie plane by plane and the padding does not dwarf them.
bool takes_planes(const Conv2dParams& g, const ArrayView& in, const ArrayView& out);

void gather_planes(const Conv2dParams& g, const Gathers& gathers, const ArrayView& in,
                   const ArrayView& w, const ArrayView& out, const EpilogueView& epilogue);

}  // namespace pycnn::PYCNN_ISA
