// Elementary functions on vectors, for float and double.
//
// For the instruction set this file is compiled for.
#pragma once

#include <cmath>

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

template <class V, class F>
PYCNN_INLINE V lane_by_lane(V v, F&& function) {
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); ++i) v[i] = function(v[i]);
    return v;
}

template <class V>
PYCNN_INLINE V exp(V x) {
    return lane_by_lane(x, [](auto a) { return std::exp(a); });
}
template <class V>
PYCNN_INLINE V expm1(V x) {
    return lane_by_lane(x, [](auto a) { return std::expm1(a); });
}
template <class V>
PYCNN_INLINE V log(V x) {
    return lane_by_lane(x, [](auto a) { return std::log(a); });
}
template <class V>
PYCNN_INLINE V tanh(V x) {
    return lane_by_lane(x, [](auto a) { return std::tanh(a); });
}
template <class V>
PYCNN_INLINE V erf(V x) {
    return lane_by_lane(x, [](auto a) { return std::erf(a); });
}

}  // namespace pycnn::PYCNN_ISA
