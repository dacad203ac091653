// Max pooling, backward.
//
// Computes   max dgrad of cpu/pool2d.h
// Arrays     one layout for dy, offsets and dx, others are copied; any floating-point dtype
// Threads    channels-last: rows of dx, cut by channels where they are few; contiguous: planes.
//            No two tasks write one element: no atomics
// Tiling     channels-last: every pixel gathers from the windows that hold it, up to 4 vectors of
//            channels at a time, one to three windows along each axis unrolled. Contiguous: a plane
//            of zeros, to which every output adds
// Traffic    dx written once (contiguous: from cache twice); dy and its 1-byte offsets read from
//            memory once. Large channels-last outputs are written past the caches
// Numerics   in accumulation dtype, channels-last in the order of the taps, contiguous in that of
//            the outputs; rounded once. An offset that names no pixel goes nowhere
// Refuses    nothing: channels-last windows far larger than the image go to naive
#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/pool2d_blocks.h"
#include "cpu/pool2d_rows.h"
#include "cpu/pool2d_windows.h"
#include "primitives/pool2d.h"

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

// The windows that hold a pixel, along one axis or along both.
template <int ROWS, int COLUMNS>
struct Holders {
    int64_t at[ROWS * COLUMNS];  // of dy and offsets
    int tap[ROWS * COLUMNS];
};

// U vectors of channels of one pixel that ROWS x COLUMNS windows hold, the last of n channels.
template <class T, class Offset, bool Stream, int U, int ROWS, int COLUMNS>
PYCNN_INLINE void gather_from(const Holders<ROWS, COLUMNS>& holders, const T* dy,
                              const Offset* offsets, T* dx, int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    Vec<A> sum[U];
    for (int u = 0; u < U; ++u) sum[u] = zero<A>();
#pragma GCC unroll 9
    for (int i = 0; i < ROWS * COLUMNS; ++i) {
        const T* from = dy + holders.at[i];
        const Offset* taken = offsets + holders.at[i];
        if (n == L) {
            if (i % COLUMNS == 0) {
#pragma GCC unroll 4
                for (int u = 0; u < U; ++u) __builtin_prefetch(from + kAhead<T> + u * L);
                __builtin_prefetch(taken + kAhead<T>);
            }
#pragma GCC unroll 4
            for (int u = 0; u < U; ++u)
                sum[u] = add_taken<A>(sum[u], load(from + u * L), taken + u * L, holders.tap[i]);
        } else {
            Offset some[L]{};
            std::memcpy(some, taken, static_cast<size_t>(n) * sizeof(Offset));
            sum[0] = add_taken<A>(sum[0], load(from, n), some, holders.tap[i]);
        }
    }
    for (int u = 0; u < U; ++u) put<Stream>(dx + u * L, sum[u], n);
}

// Channels [begin, end) of one pixel, any number of windows.
template <class T, class Offset>
void gather_any(const Pool2dParams& g, const T* dy, const Offset* offsets, const Cover* rows,
                const Cover* rows_end, const Cover* columns, const Cover* columns_end, T* dx,
                int64_t begin, int64_t end) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    for (int64_t c = begin; c < end; c += L) {
        const int n = static_cast<int>(std::min<int64_t>(L, end - c));
        Vec<A> sum = zero<A>();
        for (const Cover* row = rows; row < rows_end; ++row)
            for (const Cover* column = columns; column < columns_end; ++column) {
                const int64_t at = (row->output * g.Q + column->output) * g.C + c;
                Offset some[L]{};
                std::memcpy(some, offsets + at, static_cast<size_t>(n) * sizeof(Offset));
                sum = add_taken<A>(sum, load_some(dy + at, n), some,
                                   static_cast<int>(row->tap * g.S + column->tap));
            }
        store_some(dx + c, sum, n);
    }
}

// The same for ROWS x COLUMNS of them.
template <class T, class Offset, bool Stream, int ROWS, int COLUMNS>
PYCNN_INLINE void gather_pixel(const Pool2dParams& g, const T* dy, const Offset* offsets,
                               const Cover* rows, const Cover* columns, T* dx, int64_t begin,
                               int64_t end) {
    constexpr int L = kLanes<Accumulation<T>>;
    Holders<ROWS, COLUMNS> holders;
#pragma GCC unroll 9
    for (int i = 0; i < ROWS * COLUMNS; ++i) {
        const Cover &row = rows[i / COLUMNS], &column = columns[i % COLUMNS];
        holders.at[i] = (row.output * g.Q + column.output) * g.C;
        holders.tap[i] = static_cast<int>(row.tap * g.S + column.tap);
    }
    int64_t c = begin;
    for (; c + 4 * L <= end; c += 4 * L)
        gather_from<T, Offset, Stream, 4>(holders, dy + c, offsets + c, dx + c, L);
    for (; c < end; c += L)
        gather_from<T, Offset, Stream, 1>(holders, dy + c, offsets + c, dx + c,
                                          static_cast<int>(std::min<int64_t>(L, end - c)));
}

// A row of pixels that ROWS rows of windows hold (0: any number).
template <class T, class Offset, bool Stream, int ROWS>
void gather_row(const Pool2dParams& g, const T* dy, const Offset* offsets, const Cover* rows,
                const Cover* rows_end, const Covers& columns, T* dx, int64_t begin, int64_t end) {
    for (int64_t w = 0; w < g.W; ++w, dx += g.C) {
        const Cover* first = columns.begin(w);
        if constexpr (ROWS > 0) {
            switch (columns.count(w)) {
                case 1:
                    gather_pixel<T, Offset, Stream, ROWS, 1>(g, dy, offsets, rows, first, dx, begin,
                                                             end);
                    continue;
                case 2:
                    gather_pixel<T, Offset, Stream, ROWS, 2>(g, dy, offsets, rows, first, dx, begin,
                                                             end);
                    continue;
                case 3:
                    gather_pixel<T, Offset, Stream, ROWS, 3>(g, dy, offsets, rows, first, dx, begin,
                                                             end);
                    continue;
                default: break;
            }
        }
        gather_any(g, dy, offsets, rows, rows_end, first, columns.end(w), dx, begin, end);
    }
}

