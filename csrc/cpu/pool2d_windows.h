// Which pixels a pooling window holds, and which windows hold a pixel, along one axis.
//
// For the instruction set this file is compiled for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "primitives/pool2d.h"

namespace pycnn::PYCNN_ISA {

struct PoolAxis {
    int64_t size, outputs, taps, stride, pad, dilation;
    bool adaptive, count_pad;
};

inline PoolAxis along_h(const Pool2dParams& g) {
    const bool count = g.count_include_pad;
    if (g.adaptive) return {g.H, g.P, g.R, 1, 0, 1, true, count};
    return {g.H, g.P, g.R, g.stride_h, g.pad_h, g.dilation_h, false, count};
}

inline PoolAxis along_w(const Pool2dParams& g) {
    const bool count = g.count_include_pad;
    if (g.adaptive) return {g.W, g.Q, g.S, 1, 0, 1, true, count};
    return {g.W, g.Q, g.S, g.stride_w, g.pad_w, g.dilation_w, false, count};
}

// The part of an output's window that lies inside the image.
struct Window {
    int64_t start;    // the pixel of its first tap
    int64_t first;    // which tap of the whole window that is
    int64_t count;    // how many taps, `dilation` apart; may be 0
    int64_t divisor;  // how many pixels an average counts
};

inline Window window_of(const PoolAxis& a, int64_t output) {
    if (a.adaptive) {
        const int64_t start = output * a.size / a.outputs;
        const int64_t end = ((output + 1) * a.size + a.outputs - 1) / a.outputs;
        return {start, 0, end - start, end - start};
    }
    const int64_t begin = output * a.stride - a.pad;
    const int64_t end = std::min(begin + (a.taps - 1) * a.dilation + 1, a.size + a.pad);
    const int64_t first = begin < 0 ? (-begin + a.dilation - 1) / a.dilation : 0;
    const int64_t beyond =
        begin < a.size ? std::min(a.taps, (a.size - 1 - begin) / a.dilation + 1) : 0;
    const int64_t counted =
        a.count_pad ? end - begin : std::min(end, a.size) - std::max<int64_t>(begin, 0);
    return {begin + first * a.dilation, first, std::max<int64_t>(beyond - first, 0), counted};
}

inline std::vector<Window> windows_of(const PoolAxis& a) {
    std::vector<Window> windows(static_cast<size_t>(a.outputs));
    for (int64_t i = 0; i < a.outputs; ++i) windows[static_cast<size_t>(i)] = window_of(a, i);
    return windows;
}

// What a sum over a window is divided by.
template <class A>
A divisor_of(const Pool2dParams& g, const Window& row, const Window& column) {
    return static_cast<A>(g.divisor_override ? *g.divisor_override : row.divisor * column.divisor);
}

// Whether there is one output, of the whole image.
inline bool is_global(const Pool2dParams& g) {
    if (g.P != 1 || g.Q != 1) return false;
    const PoolAxis rows = along_h(g), columns = along_w(g);
    return rows.dilation == 1 && columns.dilation == 1 && window_of(rows, 0).count == g.H &&
           window_of(columns, 0).count == g.W;
}

// One window that holds a pixel, and the tap that reads it there.
struct Cover {
    int64_t output, tap;
};

// For every pixel its covers, the tap ascending: begin(i) to end(i).
class Covers {
  public:
    explicit Covers(const PoolAxis& a) : first_(static_cast<size_t>(a.size) + 2) {
        for (int64_t i = 0; i < a.outputs; ++i)
            each(a, window_of(a, i), [&](int64_t pixel, int64_t) { ++first_[at(pixel) + 2]; });
        for (size_t i = 2; i < first_.size(); ++i) first_[i] += first_[i - 1];
        covers_.resize(static_cast<size_t>(first_.back()));
        for (int64_t i = a.outputs - 1; i >= 0; --i)
            each(a, window_of(a, i), [&](int64_t pixel, int64_t tap) {
                covers_[at(first_[at(pixel) + 1]++)] = {i, tap};
            });
    }
    const Cover* begin(int64_t pixel) const { return covers_.data() + first_[at(pixel)]; }
    const Cover* end(int64_t pixel) const { return covers_.data() + first_[at(pixel) + 1]; }
    int64_t count(int64_t pixel) const { return first_[at(pixel) + 1] - first_[at(pixel)]; }

  private:
    static size_t at(int64_t i) { return static_cast<size_t>(i); }
    template <class F>
    static void each(const PoolAxis& a, const Window& w, F&& function) {
        for (int64_t t = 0; t < w.count; ++t) function(w.start + t * a.dilation, w.first + t);
    }
    std::vector<int64_t> first_;
    std::vector<Cover> covers_;
};

// Whether the tables above stay small: windows of many taps that overlap by nearly all of them have
// more covers than an image has pixels.
inline bool covers_fit(const PoolAxis& a) {
    constexpr int64_t kMost = int64_t{1} << 22;
    return a.adaptive || a.outputs <= kMost / std::min(a.taps, a.size);
}

}  // namespace pycnn::PYCNN_ISA
