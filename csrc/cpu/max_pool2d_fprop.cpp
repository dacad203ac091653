// Max pooling, forward: a vector of channels (channels-last) or of outputs of a row (contiguous).
//
// Computes   max fprop of cpu/pool2d.h
// Arrays     one layout for x, y and offsets, others are copied; any floating-point dtype
// Threads    channels-last: rows of outputs, cut by channels where they are few; contiguous: blocks
//            of rows of a plane
// Tiling     channels-last: up to 4 vectors of channels with their offsets in registers, the taps
//            of 2x2 and 3x3 unrolled. Contiguous: the rows a block reads are sorted by the stride
//            (pool2d_rows.h) into a workspace of at most ~128 KB, where every tap is a plain load
// Traffic    x read once from memory, its taps from cache; y and 1 byte of offset written:
//            (16 + 4 + 1) bytes per output of 2x2 stride 2. Rows are fetched 4 KiB ahead.
//            Large channels-last outputs are written past the caches
// Numerics   exact: ">" keeps the first of equal values, NaN replaces everything, so the last stays
// Refuses    nothing: integers and windows far larger than the image go to naive
#include "cpu/copy.h"

#include "cpu/parallel.h"
#include "cpu/pool2d_blocks.h"
#include "cpu/pool2d_rows.h"
#include "cpu/pool2d_windows.h"
#include "primitives/pool2d.h"

namespace pycnn::PYCNN_ISA {
namespace {

template <class A>
constexpr A kLeast = -std::numeric_limits<A>::infinity();

// value replaces best, and its tap the one taken, where it is larger or NaN.
template <class V, class M>
PYCNN_INLINE void take_larger_or_nan(V value, M tap, V& best, M& taken) {
    const M larger = (value > best) | (value != value);
    best = select(larger, value, best);
    taken = select(larger, tap, taken);
}

// The same for a value that is no NaN, with half the comparisons: a NaN that is best already stays.
template <class V, class M>
PYCNN_INLINE void take_larger(V value, M tap, V& best, M& taken) {
    const M larger = value > best;
    best = max(value, best);
    taken = select(larger, tap, taken);
}

// Remembers whether any lane of what it was shown is NaN; one comparison for two vectors.
template <class A>
class Nans {
  public:
    PYCNN_INLINE void look(Vec<A> a, Vec<A> b) {
#if defined(__AVX512F__)
        if constexpr (sizeof(A) == 4)
            found_ |= _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q);
        else
            found_ |= _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_UNORD_Q);
#else
        found_ |= (a != a) | (b != b);
#endif
    }
    PYCNN_INLINE bool any() const {
#if defined(__AVX512F__)
        return found_ != 0;
#elif defined(__AVX2__)
        return _mm256_movemask_epi8((__m256i)found_) != 0;
#else
        int64_t halves[2];
        std::memcpy(halves, &found_, sizeof halves);
        return (halves[0] | halves[1]) != 0;
#endif
    }

  private:
#if defined(__AVX512F__)
    __mmask16 found_ = 0;
#else
    Mask<A> found_{};
#endif
};

// Where the taps of one output lie: `rows` x `columns` of them inside the image.
struct Taps {
    int64_t rows, columns, row_step, column_step, first, S;
};

// U vectors of channels of one output, the last of n channels; any number of taps.
template <class T, class Offset, bool Stream, int U>
PYCNN_INLINE void pool_channels(const Taps& t, const T* x, T* y, Offset* offsets, int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    Vec<A> best[U];
    Mask<A> taken[U];
    for (int u = 0; u < U; ++u) {
        best[u] = broadcast<A>(kLeast<A>);
        taken[u] = Mask<A>{} + static_cast<int>(t.first);
    }
    for (int64_t r = 0; r < t.rows; ++r)
        for (int64_t s = 0; s < t.columns; ++s) {
            const Mask<A> number = Mask<A>{} + static_cast<int>(t.first + r * t.S + s);
            const T* from = x + r * t.row_step + s * t.column_step;
            for (int u = 0; u < U; ++u)
                take_larger_or_nan(load_some(from + u * L, n), number, best[u], taken[u]);
        }
    for (int u = 0; u < U; ++u) {
        put<Stream>(y + u * L, best[u], n);
        store_offsets<A>(offsets + u * L, taken[u], n);
    }
}

