// Two-dimensional max and average pooling: what "direct" and "naive" offer.
//
// max fprop   y[n,c,p,q] = the largest of x over the window of (p,q), offsets its tap, r*S + s
// max dgrad   dx[n,c,h,w] = sum of dy over the windows whose offset names (h,w)
// avg fprop   y[n,c,p,q] = sum of x over the window / divisor(p,q)
// avg dgrad   dx[n,c,h,w] = sum of dy / divisor over the windows that hold (h,w)
//
// x, dx (N,C,H,W)  y, dy, offsets (N,C,P,Q), any strides, an output's without overlap. x and y have
// one dtype: the floating-point dtypes, and integers where there is no gradient. Offsets are uint8,
// or int32 where a window has more than 256 taps.
#pragma once

#include <cstdint>
#include <optional>

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// A pycnn.geometry.Pool2dGeometry. Output p pools the inputs p*stride - pad + r*dilation inside the
// image, or from floor(p*H/P) up to ceil((p+1)*H/P) if adaptive. Sizes stay below 2^31.
struct Pool2dParams {
    int64_t N, C, H, W, R, S, P, Q;
    int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    bool adaptive, count_include_pad;
    std::optional<int64_t> divisor_override;
};

PYCNN_PER_BUILD(
    void max_pool2d_fprop_direct(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
                                 const ArrayView& offsets);
    void max_pool2d_fprop_naive(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
                                const ArrayView& offsets);
    void max_pool2d_dgrad_direct(const Pool2dParams& g, const ArrayView& dy,
                                 const ArrayView& offsets, const ArrayView& dx);
    void max_pool2d_dgrad_naive(const Pool2dParams& g, const ArrayView& dy,
                                const ArrayView& offsets, const ArrayView& dx);
    void avg_pool2d_fprop_direct(const Pool2dParams& g, const ArrayView& x, const ArrayView& y);
    void avg_pool2d_fprop_naive(const Pool2dParams& g, const ArrayView& x, const ArrayView& y);
    void avg_pool2d_dgrad_direct(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx);
    void avg_pool2d_dgrad_naive(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx);)

}  // namespace pycnn
