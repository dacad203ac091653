// col2im as the end of a convolution's dgrad.
#pragma once

#include "common/array.h"
#include "common/epilogue.h"
#include "common/params.h"

namespace pycnn::cuda {

// x from columns in the accumulation dtype, then the epilogue.
void col2im_sums(const Conv2dParams& g, const ArrayView& columns, const ArrayView& x,
                 const EpilogueView& epilogue);

}  // namespace pycnn::cuda
