// Blocks of output pixels for wgrad, and the copies of x and dy that a block works on.
//
// A block is some rows of the N * P output rows and some of their columns. Its copy of x holds, for
// every pixel that one of its taps reads, the channels of a panel next to each other, zeros for the
// padding: whatever the layout, dtype, stride and padding of x, a tap is then an offset.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "common/array.h"
#include "common/params.h"
#include "cpu/simd.h"
#include "cpu/transpose.h"

namespace pycnn::PYCNN_ISA {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct PixelBlock {
    int64_t row, rows;        // of N * P
    int64_t column, columns;  // of Q
};

// Calls body(n, p, first, count) for the part of a block in each image: `count` output rows from p,
// the block's from `first`.
template <class F>
void for_each_image(const PixelBlock& block, int64_t P, F&& body) {
    for (int64_t done = 0; done < block.rows;) {
        const int64_t n = (block.row + done) / P, p = (block.row + done) % P;
        const int64_t count = std::min(P - p, block.rows - done);
        body(n, p, done, count);
        done += count;
    }
}

// How one axis of x is packed: what tap t of output i reads is at index i * step + t * tap. Either
// every pixel between the first and the last, or, where that is less, a pixel for each (i, t).
struct PackedAxis {
    int64_t taps, stride, dilation, before;
    bool per_tap;
    int64_t step, tap;

