// Average pooling, backward: every pixel gathers its share of the windows that hold it.
//
// Computes   avg dgrad of cpu/pool2d.h
// Arrays     one layout for dy and dx, others are copied; any floating-point dtype
// Threads    channels-last: rows of dx, cut by channels where they are few; contiguous: blocks of
//            rows of a plane. No two tasks write one element: no atomics
// Tiling     channels-last: up to 4 vectors of channels of a pixel. Contiguous: the windows' rows
//            are added up along the whole width, then their columns, sorted by the stride
//            (pool2d_rows.h) for fixed windows; a row held by the same windows is a copy
// Traffic    dx written once, dy read once from memory.
//            Large channels-last outputs are written past the caches
// Numerics   in accumulation dtype, dy times the rounded reciprocal of the divisor (two roundings
//            instead of a division's one), the taps in row-major order, rounded once
// Refuses    nothing: windows far larger than the image go to naive
#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/pool2d_blocks.h"
#include "cpu/pool2d_rows.h"
#include "cpu/pool2d_windows.h"
#include "primitives/pool2d.h"

namespace pycnn::PYCNN_ISA {
namespace {

// The windows along both axes, and the share of dy that goes to each of their pixels.
template <class A>
struct Shares {
    explicit Shares(const Pool2dParams& params)
        : g(params), rows(windows_of(along_h(g))), columns(windows_of(along_w(g))) {}
    A operator()(int64_t p, int64_t q) const {
        return A{1} /
               divisor_of<A>(g, rows[static_cast<size_t>(p)], columns[static_cast<size_t>(q)]);
    }
    const Pool2dParams& g;
    std::vector<Window> rows, columns;
};

// U vectors of channels of one pixel, the last of n channels.
template <class T, bool Stream, int U>
PYCNN_INLINE void spread_channels(const Shares<Accumulation<T>>& shares, const T* dy,
                                  const Cover* row, const Cover* row_end, const Cover* columns,
                                  const Cover* columns_end, T* dx, int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const bool whole = n == L;
    const int64_t Q = shares.g.Q, C = shares.g.C;
    Vec<A> sum[U];
    for (int u = 0; u < U; ++u) sum[u] = zero<A>();
    for (; row < row_end; ++row)
        for (const Cover* column = columns; column < columns_end; ++column) {
            const T* from = dy + (row->output * Q + column->output) * C;
            const Vec<A> share = broadcast<A>(shares(row->output, column->output));
            for (int u = 0; u < U; ++u)
                sum[u] = sum[u] + (whole ? load(from + u * L) : load(from + u * L, n)) * share;
        }
    for (int u = 0; u < U; ++u) put<Stream>(dx + u * L, sum[u], n);
}

template <class T, bool Stream>
void spread_channels_last(const Pool2dParams& g, const T* dy, T* dx) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const Covers rows(along_h(g)), columns(along_w(g));
    const Shares<A> shares(g);
    const ChannelBlocks blocks(g.N * g.H, g.C);
    const double cost = 0.1 * static_cast<double>(g.W * blocks.size);
    parallel_for(g.N * g.H * blocks.count, cost, [&](int64_t task) {
        const int64_t nh = task / blocks.count, h = nh % g.H;
        const int64_t begin = blocks.begin(task % blocks.count),
                      end = blocks.end(task % blocks.count);
        const T* from = dy + nh / g.H * g.P * g.Q * g.C;
        for (int64_t w = 0; w < g.W; ++w) {
            T* to = dx + (nh * g.W + w) * g.C;
            int64_t c = begin;
            for (; c + 4 * L <= end; c += 4 * L)
                spread_channels<T, Stream, 4>(shares, from + c, rows.begin(h), rows.end(h),
                                              columns.begin(w), columns.end(w), to + c, L);
            for (; c < end; c += L)
                spread_channels<T, Stream, 1>(shares, from + c, rows.begin(h), rows.end(h),
                                              columns.begin(w), columns.end(w), to + c,
                                              static_cast<int>(std::min<int64_t>(L, end - c)));
        }
    });
}

template <class T>
void spread_planes(const Pool2dParams& g, const T* dy, T* dx) {
    using A = Accumulation<T>;
    const A share = Shares<A>(g)(0, 0);
    each_block(g.N * g.C, 1, 0.1 * static_cast<double>(g.H * g.W) + 5,
               [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                       std::fill_n(dx + i * g.H * g.W, g.H * g.W,
                                   static_cast<T>(static_cast<A>(dy[i]) * share));
               });
}

bool same_outputs(const Covers& covers, int64_t a, int64_t b) {
    return std::equal(covers.begin(a), covers.end(a), covers.begin(b), covers.end(b),
                      [](const Cover& x, const Cover& y) { return x.output == y.output; });
}

template <class T>
void spread_contiguous(const Pool2dParams& g, const T* dy, T* dx) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const PoolAxis along_columns = along_w(g);
    const Covers rows(along_h(g)), columns(along_columns);
    const Shares<A> shares(g);
    const bool vectors = SortedRow::fits(along_columns) && g.Q >= 4;
    const SortedRow sorted(along_columns, L);
    const PaddedTaps taps(vectors ? along_columns : PoolAxis{1, 1, 1, 1, 0, 1, false, true});
    const int64_t length =
        vectors ? round_up(taps.margin + std::max(sorted.length(), g.Q), L) : round_up(g.Q, L);
    const CoverBlocks blocks(g.H, 1, g.N * g.C);
    const double cost = 0.3 * static_cast<double>(blocks.rows * g.W);
    Buffer<A> reciprocals(g.P * g.Q);
    for (int64_t p = 0; p < g.P; ++p)
        for (int64_t q = 0; q < g.Q; ++q) reciprocals[p * g.Q + q] = shares(p, q);
    each_block(g.N * g.C, blocks.count, cost, [&](int64_t first, int64_t last) {
        const Buffer<A> sums(length), row(std::max(g.W, vectors ? sorted.elements() : 0)),
            wide(round_up(g.Q, L));
        for (int64_t task = first; task < last; ++task) {
            const int64_t plane = task / blocks.count;
            const RowBlock block = blocks.block(rows, task % blocks.count);
            for (int64_t h = block.begin; h < block.end; ++h) {
                T* to = dx + (plane * g.H + h) * g.W;
                if (h > block.begin && same_outputs(rows, h, h - 1)) {
                    std::copy(to - g.W, to, to);
                    continue;
                }
                std::fill_n(sums.data(), length, A{0});
                for (const Cover* r = rows.begin(h); r < rows.end(h); ++r) {
                    convert_row(dy + (plane * g.P + r->output) * g.Q, wide.data(), g.Q);
                    A* to_sums = sums.data() + taps.margin;
                    const A *shared = wide.data(), *share = reciprocals.data() + r->output * g.Q;
                    for (int64_t q = 0; q < g.Q; ++q) to_sums[q] += shared[q] * share[q];
                }
                if (vectors) {
                    for (int64_t f = 0; f < g.stride_w; ++f)
                        for (int64_t i = 0; i < sorted.length(); i += L) {
                            Vec<A> sum = zero<A>();
                            for (const PaddedTap* t = taps.begin(f); t < taps.end(f); ++t)
                                sum = sum + load(sums.data() + t->start + i);
                            store(row.data() + f * sorted.length() + i, sum);
                        }
                    sorted.unsort(row.data(), to);
                } else {
                    for (int64_t w = 0; w < g.W; ++w) {
                        A sum = 0;
                        for (const Cover* c = columns.begin(w); c < columns.end(w); ++c)
                            sum += sums[c->output];
                        row[w] = sum;
                    }
                    round_row(row.data(), to, g.W);
                }
            }
        }
    });
}

}  // namespace

void avg_pool2d_dgrad_direct(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx) {
    if (!covers_fit(along_h(g)) || !covers_fit(along_w(g)))
        return avg_pool2d_dgrad_naive(g, dy, dx);
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        const Layout layout = pooling_layout(g, dy, dx, true);
        const DenseInput<T> from(dy, layout);
        const DenseOutput<T> to(dx, layout);
        if (layout == Layout::channels_last && streams(to.data(), g.N * g.H * g.W, g.C))
            spread_channels_last<T, true>(g, from.data(), to.data());
        else if (layout == Layout::channels_last)
            spread_channels_last<T, false>(g, from.data(), to.data());
        else if (is_global(g))
            spread_planes(g, from.data(), to.data());
        else
            spread_contiguous(g, from.data(), to.data());
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
