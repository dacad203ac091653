// The operands of a matrix product as the product engines see them: two axes each.
//
// Element (line, depth) of an operand lies at line.at + depth.at. A line is a row of the left
// operand or a column of the right one; the depth is what the product adds up. A matrix has an
// EvenAxis each way. A convolution's axes have three digits: DigitAxis walks the pixels (n, p, q)
// or the taps and channels (r, s, c), and an element is zero where pixel and tap meet outside the
// image.
#pragma once

#include <cstdint>

#include "cuda/numbers.cuh"

namespace pycnn::cuda {

constexpr int kNowhere = -(1 << 30);  // a coordinate that no tap brings back into an image
constexpr int kFarthest = 1 << 29;    // more than any coordinate or tap offset that is taken

// Indices a constant distance apart.
struct EvenAxis {
    static constexpr bool kImage = false, kEven = true;

    int64_t count, step;

    struct Cursor {
        int64_t at, left;  // `left` indices from this one to the end
        __device__ __forceinline__ bool inside() const { return left > 0; }
    };

    static EvenAxis of(int64_t count, int64_t step) { return {count, count > 1 ? step : 0}; }

    __device__ __forceinline__ Cursor cursor(int64_t index) const {
        return {index < count ? index * step : 0, count - index};
    }
    // To the next index.
    __device__ __forceinline__ void next(Cursor& c) const { c.at += step, --c.left; }
    // By `By` indices: what set_stride was told.
    template <int By>
    __device__ __forceinline__ void advance(Cursor& c) const {
        c.at += By * step, c.left -= By;
    }
    __host__ __device__ void set_stride(int) {}

    // Whether every `width` neighbours lie side by side on a multiple of `width`.
    bool holds_vectors(int width) const { return step == 1 && count % width == 0; }
    bool steps_by(int width) const { return step % width == 0; }
    int64_t nearest() const { return step == 0 ? INT64_MAX : step < 0 ? -step : step; }
};

enum class Digits {
    plain,   // they are places in memory and no more
    taps,    // (r, s, c): r and s shift the pixel that is read
    pixels,  // (n, p, q): p and q are the pixel
};

// Indices of three digits, the last one the fastest.
template <Digits Kind>
struct DigitAxis {
    static constexpr bool kImage = Kind != Digits::plain, kEven = false;

    int sizes[3];
    int64_t steps[3];
    int h_step, w_step, h_first, w_first;  // of the digits that are coordinates
    int stride[3];                         // digits of what advance() goes
    int64_t stride_at, carry_at[2];        // what it adds to `at`, and what a carry adds

    struct Cursor {
        int64_t at;
        int i, j, k;  // the digits
        int outer;    // the first digit's size
        int h, w;
        __device__ __forceinline__ bool inside() const {
            return static_cast<unsigned>(i) < static_cast<unsigned>(outer);
        }
    };

    __host__ __device__ void set(int size0, int size1, int size2, int64_t step0, int64_t step1,
                                 int64_t step2) {
        sizes[0] = size0, sizes[1] = size1 > 1 ? size1 : 1, sizes[2] = size2 > 1 ? size2 : 1;
        if (size1 < 1 || size2 < 1) sizes[0] = 0;
        steps[0] = size0 > 1 ? step0 : 0;
        steps[1] = size1 > 1 ? step1 : 0;
        steps[2] = size2 > 1 ? step2 : 0;
        h_step = w_step = h_first = w_first = 0;
    }
    __host__ __device__ void set_coordinates(int64_t down, int64_t right, int64_t top,
                                             int64_t left) {
        h_step = static_cast<int>(down), w_step = static_cast<int>(right);
        h_first = static_cast<int>(top), w_first = static_cast<int>(left);
    }
    __host__ __device__ void set_stride(int by) {
        stride[2] = by % sizes[2];
        stride[1] = by / sizes[2] % sizes[1];
        stride[0] = by / sizes[2] / sizes[1];
        stride_at = stride[0] * steps[0] + stride[1] * steps[1] + stride[2] * steps[2];
        carry_at[0] = steps[1] - sizes[2] * steps[2];
        carry_at[1] = steps[0] - sizes[1] * steps[1];
    }

