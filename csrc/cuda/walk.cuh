// Arrays of one shape, walked together: the fewest axes, and where element i of each lies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "common/array.h"
#include "cuda/division.cuh"

namespace pycnn::cuda {

// `Arrays` arrays; the last axis is the one with the smallest steps in the first array.
template <int Arrays>
struct Walk {
    int axes;
    int64_t count;
    int64_t sizes[kMaxDims];
    Division divisions[kMaxDims];  // of the sizes, where `count` is below 2^31
    int64_t steps[Arrays][kMaxDims];

    // Whether every array fills its memory in the order of the walk.
    bool dense() const {
        if (axes > 1) return false;
        for (int a = 0; a < Arrays; ++a)
            if (steps[a][0] != 1) return false;
        return true;
    }
};

inline ArrayView without_axis(const ArrayView& a, int axis) {
    ArrayView rest = a;
    --rest.ndim;
    for (int i = axis; i < rest.ndim; ++i) {
        rest.shape[i] = a.shape[i + 1];
        rest.strides[i] = a.strides[i + 1];
    }
    return rest;
}

// The walk over arrays of the shape of `shape`, given the strides of each in elements.
template <int Arrays>
Walk<Arrays> walk_of(const ArrayView& shape, const int64_t* const (&strides)[Arrays]) {
    int order[kMaxDims], count = 0;  // axes longer than 1, from the largest step to the smallest
    for (int axis = 0; axis < shape.ndim; ++axis) {
        if (shape.shape[axis] == 1) continue;
        int at = count++;
        for (; at > 0 && std::abs(strides[0][order[at - 1]]) < std::abs(strides[0][axis]); --at)
            order[at] = order[at - 1];
        order[at] = axis;
    }
    Walk<Arrays> walk{};
    walk.count = shape.numel();
    for (int i = 0; i < count; ++i) {
        const int axis = order[i];
        bool joins = walk.axes > 0;  // with the axis before it
        for (int a = 0; joins && a < Arrays; ++a)
            joins = walk.steps[a][walk.axes - 1] == strides[a][axis] * shape.shape[axis];
        if (!joins) walk.sizes[walk.axes++] = 1;
        walk.sizes[walk.axes - 1] *= shape.shape[axis];
        for (int a = 0; a < Arrays; ++a) walk.steps[a][walk.axes - 1] = strides[a][axis];
    }
    if (walk.axes == 0) {
        walk.axes = 1;
        walk.sizes[0] = walk.count;
        for (int a = 0; a < Arrays; ++a) walk.steps[a][0] = 1;
    }
    if (walk.count < int64_t{1} << 31)
        for (int i = 0; i < walk.axes; ++i)
            walk.divisions[i] = Division(std::max<int64_t>(walk.sizes[i], 1));
    return walk;
}

// Where element `index` of the walk lies in each array. Index is uint32_t, for walks of fewer than
// 2^31 elements, or uint64_t.
template <class Index, int Arrays>
__device__ __forceinline__ void locate(const Walk<Arrays>& walk, Index index,
                                       int64_t (&at)[Arrays]) {
#pragma unroll
    for (int a = 0; a < Arrays; ++a) at[a] = 0;
    for (int axis = walk.axes - 1; axis > 0; --axis) {
        Index i;
        if constexpr (sizeof(Index) == 4) {
            i = walk.divisions[axis].divide(index);
        } else {
            i = index % static_cast<Index>(walk.sizes[axis]);
            index /= static_cast<Index>(walk.sizes[axis]);
        }
#pragma unroll
        for (int a = 0; a < Arrays; ++a) at[a] += static_cast<int64_t>(i) * walk.steps[a][axis];
    }
#pragma unroll
    for (int a = 0; a < Arrays; ++a) at[a] += static_cast<int64_t>(index) * walk.steps[a][0];
}

}  // namespace pycnn::cuda
