// Rows of a contiguous (NCHW) plane, sorted so that pooling with any stride reads whole vectors.
//
// Output q reads pixels q*stride + s*dilation - pad. A sorted row keeps the pixels of equal
// (w + pad) % stride next to each other: phase f holds pixel i*stride + f - pad at position i. What
// tap s reads for outputs q, q+1, ... is then phase (s*dilation) % stride from q +
// s*dilation/stride on. Positions outside the image hold a fill value. The gradient of a row is
// collected in the same order and put back.
#pragma once

#include "cpu/memory.h"
#include "cpu/pool2d_windows.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

constexpr int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// n elements, widened.
template <class T, class A>
void convert_row(const T* from, A* to, int64_t n) {
    if constexpr (std::is_same_v<T, A>) {
        std::memcpy(static_cast<void*>(to), from, static_cast<size_t>(n) * sizeof(T));
    } else {
        constexpr int L = kLanes<A>;
        int64_t i = 0;
        for (; i + L <= n; i += L) store(to + i, load(from + i));
        if (i < n) store(to + i, load(from + i, static_cast<int>(n - i)), static_cast<int>(n - i));
    }
}

// n elements, rounded.
template <class A, class T>
void round_row(const A* from, T* to, int64_t n) {
    if constexpr (std::is_same_v<T, A>) {
        std::memcpy(static_cast<void*>(to), from, static_cast<size_t>(n) * sizeof(T));
    } else {
        constexpr int L = kLanes<A>;
        int64_t i = 0;
        for (; i + L <= n; i += L) store(to + i, load(from + i));
        if (i < n) store(to + i, load(from + i, static_cast<int>(n - i)), static_cast<int>(n - i));
    }
}

class SortedRow {
  public:
    // Phases are read from position 0 up to `outputs`, rounded up to `lanes`, plus the last tap's.
    SortedRow(const PoolAxis& a, int lanes)
        : a_(a),
          length_(
              round_up(std::max(round_up(a.outputs, lanes) + (a.taps - 1) * a.dilation / a.stride,
                                (a.size - 1 + a.pad) / a.stride + 1),
                       lanes)) {}

    int64_t length() const { return length_; }                // of a phase
    int64_t elements() const { return length_ * a_.stride; }  // of all of them
    int64_t tap(int64_t s) const {                            // where tap s of output 0 is
        return s * a_.dilation % a_.stride * length_ + s * a_.dilation / a_.stride;
    }

    template <class T, class A>
    void sort(const T* row, A* sorted, A fill) const {
        for (int64_t f = 0; f < a_.stride; ++f) {
            A* to = sorted + f * length_;
            const Span inside = span(f);
            std::fill(to, to + inside.begin, fill);
            const T* from = row + f - a_.pad;
            if (a_.stride == 1)
                convert_row(from + inside.begin, to + inside.begin, inside.end - inside.begin);
            else if (a_.stride == 2)
                for (int64_t i = inside.begin; i < inside.end; ++i)
                    to[i] = static_cast<A>(from[2 * i]);
            else
                for (int64_t i = inside.begin; i < inside.end; ++i)
                    to[i] = static_cast<A>(from[i * a_.stride]);
            std::fill(to + inside.end, to + length_, fill);
        }
    }

    template <class A, class T>
    void unsort(const A* sorted, T* row) const {
        if (a_.stride == 2) {
            const A* even = sorted + a_.pad % 2 * length_ + a_.pad / 2;
            const A* odd = sorted + (a_.pad + 1) % 2 * length_ + (a_.pad + 1) / 2;
            const int64_t pairs = a_.size / 2;
            for (int64_t i = 0; i < pairs; ++i) {
                row[2 * i] = static_cast<T>(even[i]);
                row[2 * i + 1] = static_cast<T>(odd[i]);
            }
            if (a_.size % 2 != 0) row[2 * pairs] = static_cast<T>(even[pairs]);
            return;
        }
        for (int64_t f = 0; f < a_.stride; ++f) {
            const A* from = sorted + f * length_;
            T* to = row + f - a_.pad;
            const Span inside = span(f);
            if (a_.stride == 1)
                round_row(from + inside.begin, to + inside.begin, inside.end - inside.begin);
            else
                for (int64_t i = inside.begin; i < inside.end; ++i)
                    to[i * a_.stride] = static_cast<T>(from[i]);
        }
    }

    // Whether sorted rows stay of about the image's size.
    static bool fits(const PoolAxis& a) {
        return !a.adaptive && (a.taps - 1) * a.dilation <= 4 * a.size + 1024 && a.stride <= 64;
    }

  private:
    struct Span {
        int64_t begin, end;
    };
    // The positions of phase f inside the image.
    Span span(int64_t f) const {
        const int64_t begin = std::max<int64_t>(a_.pad - f + a_.stride - 1, 0) / a_.stride;
        const int64_t end = std::min((a_.size - 1 + a_.pad - f + a_.stride) / a_.stride, length_);
        return {begin, std::max(end, begin)};
    }
    PoolAxis a_;
    int64_t length_;
};

// What a tap reads of a row of outputs that has `margin` zeros ahead of it.
struct PaddedTap {
    int64_t tap, start;
};

// The adjoint of a sorted row: position i of phase f is tap s of output i - s*dilation/stride, for
// the taps with s*dilation % stride = f.
struct PaddedTaps {
    explicit PaddedTaps(const PoolAxis& a)
        : margin((a.taps - 1) * a.dilation / a.stride), phases(static_cast<size_t>(a.stride)) {
        for (int64_t s = 0; s < a.taps; ++s)
            phases[static_cast<size_t>(s * a.dilation % a.stride)].push_back(
                {s, margin - s * a.dilation / a.stride});
    }
    const PaddedTap* begin(int64_t f) const { return phases[static_cast<size_t>(f)].data(); }
    const PaddedTap* end(int64_t f) const {
        return begin(f) + phases[static_cast<size_t>(f)].size();
    }
    int64_t margin;
    std::vector<std::vector<PaddedTap>> phases;
};

// `margin` zeros, the row, zeros up to `length`.
template <class T, class A>
void pad_row(const T* row, int64_t size, A* padded, int64_t margin, int64_t length) {
    std::fill(padded, padded + margin, A{0});
    convert_row(row, padded + margin, size);
    std::fill(padded + margin + size, padded + length, A{0});
}

}  // namespace pycnn::PYCNN_ISA