// The same for SIDE x SIDE taps, unrolled. The first is best to begin with; a NaN behind it is
// left to the loop above.
template <class T, class Offset, bool Stream, int U, int SIDE>
PYCNN_INLINE void pool_square(const Taps& t, const T* x, T* y, Offset* offsets, int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    Vec<A> best[U], before[U];
    Mask<A> taken[U];
    Nans<A> nans;
#pragma GCC unroll 9
    for (int i = 0; i < SIDE * SIDE; ++i) {
        const T* from = x + i / SIDE * t.row_step + i % SIDE * t.column_step;
        const Mask<A> number = Mask<A>{} + static_cast<int>(t.first + i / SIDE * t.S + i % SIDE);
        for (int u = 0; u < U; ++u) {
            if (i % SIDE < 2) __builtin_prefetch(from + kAhead<T> + u * L);
            const Vec<A> value = load_some(from + u * L, n);
            if (i == 0) {
                best[u] = value;
                taken[u] = number;
            } else {
                take_larger(value, number, best[u], taken[u]);
                if (i % 2 == 0)
                    nans.look(before[u], value);
                else if (i + 1 == SIDE * SIDE)
                    nans.look(value, value);
            }
            before[u] = value;
        }
    }
    if (__builtin_expect(nans.any(), 0))
        return pool_channels<T, Offset, Stream, U>(t, x, y, offsets, n);
    for (int u = 0; u < U; ++u) {
        put<Stream>(y + u * L, best[u], n);
        store_offsets<A>(offsets + u * L, taken[u], n);
    }
}

// Channels [begin, end) of one output.
template <class T, class Offset, bool Stream, int SIDE>
void pool_pixel(const Taps& t, const T* x, T* y, Offset* offsets, int64_t begin, int64_t end) {
    constexpr int L = kLanes<Accumulation<T>>;
    int64_t c = begin;
    for (; c + 4 * L <= end; c += 4 * L) {
        if constexpr (SIDE > 0)
            pool_square<T, Offset, Stream, 4, SIDE>(t, x + c, y + c, offsets + c, L);
        else
            pool_channels<T, Offset, Stream, 4>(t, x + c, y + c, offsets + c, L);
    }
    for (; c < end; c += L) {
        const int n = static_cast<int>(std::min<int64_t>(L, end - c));
        if constexpr (SIDE > 0)
            pool_square<T, Offset, Stream, 1, SIDE>(t, x + c, y + c, offsets + c, n);
        else
            pool_channels<T, Offset, Stream, 1>(t, x + c, y + c, offsets + c, n);
    }
}

template <class T, class Offset, bool Stream>
void pool_channels_last(const Pool2dParams& g, const T* x, T* y, Offset* offsets) {
    const PoolAxis rows = along_h(g);
    const std::vector<Window> columns = windows_of(along_w(g));
    const ChannelBlocks blocks(g.N * g.P, g.C);
    const double cost = 0.1 * static_cast<double>(g.Q * blocks.size) *
                        static_cast<double>(std::min(g.R, g.H) * std::min(g.S, g.W));
    parallel_for(g.N * g.P * blocks.count, cost, [&](int64_t task) {
        const int64_t np = task / blocks.count;
        const int64_t begin = blocks.begin(task % blocks.count),
                      end = blocks.end(task % blocks.count);
        const Window row = window_of(rows, np % g.P);
        const T* from = x + (np / g.P * g.H + (row.count ? row.start : 0)) * g.W * g.C;
        for (int64_t q = 0; q < g.Q; ++q) {
            const Window& column = columns[static_cast<size_t>(q)];
            const int64_t out = (np * g.Q + q) * g.C;
            const int64_t pixels = row.count * column.count;
            const Taps t{pixels ? row.count : 0,         column.count,
                         g.W * g.C * g.dilation_h,       g.C * g.dilation_w,
                         row.first * g.S + column.first, g.S};
            const T* at = from + (pixels ? column.start : 0) * g.C;
            if (row.count == 3 && column.count == 3)
                pool_pixel<T, Offset, Stream, 3>(t, at, y + out, offsets + out, begin, end);
            else if (row.count == 2 && column.count == 2)
                pool_pixel<T, Offset, Stream, 2>(t, at, y + out, offsets + out, begin, end);
            else
                pool_pixel<T, Offset, Stream, 0>(t, at, y + out, offsets + out, begin, end);
        }
    });
}