template <class T, class Offset, bool Stream>
void gather_channels_last(const Pool2dParams& g, const T* dy, const Offset* offsets, T* dx) {
    const Covers rows(along_h(g)), columns(along_w(g));
    const ChannelBlocks blocks(g.N * g.H, g.C);
    const double cost = 0.1 * static_cast<double>(g.W * blocks.size);
    parallel_for(g.N * g.H * blocks.count, cost, [&](int64_t task) {
        const int64_t nh = task / blocks.count, n = nh / g.H, h = nh % g.H;
        const T* from = dy + n * g.P * g.Q * g.C;
        const Offset* taken = offsets + n * g.P * g.Q * g.C;
        const int64_t held = rows.count(h);
        const auto gather = held == 1   ? gather_row<T, Offset, Stream, 1>
                            : held == 2 ? gather_row<T, Offset, Stream, 2>
                            : held == 3 ? gather_row<T, Offset, Stream, 3>
                                        : gather_row<T, Offset, Stream, 0>;
        gather(g, from, taken, rows.begin(h), rows.end(h), columns, dx + nh * g.W * g.C,
               blocks.begin(task % blocks.count), blocks.end(task % blocks.count));
    });
}

// How far from the start of its window each tap lies in a plane. An offset beyond the taps, which
// no forward pass writes, lies outside.
class Distances {
  public:
    explicit Distances(const Pool2dParams& g) : g_(g), rows_(along_h(g)), columns_(along_w(g)) {
        std::fill_n(near_, 256, kOutside);
        for (int64_t i = 0; i < std::min<int64_t>(g.R * g.S, 256); ++i) near_[i] = far(i);
    }
    int64_t operator()(uint8_t offset) const { return near_[offset]; }
    int64_t operator()(int32_t offset) const {
        return offset < 0 || offset >= g_.R * g_.S ? kOutside : far(offset);
    }

  private:
    static constexpr int64_t kOutside = std::numeric_limits<int64_t>::min() / 2;
    int64_t far(int64_t offset) const {
        return offset / g_.S * rows_.dilation * g_.W + offset % g_.S * columns_.dilation;
    }
    const Pool2dParams& g_;
    PoolAxis rows_, columns_;
    int64_t near_[256];
};

// The pixel that tap 0 of each output reads; it may lie outside the image.
std::vector<int64_t> starts_of(const PoolAxis& a) {
    std::vector<int64_t> starts(static_cast<size_t>(a.outputs));
    for (int64_t i = 0; i < a.outputs; ++i)
        starts[static_cast<size_t>(i)] = a.adaptive ? i * a.size / a.outputs : i * a.stride - a.pad;
    return starts;
}

template <class T, class Offset>
void scatter_contiguous(const Pool2dParams& g, const T* dy, const Offset* offsets, T* dx) {
    using A = Accumulation<T>;
    const Distances distances(g);
    const std::vector<int64_t> rows = starts_of(along_h(g)), columns = starts_of(along_w(g));
    const auto pixels = static_cast<uint64_t>(g.H * g.W);
    const double cost = static_cast<double>(g.P * g.Q) + 0.1 * static_cast<double>(g.H * g.W);
    each_block(g.N * g.C, 1, cost, [&](int64_t begin, int64_t end) {
        const Buffer<A> plane(std::is_same_v<T, A> ? 0 : g.H * g.W), wide(round_up(g.Q, 64));
        for (int64_t i = begin; i < end; ++i) {
            T* to = dx + i * g.H * g.W;
            A* sums = plane.data();
            if constexpr (std::is_same_v<T, A>) sums = to;
            std::fill_n(sums, g.H * g.W, A{0});
            for (int64_t p = 0; p < g.P; ++p) {
                const int64_t from = (i * g.P + p) * g.Q, row = rows[static_cast<size_t>(p)] * g.W;
                const A* values = wide.data();
                if constexpr (std::is_same_v<T, A>)
                    values = dy + from;
                else
                    convert_row(dy + from, wide.data(), g.Q);
                for (int64_t q = 0; q < g.Q; ++q) {
                    const int64_t at =
                        row + columns[static_cast<size_t>(q)] + distances(offsets[from + q]);
                    if (static_cast<uint64_t>(at) < pixels) sums[at] += values[q];
                }
            }
            if constexpr (!std::is_same_v<T, A>) round_row(sums, to, g.H * g.W);
        }
    });
}

template <class T, class Offset>
void gather_as(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
               const ArrayView& dx) {
    const Layout layout = pooling_layout(g, dy, dx, true);
    const DenseInput<T> from(dy, layout);
    const DenseInput<Offset> taken(offsets, layout);
    const DenseOutput<T> to(dx, layout);
    if (layout == Layout::channels_last && streams(to.data(), g.N * g.H * g.W, g.C))
        gather_channels_last<T, Offset, true>(g, from.data(), taken.data(), to.data());
    else if (layout == Layout::channels_last)
        gather_channels_last<T, Offset, false>(g, from.data(), taken.data(), to.data());
    else
        scatter_contiguous(g, from.data(), taken.data(), to.data());
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
