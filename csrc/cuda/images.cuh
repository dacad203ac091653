// Images (N,C,H,W) in kernels whose threads each take a pixel and a group of its channels.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "common/array.h"
#include "cuda/division.cuh"
#include "cuda/launch.cuh"

namespace pycnn::cuda {

// The steps of an array along its axes, in elements. Inside one image they fit in 32 bits.
struct ImageSteps {
    int64_t n;
    int32_t c, h, w;
};

constexpr int64_t kMostItems = (int64_t{1} << 31) - 1;  // threads of one launch

inline bool image_steps_fit(const ArrayView& a) {
    int64_t reach = 0;
    for (int axis = 1; axis < 4; ++axis) {
        if (a.shape[axis] <= 1) continue;
        const int64_t step = std::abs(a.strides[axis]);
        if (step > kMostItems || a.shape[axis] > kMostItems) return false;
        reach += step * (a.shape[axis] - 1);
        if (reach > kMostItems) return false;
    }
    return true;
}

inline ImageSteps image_steps(const ArrayView& a) {
    const auto step = [&](int axis) {
        return static_cast<int32_t>(a.shape[axis] > 1 ? a.strides[axis] : 0);
    };
    return {a.strides[0], step(1), step(2), step(3)};
}

// Whether channels lie closer together than pixels.
inline bool channels_inner(const ArrayView& a) {
    const int axis = a.shape[3] > 1 ? 3 : 2;
    return a.shape[1] > 1 && a.shape[axis] > 1 &&
           std::abs(a.strides[1]) < std::abs(a.strides[axis]);
}

// Whether the channels of every pixel are whole vectors of `width` elements.
inline bool in_channel_vectors(const ArrayView& a, int64_t width) {
    const auto bytes = static_cast<uintptr_t>(width * info(a.dtype).bytes);
    bool whole = a.shape[1] % width == 0 && a.strides[1] == 1 &&
                 reinterpret_cast<uintptr_t>(a.data) % bytes == 0;
    for (int axis : {0, 2, 3})
        whole = whole && (a.shape[axis] <= 1 || a.strides[axis] % width == 0);
    return whole;
}

// Threads numbered over images x rows x columns x groups of channels.
struct Pixels {
    uint32_t count;
    Division rows, columns, groups;
    bool channels_inner;  // neighbours differ in their group, else in their column
};

struct Pixel {
    uint32_t n, row, column, group;
};

__device__ __forceinline__ Pixel pixel_of(const Pixels& pixels, uint32_t i) {
    Pixel at;
    if (pixels.channels_inner) {
        at.group = pixels.groups.divide(i);
        at.column = pixels.columns.divide(i);
        at.row = pixels.rows.divide(i);
    } else {
        at.column = pixels.columns.divide(i);
        at.row = pixels.rows.divide(i);
        at.group = pixels.groups.divide(i);
    }
    at.n = i;
    return at;
}

// Calls function(first image, Pixels) for runs of the N images, each of `most_items` threads at
// most or one image; rows * columns * groups is at most kMostItems.
template <class F>
void each_batch(int64_t N, int64_t rows, int64_t columns, int64_t groups, bool channels_inner,
                F&& function, int64_t most_items = kMostItems) {
    const int64_t image = rows * columns * groups;
    if (image == 0) return;
    const int64_t most = std::max<int64_t>(most_items / image, 1);
    for (int64_t n = 0; n < N; n += most) {
        const int64_t images = std::min(most, N - n);
        function(n, Pixels{static_cast<uint32_t>(images * image), Division(rows), Division(columns),
                           Division(groups), channels_inner});
    }
}

// Calls function(arrays) for parts of images of the same N and C, cut along C where threads and
// steps cannot be counted in 32 bits otherwise.
template <size_t Count, class F>
void each_fitting_part(std::array<ArrayView, Count> arrays, F&& function) {
    const int64_t C = arrays[0].shape[1];
    bool fits = true;
    for (const ArrayView& a : arrays)
        fits = fits && image_steps_fit(a) &&
               (a.shape[2] == 0 || a.shape[3] == 0 || C <= kMostItems / a.shape[2] / a.shape[3]);
    if (fits) return function(arrays);
    if (C <= 1)
        throw ValueError(refusal("an image's plane", shape_text(arrays[0]),
                                 "planes whose elements are counted in 31 bits"));
    std::array<ArrayView, Count> rest = arrays;
    for (size_t i = 0; i < Count; ++i) {
        arrays[i].shape[1] = C / 2;
        rest[i].shape[1] = C - C / 2;
        rest[i].data = static_cast<char*>(rest[i].data) +
                       C / 2 * rest[i].strides[1] * info(rest[i].dtype).bytes;
    }
    each_fitting_part(arrays, function);
    each_fitting_part(rest, function);
}

}  // namespace pycnn::cuda
