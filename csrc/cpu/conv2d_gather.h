// A convolution pass as gathers: every output is a sum of inputs at evenly spaced places, times the
// taps of the filter. fprop is one gather. dgrad is one for each phase of the stride: the outputs
// first, first + stride, ... see the same taps, every (stride / gcd(stride, dilation))-th of the
// filter's, in reverse order. The two axes of an image are independent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "common/params.h"

namespace pycnn {

inline int64_t floor_div(int64_t a, int64_t b) {  // b > 0
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}
inline int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

// Along one axis: output first + i*step, for i in [0, count), sums over t in [0, taps) the input at
// i*stride - before + t*dilation, where there is one, times the filter's tap first_tap +
// t*tap_step.
struct GatherAxis {
    int64_t count, first, step;
    int64_t taps, first_tap, tap_step;
    int64_t stride, before, dilation;
    int64_t size;  // of the input

    int64_t at(int64_t i) const { return i * stride - before; }
    // The taps that meet an input from output i: [first_inside(i), end_inside(i)), maybe none.
    int64_t first_inside(int64_t i) const {
        return std::min(taps, std::max<int64_t>(0, ceil_div(-at(i), dilation)));
    }
    int64_t end_inside(int64_t i) const {
        return std::clamp<int64_t>(ceil_div(size - at(i), dilation), first_inside(i), taps);
    }
    // The outputs all of whose taps meet an input: [first_whole(), end_whole()), maybe none.
    int64_t first_whole() const { return std::clamp<int64_t>(ceil_div(before, stride), 0, count); }
    int64_t end_whole() const {
        const int64_t last = size - 1 + before - (taps - 1) * dilation;
        return std::clamp<int64_t>(floor_div(last, stride) + 1, first_whole(), count);
    }
};

inline std::vector<GatherAxis> fprop_axis(int64_t size, int64_t count, int64_t taps, int64_t stride,
                                          int64_t before, int64_t dilation) {
    return {{count, 0, 1, taps, 0, 1, stride, before, dilation, size}};
}

// `size` and `count` are those of fprop; here the outputs are x's `size`, the inputs y's `count`.
inline std::vector<GatherAxis> dgrad_axis(int64_t size, int64_t count, int64_t taps, int64_t stride,
                                          int64_t before, int64_t dilation) {
    std::vector<GatherAxis> phases;
    const int64_t common = std::gcd(stride, dilation), tap_step = stride / common;
    for (int64_t first = 0; first < std::min(stride, size); ++first) {
        GatherAxis axis{(size - first + stride - 1) / stride,
                        first,
                        stride,
                        0,
                        0,
                        -tap_step,
                        1,
                        0,
                        dilation / common,
                        count};
        int64_t lowest = 0;  // the first tap r for which first + before - r*dilation is p*stride
        const int64_t tried = std::min(taps, tap_step);
        while (lowest < tried && (first + before - lowest * dilation) % stride != 0) ++lowest;
        if (lowest < tried) {
            axis.taps = (taps - lowest + tap_step - 1) / tap_step;
            axis.first_tap = lowest + (axis.taps - 1) * tap_step;
            axis.before = -((first + before - axis.first_tap * dilation) / stride);
        }
        phases.push_back(axis);
    }
    return phases;
}

inline void check_depthwise(const Conv2dParams& g) {
    if (g.C != g.G || g.K != g.G)
        throw ValueError(refusal("groups", std::to_string(g.G),
                                 "as many as channels and filters, which are " +
                                     std::to_string(g.C) + " and " + std::to_string(g.K)));
}

struct Gathers {
    std::vector<GatherAxis> down, across;
};

inline Gathers fprop_gathers(const Conv2dParams& p) {
    return {fprop_axis(p.H, p.P, p.R, p.stride_h, p.top, p.dilation_h),
            fprop_axis(p.W, p.Q, p.S, p.stride_w, p.left, p.dilation_w)};
}

inline Gathers dgrad_gathers(const Conv2dParams& p) {
    return {dgrad_axis(p.H, p.P, p.R, p.stride_h, p.top, p.dilation_h),
            dgrad_axis(p.W, p.Q, p.S, p.stride_w, p.left, p.dilation_w)};
}

}  // namespace pycnn
