// Walks and sums that the threads of a block share, always in the same order.
#pragma once

#include "cuda/machine.cuh"

namespace pycnn::cuda {

// Calls some(many, i) for first, first + step, ... below `last`: in groups of `Many` of them, i
// being the first of a group, then one by one.
template <int Many, class Index, class F>
__device__ __forceinline__ void for_groups(Index first, Index last, Index step, F&& some) {
    Index i = first;
    for (; i + (Many - 1) * step < last; i += Many * step)
        some(std::integral_constant<int, Many>{}, i);
    if constexpr (Many > 1)
        for (; i < last; i += step) some(std::integral_constant<int, 1>{}, i);
}

// The threads of a block lie `across` columns and `down` rows. Folds the rows into row 0, pair by
// pair: merge(slot, other) is called by thread `slot`, which then holds both. What is merged lies
// in shared memory, by threads; row 0 has to be waited for by the others.
template <class F>
__device__ __forceinline__ void fold_rows(int row, int across, int down, F&& merge) {
    const int slot = static_cast<int>(threadIdx.x);
    for (int rows = down; rows > 1;) {
        const int half = (rows + 1) / 2;
        __syncthreads();
        if (row < rows - half) merge(slot, slot + half * across);
        rows = half;
    }
}

// The values of `Group` threads, a warp or the whole block, folded by a commutative fold(a, b); all
// of them get the same bits. `room` is shared memory for a value of each warp.
template <int Group, class A, class F>
__device__ __forceinline__ A fold_group(A value, A* room, F&& fold) {
    static_assert(Group % 32 == 0 && Group <= 1024, "whole warps");
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value = fold(value, __shfl_xor_sync(kFullWarp, value, distance));
    if constexpr (Group > 32) {
        __syncthreads();  // `room` may have been read a moment ago
        if (lane() == 0) room[threadIdx.x / 32] = value;
        __syncthreads();
        value = room[0];
#pragma unroll
        for (int warp = 1; warp < Group / 32; ++warp) value = fold(value, room[warp]);
    }
    return value;
}

}  // namespace pycnn::cuda
