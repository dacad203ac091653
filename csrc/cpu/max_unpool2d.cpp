// Max unpooling: elements moved to, or from, the pixels that indices name.
//
// Computes   both passes of cpu/max_unpool2d.h
// Arrays     one layout for all three, others are copied; elements move as they are stored
// Threads    channels-last: blocks of 64 channels of an image; contiguous: planes. One task writes
//            everything of its channels, in row-major order: of equal indices the last is stored
// Traffic    fprop writes y twice (all zeros first, then elements), reads x and 8 bytes of index
//            per element; dgrad reads those and dy where they point
// Numerics   exact
// Refuses    nothing
// Source     Zeiler, Taylor and Fergus 2011
#include "primitives/max_unpool2d.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/copy.h"
#include "cpu/parallel.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kChannels = 64;

// Calls move(pixel of the small image, pixel of the large one), both as flat offsets of elements,
// for every index in bounds; ValueError afterwards if one is not.
template <class Move>
void each_index(const ArrayView& small, const ArrayView& large, Layout layout,
                const int64_t* indices, Move&& move) {
    const int64_t N = small.shape[0], C = small.shape[1], few = small.shape[2] * small.shape[3],
                  many = large.shape[2] * large.shape[3];
    const bool last = layout == Layout::channels_last;
    const int64_t width = last ? kChannels : 1, blocks = (C + width - 1) / width;
    const double cost = static_cast<double>(few) * static_cast<double>(width);
    std::atomic<bool> outside{false};
    std::atomic<int64_t> found{0};
    parallel_for(N * blocks, cost, [&](int64_t task) {
        const int64_t n = task / blocks, first = task % blocks * width,
                      channels = std::min(width, C - first);
        // a run of `count` indices from `from` on; each next one belongs `step` elements further
        const auto run = [&](int64_t from, int64_t count, int64_t to, int64_t pitch, int64_t step) {
            for (int64_t i = 0; i < count; ++i) {
                const int64_t index = indices[from + i];
                if (__builtin_expect(static_cast<uint64_t>(index) < static_cast<uint64_t>(many),
                                     1)) {
                    move(from + i, to + index * pitch + i * step);
                } else {
                    outside.store(true, std::memory_order_relaxed);
                    found.store(index, std::memory_order_relaxed);
                }
            }
        };
        if (last)
            for (int64_t i = 0; i < few; ++i)
                run((n * few + i) * C + first, channels, n * many * C + first, C, 1);
        else
            run((n * C + first) * few, few, (n * C + first) * many, 1, 0);
    });
    if (outside.load())
        throw ValueError(refusal("an element of indices", std::to_string(found.load()),
                                 "integers from 0 to " + std::to_string(many - 1)));
}

Layout layout_of(const ArrayView& a, const ArrayView& indices) {
    return is_contiguous(a) && (is_contiguous(indices) || !is_channels_last(a))
               ? Layout::contiguous
               : Layout::channels_last;
}

}  // namespace

void max_unpool2d_fprop(const ArrayView& x, const ArrayView& indices, const ArrayView& y) {
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        const Layout layout = layout_of(y, indices);
        const DenseInput<T> from(x, layout);
        const DenseInput<int64_t> places(indices, layout);
        const DenseOutput<T> to(y, layout);
        const T* source = from.data();
        T* target = to.data();
        parallel_ranges(y.numel(), 16, 0.03 * sizeof(T), [&](int64_t begin, int64_t end) {
            std::memset(static_cast<void*>(target + begin), 0,
                        static_cast<size_t>(end - begin) * sizeof(T));
        });
        each_index(x, y, layout, places.data(),
                   [=](int64_t small, int64_t large) { target[large] = source[small]; });
        to.finish();
    });
}

void max_unpool2d_dgrad(const ArrayView& dy, const ArrayView& indices, const ArrayView& dx) {
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        const Layout layout = layout_of(dx, indices);
        const DenseInput<T> from(dy, layout);
        const DenseInput<int64_t> places(indices, layout);
        const DenseOutput<T> to(dx, layout);
        const T* source = from.data();
        T* target = to.data();
        each_index(dx, dy, layout, places.data(),
                   [=](int64_t small, int64_t large) { target[small] = source[large]; });
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
