// Convolution's weight gradient for every geometry, as sums of outer products.
//
// Computes   dw[k,c,r,s] = sum over n,p,q of
//                dy[n,k,p,q] * x[n, c, p*stride_h - top + r*dilation_h, ...]
// Arrays     any strides and dtypes of cpu/conv2d.h; dw is written in place if it is channels-last
//            in the dtype of the sums, else through a copy that is
// Threads    shares of the output pixels (each sums a dw of its own, added up in order), of the
//            filters and of the channels: whichever combination a cost model finds the quickest
// Tiling     registers: 14 x 2 vectors of dw (6 x 2 without AVX-512). Loops, from outside: a block
//            of about 224 output pixels; a panel of vectors, nearby with its halo (the first cache
//            and a stream from the second); the broadcast values, the block's whole dy or x, in the
//            second; the taps; the pixels. Two roles: with many input channels a vector holds
//            channels, and tiles are rows of dw; with few (a stem) it holds filters, and a filter
//            row's S * C values, next to each other in the packed x, are the broadcast ones.
// Traffic    x and dy are packed once per block, x with its halo (1.3 to 2 times), and the next
//            block's are fetched while this one's are used; dw is read and written once per block:
//            8 bytes for 2 * 224 FLOP
// Numerics   a sum per block, then the blocks, then the threads' shares in order: deterministic for
//            a given number of threads
// Refuses    nothing
// Source     Georganas et al. 2018, arXiv:1808.05567 (the weight-update pass)
#include "cpu/conv2d.h"
#include "cpu/conv2d_wgrad_pack.h"
#include "cpu/conv2d_wgrad_tile.h"
#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {
namespace {

// [0, size) in `count` ranges of nearly equal length.
struct Pieces {
    int64_t size, count;
    int64_t begin(int64_t i) const { return i * (size / count) + std::min(i, size % count); }
    int64_t width(int64_t i) const { return begin(i + 1) - begin(i); }
};
Pieces pieces_up_to(int64_t size, int64_t longest) { return {size, ceil_div(size, longest)}; }

struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
};
Range share(int64_t size, int64_t parts, int64_t part) {
    const Pieces p{size, parts};
    return {p.begin(part), p.begin(part + 1)};
}

// Cycles of one pixel in a tile: two fused multiply-adds and two loads each, and eight accumulators
// to hide the latency behind.
double tile_cycles(int64_t rows, int64_t vectors) {
    return std::max(
        {static_cast<double>(rows * vectors) / 2, static_cast<double>(rows + vectors) / 2, 4.0});
}

// How one group of a convolution is cut up.
template <class T>
struct Plan {
    static constexpr int64_t kPanel = kTileVectors * kLanes<T>;

    Conv2dParams g;
    int64_t channels, filters;  // of a group
    bool vectors_of_filters;    // the role: else vectors of channels
    Pieces values;              // broadcast: filters, or the S * C values of a filter row
    Pieces panels;              // of vectors: channels or filters, each kPanel but the last
    Pieces columns;             // of Q
    Pieces rows;                // of N * P
    PackedAxis vertical, horizontal;
    // How many ways each is shared out: blocks, groups of `values`, panels.
    int64_t block_shares = 1, value_shares = 1, panel_shares = 1;

    explicit Plan(const Conv2dParams& p)
        : g(p),
          channels(p.C / p.G),
          filters(p.K / p.G),
          vectors_of_filters(prefers_vectors_of_filters()),
          values(pieces_up_to(vectors_of_filters ? g.S * channels : filters, kTileRows)),
          panels{vectors_of_filters ? filters : channels,
                 ceil_div(vectors_of_filters ? filters : channels, kPanel)},
          columns(pieces_up_to(g.Q, 64)),
          rows(pieces_up_to(g.N * g.P, std::max<int64_t>(1, 224 / columns.width(0)))),
          vertical(g.R, g.stride_h, g.dilation_h, g.top, std::min(rows.width(0), g.P), false),
          horizontal(g.S, g.stride_w, g.dilation_w, g.left, columns.width(0), vectors_of_filters) {
        constexpr int64_t nearby = 64 << 10;
        while (rows.width(0) > 1 && pixels() > 48 && x_bytes() > nearby)
            rows = pieces_up_to(rows.size, rows.width(0) - 1);
        while (columns.width(0) > 8 && x_bytes() > nearby * 8)
            columns = pieces_up_to(columns.size, columns.width(0) / 2);
    }

