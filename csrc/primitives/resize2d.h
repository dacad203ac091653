// Resampling, from a table of taps per axis.
//
// y[n,c,p,q] = sum_t h_weight[p,t] * sum_u w_weight[q,u] * x[n, c, h_source[p,t], w_source[q,u]]
//
// x (N,C,H,W)  y (N,C,P,Q) of one dtype, any strides, y's without overlap. Floating-point dtypes;
// any other where both tables have one tap per output and no weights.
#pragma once

#include <cstdint>
#include <vector>

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// Output i sums the taps first[i] to first[i + 1]; source lies inside the input.
struct ResizeAxis {
    std::vector<int64_t> first;
    std::vector<int64_t> source;
    std::vector<double> weight;
    bool weighted;  // else every weight is 1

    int64_t outputs() const { return static_cast<int64_t>(first.size()) - 1; }
    bool copies() const { return !weighted && source.size() + 1 == first.size() && single; }
    bool single;  // every output has one tap
};

PYCNN_PER_BUILD(void resize2d(const ResizeAxis& along_h, const ResizeAxis& along_w,
                              const ArrayView& x, const ArrayView& y);)

}  // namespace pycnn