    PackedAxis(int64_t taps_, int64_t stride_, int64_t dilation_, int64_t before_, int64_t outputs,
               bool adjacent_taps)
        : taps(taps_), stride(stride_), dilation(dilation_), before(before_) {
        per_tap =
            outputs * taps < (outputs - 1) * stride + reach() || (adjacent_taps && dilation != 1);
        step = per_tap ? taps : stride;
        tap = per_tap ? 1 : dilation;
    }
    int64_t reach() const { return (taps - 1) * dilation + 1; }
    int64_t size(int64_t outputs) const {
        return per_tap ? outputs * taps : (outputs - 1) * stride + reach();
    }
    // The most that `outputs` of the batch take, cut where an image of `each` ends.
    int64_t most(int64_t outputs, int64_t each) const {
        if (per_tap) return outputs * taps;
        const auto in_images = [&](int64_t images) {
            return (outputs - images) * stride + images * reach();
        };
        return std::max(in_images((outputs + each - 1) / each),
                        in_images(std::min(outputs, (outputs + each - 2) / each + 1)));
    }
    // What packed index j holds, of the outputs from `first` on.
    int64_t source(int64_t first, int64_t j) const {
        return per_tap ? (first + j / taps) * stride + j % taps * dilation - before
                       : first * stride + j - before;
    }
};

// Pixels of `channels` channels. `spill`: what follows each packed pixel, up to a vector, may be
// overwritten; the pixels come in order.
template <class T, class S>
void pack_pixels(const S* from, int64_t pixel_step, int64_t channel_step, int64_t pixels,
                 int64_t channels, T* to, int64_t to_step, bool spill) {
    if (channel_step == 1) {
        const int64_t whole = channels / kLanes<T> * kLanes<T>;
        const int rest = static_cast<int>(channels - whole);
        for (int64_t j = 0; j < pixels; ++j, from += pixel_step, to += to_step) {
            for (int64_t c = 0; c < whole; c += kLanes<T>) store(to + c, load(from + c));
            if (rest == 0) continue;
            if (spill)
                store(to + whole, load(from + whole, rest));
            else
                store(to + whole, load(from + whole, rest), rest);
        }
        return;
    }
    if (pixel_step == 1) return transpose<T>(from, channel_step, channels, pixels, to, to_step);
    for (int64_t c = 0; c < channels; ++c)
        for (int64_t j = 0; j < pixels; ++j)
            to[j * to_step + c] = static_cast<T>(from[j * pixel_step + c * channel_step]);
}

// dy of a block: the channels from `first` on, pixel after pixel, `to_step` apart.
template <class T, class S>
void pack_dy(const ArrayView& dy, const PixelBlock& block, int64_t P, int64_t first,
             int64_t channels, T* to, int64_t to_step) {
    for_each_image(block, P, [&](int64_t n, int64_t p, int64_t done, int64_t count) {
        const S* from = static_cast<const S*>(dy.data) + n * dy.strides[0] + first * dy.strides[1] +
                        p * dy.strides[2] + block.column * dy.strides[3];
        for (int64_t i = 0; i < count; ++i)
            pack_pixels<T, S>(from + i * dy.strides[2], dy.strides[3], dy.strides[1], block.columns,
                              channels, to + (done + i) * block.columns * to_step, to_step, true);
    });
}

// Panels of x for a block: `panels` times `width` channels (the last may have fewer) from `first`
// on, `to_step` apart in a pixel's line, panel_size from panel to panel.
template <class T, class S>
void pack_x(const Conv2dParams& g, const ArrayView& x, const PixelBlock& block,
            const PackedAxis& vertical, const PackedAxis& horizontal, int64_t first,
            int64_t channels, int64_t width, T* to, int64_t to_step, int64_t panel_size) {
    const int64_t columns = horizontal.size(block.columns);
    const int64_t line = columns * to_step;
    // A run is a row of pixels at even steps in x and in the copy.
    const int64_t runs = horizontal.per_tap ? horizontal.taps : 1;
    const int64_t run_size = horizontal.per_tap ? block.columns : columns;
    const int64_t run_stride = horizontal.per_tap ? horizontal.stride : 1;
    const int64_t pixel_step = runs * to_step;
    const bool spill = runs == 1;
    for_each_image(block, g.P, [&](int64_t n, int64_t p, int64_t, int64_t count) {
        const int64_t height = vertical.size(count);
        for (int64_t i = 0; i < height; ++i, to += line) {
            const int64_t h = vertical.source(p, i);
            const bool inside = h >= 0 && h < g.H;
            for (int64_t c = 0; c < channels; c += width) {
                T* panel = to + c / width * panel_size;
                if (!inside) {
                    std::fill_n(panel, line, T{0});
                    continue;
                }
                const S* row = static_cast<const S*>(x.data) + n * x.strides[0] +
                               (first + c) * x.strides[1] + h * x.strides[2];
                for (int64_t run = 0; run < runs; ++run) {
                    // The pixels [begin, end) of the run are in the image.
                    const int64_t start = horizontal.source(block.column, run);
                    const int64_t begin =
                        std::min(run_size, start < 0 ? (-start + run_stride - 1) / run_stride : 0);
                    const int64_t end = start < g.W ? std::clamp((g.W - 1 - start) / run_stride + 1,
                                                                 begin, run_size)
                                                    : begin;
                    T* line_to = panel + run * to_step;
                    const auto clear = [&](int64_t from, int64_t until) {
                        for (int64_t j = from; j < until; ++j)
                            std::fill_n(line_to + j * pixel_step, to_step, T{0});
                    };
                    clear(0, begin);
                    if (end > begin)
                        pack_pixels<T, S>(row + (start + begin * run_stride) * x.strides[3],
                                          run_stride * x.strides[3], x.strides[1], end - begin,
                                          std::min(width, channels - c),
                                          line_to + begin * pixel_step, pixel_step, spill);
                    clear(end, run_size);
                }
            }
        }
    });
}

// Fetches what a later block reads into the second cache, a few lines at a time.
class Ahead {
  public:
    // From now on fetch() works through x and dy of `block`, in about `calls` calls.
    template <class S>
    void start(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
               const PixelBlock& block, const PackedAxis& vertical, const PackedAxis& horizontal,
               int64_t calls) {
        constexpr int64_t most = (256 << 10) / kLine;  // of more there is enough work
        runs_.clear();
        run_ = 0, line_ = 0;
        int64_t lines = 0;
        const auto add = [&](const ArrayView& a, int64_t n, int64_t row, int64_t column,
                             int64_t columns) {
            const S* from = static_cast<const S*>(a.data) + n * a.strides[0] + row * a.strides[2] +
                            column * a.strides[3];
            const bool channels_last = a.strides[1] == 1;
            if (!channels_last && a.strides[3] != 1) return;
            const int64_t planes = channels_last ? 1 : a.shape[1];
            const int64_t each =
                ceil_div(columns * a.strides[3] * static_cast<int64_t>(sizeof(S)), kLine);
            if (each <= 0 || lines + planes * each > most) return;
            lines += planes * each;
            for (int64_t c = 0; c < planes; ++c)
                runs_.push_back({reinterpret_cast<const char*>(from + c * a.strides[1]), each});
        };
        for_each_image(block, g.P, [&](int64_t n, int64_t p, int64_t, int64_t count) {
            for (int64_t i = 0; i < count; ++i) add(dy, n, p + i, block.column, block.columns);
            const int64_t begin = std::clamp<int64_t>(horizontal.source(block.column, 0), 0, g.W);
            const int64_t end = std::clamp<int64_t>(
                begin + block.columns * horizontal.stride + horizontal.reach(), 0, g.W);
            for (int64_t i = 0; i < vertical.size(count); ++i) {
                const int64_t h = vertical.source(p, i);
                if (h >= 0 && h < g.H) add(x, n, h, begin, end - begin);
            }
        });
        lines_per_call_ = ceil_div(lines, calls);
    }

    void fetch() {
        for (int64_t n = lines_per_call_; n > 0 && run_ < runs_.size(); --n) {
            __builtin_prefetch(runs_[run_].from + line_ * kLine, 0, 2);
            if (++line_ == runs_[run_].lines) ++run_, line_ = 0;
        }
    }

  private:
    static constexpr int64_t kLine = 64;
    struct Run {
        const char* from;
        int64_t lines;
    };
    std::vector<Run> runs_;
    size_t run_ = 0;
    int64_t line_ = 0, lines_per_call_ = 0;
};

}  // namespace pycnn::PYCNN_ISA