    // The most pixels a block has, and those of x that it reads, packed.
    int64_t pixels() const { return rows.width(0) * columns.width(0); }
    int64_t packed_x() const {
        return vertical.most(rows.width(0), g.P) * horizontal.size(columns.width(0));
    }
    int64_t x_step() const {
        if (vectors_of_filters) return channels;
        return channels <= kLanes<T> ? kLanes<T> : kPanel;
    }
    int64_t x_bytes() const { return packed_x() * x_step() * static_cast<int64_t>(sizeof(T)); }
    int64_t panel_begin(int64_t panel) const { return panel * kPanel; }
    int64_t panel_width(int64_t panel) const {
        return std::min(kPanel, panels.size - panel * kPanel);
    }
    int64_t blocks() const { return rows.count * columns.count; }
    PixelBlock block(int64_t i) const {
        const int64_t row = i / columns.count, column = i % columns.count;
        return {rows.begin(row), rows.width(row), columns.begin(column), columns.width(column)};
    }
    int64_t shares() const { return block_shares * value_shares * panel_shares; }

  private:
    static double cost_of(int64_t rows, int64_t lanes) {
        const int64_t tiles = ceil_div(rows, kTileRows), vectors = ceil_div(lanes, kLanes<T>);
        return static_cast<double>(tiles) *
               (static_cast<double>(vectors / 2) * tile_cycles(ceil_div(rows, tiles), 2) +
                static_cast<double>(vectors % 2) * tile_cycles(ceil_div(rows, tiles), 1));
    }
    bool prefers_vectors_of_filters() const {
        if (channels > kPanel) return false;
        return cost_of(g.S * channels, filters) <
               0.9 * static_cast<double>(g.S) * cost_of(filters, channels);
    }
};

// The offsets of a block's pixels in the packed x and dy, from row to row.
struct RowOffsets {
    std::vector<int64_t> x, dy;

    void set(const PixelBlock& block, const PackedAxis& vertical, int64_t P, int64_t x_line,
             int64_t dy_line) {
        x.clear(), dy.clear();
        int64_t packed = 0;
        for_each_image(block, P, [&](int64_t, int64_t, int64_t done, int64_t count) {
            for (int64_t i = 0; i < count; ++i) {
                x.push_back((packed + i * vertical.step) * x_line);
                dy.push_back((done + i) * dy_line);
            }
            packed += vertical.size(count);
        });
    }
};