    __device__ __forceinline__ void locate(Cursor& c) const {
        const auto shift = [](int first, int digit, int step) {
            return static_cast<int>(static_cast<unsigned>(first) +
                                    static_cast<unsigned>(digit) * static_cast<unsigned>(step));
        };
        if constexpr (Kind == Digits::taps) {
            c.h = shift(h_first, c.i, h_step);
            c.w = shift(w_first, c.j, w_step);
        } else if constexpr (Kind == Digits::pixels) {
            c.h = shift(h_first, c.j, h_step);
            c.w = shift(w_first, c.k, w_step);
        }
    }
    __device__ __forceinline__ Cursor cursor(int64_t index) const {
        Cursor c{};
        auto rest = static_cast<unsigned>(index);
        c.k = static_cast<int>(rest % static_cast<unsigned>(sizes[2]));
        rest /= static_cast<unsigned>(sizes[2]);
        c.j = static_cast<int>(rest % static_cast<unsigned>(sizes[1]));
        c.i = static_cast<int>(rest / static_cast<unsigned>(sizes[1]));
        c.outer = sizes[0];
        c.at = c.inside() ? c.i * steps[0] + c.j * steps[1] + c.k * steps[2] : 0;
        locate(c);
        if (kImage && !c.inside()) c.h = kNowhere;
        return c;
    }
    __device__ __forceinline__ void next(Cursor& c) const {
        ++c.k, c.at += steps[2];
        carry(c);
    }
    template <int>
    __device__ __forceinline__ void advance(Cursor& c) const {
        c.i += stride[0], c.j += stride[1], c.k += stride[2];
        c.at += stride_at;
        carry(c);
    }
    __device__ __forceinline__ void carry(Cursor& c) const {
        if (c.k >= sizes[2]) c.k -= sizes[2], ++c.j, c.at += carry_at[0];
        if (c.j >= sizes[1]) c.j -= sizes[1], ++c.i, c.at += carry_at[1];
        locate(c);
    }

    int64_t count() const { return int64_t{sizes[0]} * sizes[1] * sizes[2]; }
    bool holds_vectors(int width) const {
        return steps[2] == 1 && sizes[2] % width == 0 && steps[1] % width == 0 &&
               steps[0] % width == 0;
    }
    bool steps_by(int width) const {
        return steps[2] % width == 0 && steps[1] % width == 0 && steps[0] % width == 0;
    }
    int64_t nearest() const {
        return steps[2] == 0 ? INT64_MAX : steps[2] < 0 ? -steps[2] : steps[2];
    }
};

// An operand of a batch of products.
template <class T, class Line, class Depth>
struct Operand {
    static constexpr bool kImage = Line::kImage && Depth::kImage;
    using LineCursor = typename Line::Cursor;
    using DepthCursor = typename Depth::Cursor;

    const T* data;
    int64_t batch_step;
    Line line;
    Depth depth;
    int height, width;  // of the image

    __device__ __forceinline__ bool inside(const LineCursor& l, const DepthCursor& d) const {
        if constexpr (kImage) {
            return static_cast<unsigned>(l.h + d.h) < static_cast<unsigned>(height) &&
                   static_cast<unsigned>(l.w + d.w) < static_cast<unsigned>(width) && d.inside();
        } else {
            return l.inside() && d.inside();
        }
    }

    // Whether vectors of `width` elements lie along the depth, or along the lines.
    bool vectors_along(bool along_depth, int width) const {
        return reinterpret_cast<uintptr_t>(data) % (width * sizeof(T)) == 0 &&
               batch_step % width == 0 &&
               (along_depth ? depth.holds_vectors(width) && line.steps_by(width)
                            : line.holds_vectors(width) && depth.steps_by(width));
    }
    // Whether neighbours in memory are neighbours along the depth.
    bool runs_along_depth() const { return depth.nearest() <= line.nearest(); }
};

}  // namespace pycnn::cuda
