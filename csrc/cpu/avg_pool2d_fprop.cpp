// Average pooling, forward: fixed, adaptive and global windows.
//
// Computes   avg fprop of cpu/pool2d.h
// Arrays     one layout for x and y, others are copied; any floating-point dtype
// Threads    channels-last: rows of outputs, cut by channels where they are few; contiguous: blocks
//            of rows of a plane
// Tiling     channels-last: up to 4 vectors of channels of one output. Contiguous: the rows of a
//            window are added up along the whole width, then its columns: sorted by the stride
//            (pool2d_rows.h) for fixed windows, so that each tap is a plain load
// Traffic    x read once from memory, y written once
// Numerics   in accumulation dtype: the sum of partial sums, each over at most 128 pixels of a row
//            (channels-last) or over a column (contiguous); divided, then rounded once
// Refuses    nothing: integers go to naive
#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/pool2d_blocks.h"
#include "cpu/pool2d_rows.h"
#include "cpu/pool2d_windows.h"
#include "primitives/pool2d.h"

namespace pycnn::PYCNN_ISA {
namespace {

struct Steps {
    int64_t row, column;
    int64_t ahead;  // how far what is needed soon lies, in elements
};

// A division; by a power of two it is a product, which is exact too.
template <class A>
struct Divisor {
    explicit Divisor(A divisor)
        : value(divisor),
          reciprocal(1 / divisor),
          exact(std::frexp(divisor, &exponent) == A(0.5)) {}
    PYCNN_INLINE Vec<A> divide(Vec<A> v) const {
        return exact ? v * broadcast<A>(reciprocal) : v / broadcast<A>(value);
    }
    int exponent = 0;
    A value, reciprocal;
    bool exact;
};

// U vectors of channels of one output, the last of n channels.
template <class T, int U>
PYCNN_INLINE void average_channels(const T* x, const Window& row, const Window& column,
                                   const Steps& step, Divisor<Accumulation<T>> divisor, T* y,
                                   int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    constexpr int64_t kChunk = 128;
    const bool whole = n == L;
    Vec<A> total[U];
    for (int u = 0; u < U; ++u) total[u] = zero<A>();
    for (int64_t r = 0; r < row.count; ++r)
        for (int64_t chunk = 0; chunk < column.count; chunk += kChunk) {
            const T* from = x + r * step.row + chunk * step.column;
            Vec<A> sum[U];
            for (int u = 0; u < U; ++u) sum[u] = zero<A>();
            for (int64_t s = std::min(kChunk, column.count - chunk); s > 0; --s) {
                for (int u = 0; u < U; ++u) __builtin_prefetch(from + step.ahead + u * L);
                for (int u = 0; u < U; ++u)
                    sum[u] = sum[u] + (whole ? load(from + u * L) : load(from + u * L, n));
                from += step.column;
            }
            for (int u = 0; u < U; ++u) total[u] = total[u] + sum[u];
        }
    for (int u = 0; u < U; ++u) {
        const Vec<A> average = divisor.divide(total[u]);
        if (whole)
            store(y + u * L, average);
        else
            store(y + u * L, average, n);
    }
}

template <class T>
void average_channels_last(const Pool2dParams& g, const T* x, T* y) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const PoolAxis rows = along_h(g);
    const std::vector<Window> columns = windows_of(along_w(g));
    const ChannelBlocks blocks(g.N * g.P, g.C);
    const Steps step{g.W * g.C * rows.dilation, g.C * along_w(g).dilation,
                     2 * g.C * along_w(g).stride};
    const double cost = 0.05 * static_cast<double>(g.Q * blocks.size) *
                        static_cast<double>(std::min(g.R, g.H) * std::min(g.S, g.W));
    parallel_for(g.N * g.P * blocks.count, cost, [&](int64_t task) {
        const int64_t np = task / blocks.count;
        const int64_t begin = blocks.begin(task % blocks.count),
                      end = blocks.end(task % blocks.count);
        const Window row = window_of(rows, np % g.P);
        for (int64_t q = 0; q < g.Q; ++q) {
            const Window& column = columns[static_cast<size_t>(q)];
            const bool empty = row.count == 0 || column.count == 0;
            const T* from =
                empty ? x : x + ((np / g.P * g.H + row.start) * g.W + column.start) * g.C;
            T* to = y + (np * g.Q + q) * g.C;
            const Divisor<A> divisor(divisor_of<A>(g, row, column));
            int64_t c = begin;
            for (; c + 8 * L <= end; c += 8 * L)
                average_channels<T, 8>(from + c, row, column, step, divisor, to + c, L);
            for (; c + 4 * L <= end; c += 4 * L)
                average_channels<T, 4>(from + c, row, column, step, divisor, to + c, L);
            for (; c < end; c += L)
                average_channels<T, 1>(from + c, row, column, step, divisor, to + c,
                                       static_cast<int>(std::min<int64_t>(L, end - c)));
        }
    });
}

// sums[w] = the sum over the rows of a window; what lies behind the last w is overwritten up to a
// whole vector.
template <class T, class A>
void add_rows(const T* x, int64_t W, int64_t rows, int64_t step, A* sums) {
    constexpr int L = kLanes<A>;
    int64_t w = 0;
    for (; w + 2 * L <= W; w += 2 * L) {
        Vec<A> a = zero<A>(), b = zero<A>();
        for (int64_t r = 0; r < rows; ++r) {
            a = a + load(x + r * step + w);
            b = b + load(x + r * step + w + L);
        }
        store(sums + w, a);
        store(sums + w + L, b);
    }
    for (; w < W; w += L) {
        const int n = static_cast<int>(std::min<int64_t>(L, W - w));
        Vec<A> sum = zero<A>();
        for (int64_t r = 0; r < rows; ++r) sum = sum + load(x + r * step + w, n);
        store(sums + w, sum);
    }
}

template <class A>
A sum_of_row(const A* from, int64_t n, int64_t step) {
    constexpr int L = kLanes<A>;
    A total = 0;
    int64_t i = 0;
    if (step == 1 && n >= L) {
        Vec<A> sum = zero<A>();
        for (; i + L <= n; i += L) sum = sum + load(from + i);
        total = sum_of_lanes(sum);
    }
    for (; i < n; ++i) total += from[i * step];
    return total;
}

// The sum of a whole plane, in 4 * L partial sums.
template <class T>
Accumulation<T> sum_of_plane(const T* x, int64_t n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    Vec<A> sums[4] = {zero<A>(), zero<A>(), zero<A>(), zero<A>()};
    int64_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
        for (int u = 0; u < 4; ++u) sums[u] = sums[u] + load(x + i + u * L);
    for (int u = 0; i < n; i += L, ++u)
        sums[u] = sums[u] + load_some(x + i, static_cast<int>(std::min<int64_t>(L, n - i)));
    return sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <class T>
void average_planes(const Pool2dParams& g, const T* x, T* y) {
    using A = Accumulation<T>;
    const A divisor = divisor_of<A>(g, window_of(along_h(g), 0), window_of(along_w(g), 0));
    each_block(g.N * g.C, 1, 0.1 * static_cast<double>(g.H * g.W) + 5,
               [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                       y[i] = static_cast<T>(sum_of_plane(x + i * g.H * g.W, g.H * g.W) / divisor);
               });
}

template <class T>
void average_contiguous(const Pool2dParams& g, const T* x, T* y) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const PoolAxis along_rows = along_h(g), along_columns = along_w(g);
    const std::vector<Window> columns = windows_of(along_columns);
    const SortedRow sorted(along_columns, L);
    const bool vectors = SortedRow::fits(along_columns) && g.Q >= 4;
    const RowBlocks blocks(along_rows, 1, g.N * g.C);
    const double cost = 0.1 * static_cast<double>(blocks.rows * g.W * std::min(g.R, g.H)) +
                        0.3 * static_cast<double>(blocks.rows * g.Q * std::min(g.S, g.W));
    each_block(g.N * g.C, blocks.count, cost, [&](int64_t first, int64_t last) {
        const Buffer<A> sums(round_up(g.W, 2 * L)), averages(round_up(g.Q, L)),
            phases(vectors ? sorted.elements() : 0);
        for (int64_t task = first; task < last; ++task) {
            const int64_t plane = task / blocks.count;
            for (int64_t p = task % blocks.count * blocks.rows,
                         end = std::min(g.P, p + blocks.rows);
                 p < end; ++p) {
                const Window row = window_of(along_rows, p);
                const T* from = x + (plane * g.H + (row.count ? row.start : 0)) * g.W;
                add_rows(from, g.W, row.count, g.W * along_rows.dilation, sums.data());
                if (vectors) {
                    sorted.sort(sums.data(), phases.data(), A{0});
                    for (int64_t q = 0; q < g.Q; q += L) {
                        Vec<A> sum = zero<A>();
                        for (int64_t s = 0; s < g.S; ++s)
                            sum = sum + load(phases.data() + sorted.tap(s) + q);
                        store(averages.data() + q, sum);
                    }
                } else {
                    for (int64_t q = 0; q < g.Q; ++q) {
                        const Window& column = columns[static_cast<size_t>(q)];
                        averages[q] = sum_of_row(sums.data() + (column.count ? column.start : 0),
                                                 column.count, along_columns.dilation);
                    }
                }
                for (int64_t q = 0; q < g.Q; ++q)
                    averages[q] /= divisor_of<A>(g, row, columns[static_cast<size_t>(q)]);
                round_row(averages.data(), y + (plane * g.P + p) * g.Q, g.Q);
            }
        }
    });
}

}  // namespace

void avg_pool2d_fprop_direct(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    if (!(kFloatDTypes & only(x.dtype))) return avg_pool2d_fprop_naive(g, x, y);
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        const Layout layout = pooling_layout(g, x, y, true);
        const DenseInput<T> from(x, layout);
        const DenseOutput<T> to(y, layout);
        if (layout == Layout::channels_last)
            average_channels_last(g, from.data(), to.data());
        else if (is_global(g))
            average_planes(g, from.data(), to.data());
        else
            average_contiguous(g, from.data(), to.data());
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