// Vectors of channels: the tile of `values` filters and a panel of channels, for one tap, is a
// piece of that many rows of `dw`, (K/G, R, S, C/G).
template <class T, class S>
void sum_channels(const Plan<T>& plan, const ArrayView& x, const ArrayView& dy, int64_t group,
                  Range blocks, Range values, Range panels, T* dw) {
    const Conv2dParams& g = plan.g;
    const int64_t dy_size = plan.pixels() * plan.values.width(0) + kLanes<T>;
    const int64_t x_size = plan.packed_x() * plan.x_step();
    const auto panels_in = [](int64_t bytes, int64_t size) {
        return std::max<int64_t>(1, bytes / (size * static_cast<int64_t>(sizeof(T))));
    };
    const int64_t dy_panels = std::min(values.size(), panels_in(400 << 10, dy_size));
    const int64_t x_panels = std::min(panels.size(), panels_in(128 << 10, x_size));
    const Buffer<T> packed_dy(dy_panels * dy_size), packed_x(x_panels * x_size);
    const int64_t taps = g.R * g.S, filter = taps * plan.channels;
    RowOffsets offsets;
    Ahead ahead;
    for (int64_t b = blocks.begin; b < blocks.end; ++b) {
        const PixelBlock block = plan.block(b);
        const int64_t line = plan.horizontal.size(block.columns) * plan.x_step();
        if (b + 1 < blocks.end)
            ahead.start<S>(g, x, dy, plan.block(b + 1), plan.vertical, plan.horizontal,
                           values.size() * panels.size() * taps);
        offsets.set(block, plan.vertical, g.P, line, block.columns);
        for (int64_t v0 = values.begin; v0 < values.end; v0 += dy_panels) {
            const int64_t v1 = std::min(values.end, v0 + dy_panels);
            for (int64_t v = v0; v < v1; ++v)
                pack_dy<T, S>(dy, block, g.P, group * plan.filters + plan.values.begin(v),
                              plan.values.width(v), packed_dy.data() + (v - v0) * dy_size,
                              plan.values.width(v));
            for (int64_t c0 = panels.begin; c0 < panels.end; c0 += x_panels) {
                const int64_t c1 = std::min(panels.end, c0 + x_panels);
                const int64_t first = plan.panel_begin(c0);
                pack_x<T, S>(g, x, block, plan.vertical, plan.horizontal,
                             group * plan.channels + first,
                             plan.panel_begin(c1 - 1) + plan.panel_width(c1 - 1) - first,
                             plan.kPanel, packed_x.data(), plan.x_step(), x_size);
                for (int64_t c = c0; c < c1; ++c) {
                    const int64_t width = plan.panel_width(c);
                    const int64_t vectors = ceil_div(width, kLanes<T>);
                    const int last = static_cast<int>(width - (vectors - 1) * kLanes<T>);
                    for (int64_t v = v0; v < v1; ++v) {
                        const int64_t height = plan.values.width(v);
                        const auto add_products = tile<T>(height, vectors);
                        std::vector<int64_t>& dy_rows = offsets.dy;
                        for (size_t i = 0; i < dy_rows.size(); ++i)
                            dy_rows[i] = static_cast<int64_t>(i) * block.columns * height;
                        const PixelWalk<T> of_dy{packed_dy.data() + (v - v0) * dy_size,
                                                 dy_rows.data(), height};
                        T* to = dw + plan.values.begin(v) * filter + plan.panel_begin(c);
                        for (int64_t r = 0; r < g.R; ++r)
                            for (int64_t s = 0; s < g.S; ++s) {
                                const PixelWalk<T> of_x{packed_x.data() + (c - c0) * x_size +
                                                            r * plan.vertical.tap * line +
                                                            s * plan.horizontal.tap * plan.x_step(),
                                                        offsets.x.data(),
                                                        plan.horizontal.step * plan.x_step()};
                                ahead.fetch();
                                add_products(of_dy, of_x, block.rows, block.columns,
                                             to + (r * g.S + s) * plan.channels, filter, last,
                                             b > blocks.begin);
                            }
                    }
                }
            }
        }
    }
}

// Vectors of filters: the tile of `values` and a panel of filters is in dw (panels, R, S, C/G,
// filters of a panel).
template <class T, class S>
void sum_filters(const Plan<T>& plan, const ArrayView& x, const ArrayView& dy, int64_t group,
                 Range blocks, Range panels, T* dw) {
    const Conv2dParams& g = plan.g;
    const Buffer<T> packed_x(plan.packed_x() * plan.x_step() + kLanes<T>);
    const Buffer<T> packed_dy(plan.pixels() * plan.kPanel);
    const int64_t filter_row = g.S * plan.channels;
    RowOffsets offsets;
    Ahead ahead;
    for (int64_t b = blocks.begin; b < blocks.end; ++b) {
        const PixelBlock block = plan.block(b);
        const int64_t line = plan.horizontal.size(block.columns) * plan.x_step();
        if (b + 1 < blocks.end)
            ahead.start<S>(g, x, dy, plan.block(b + 1), plan.vertical, plan.horizontal,
                           panels.size() * plan.values.count * g.R);
        offsets.set(block, plan.vertical, g.P, line, block.columns * plan.kPanel);
        pack_x<T, S>(g, x, block, plan.vertical, plan.horizontal, group * plan.channels,
                     plan.channels, plan.channels, packed_x.data(), plan.x_step(), 0);
        for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
            const int64_t width = plan.panel_width(panel);
            pack_dy<T, S>(dy, block, g.P, group * plan.filters + plan.panel_begin(panel), width,
                          packed_dy.data(), plan.kPanel);
            const PixelWalk<T> of_dy{packed_dy.data(), offsets.dy.data(), plan.kPanel};
            for (int64_t r = 0; r < g.R; ++r)
                for (int64_t v = 0; v < plan.values.count; ++v) {
                    const int64_t first = plan.values.begin(v);
                    const PixelWalk<T> of_x{packed_x.data() + r * plan.vertical.tap * line + first,
                                            offsets.x.data(), plan.horizontal.step * plan.x_step()};
                    ahead.fetch();
                    tile<T>(plan.values.width(v), ceil_div(width, kLanes<T>))(
                        of_x, of_dy, block.rows, block.columns,
                        dw + ((panel * g.R + r) * filter_row + first) * plan.kPanel, plan.kPanel,
                        kLanes<T>, b > blocks.begin);
                }
        }
    }
}

