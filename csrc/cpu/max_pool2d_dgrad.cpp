// Max pooling, backward: every pixel gathers from the windows that hold it.
//
// Computes   max dgrad of cpu/pool2d.h
// Arrays     one layout for dy, offsets and dx, others are copied; any floating-point dtype
// Threads    channels-last: rows of dx, cut by channels where they are few; contiguous: blocks of
//            rows of a plane. No two tasks write one element: no atomics
// Tiling     channels-last: up to 4 vectors of channels of a pixel. Contiguous: pixels of equal
//            (w + pad) % stride side by side (pool2d_rows.h), so that the windows of 16 of them are
//            16 neighbours in dy; then put back in order
// Traffic    dx written once; dy and its 1-byte offsets read from cache ceil(R/stride) *
//            ceil(S/stride) times, from memory once
// Numerics   in accumulation dtype, taps in row-major order, rounded once; an offset that names no
//            pixel goes nowhere
// Refuses    nothing: windows far larger than the image go to naive
#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/pool2d.h"
#include "cpu/pool2d_blocks.h"
#include "cpu/pool2d_rows.h"
#include "cpu/pool2d_windows.h"

namespace pycnn::PYCNN_ISA {
namespace {

// sum + dy in the lanes whose offset is `tap`.
template <class A, class Offset>
PYCNN_INLINE Vec<A> add_taken(Vec<A> sum, Vec<A> dy, const Offset* offsets, int tap) {
#if defined(__AVX512F__)
    if constexpr (sizeof(A) == 4 && sizeof(Offset) == 1) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(offsets));
        const __mmask16 taken = _mm_cmpeq_epi8_mask(bytes, _mm_set1_epi8(static_cast<char>(tap)));
        return (Vec<A>)_mm512_mask_add_ps((__m512)sum, taken, (__m512)sum, (__m512)dy);
    }
#endif
    typedef Offset Narrow __attribute__((vector_size(sizeof(Offset) * kLanes<A>)));
    Narrow narrow;
    std::memcpy(&narrow, offsets, sizeof narrow);
    const Mask<A> taken = __builtin_convertvector(narrow, Mask<A>) == Mask<A>{} + tap;
    return sum + select(taken, dy, zero<A>());
}

// U vectors of channels of one pixel, the last of n channels; `rows` and `columns` cover it.
template <class T, class Offset, int U>
PYCNN_INLINE void gather_channels(const Pool2dParams& g, const T* dy, const Offset* offsets,
                                  const Cover* row, const Cover* row_end, const Cover* columns,
                                  const Cover* columns_end, T* dx, int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const bool whole = n == L;
    Vec<A> sum[U];
    for (int u = 0; u < U; ++u) sum[u] = zero<A>();
    for (; row < row_end; ++row)
        for (const Cover* column = columns; column < columns_end; ++column) {
            const int64_t at = (row->output * g.Q + column->output) * g.C;
            const int tap = static_cast<int>(row->tap * g.S + column->tap);
            if (whole) {
                for (int u = 0; u < U; ++u)
                    sum[u] = add_taken<A>(sum[u], load(dy + at + u * L), offsets + at + u * L, tap);
            } else {
                Offset some[L]{};
                std::memcpy(some, offsets + at, static_cast<size_t>(n) * sizeof(Offset));
                sum[0] = add_taken<A>(sum[0], load(dy + at, n), some, tap);
            }
        }
    for (int u = 0; u < U; ++u) {
        if (whole)
            store(dx + u * L, sum[u]);
        else
            store(dx + u * L, sum[u], n);
    }
}

template <class T, class Offset>
void gather_channels_last(const Pool2dParams& g, const T* dy, const Offset* offsets, T* dx) {
    constexpr int L = kLanes<Accumulation<T>>;
    const Covers rows(along_h(g)), columns(along_w(g));
    const ChannelBlocks blocks(g.N * g.H, g.C);
    const double cost = 0.3 * static_cast<double>(g.W * blocks.size);
    parallel_for(g.N * g.H * blocks.count, cost, [&](int64_t task) {
        const int64_t nh = task / blocks.count, n = nh / g.H, h = nh % g.H;
        const int64_t begin = blocks.begin(task % blocks.count),
                      end = blocks.end(task % blocks.count);
        const T* from = dy + n * g.P * g.Q * g.C;
        const Offset* taken = offsets + n * g.P * g.Q * g.C;
        for (int64_t w = 0; w < g.W; ++w) {
            T* to = dx + (nh * g.W + w) * g.C;
            int64_t c = begin;
            for (; c + 4 * L <= end; c += 4 * L)
                gather_channels<T, Offset, 4>(g, from + c, taken + c, rows.begin(h), rows.end(h),
                                              columns.begin(w), columns.end(w), to + c, L);
            for (; c < end; c += L)
                gather_channels<T, Offset, 1>(g, from + c, taken + c, rows.begin(h), rows.end(h),
                                              columns.begin(w), columns.end(w), to + c,
                                              static_cast<int>(std::min<int64_t>(L, end - c)));
        }
    });
}

