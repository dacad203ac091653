// Max unpooling: elements moved to, or from, the pixels that indices name.
//
// Computes   both passes of cpu/max_unpool2d.h
// Arrays     one layout for all three, others are copied; elements move as they are stored
// Threads    channels-last: blocks of 32 channels of an image; contiguous: planes. One task writes
//            everything of its channels, in row-major order: of equal indices the last is stored
// Traffic    fprop writes y twice (zeros, then elements) from cache, reads x and 8 bytes of index
//            per element; dgrad reads those and dy where they point
// Numerics   exact
// Refuses    nothing
// Source     Zeiler, Taylor and Fergus 2011
#include "cpu/max_unpool2d.h"

#include <algorithm>
#include <atomic>

#include "cpu/copy.h"
#include "cpu/parallel.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kChannels = 32;

// The first index found outside [0, size).
class Outside {
  public:
    bool check(int64_t index, int64_t size) {
        if (static_cast<uint64_t>(index) < static_cast<uint64_t>(size)) return true;
        found_.store(true, std::memory_order_relaxed);
        index_.store(index, std::memory_order_relaxed);
        return false;
    }
    void raise(int64_t size) const {
        if (found_.load())
            throw ValueError(refusal("an element of indices", std::to_string(index_.load()),
                                     "integers from 0 to " + std::to_string(size - 1)));
    }

  private:
    std::atomic<bool> found_{false};
    std::atomic<int64_t> index_{0};
};

// Calls move(pixel of the small image, pixel of the large one), both as flat offsets of elements,
// for every index in bounds; `begin_task(n, first channel, channels)` before those of a task.
template <class Begin, class Move>
void each_index(const ArrayView& small, const ArrayView& large, Layout layout,
                const int64_t* indices, Begin&& begin_task, Move&& move) {
    const int64_t N = small.shape[0], C = small.shape[1], few = small.shape[2] * small.shape[3],
                  many = large.shape[2] * large.shape[3];
    Outside outside;
    const bool last = layout == Layout::channels_last;
    const int64_t width = last ? kChannels : 1, blocks = (C + width - 1) / width;
    const double cost = static_cast<double>(few * 2 + many / 4) * static_cast<double>(width);
    parallel_for(N * blocks, cost, [&](int64_t task) {
        const int64_t n = task / blocks, first = task % blocks * width,
                      channels = std::min(width, C - first);
        begin_task(n, first, channels);
        if (last) {
            for (int64_t i = 0; i < few; ++i) {
                const int64_t from = (n * few + i) * C + first, to = n * many * C + first;
                for (int64_t c = 0; c < channels; ++c)
                    if (outside.check(indices[from + c], many))
                        move(from + c, to + indices[from + c] * C + c);
            }
        } else {
            const int64_t from = (n * C + first) * few, to = (n * C + first) * many;
            for (int64_t i = 0; i < few; ++i)
                if (outside.check(indices[from + i], many)) move(from + i, to + indices[from + i]);
        }
    });
    outside.raise(many);
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
        const int64_t C = y.shape[1], pixels = y.shape[2] * y.shape[3];
        const auto clear = [&](int64_t n, int64_t first, int64_t channels) {
            if (layout == Layout::contiguous)
                return static_cast<void>(
                    std::fill_n(to.data() + (n * C + first) * pixels, channels * pixels, T{}));
            for (int64_t i = 0; i < pixels; ++i)
                std::fill_n(to.data() + (n * pixels + i) * C + first, channels, T{});
        };
        each_index(x, y, layout, places.data(), clear,
                   [&](int64_t small, int64_t large) { to.data()[large] = from.data()[small]; });
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
        each_index(
            dx, dy, layout, places.data(), [](int64_t, int64_t, int64_t) {},
            [&](int64_t small, int64_t large) { to.data()[small] = from.data()[large]; });
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
