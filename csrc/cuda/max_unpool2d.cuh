// Max unpooling: each value back to the pixel its index names, zeros elsewhere; and its gradient.
//
// Computes   y[n,c].flat[indices[n,c,p,q]] = x[n,c,p,q], 0 in every other pixel; of a plane's
//            equal indices the last in row-major order is stored
//            dx[n,c,p,q] = dy[n,c].flat[indices[n,c,p,q]]
// Arrays     x, dx, indices (N,C,P,Q)  y, dy (N,C,H,W); any strides; f16, bf16, f32, f64, moved as
//            they are stored; indices int64
// Grid       x: planes: blocks of 256 threads with some planes each; find, fill and dgrad: 256
//            threads a block over images x pixels x channels
// Tiling     y is gathered, not scattered into: a map holds for every pixel of y which element
//            comes there, 1 + its place in the plane, the largest where several do.
//            planes: contiguous planes of up to 24,576 pixels; the map is in shared memory, 4 bytes
//            a pixel. Else it is in a workspace: find makes it, fill reads it
// Traffic    planes: 8 + 2b bytes per element of x and b per pixel of y, every one once; else 12
//            bytes per pixel of y besides. Bandwidth
// Numerics   exact; the map is made by integer maxima, whose order does not matter
// Refuses    an index outside [0, H*W): the launcher raises; dx is 0 there
// Source     Zeiler, Taylor and Fergus 2011, "Adaptive deconvolutional networks for mid and high
//            level feature learning"
#pragma once

#include "cuda/images.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

constexpr int kUnpoolThreads = 256;
constexpr int kMapPixels = 24576;  // of shared memory: two blocks on a multiprocessor

// Whether an index was outside, and the largest of those as an unsigned number.
using Outside = unsigned long long;

// Whether `index` is a pixel of the large image; tells `outside` where not.
__device__ __forceinline__ bool is_pixel(int64_t index, int pixels, Outside* outside) {
    const auto number = static_cast<Outside>(index);
    if (number < static_cast<Outside>(pixels)) return true;
    atomicOr(&outside[0], Outside{1});
    atomicMax(&outside[1], number);
    return false;
}

// Bits is an unsigned integer of the size of an element.
template <class Bits>
struct MaxUnpool2d {
    const Bits* x;
    const int64_t* indices;
    Bits* y;
    int* map;  // images x channels x H x W, channels last where those of `large` are inner
    Outside* outside;
    ImageSteps x_steps, index_steps, y_steps;
    Pixels small, large;
    Division small_width, large_width;
    int channels, small_pixels, large_pixels;
};

// Where pixel `i` of a plane lies, row-major.
__device__ __forceinline__ int pixel_place(int i, const Division& width, const ImageSteps& steps) {
    auto row = static_cast<uint32_t>(i);
    const auto column = static_cast<int>(width.divide(row));
    return static_cast<int>(row) * steps.h + column * steps.w;
}

// The map at pixel `i` of channel c of image n.
template <class Bits>
__device__ __forceinline__ int* map_place(const MaxUnpool2d<Bits>& p, uint32_t n, int c, int i) {
    const int64_t pixels = p.large_pixels, channels = p.channels;
    return p.map + (p.large.channels_inner ? (n * pixels + i) * channels + c
                                           : (n * channels + c) * pixels + i);
}

template <class Bits>
__global__ void __launch_bounds__(kUnpoolThreads)
    max_unpool2d_fprop_find_kernel(MaxUnpool2d<Bits> p) {
    const uint32_t i = blockIdx.x * kUnpoolThreads + threadIdx.x;
    if (i >= p.small.count) return;
    const Pixel at = pixel_of(p.small, i);
    const int c = static_cast<int>(at.group), row = static_cast<int>(at.row),
              column = static_cast<int>(at.column);
    const int64_t index =
        p.indices[at.n * p.index_steps.n +
                  (c * p.index_steps.c + row * p.index_steps.h + column * p.index_steps.w)];
    const int place = row * static_cast<int>(p.small_width.divisor()) + column;
    if (is_pixel(index, p.large_pixels, p.outside))
        atomicMax(map_place(p, at.n, c, static_cast<int>(index)), place + 1);
}