// Chooses the shares for `threads` threads: the least time of the slowest, in cycles.
template <class T>
double choose_shares(Plan<T>& plan, const ArrayView& x, const ArrayView& dy, int64_t threads) {
    const Conv2dParams& g = plan.g;
    const double pixels = static_cast<double>(plan.pixels());
    const double packed_x = static_cast<double>(plan.packed_x());
    const double dw_size = static_cast<double>(plan.filters * plan.channels * g.R * g.S);
    const auto pack = [](const ArrayView& a) { return a.strides[1] == 1 ? 0.15 : 1.5; };
    const double panel = static_cast<double>(std::min(plan.kPanel, plan.panels.size));
    const double value = static_cast<double>(plan.values.width(0));
    const double taps = static_cast<double>(plan.vectors_of_filters ? g.R : g.R * g.S);
    const double products =
        pixels * taps *
        tile_cycles(plan.values.width(0), ceil_div(static_cast<int64_t>(panel), kLanes<T>));
    double best = 0;
    const auto consider = [&](int64_t blocks, int64_t values, int64_t panels) {
        const double n_values = static_cast<double>(ceil_div(plan.values.count, values));
        const double n_panels = static_cast<double>(ceil_div(plan.panels.count, panels));
        double cycles = n_values * n_panels * products;
        if (plan.vectors_of_filters)
            cycles += packed_x * static_cast<double>(plan.channels) * pack(x) +
                      n_panels * pixels * panel * pack(dy);
        else
            cycles += packed_x * n_panels * panel * pack(x) + n_values * value * pixels * pack(dy);
        cycles *= static_cast<double>(ceil_div(plan.blocks(), blocks));
        if (blocks > 1)
            cycles +=
                dw_size * (1 + static_cast<double>(blocks) / static_cast<double>(threads)) * 0.5 +
                8000;
        if (best > 0 && cycles >= best) return;
        best = cycles;
        plan.block_shares = blocks, plan.value_shares = values, plan.panel_shares = panels;
    };
    for (int64_t blocks = 1; blocks <= std::min(threads, plan.blocks()); ++blocks)
        for (int64_t panels = 1; panels <= std::min(threads / blocks, plan.panels.count); ++panels)
            consider(blocks,
                     plan.vectors_of_filters
                         ? 1
                         : std::min(threads / blocks / panels, plan.values.count),
                     panels);
    return best;
}

constexpr double kNanosecondsPerCycle = 0.3;