// One row of pixels, sorted: `dy` and `offsets` are padded rows p, `length` apart, from row
// `first`.
template <class A, class Offset>
void gather_row(const Pool2dParams& g, const SortedRow& sorted, const PaddedTaps& taps, const A* dy,
                const Offset* offsets, int64_t first, int64_t length, const Cover* row,
                const Cover* row_end, A* sums) {
    for (int64_t f = 0; f < g.stride_w; ++f)
        for (int64_t i = 0; i < sorted.length(); i += kLanes<A>) {
            Vec<A> sum = zero<A>();
            for (const Cover* r = row; r < row_end; ++r)
                for (const PaddedTap* t = taps.begin(f); t < taps.end(f); ++t) {
                    const int64_t at = (r->output - first) * length + t->start + i;
                    sum = add_taken<A>(sum, load(dy + at), offsets + at,
                                       static_cast<int>(r->tap * g.S + t->tap));
                }
            store(sums + f * sorted.length() + i, sum);
        }
}

template <class T, class Offset>
void gather_contiguous(const Pool2dParams& g, const T* dy, const Offset* offsets, T* dx) {
    using A = Accumulation<T>;
    const PoolAxis along_columns = along_w(g);
    const Covers rows(along_h(g));
    const SortedRow sorted(along_columns, kLanes<A>);
    const PaddedTaps taps(along_columns);
    const int64_t length = round_up(taps.margin + std::max(sorted.length(), g.Q), 64);
    const int64_t bytes = length * static_cast<int64_t>(sizeof(A) + sizeof(Offset));
    const CoverBlocks blocks(g.H, bytes * g.P / std::max<int64_t>(g.H, 1), g.N * g.C);
    const double cost = 0.3 * static_cast<double>(blocks.rows * g.W);
    each_block(g.N * g.C, blocks.count, cost, [&](int64_t begin, int64_t end) {
        const Buffer<A> sums(sorted.elements());
        Buffer<A> padded;
        Buffer<Offset> taken;
        int64_t held = 0;
        for (int64_t task = begin; task < end; ++task) {
            const int64_t plane = task / blocks.count;
            const RowBlock block = blocks.block(rows, task % blocks.count);
            if (block.reads() > held) {
                held = block.reads();
                padded = Buffer<A>(held * length);
                taken = Buffer<Offset>(held * length);
            }
            for (int64_t p = block.read_begin; p < block.read_end; ++p) {
                const int64_t to = (p - block.read_begin) * length;
                pad_row(dy + (plane * g.P + p) * g.Q, g.Q, padded.data() + to, taps.margin, length);
                pad_row(offsets + (plane * g.P + p) * g.Q, g.Q, taken.data() + to, taps.margin,
                        length);
            }
            for (int64_t h = block.begin; h < block.end; ++h) {
                gather_row(g, sorted, taps, padded.data(), taken.data(), block.read_begin, length,
                           rows.begin(h), rows.end(h), sums.data());
                sorted.unsort(sums.data(), dx + (plane * g.H + h) * g.W);
            }
        }
    });
}

template <class T, class Offset>
void gather_as(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
               const ArrayView& dx) {
    const Layout layout = pooling_layout(g, dy, dx, SortedRow::fits(along_w(g)));
    const DenseInput<T> from(dy, layout);
    const DenseInput<Offset> taken(offsets, layout);
    const DenseOutput<T> to(dx, layout);
    if (layout == Layout::channels_last)
        gather_channels_last(g, from.data(), taken.data(), to.data());
    else
        gather_contiguous(g, from.data(), taken.data(), to.data());
    to.finish();
}

}  // namespace

void max_pool2d_dgrad_direct(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
                             const ArrayView& dx) {
    if (!covers_fit(along_h(g)) || !covers_fit(along_w(g)))
        return max_pool2d_dgrad_naive(g, dy, offsets, dx);
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        if (offsets.dtype == DType::u8)
            gather_as<T, uint8_t>(g, dy, offsets, dx);
        else
            gather_as<T, int32_t>(g, dy, offsets, dx);
    });
}

}  // namespace pycnn::PYCNN_ISA
