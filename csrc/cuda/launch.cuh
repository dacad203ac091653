// What launchers share: grids, alignment, and the choice of an index type.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "common/array.h"
#include "cuda/machine.cuh"

namespace pycnn::cuda {

// Blocks of `threads` for `count` items, on axis 0: the other axes of a grid stop at 65,535.
inline dim3 blocks_for(int64_t count, int64_t threads) {
    return dim3(static_cast<unsigned>((count + threads - 1) / threads));
}

inline bool aligned_to_vectors(std::initializer_list<const void*> pointers) {
    for (const void* p : pointers)
        if (reinterpret_cast<uintptr_t>(p) % 16 != 0) return false;
    return true;
}

// About `count` elements that end where a vector does, as long as there are several.
inline int64_t in_vectors(int64_t count) { return count < 64 ? count : (count + 15) / 16 * 16; }

// Calls function(Index{}) with uint32_t where it counts to `count`, else uint64_t.
template <class F>
void with_index(int64_t count, F&& function) {
    if (count < int64_t{1} << 31)
        function(uint32_t{});
    else
        function(uint64_t{});
}

}  // namespace pycnn::cuda