template <class S>
void wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    using T = Accumulation<S>;
    Plan<T> plan(g);
    const double cost =
        choose_shares(plan, x, dy, g.G >= num_threads() ? 1 : num_threads()) * kNanosecondsPerCycle;
    const int64_t tasks = g.G * plan.shares();
    // One dw for each share of the blocks.
    const auto for_each_share = [&](auto&& body) {
        parallel_for(tasks, cost, [&](int64_t task) {
            const int64_t group = task / plan.shares();
            int64_t rest = task % plan.shares();
            const Range panels =
                share(plan.panels.count, plan.panel_shares, rest % plan.panel_shares);
            rest /= plan.panel_shares;
            const Range values =
                share(plan.values.count, plan.value_shares, rest % plan.value_shares);
            const int64_t part = rest / plan.value_shares;
            body(group, part, share(plan.blocks(), plan.block_shares, part), values, panels);
        });
    };
    if (plan.vectors_of_filters) {
        const int64_t panel_size = g.R * g.S * plan.channels * plan.kPanel;
        const int64_t group_size = plan.panels.count * panel_size, size = g.G * group_size;
        const Buffer<T> sums(plan.block_shares * size);
        for_each_share([&](int64_t group, int64_t part, Range blocks, Range, Range panels) {
            sum_filters<T, S>(plan, x, dy, group, blocks, panels,
                              sums.data() + part * size + group * group_size);
        });
        const double each = static_cast<double>(panel_size / plan.kPanel * plan.block_shares);
        parallel_ranges(g.K, num_threads(), each, [&](int64_t begin, int64_t end) {
            for (int64_t k = begin; k < end; ++k) {
                const int64_t group = k / plan.filters, filter = k % plan.filters;
                const T* from = sums.data() + group * group_size +
                                filter / plan.kPanel * panel_size + filter % plan.kPanel;
                S* to = static_cast<S*>(dw.data) + k * dw.strides[0];
                for (int64_t r = 0; r < g.R; ++r)
                    for (int64_t s = 0; s < g.S; ++s)
                        for (int64_t c = 0; c < plan.channels; ++c, from += plan.kPanel) {
                            T sum = from[0];
                            for (int64_t part = 1; part < plan.block_shares; ++part)
                                sum += from[part * size];
                            to[c * dw.strides[1] + r * dw.strides[2] + s * dw.strides[3]] =
                                static_cast<S>(sum);
                        }
            }
        });
        return;
    }
    // The sums, (K, R, S, C/G): dw itself if it is that.
    const bool in_place = std::is_same_v<T, S> && is_channels_last(dw);
    const int64_t size = dw.numel();
    const Buffer<T> sums((plan.block_shares - in_place) * size);
    const auto sums_of = [&](int64_t part) {
        if (part == 0 && in_place) return static_cast<T*>(dw.data);
        return sums.data() + (part - in_place) * size;
    };
    for_each_share([&](int64_t group, int64_t part, Range blocks, Range values, Range panels) {
        sum_channels<T, S>(plan, x, dy, group, blocks, values, panels,
                           sums_of(part) + group * (size / g.G));
    });
    if (plan.block_shares > 1)
        parallel_ranges(size, num_threads(), 0.3, [&](int64_t begin, int64_t end) {
            T* to = sums_of(0);
            for (int64_t part = 1; part < plan.block_shares; ++part) {
                const T* from = sums_of(part);
                for (int64_t i = begin; i < end; ++i) to[i] += from[i];
            }
        });
    if (in_place) return;
    if (!is_contiguous(dw))
        return copy(dense_view(sums_of(0), DTypeOf<T>::value, dw, Layout::channels_last), dw);
    const int64_t taps = g.R * g.S, filter = taps * plan.channels;
    parallel_ranges(
        g.K, 4 * num_threads(), 0.3 * static_cast<double>(filter), [&](int64_t begin, int64_t end) {
            for (int64_t k = begin; k < end; ++k)
                transpose<T>(sums_of(0) + k * filter, plan.channels, taps, plan.channels,
                             static_cast<S*>(dw.data) + k * filter, taps);
        });
}

// What a batch of no images gives.
template <class S>
void clear(const ArrayView& dw) {
    const S none{};
    ArrayView zeros = dw;
    zeros.data = const_cast<S*>(&none);
    std::fill_n(zeros.strides, kMaxDims, 0);
    copy(zeros, dw);
}

}  // namespace

void conv2d_wgrad_direct(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                         const ArrayView& dw, const EpilogueView&) {
    with_float_dtype(dw.dtype, [&](auto t) {
        using S = decltype(t);
        p.N == 0 ? clear<S>(dw) : wgrad<S>(p, x, dy, dw);
    });
}

}  // namespace pycnn::PYCNN_ISA
