// What the passes of the convolution in small groups share.
#pragma once

#include "cpu/conv2d_tiles.h"

namespace pycnn::PYCNN_ISA {

// Calls body with std::integral_constant<int, 0>, ..., <int, kCount - 1>.
template <class F, int... kIndex>
PYCNN_INLINE void unrolled(F&& body, std::integer_sequence<int, kIndex...>) {
    (body(std::integral_constant<int, kIndex>{}), ...);
}
template <int kCount, class F>
PYCNN_INLINE void unrolled(F&& body) {
    unrolled(std::forward<F>(body), std::make_integer_sequence<int, kCount>{});
}

// Calls function with the number of distances at which lanes of a vector exchange: the channels per
// group, at most the lanes.
template <class T, class F>
void with_span(int64_t span, F&& function) {
    if constexpr (kLanes<T> >= 16)
        if (span == 16) return function(std::integral_constant<int, 16>{});
    if constexpr (kLanes<T> >= 8)
        if (span == 8) return function(std::integral_constant<int, 8>{});
    if constexpr (kLanes<T> >= 4)
        if (span == 4) return function(std::integral_constant<int, 4>{});
    if constexpr (kLanes<T> == 2)
        if (span == 2) return function(std::integral_constant<int, 2>{});
}

// The same conditions as in providers/native/conv2d_grouped.py.
inline void check_grouped(const Conv2dParams& g) {
    const int64_t per_group = g.C / g.G;
    if (g.K != g.C || (per_group != 4 && per_group != 8 && per_group != 16 && per_group != 32))
        throw ValueError(refusal("channels and filters per group",
                                 std::to_string(per_group) + " and " + std::to_string(g.K / g.G),
                                 "4, 8, 16 or 32 of both"));
    if (g.stride_h > 4 || g.stride_w > 4)
        throw ValueError(
            refusal("stride", std::to_string(std::max(g.stride_h, g.stride_w)), "at most 4"));
    if ((g.R - 1) * g.dilation_h + g.top + std::abs(g.bottom) > 4 * g.H + 64 ||
        (g.S - 1) * g.dilation_w + g.left + std::abs(g.right) > 4 * g.W + 64)
        throw ValueError(refusal("padding and the dilated filter", "far larger than the image",
                                 "at most 4 times the image and 64 more"));
}

}  // namespace pycnn::PYCNN_ISA
