// What the passes of the convolution in small groups share.
#pragma once

#include "cpu/conv2d_tiles.h"

namespace pycnn::PYCNN_ISA {

// Whether a group's channels fill vectors. Then an input channel is broadcast to all the outputs of
// its group; else lanes change places within the groups of a vector.
template <int kSpan, class T>
constexpr bool kFills = kSpan == kLanes<T>;

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

// The filter, or its gradient's sums, for vectors of outputs: the element of a lane at a distance
// belongs to the output channel of the lane and the input channel of the lane at that distance, or,
// where groups fill vectors, the input channel of that number. In the order (vector, input vector
// of its group, R, S, distance, lane).
struct Arrangement {
    int64_t C, per_group, span, vectors_per_group, R, S;
    int lanes;

    Arrangement(const Conv2dParams& g, int lanes_)
        : C(g.C),
          per_group(g.C / g.G),
          span(std::min<int64_t>(per_group, lanes_)),
          vectors_per_group(per_group / span),
          R(g.R),
          S(g.S),
          lanes(lanes_) {}

    int64_t vectors() const { return (C + lanes - 1) / lanes; }
    int64_t length() const { return per_group * R * S * lanes; }  // per vector of outputs
    int64_t tap(int64_t input, int64_t r, int64_t s) const {
        return ((input * R + r) * S + s) * span * lanes;
    }
    // The input channel, counted within the group.
    int64_t input_channel(int64_t vector, int64_t input, int64_t lane, int64_t distance) const {
        return per_group >= lanes ? input * lanes + distance
                                  : (vector * lanes + (lane ^ distance)) % per_group;
    }
};

// The same conditions as in providers/native/conv2d_grouped.py.
inline void check_grouped(const Conv2dParams& g) {
    const int64_t per_group = g.C / g.G;
    if (g.K != g.C || (per_group != 4 && per_group != 8 && per_group != 16 && per_group != 32))
        throw ValueError(refusal("channels and filters per group",
                                 std::to_string(per_group) + " and " + std::to_string(g.K / g.G),
                                 "4, 8, 16 or 32 of both"));
    check_tiles(g);
}

}  // namespace pycnn::PYCNN_ISA
