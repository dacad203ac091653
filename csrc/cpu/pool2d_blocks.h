// How the direct pooling kernels cut their work, and the layout they work in.
//
// For the instruction set this file is compiled for.
#pragma once

#include <limits>

#include "cpu/parallel.h"
#include "cpu/pool2d_windows.h"
#include "cpu/simd.h"
#include "cpu/stream.h"

namespace pycnn::PYCNN_ISA {

// The layout to work in: the output's if it is dense, else the input's, else channels-last. Arrays
// that have both (one channel, or one pixel) are contiguous if they have few channels.
inline Layout pooling_layout(const Pool2dParams& g, const ArrayView& in, const ArrayView& out,
                             bool contiguous_possible) {
    if (!contiguous_possible) return Layout::channels_last;
    for (const ArrayView* a : {&out, &in}) {
        const bool last = is_channels_last(*a), contiguous = is_contiguous(*a);
        if (last && contiguous) continue;
        if (last || contiguous) return last ? Layout::channels_last : Layout::contiguous;
    }
    return g.C >= 16 || !(is_contiguous(in) && is_contiguous(out)) ? Layout::channels_last
                                                                   : Layout::contiguous;
}

// Cuts C channels into blocks of whole cache lines where there are too few rows to share out.
struct ChannelBlocks {
    ChannelBlocks(int64_t tasks, int64_t channels) : channels_(channels) {
        const int64_t wanted = tasks >= 8 ? 1 : 8 / std::max<int64_t>(tasks, 1);
        size = std::max<int64_t>((channels / wanted + 63) / 64 * 64, 64);
        count = (channels + size - 1) / size;
    }
    int64_t begin(int64_t block) const { return block * size; }
    int64_t end(int64_t block) const { return std::min(channels_, (block + 1) * size); }
    int64_t size, count;

  private:
    int64_t channels_;
};

// Output rows [begin, end) and the input rows their windows reach.
struct RowBlock {
    int64_t begin, end, read_begin, read_end;
    int64_t reads() const { return read_end - read_begin; }
};

// Cuts the output rows of a plane into blocks whose input rows fit in a cache, and into enough of
// them that few planes still keep every thread busy.
struct RowBlocks {
    RowBlocks(const PoolAxis& a, int64_t row_bytes, int64_t planes) : outputs_(a.outputs) {
        constexpr int64_t kCache = 128 * 1024;
        const int64_t step = a.adaptive ? a.size / a.outputs + 1 : a.stride;
        rows = std::max<int64_t>(kCache / std::max<int64_t>(row_bytes * step, 1), 1);
        const int64_t wanted = planes >= 8 ? 1 : 8 / std::max<int64_t>(planes, 1);
        rows = std::min(rows, (a.outputs + wanted - 1) / wanted);
        rows = std::max<int64_t>(rows, 1);
        count = (a.outputs + rows - 1) / rows;
    }
    RowBlock block(const PoolAxis& a, int64_t i) const {
        RowBlock b{i * rows, std::min(outputs_, (i + 1) * rows), a.size, 0};
        for (int64_t p = b.begin; p < b.end; ++p) {
            const Window w = window_of(a, p);
            if (w.count == 0) continue;
            b.read_begin = std::min(b.read_begin, w.start);
            b.read_end = std::max(b.read_end, w.start + (w.count - 1) * a.dilation + 1);
        }
        b.read_begin = std::min(b.read_begin, b.read_end);
        return b;
    }
    int64_t rows, count;

  private:
    int64_t outputs_;
};

// Likewise rows of the image, and the output rows whose windows hold them.
struct CoverBlocks {
    CoverBlocks(int64_t size, int64_t row_bytes, int64_t planes) : size_(size) {
        constexpr int64_t kCache = 128 * 1024;
        const int64_t wanted = planes >= 8 ? 1 : 8 / std::max<int64_t>(planes, 1);
        rows = std::min(kCache / std::max<int64_t>(row_bytes, 1), (size + wanted - 1) / wanted);
        rows = std::max<int64_t>(rows, 1);
        count = (size + rows - 1) / rows;
    }
    RowBlock block(const Covers& covers, int64_t i) const {
        RowBlock b{i * rows, std::min(size_, (i + 1) * rows), std::numeric_limits<int64_t>::max(),
                   0};
        for (int64_t h = b.begin; h < b.end; ++h)
            for (const Cover* cover = covers.begin(h); cover < covers.end(h); ++cover) {
                b.read_begin = std::min(b.read_begin, cover->output);
                b.read_end = std::max(b.read_end, cover->output + 1);
            }
        b.read_begin = std::min(b.read_begin, b.read_end);
        return b;
    }
    int64_t rows, count;

  private:
    int64_t size_;
};

// Calls body(begin, end) for ranges of the blocks of all planes: few enough that the workspaces of
// a range cost little.
template <class F>
void each_block(int64_t planes, int64_t blocks, double cost, F&& body) {
    parallel_ranges(planes * blocks, 32, cost, body);
}

// How far ahead of what is read its rows are fetched: a few pixels do not cover what memory takes.
template <class T>
constexpr int64_t kAhead = 4096 / static_cast<int64_t>(sizeof(T));

// n elements, or a whole vector.
template <class T>
PYCNN_INLINE Vec<Accumulation<T>> load_some(const T* from, int n) {
    return n == kLanes<Accumulation<T>> ? load(from) : load(from, n);
}
// The first n offsets of a vector's lanes, as uint8 or int32.
template <class A, class Offset>
PYCNN_INLINE void store_offsets(Offset* to, Mask<A> taken, int n) {
    typedef Offset Narrow __attribute__((vector_size(sizeof(Offset) * kLanes<A>)));
    const Narrow narrow = __builtin_convertvector(taken, Narrow);
    if (n == kLanes<A>)
        std::memcpy(to, &narrow, sizeof narrow);
    else
        std::memcpy(to, &narrow, static_cast<size_t>(n) * sizeof(Offset));
}

}  // namespace pycnn::PYCNN_ISA
