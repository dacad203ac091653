// Joining arrays along one axis, and cutting one into parts: every part in one launch.
//
// Computes   concat: whole = the parts one after the other along the axis; split: the parts = whole
//            cut there
// Arrays     any dtype and strides. Parts that are rows of elements side by side, in the whole as
//            in themselves, move in the widest units, 16 bytes at most, that every row and pitch is
//            a multiple of; others element by element
// Grid       x: blocks of 256 threads, those of part 0 first; a block finds its part by bisection
//            among the parts' first blocks. 56 parts of rows fit in a launch's parameters, or 10 of
//            any strides; more take more launches
// Tiling     a thread moves 4 units
// Traffic    every element read once, written once; DenseNet-121's last 28x28 concat of 480 and 32
//            channels, N=32, bf16: 25.7 MB read and 25.7 MB written, no arithmetic: bandwidth. Four
//            loads of 16 bytes of a thread are under way
// Numerics   exact: elements move as they are stored
// Refuses    nothing
// Source     Huang et al. 2017, arXiv:1608.06993 (what needs it fast)
#pragma once

#include "cuda/numbers.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kCopyThreads = 256, kCopyUnits = 4;
constexpr int kCopyBlock = kCopyThreads * kCopyUnits;

// Rows of `run` units that begin `pitch` units apart.
struct CopyRows {
    const void* from;
    void* to;
    int64_t from_pitch, to_pitch, count;  // units
    Division run;
    uint32_t first_block;
};

struct CopyStrided {
    const void* from;
    void* to;
    uint32_t first_block;
    Walk<2> walk;  // to, from
};

template <class Part, int Most>
struct CopyParts {
    int count;
    Part parts[Most];
};
constexpr int kMostRows = 56, kMostStrided = 10;  // in a launch
constexpr int kFewRows = 8, kFewStrided = 3;      // in one whose parameters are fewer to pass
static_assert(sizeof(CopyParts<CopyRows, kMostRows>) <= 4096 &&
                  sizeof(CopyParts<CopyStrided, kMostStrided>) <= 4096,
              "a launch's parameters");

// The part that this block belongs to: the last that begins at it or before.
template <class Part, int Most>
__device__ __forceinline__ const Part& part_of(const CopyParts<Part, Most>& p) {
    int low = 0, high = p.count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (p.parts[middle].first_block <= blockIdx.x)
            low = middle;
        else
            high = middle;
    }
    return p.parts[low];
}

template <class Unit, int Most>
__global__ void __launch_bounds__(kCopyThreads) concat_rows_kernel(CopyParts<CopyRows, Most> p) {
    const CopyRows& part = part_of(p);
    const auto* from = static_cast<const Unit*>(part.from);
    auto* to = static_cast<Unit*>(part.to);
    const int64_t first =
        int64_t{blockIdx.x - part.first_block} * kCopyBlock + static_cast<int64_t>(threadIdx.x);
    Unit units[kCopyUnits];
    int64_t places[kCopyUnits];
#pragma unroll
    for (int i = 0; i < kCopyUnits; ++i) {
        const int64_t at = first + i * kCopyThreads;
        if (at >= part.count) continue;
        auto row = static_cast<uint32_t>(at);
        const uint32_t column = part.run.divide(row);
        units[i] = from[row * part.from_pitch + column];
        places[i] = row * part.to_pitch + column;
    }
#pragma unroll
    for (int i = 0; i < kCopyUnits; ++i)
        if (first + i * kCopyThreads < part.count) to[places[i]] = units[i];
}

template <class Unit, int Most>
__global__ void __launch_bounds__(kCopyThreads)
    concat_strided_kernel(CopyParts<CopyStrided, Most> p) {
    const CopyStrided& part = part_of(p);
    const auto* from = static_cast<const Unit*>(part.from);
    auto* to = static_cast<Unit*>(part.to);
    const int64_t first =
        int64_t{blockIdx.x - part.first_block} * kCopyBlock + static_cast<int64_t>(threadIdx.x);
    Unit units[kCopyUnits];
    int64_t places[kCopyUnits];
#pragma unroll
    for (int i = 0; i < kCopyUnits; ++i) {
        const int64_t index = first + i * kCopyThreads;
        if (index >= part.walk.count) continue;
        int64_t at[2];
        if (part.walk.count < int64_t{1} << 31)
            locate(part.walk, static_cast<uint32_t>(index), at);
        else
            locate(part.walk, static_cast<uint64_t>(index), at);
        units[i] = from[at[1]];
        places[i] = at[0];
    }
#pragma unroll
    for (int i = 0; i < kCopyUnits; ++i)
        if (first + i * kCopyThreads < part.walk.count) to[places[i]] = units[i];
}

}  // namespace pycnn::cuda