// Row p of a plane: the sorted rows of the image start at `sorted`, `row_step` from tap to tap.
template <class T, class Offset, int COLUMNS>
void pool_row(const Pool2dParams& g, const Window& row, const Accumulation<T>* sorted,
              int64_t row_step, const int64_t* taps, const Mask<Accumulation<T>>* first, T* y,
              Offset* offsets) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const int64_t columns = COLUMNS ? COLUMNS : g.S;
    for (int64_t q = 0; q < g.Q; q += L) {
        Vec<A> best = broadcast<A>(kLeast<A>);
        Mask<A> taken = first[q / L] + static_cast<int>(row.first * g.S);
        Nans<A> nans;
        const auto each_tap = [&](auto&& take) {
            for (int64_t r = 0; r < row.count; ++r) {
                const A* from = sorted + r * row_step + q;
                const int number = static_cast<int>((row.first + r) * g.S);
#pragma GCC unroll 3
                for (int64_t s = 0; s < columns; ++s)
                    take(load(from + taps[s]), Mask<A>{} + (number + static_cast<int>(s)));
            }
        };
        each_tap([&](Vec<A> value, Mask<A> tap) {
            take_larger(value, tap, best, taken);
            nans.look(value, value);
        });
        if (__builtin_expect(nans.any(), 0)) {
            best = broadcast<A>(kLeast<A>);
            each_tap(
                [&](Vec<A> value, Mask<A> tap) { take_larger_or_nan(value, tap, best, taken); });
        }
        const int n = static_cast<int>(std::min<int64_t>(L, g.Q - q));
        store_some(y + q, best, n);
        store_offsets<A>(offsets + q, taken, n);
    }
}

template <class T, class Offset>
void pool_contiguous(const Pool2dParams& g, const T* x, T* y, Offset* offsets) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const PoolAxis along_rows = along_h(g), along_columns = along_w(g);
    const SortedRow sorted(along_columns, L);
    std::vector<int64_t> taps(static_cast<size_t>(g.S));
    for (int64_t s = 0; s < g.S; ++s) taps[static_cast<size_t>(s)] = sorted.tap(s);
    const Buffer<Mask<A>> first(round_up(g.Q, L) / L);
    for (int64_t q = 0; q < round_up(g.Q, L); ++q)
        first[q / L][q % L] = q < g.Q ? static_cast<int>(window_of(along_columns, q).first) : 0;

    const RowBlocks blocks(along_rows, sorted.elements() * static_cast<int64_t>(sizeof(A)),
                           g.N * g.C);
    const double cost = 0.15 * static_cast<double>(blocks.rows * g.Q) *
                        static_cast<double>(std::min(g.R, g.H) * g.S);
    each_block(g.N * g.C, blocks.count, cost, [&](int64_t begin, int64_t end) {
        Buffer<A> workspace;
        int64_t held = 0;
        for (int64_t task = begin; task < end; ++task) {
            const int64_t plane = task / blocks.count;
            const RowBlock block = blocks.block(along_rows, task % blocks.count);
            if (block.reads() > held)
                workspace = Buffer<A>((held = block.reads()) * sorted.elements());
            for (int64_t h = block.read_begin; h < block.read_end; ++h)
                sorted.sort(x + (plane * g.H + h) * g.W,
                            workspace.data() + (h - block.read_begin) * sorted.elements(),
                            kLeast<A>);
            for (int64_t p = block.begin; p < block.end; ++p) {
                const Window row = window_of(along_rows, p);
                const A* from = workspace.data() +
                                (row.count ? row.start - block.read_begin : 0) * sorted.elements();
                const int64_t step = sorted.elements() * g.dilation_h,
                              out = (plane * g.P + p) * g.Q;
                const auto pool = g.S == 2   ? pool_row<T, Offset, 2>
                                  : g.S == 3 ? pool_row<T, Offset, 3>
                                             : pool_row<T, Offset, 0>;
                pool(g, row, from, step, taps.data(), first.data(), y + out, offsets + out);
            }
        }
    });
}

template <class T, class Offset>
void pool_as(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
             const ArrayView& offsets) {
    const Layout layout = pooling_layout(g, x, y, SortedRow::fits(along_w(g)));
    const DenseInput<T> from(x, layout);
    const DenseOutput<T> to(y, layout);
    const DenseOutput<Offset> taken(offsets, layout);
    if (layout == Layout::channels_last && streams(to.data(), g.N * g.P * g.Q, g.C))
        pool_channels_last<T, Offset, true>(g, from.data(), to.data(), taken.data());
    else if (layout == Layout::channels_last)
        pool_channels_last<T, Offset, false>(g, from.data(), to.data(), taken.data());
    else
        pool_contiguous(g, from.data(), to.data(), taken.data());
    to.finish();
    taken.finish();
}

}  // namespace

void max_pool2d_fprop_direct(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
                             const ArrayView& offsets) {
    if (!(kFloatDTypes & only(x.dtype))) return max_pool2d_fprop_naive(g, x, y, offsets);
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        if (offsets.dtype == DType::u8)
            pool_as<T, uint8_t>(g, x, y, offsets);
        else
            pool_as<T, int32_t>(g, x, y, offsets);
    });
}

}  // namespace pycnn::PYCNN_ISA