template <class Bits>
__global__ void __launch_bounds__(kUnpoolThreads)
    max_unpool2d_fprop_fill_kernel(MaxUnpool2d<Bits> p) {
    const uint32_t i = blockIdx.x * kUnpoolThreads + threadIdx.x;
    if (i >= p.large.count) return;
    const Pixel at = pixel_of(p.large, i);
    const int c = static_cast<int>(at.group), row = static_cast<int>(at.row),
              column = static_cast<int>(at.column);
    const int place =
        *map_place(p, at.n, c, row * static_cast<int>(p.large_width.divisor()) + column) - 1;
    Bits value = 0;
    if (place >= 0)
        value = p.x[at.n * p.x_steps.n +
                    (c * p.x_steps.c + pixel_place(place, p.small_width, p.x_steps))];
    p.y[at.n * p.y_steps.n + (c * p.y_steps.c + row * p.y_steps.h + column * p.y_steps.w)] = value;
}

// A block has some neighbouring planes n * C + c; `large` and `small` are not used.
template <class Bits>
struct MaxUnpool2dPlanes {
    MaxUnpool2d<Bits> of;
    int64_t planes;
    int planes_per_block;
    Division by_channels, by_small, by_large;
};

template <class Bits>
__global__ void __launch_bounds__(kUnpoolThreads)
    max_unpool2d_fprop_planes_kernel(MaxUnpool2dPlanes<Bits> q) {
    const MaxUnpool2d<Bits>& p = q.of;
    int* const map = dynamic_shared<int>();  // planes x large pixels
    const int64_t first = int64_t{blockIdx.x} * q.planes_per_block, left = q.planes - first;
    const int planes = left < q.planes_per_block ? static_cast<int>(left) : q.planes_per_block;
    const auto base = [&](uint32_t plane, const ImageSteps& steps) {
        auto n = static_cast<uint32_t>(first) + plane;
        const auto c = static_cast<int>(q.by_channels.divide(n));
        return n * steps.n + c * steps.c;
    };
    const int pixels = planes * p.large_pixels, elements = planes * p.small_pixels;
    for (int i = static_cast<int>(threadIdx.x); i < pixels; i += kUnpoolThreads) map[i] = 0;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < elements; i += kUnpoolThreads) {
        auto plane = static_cast<uint32_t>(i);
        const auto place = static_cast<int>(q.by_small.divide(plane));
        const int64_t index = p.indices[base(plane, p.index_steps) +
                                        pixel_place(place, p.small_width, p.index_steps)];
        if (is_pixel(index, p.large_pixels, p.outside))
            atomicMax(&map[static_cast<int>(plane) * p.large_pixels + static_cast<int>(index)],
                      place + 1);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < pixels; i += kUnpoolThreads) {
        auto plane = static_cast<uint32_t>(i);
        const auto pixel = static_cast<int>(q.by_large.divide(plane));
        Bits value = 0;
        if (map[i] > 0)
            value = p.x[base(plane, p.x_steps) + pixel_place(map[i] - 1, p.small_width, p.x_steps)];
        p.y[base(plane, p.y_steps) + pixel_place(pixel, p.large_width, p.y_steps)] = value;
    }
}

// The gradient: x is dx and y is dy.
template <class Bits>
struct MaxUnpool2dDgrad {
    const Bits* dy;
    const int64_t* indices;
    Bits* dx;
    Outside* outside;
    ImageSteps dy_steps, index_steps, dx_steps;
    Pixels small;
    Division large_width;
    int large_pixels;
};

template <class Bits>
__global__ void __launch_bounds__(kUnpoolThreads)
    max_unpool2d_dgrad_kernel(MaxUnpool2dDgrad<Bits> p) {
    const uint32_t i = blockIdx.x * kUnpoolThreads + threadIdx.x;
    if (i >= p.small.count) return;
    const Pixel at = pixel_of(p.small, i);
    const int c = static_cast<int>(at.group), row = static_cast<int>(at.row),
              column = static_cast<int>(at.column);
    const auto place = [&](const ImageSteps& s) {
        return at.n * s.n + (c * s.c + row * s.h + column * s.w);
    };
    const int64_t index = p.indices[place(p.index_steps)];
    Bits value = 0;
    if (is_pixel(index, p.large_pixels, p.outside))
        value =
            p.dy[at.n * p.dy_steps.n + (c * p.dy_steps.c + pixel_place(static_cast<int>(index),
                                                                       p.large_width, p.dy_steps))];
    p.dx[place(p.dx_steps)] = value;
}

}  // namespace pycnn::cuda
