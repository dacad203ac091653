// Filters, pixels and sums between the arrays' layouts and dtypes and those of the register tile.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "common/array.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// rows[i] and rows[i + H] of every 2 H exchange the blocks off the diagonal.
template <class T, int H, size_t... J>
PYCNN_INLINE void exchange_blocks(Vec<T>* rows, std::index_sequence<J...>) {
    constexpr int L = kLanes<T>;
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
        if (i & H) continue;
        const Vec<T> a = rows[i], b = rows[i + H];
        rows[i] = __builtin_shufflevector(a, b, (J & H ? L + J - H : J)...);
        rows[i + H] = __builtin_shufflevector(a, b, (J & H ? L + J : J + H)...);
    }
}

// A square of kLanes x kLanes elements, in registers.
template <class T, int H = kLanes<T> / 2>
PYCNN_INLINE void transpose(Vec<T>* rows) {
    if constexpr (H > 0) {
        exchange_blocks<T, H>(rows, std::make_index_sequence<kLanes<T>>{});
        transpose<T, H / 2>(rows);
    }
}

// One tap of the filter as a matrix: `depth` input channels times `width` output channels, element
// (d, k) at w[d * depth_stride + k * width_stride].
template <class S>
struct TapMatrix {
    const S* w;
    int64_t depth_stride, width_stride;
    int64_t depth, width;
    int64_t next;  // from this matrix to the one that is packed next, which is prefetched
};

// out[d][k] = the matrix, converted, the columns from `width` to `padded` zero.
template <class T, class S>
void pack_tap(const TapMatrix<S>& m, int64_t padded, T* out) {
    constexpr int L = kLanes<T>;
    int64_t d = 0;
    if (m.depth_stride == 1) {
        for (; d + L <= m.depth; d += L)
            for (int64_t k = 0; k < padded; k += L) {
                Vec<T> rows[L];
                const int64_t there = std::min<int64_t>(L, m.width - k);
                const S* from = m.w + d + k * m.width_stride;
                for (int64_t i = 0; i < there; ++i)
                    __builtin_prefetch(from + m.next + i * m.width_stride);
                if (there == L) {
#pragma GCC unroll 16
                    for (int i = 0; i < L; ++i) rows[i] = load(from + i * m.width_stride);
                } else {
                    for (int i = 0; i < L; ++i)
                        rows[i] = i < there ? load(from + i * m.width_stride) : zero<T>();
                }
                transpose<T>(rows);
#pragma GCC unroll 16
                for (int i = 0; i < L; ++i) store(out + (d + i) * padded + k, rows[i]);
            }
    } else if (m.width_stride == 1) {
        for (; d < m.depth; ++d)
            for (int64_t k = 0; k < padded; k += L) {
                const int there = static_cast<int>(std::clamp<int64_t>(m.width - k, 0, L));
                const S* from = m.w + d * m.depth_stride + k;
                __builtin_prefetch(from + m.next);
                store(out + d * padded + k, there == L ? load(from) : load(from, there));
            }
    }
    for (; d < m.depth; ++d)
        for (int64_t k = 0; k < padded; ++k)
            out[d * padded + k] =
                k < m.width ? static_cast<T>(m.w[d * m.depth_stride + k * m.width_stride]) : T{0};
}

// A run of pixels of an array, of one row: element (pixel, channel) at
// data[pixel * pixel_stride + channel * channel_stride].
template <class S>
struct PixelRun {
    S* data;
    int64_t pixel_stride, channel_stride;
    int64_t pixels, channels;
};

// out[pixel][channel] = the run, converted.
template <class T, class S>
void gather_pixels(const PixelRun<const S>& run, T* out) {
    constexpr int L = kLanes<T>;
    const int64_t channels = run.channels;
    if (run.channel_stride == 1) {
        if (std::is_same_v<S, T> && run.pixel_stride == channels) {
            std::memcpy(static_cast<void*>(out), run.data,
                        static_cast<size_t>(run.pixels * channels) * sizeof(T));
            return;
        }
        const int rest = static_cast<int>(channels % L);
        for (int64_t p = 0; p < run.pixels; ++p) {
            const S* from = run.data + p * run.pixel_stride;
            T* to = out + p * channels;
            for (int64_t c = 0; c < channels - rest; c += L) store(to + c, load(from + c));
            if (rest) store(to + channels - rest, load(from + channels - rest, rest), rest);
        }
    } else if (run.pixel_stride == 1) {
        for (int64_t p = 0; p < run.pixels; p += L)
            for (int64_t c = 0; c < channels; c += L) {
                Vec<T> rows[L];
                const int across = static_cast<int>(std::min<int64_t>(L, run.pixels - p));
                const int down = static_cast<int>(std::min<int64_t>(L, channels - c));
                const S* from = run.data + p + c * run.channel_stride;
                T* to = out + p * channels + c;
                if (across == L && down == L) {
#pragma GCC unroll 16
                    for (int i = 0; i < L; ++i) rows[i] = load(from + i * run.channel_stride);
                    transpose<T>(rows);
#pragma GCC unroll 16
                    for (int i = 0; i < L; ++i) store(to + i * channels, rows[i]);
                } else {
                    for (int i = 0; i < L; ++i)
                        rows[i] =
                            i < down ? load(from + i * run.channel_stride, across) : zero<T>();
                    transpose<T>(rows);
                    for (int i = 0; i < across; ++i) store(to + i * channels, rows[i], down);
                }
            }
    } else {
        for (int64_t p = 0; p < run.pixels; ++p)
            for (int64_t c = 0; c < channels; ++c)
                out[p * channels + c] =
                    static_cast<T>(run.data[p * run.pixel_stride + c * run.channel_stride]);
    }
}

// The run = sums[pixel][channel], converted, where a pixel of sums is `padded` channels: whole
// vectors.
template <class T, class S>
void scatter_pixels(const T* sums, int64_t padded, const PixelRun<S>& run) {
    constexpr int L = kLanes<T>;
    if (run.channel_stride == 1) {
        for (int64_t p = 0; p < run.pixels; ++p)
            for (int64_t c = 0; c < run.channels; c += L) {
                const int64_t there = run.channels - c;
                S* to = run.data + p * run.pixel_stride + c;
                const Vec<T> value = load(sums + p * padded + c);
                if (there >= L)
                    store(to, value);
                else
                    store(to, value, static_cast<int>(there));
            }
    } else if (run.pixel_stride == 1) {
        for (int64_t p = 0; p < run.pixels; p += L)
            for (int64_t c = 0; c < run.channels; c += L) {
                Vec<T> rows[L];
                const int across = static_cast<int>(std::min<int64_t>(L, run.pixels - p));
                const int down = static_cast<int>(std::min<int64_t>(L, run.channels - c));
                for (int i = 0; i < L; ++i)
                    rows[i] = i < across ? load(sums + (p + i) * padded + c) : zero<T>();
                transpose<T>(rows);
                S* to = run.data + p + c * run.channel_stride;
                for (int i = 0; i < down; ++i) store(to + i * run.channel_stride, rows[i], across);
            }
    } else {
        for (int64_t p = 0; p < run.pixels; ++p)
            for (int64_t c = 0; c < run.channels; ++c)
                run.data[p * run.pixel_stride + c * run.channel_stride] =
                    static_cast<S>(sums[p * padded + c]);
    }
}

}  // namespace pycnn::PYCNN_ISA
