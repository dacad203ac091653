// Patches of an image as columns and back: what im2col, col2im and the convolutions by them share.
#pragma once

#include <algorithm>
#include <cstring>

#include "common/params.h"
#include "primitives/builds.h"

namespace pycnn::PYCNN_ISA {

// Outputs [first, last) of one axis that a tap feeds from inside the image, and where from.
struct TapSpan {
    int64_t first, last, input;  // output p of them reads input + (p - first) * stride

    TapSpan(int64_t size, int64_t begin, int64_t end, int64_t tap, int64_t stride, int64_t pad,
            int64_t dilation) {
        const int64_t offset = tap * dilation - pad;  // of what output 0 reads
        first = std::max(begin, offset >= 0 ? 0 : (-offset + stride - 1) / stride);
        last = offset >= size ? first : std::min(end, (size - 1 - offset) / stride + 1);
        first = std::min(first, end);
        last = std::max(first, last);
        input = first * stride + offset;
    }
};

// Channels of one image, and the columns of output rows [begin, end) of them: element
// ((c*R + r)*S + s, (p - begin)*Q + q) at column_step times the latter.
struct PatchShape {
    int64_t channels, begin, end;
    int64_t c_step, h_step, w_step;  // of the image
    int64_t row_step, column_step;   // of the columns
};

// Calls body(r, s, p, c, columns' offset of (c, r, s, p, q = 0)).
template <class F>
inline void for_each_patch_row(const Conv2dParams& g, const PatchShape& shape, F&& body) {
    for (int64_t c = 0; c < shape.channels; ++c)
        for (int64_t r = 0; r < g.R; ++r)
            for (int64_t s = 0; s < g.S; ++s) {
                const int64_t row = ((c * g.R + r) * g.S + s) * shape.row_step;
                for (int64_t p = shape.begin; p < shape.end; ++p)
                    body(c, r, s, p, row + (p - shape.begin) * g.Q * shape.column_step);
            }
}

template <class T>
void image_to_columns(const Conv2dParams& g, const PatchShape& shape, const T* x, T* columns) {
    for_each_patch_row(g, shape, [&](int64_t c, int64_t r, int64_t s, int64_t p, int64_t to) {
        T* put = columns + to;
        const int64_t step = shape.column_step;
        const int64_t h = p * g.stride_h - g.top + r * g.dilation_h;
        const TapSpan span(g.W, 0, h < 0 || h >= g.H ? 0 : g.Q, s, g.stride_w, g.left,
                           g.dilation_w);
        const T* from = x + c * shape.c_step + h * shape.h_step + span.input * shape.w_step;
        const int64_t from_step = g.stride_w * shape.w_step, count = span.last - span.first;
        for (int64_t q = 0; q < span.first; ++q) put[q * step] = T(0);
        if (step == 1 && from_step == 1 && count > 0)
            std::memcpy(put + span.first, from, static_cast<size_t>(count) * sizeof(T));
        else
            for (int64_t i = 0; i < count; ++i) put[(span.first + i) * step] = from[i * from_step];
        for (int64_t q = span.last; q < g.Q; ++q) put[q * step] = T(0);
    });
}

// Adds columns, of a stored type, to the pixels they came from.
template <class T, class A>
void add_columns(const Conv2dParams& g, const PatchShape& shape, const T* columns, A* x) {
    for_each_patch_row(g, shape, [&](int64_t c, int64_t r, int64_t s, int64_t p, int64_t at) {
        const int64_t h = p * g.stride_h - g.top + r * g.dilation_h;
        if (h < 0 || h >= g.H) return;
        const TapSpan span(g.W, 0, g.Q, s, g.stride_w, g.left, g.dilation_w);
        const T* from = columns + at + span.first * shape.column_step;
        A* to = x + c * shape.c_step + h * shape.h_step + span.input * shape.w_step;
        const int64_t to_step = g.stride_w * shape.w_step, count = span.last - span.first;
        if (to_step == 1 && shape.column_step == 1)
            for (int64_t i = 0; i < count; ++i) to[i] += static_cast<A>(from[i]);
        else
            for (int64_t i = 0; i < count; ++i)
                to[i * to_step] += static_cast<A>(from[i * shape.column_step]);
    });
}

}  // namespace pycnn::PYCNN_ISA
