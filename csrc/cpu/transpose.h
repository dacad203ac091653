// Square blocks transposed in registers.
#pragma once

#include <utility>

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// Lane i of one half of a pair of rows `step` apart, after their off-diagonal blocks of `step`
// lanes changed places: an index into both rows, one behind the other.
constexpr int swapped_lane(int i, int step, bool upper) {
    constexpr int lanes = kLanes<float>;
    if (!upper) return i & step ? lanes + (i ^ step) : i;
    return i & step ? lanes + i : i ^ step;
}

template <int step, size_t... i>
PYCNN_INLINE void swap_blocks(Vec<float>& a, Vec<float>& b, std::index_sequence<i...>) {
    const Vec<float> upper =
        __builtin_shufflevector(a, b, swapped_lane(static_cast<int>(i), step, false)...);
    b = __builtin_shufflevector(a, b, swapped_lane(static_cast<int>(i), step, true)...);
    a = upper;
}

template <int step>
PYCNN_INLINE void swap_rows(Vec<float> (&rows)[kLanes<float>]) {
    constexpr int lanes = kLanes<float>;
    if constexpr (step < lanes) {
        for (int i = 0; i < lanes; ++i)
            if (!(i & step))
                swap_blocks<step>(rows[i], rows[i + step], std::make_index_sequence<lanes>());
        swap_rows<2 * step>(rows);
    }
}

// rows[i][j] and rows[j][i] change places.
PYCNN_INLINE void transpose(Vec<float> (&rows)[kLanes<float>]) { swap_rows<1>(rows); }

}  // namespace pycnn::PYCNN_ISA
