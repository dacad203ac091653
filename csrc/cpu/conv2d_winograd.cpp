// 3x3 convolution by Winograd's F(4x4, 3x3): a quarter of the multiplications.
//
// Computes   y = A^T [sum_c (G w G^T) * (B^T x B)] A for every tile of 4x4 outputs (winograd.h);
//            dgrad is the fprop of dy with the filters turned by 180 degrees, their in- and outputs
//            exchanged and padding 2 - top, 2 - left
// Arrays     float32; x, y and the residual as channels-last, others are copied; w as it is if its
//            outputs, its depth or its taps are contiguous
// Threads    many tiles: all filters are transformed first, then a task is a block of tiles;
//            few tiles: all tiles are transformed first, then a task is a panel of filters
// Tiling     for each of the 36 products U (depth x outputs), V (tiles x depth), M = V U: blocks of
//            14 tiles x 2 vectors of outputs in registers (6 x 2 with 16 registers). V and M of a
//            block of tiles, or U and M of a panel of filters, live in L2
// Traffic    U and V are 4 and 2.25 times the size of w and x, M 2.25 times that of y
// Numerics   sums of 64 products in one accumulator, then of these sums: 0.9e-6 to 1.7e-6 of the
//            largest output, two to eight times the error of the best direct sums and no more than
//            that of one accumulator over 2304 terms. The same bits for any number of threads. A
//            NaN or an infinity spreads over its tile
// Refuses    other filters than 3x3 of stride 1 and dilation 1, groups, other dtypes
// Source     Lavin and Gray 2016, arXiv:1509.09308; Zlateski et al. 2018, arXiv:1809.07851
#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "cpu/conv2d.h"
#include "cpu/copy.h"
#include "cpu/epilogue.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"
#include "cpu/transpose.h"
#include "cpu/winograd.h"

namespace pycnn::PYCNN_ISA {
namespace {

using namespace winograd;

constexpr int kLane = kLanes<float>;
constexpr int kColumns = 2;                       // vectors of outputs in a panel
constexpr int kPanel = kColumns * kLane;          // filters
constexpr int kRows = kRegisters >= 32 ? 14 : 6;  // tiles
constexpr int kAhead = 40;    // rows of U asked for in advance: it may come from memory
constexpr int kDepth = 64;    // products summed in one accumulator
constexpr int64_t kPad = 16;  // floats between matrices, lest all 36 map to the same cache sets

int64_t blocks(int64_t size, int64_t block) { return (size + block - 1) / block; }

// Filter (o, d) of `out` outputs and `depth` inputs, tap (r, s) at data[o*so + d*sd + r*sr + s*ss].
struct Filters {
    const float* data;
    int64_t so, sd, sr, ss;

    bool outputs_contiguous() const { return so == 1; }
    bool depth_contiguous() const { return sd == 1; }
    bool taps_contiguous() const { return std::abs(ss) == 1 && sr == 3 * ss; }
};

// A pass as a convolution with padding, whatever it was: input (N, C, H, W) -> (N, K, P, Q), both
// channels-last. Rows from `rows` on and columns from `columns` on are beyond the image or unread.
struct Problem {
    int64_t N, C, H, W, K, P, Q, top, left, rows, columns;
    const float* x;
    float* y;
    Filters w;
    Epilogue<float> epilogue;

    int64_t tiles_down() const { return blocks(P, kOutputs); }
    int64_t tiles_across() const { return blocks(Q, kOutputs); }
    int64_t tiles() const { return N * tiles_down() * tiles_across(); }
    int64_t panels() const { return blocks(K, kPanel); }
};

struct Tile {
    int64_t n, p, q;  // its image and its first output
    Tile(const Problem& g, int64_t index)
        : n(index / g.tiles_across() / g.tiles_down()),
          p(index / g.tiles_across() % g.tiles_down() * kOutputs),
          q(index % g.tiles_across() * kOutputs) {}
};

// --- the 36 matrices -----------------------------------------------------------------------------

// V: matrix i holds (tiles, C), in blocks of kDepth columns.
struct Inputs {
    float* data;
    int64_t tiles, matrix;

    Inputs(float* memory, int64_t tile_count, int64_t depth)
        : data(memory), tiles(tile_count), matrix(size(tile_count, depth)) {}
    static int64_t size(int64_t tiles, int64_t depth) {
        return blocks(depth, kDepth) * tiles * kDepth + kPad;
    }
    float* at(int64_t i, int64_t tile, int64_t c) const {
        return data + i * matrix + (c / kDepth * tiles + tile) * kDepth + c % kDepth;
    }
};

// U of one panel among others: matrix i holds (depth, width), width a whole number of vectors.
struct Panel {
    float* data;
    int64_t width, matrix;

    Panel(float* first, int64_t panel, int64_t panels, int64_t filters, int64_t depth)
        : data(first + panel * depth * kPanel),
          width(filters - panel * kPanel > kLane ? kPanel : kLane),
          matrix(size(panels, depth)) {}
    static int64_t size(int64_t panels, int64_t depth) { return panels * depth * kPanel + kPad; }
};

// M: matrix i holds, panel after panel, (tiles, width).
struct Sums {
    float* data;
    int64_t tiles, matrix;

    Sums(float* memory, int64_t tile_count, int64_t panels)
        : data(memory), tiles(tile_count), matrix(size(tile_count, panels)) {}
    static int64_t size(int64_t tiles, int64_t panels) { return panels * tiles * kPanel + kPad; }
    float* at(int64_t i, int64_t panel) const { return data + i * matrix + panel * tiles * kPanel; }
};

// --- transforms ----------------------------------------------------------------------------------

// Tile `index` of the input, as row `row` of V. `zeros` holds one for every channel.
void transform_input(const Problem& g, int64_t index, const Inputs& v, int64_t row,
                     const float* zeros) {
    const Tile tile(g, index);
    const float* pixels[kPoints][kPoints];
    for (int i = 0; i < kPoints; ++i) {
        const int64_t h = tile.p - g.top + i;
        for (int j = 0; j < kPoints; ++j) {
            const int64_t w = tile.q - g.left + j;
            const bool inside = h >= 0 && h < g.rows && w >= 0 && w < g.columns;
            pixels[i][j] = inside ? g.x + ((tile.n * g.H + h) * g.W + w) * g.C : zeros;
        }
    }
    for (int64_t c = 0; c < g.C; c += kLane) {
        const int n = static_cast<int>(std::min<int64_t>(g.C - c, kLane));
        Vec<float> columns[kPoints][kPoints];
        for (int j = 0; j < kPoints; ++j) {
            Vec<float> d[kPoints], out[kPoints];
            if (n == kLane)
                for (int i = 0; i < kPoints; ++i) d[i] = load(pixels[i][j] + c);
            else
                for (int i = 0; i < kPoints; ++i) d[i] = load(pixels[i][j] + c, n);
            input_transform(d, out);
            for (int i = 0; i < kPoints; ++i) columns[i][j] = out[i];
        }
        float* to = v.at(0, row, c);
        for (int i = 0; i < kPoints; ++i) {
            Vec<float> out[kPoints];
            input_transform(columns[i], out);
            for (int j = 0; j < kPoints; ++j) store(to + (i * kPoints + j) * v.matrix, out[j]);
        }
    }
}

// The `taps` of one depth, a vector of outputs each, into the 36 matrices at `to`.
PYCNN_INLINE void transform_taps(const Vec<float> (&taps)[kTaps][kTaps], float* to,
                                 int64_t matrix) {
    Vec<float> columns[kPoints][kTaps];
    for (int s = 0; s < kTaps; ++s) {
        const Vec<float> g[kTaps] = {taps[0][s], taps[1][s], taps[2][s]};
        Vec<float> out[kPoints];
        filter_transform(g, out);
        for (int i = 0; i < kPoints; ++i) columns[i][s] = out[i];
    }
    for (int i = 0; i < kPoints; ++i) {
        Vec<float> out[kPoints];
        filter_transform(columns[i], out);
        for (int j = 0; j < kPoints; ++j) store(to + (i * kPoints + j) * matrix, out[j]);
    }
}

// The transpose of (rows, columns) at `from`, contiguous along its columns, at most kLane of both:
// column j goes to to[j * stride], with zeros for the rows that are missing.
PYCNN_INLINE void transposed(const float* from, int64_t row_stride, int rows, int columns,
                             float* to, int64_t stride) {
    Vec<float> block[kLane];
    for (int i = 0; i < kLane; ++i)
        block[i] = i >= rows          ? zero<float>()
                   : columns == kLane ? load(from + i * row_stride)
                                      : load(from + i * row_stride, columns);
    transpose_square<float>(block);
    for (int j = 0; j < columns; ++j) store(to + j * stride, block[j]);
}

// Outputs [o, o + n) and depths [d, d + depth) with depth <= kLane: taps (depth, 9, kLane).
void gather_taps(const Filters& f, int64_t o, int n, int64_t d, int depth, float* taps) {
    constexpr int kAll = kTaps * kTaps;
    const float* from = f.data + o * f.so + d * f.sd;
    if (f.depth_contiguous()) {
        for (int t = 0; t < kAll; ++t)
            transposed(from + t / kTaps * f.sr + t % kTaps * f.ss, f.so, n, depth, taps + t * kLane,
                       kAll * kLane);
        return;
    }
    if (kAll > kLane) {  // a row of taps at a time
        for (int i = 0; i < depth; ++i)
            for (int r = 0; r < kTaps; ++r) {
                float* to = taps + (i * kAll + r * kTaps) * kLane;
                const float* row = from + i * f.sd + r * f.sr;
                if (f.ss > 0)
                    transposed(row, f.so, n, kTaps, to, kLane);
                else
                    transposed(row - 2, f.so, n, kTaps, to + 2 * kLane, -kLane);
            }
        return;
    }
    for (int i = 0; i < depth; ++i) {
        float* to = taps + i * kAll * kLane;
        const int columns = kAll;
        if (f.ss > 0)
            transposed(from + i * f.sd, f.so, n, columns, to, kLane);
        else
            transposed(from + i * f.sd - (kAll - 1), f.so, n, columns, to + (kAll - 1) * kLane,
                       -kLane);
    }
}

// Filters [o, o + n) of depths [first, last) as a panel, whose depth starts at `first`.
void transform_filters(const Filters& f, int64_t o, int64_t n, int64_t first, int64_t last,
                       const Panel& u) {
    Vec<float> taps[kTaps][kTaps];
    if (f.outputs_contiguous()) {
        for (int64_t d = first; d < last; ++d)
            for (int64_t lane = 0; lane < u.width; lane += kLane) {
                const int count = static_cast<int>(std::min<int64_t>(n - lane, kLane));
                const float* from = f.data + d * f.sd + o + lane;
                for (int r = 0; r < kTaps; ++r)
                    for (int s = 0; s < kTaps; ++s) {
                        const float* tap = from + r * f.sr + s * f.ss;
                        taps[r][s] = count == kLane ? load(tap) : load(tap, count);
                    }
                transform_taps(taps, u.data + (d - first) * u.width + lane, u.matrix);
            }
        return;
    }
    alignas(kVectorBytes) float gathered[kLane * kTaps * kTaps * kLane];
    for (int64_t d = first; d < last; d += kLane)
        for (int64_t lane = 0; lane < u.width; lane += kLane) {
            const int depth = static_cast<int>(std::min<int64_t>(last - d, kLane));
            const int count = static_cast<int>(std::min<int64_t>(n - lane, kLane));
            gather_taps(f, o + lane, count, d, depth, gathered);
            for (int i = 0; i < depth; ++i) {
                for (int t = 0; t < kTaps * kTaps; ++t)
                    taps[t / kTaps][t % kTaps] = load(gathered + (i * kTaps * kTaps + t) * kLane);
                transform_taps(taps, u.data + (d - first + i) * u.width + lane, u.matrix);
            }
        }
}

// Row `row` of M, of the panel at `m`, into tile `index` of the output: channels [o, o + n).
void transform_output(const Problem& g, int64_t index, const float* m, int64_t matrix, int64_t o,
                      int64_t n) {
    const Tile tile(g, index);
    const int down = static_cast<int>(std::min<int64_t>(g.P - tile.p, kOutputs));
    const int across = static_cast<int>(std::min<int64_t>(g.Q - tile.q, kOutputs));
    const int64_t corner = ((tile.n * g.P + tile.p) * g.Q + tile.q) * g.K + o;
    for (int64_t lane = 0; lane < n; lane += kLane) {
        const int count = static_cast<int>(std::min<int64_t>(n - lane, kLane));
        Vec<float> rows[kPoints][kOutputs];
        for (int i = 0; i < kPoints; ++i) {
            Vec<float> products[kPoints];
            for (int j = 0; j < kPoints; ++j)
                products[j] = load(m + (i * kPoints + j) * matrix + lane);
            output_transform(products, rows[i]);
        }
        for (int j = 0; j < kOutputs; ++j) {
            Vec<float> column[kPoints], out[kOutputs];
            for (int i = 0; i < kPoints; ++i) column[i] = rows[i][j];
            output_transform(column, out);
            if (j >= across) continue;
            for (int i = 0; i < kOutputs; ++i) {
                if (i >= down) continue;
                const int64_t offset = corner + (i * g.Q + j) * g.K + lane;
                const Vec<float> y = g.epilogue.finish(out[i], o + lane, offset, count);
                if (count == kLane)
                    store(g.y + offset, y);
                else
                    store(g.y + offset, y, count);
            }
        }
    }
    if (g.epilogue.activates_inline()) return;
    for (int i = 0; i < down; ++i)
        for (int j = 0; j < across; ++j)
            activate(g.y + corner + (i * g.Q + j) * g.K, n, g.epilogue.activation);
}

// --- products ------------------------------------------------------------------------------------

// m (Rows, Columns vectors) = or += v (Rows, depth) u (depth, Columns vectors), depth <= kDepth.
template <int Rows, int Columns>
void multiply(const float* v, const float* u, int64_t depth, float* m, bool add) {
    constexpr int kWidth = Columns * kLane;
    Vec<float> sums[Rows][Columns];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < Columns; ++j) sums[i][j] = zero<float>();
    for (int64_t d = 0; d < depth; ++d) {
        Vec<float> b[Columns];
#pragma GCC unroll 2
        for (int j = 0; j < Columns; ++j) b[j] = load(u + d * kWidth + j * kLane);
#pragma GCC unroll 2
        for (int j = 0; j < Columns; ++j) __builtin_prefetch(u + (d + kAhead) * kWidth + j * kLane);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
            const Vec<float> a = broadcast(v[i * kDepth + d]);
#pragma GCC unroll 2
            for (int j = 0; j < Columns; ++j) sums[i][j] = fma(a, b[j], sums[i][j]);
        }
    }
    const auto write = [&](auto finish) {
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
            for (int j = 0; j < Columns; ++j) {
                float* to = m + i * kWidth + j * kLane;
                store(to, finish(to, sums[i][j]));
            }
    };
    if (add)
        write([](const float* to, Vec<float> sum) { return load(to) + sum; });
    else
        write([](const float*, Vec<float> sum) { return sum; });
}

using Multiply = void (*)(const float*, const float*, int64_t, float*, bool);

template <int Columns, size_t... i>
constexpr std::array<Multiply, sizeof...(i)> multiplications(std::index_sequence<i...>) {
    return {&multiply<static_cast<int>(i) + 1, Columns>...};
}
constexpr auto kNarrow = multiplications<1>(std::make_index_sequence<kRows>());
constexpr auto kWide = multiplications<2>(std::make_index_sequence<kRows>());

// m (tiles, width) = or += v (tiles, depth) u (depth, width), for one of the 36.
void multiply_panel(const float* v, int64_t tiles, const float* u, int64_t width, int64_t depth,
                    float* m, bool add) {
    const auto& kernels = width == kPanel ? kWide : kNarrow;
    const int64_t parts = blocks(tiles, kRows);
    for (int64_t part = 0; part < parts; ++part) {
        const int64_t begin = tiles * part / parts, end = tiles * (part + 1) / parts;
        const Multiply kernel = kernels[static_cast<size_t>(end - begin - 1)];
        int64_t d = 0;
        do {
            kernel(v + d * tiles + begin * kDepth, u + d * width,
                   std::min<int64_t>(depth - d, kDepth), m + begin * width, add || d > 0);
            d += kDepth;
        } while (d < depth);
    }
}

// --- the two orders ------------------------------------------------------------------------------

// Filters first: then each block of tiles passes all of them.
void by_tiles(const Problem& g, const float* zeros, int64_t tasks) {
    const int64_t panels = g.panels(), tiles = g.tiles();
    const Buffer<float> filters(kProducts * Panel::size(panels, g.C));
    const auto panel_of = [&](int64_t panel) {
        return Panel(filters.data(), panel, panels, g.K, g.C);
    };
    const int64_t pieces = std::max<int64_t>(blocks(g.C, kDepth), 1);
    parallel_for(panels * pieces, 0.1 * kDepth * kPanel * kProducts, [&](int64_t task) {
        const int64_t panel = task / pieces, first = task % pieces * kDepth;
        Panel u = panel_of(panel);
        u.data += first * u.width;
        transform_filters(g.w, panel * kPanel, std::min<int64_t>(g.K - panel * kPanel, kPanel),
                          first, std::min<int64_t>(g.C, first + kDepth), u);
    });
    const double cost =
        static_cast<double>(tiles * g.C * g.K) * kProducts / (100 * static_cast<double>(tasks));
    parallel_for(tasks, cost, [&](int64_t task) {
        const int64_t begin = tiles * task / tasks, end = tiles * (task + 1) / tasks;
        const int64_t count = end - begin;
        const Buffer<float> inputs(kProducts * Inputs::size(count, g.C));
        const Buffer<float> outputs(kProducts * Sums::size(count, panels));
        const Inputs v(inputs.data(), count, g.C);
        const Sums m(outputs.data(), count, panels);
        for (int64_t t = 0; t < count; ++t) transform_input(g, begin + t, v, t, zeros);
        for (int64_t i = 0; i < kProducts; ++i)
            for (int64_t panel = 0; panel < panels; ++panel) {
                const Panel u = panel_of(panel);
                multiply_panel(v.at(i, 0, 0), count, u.data + i * u.matrix, u.width, g.C,
                               m.at(i, panel), false);
            }
        for (int64_t t = 0; t < count; ++t)
            for (int64_t panel = 0; panel < panels; ++panel)
                transform_output(g, begin + t, m.at(0, panel) + t * panel_of(panel).width, m.matrix,
                                 panel * kPanel, std::min<int64_t>(g.K - panel * kPanel, kPanel));
    });
}

// Tiles first: then they all pass each panel of filters, transformed a block of the depth at a
// time.
void by_filters(const Problem& g, const float* zeros) {
    const int64_t tiles = g.tiles();
    const Buffer<float> inputs(kProducts * Inputs::size(tiles, g.C));
    const Inputs v(inputs.data(), tiles, g.C);
    parallel_for(tiles, static_cast<double>(g.C) * 2,
                 [&](int64_t tile) { transform_input(g, tile, v, tile, zeros); });
    const double cost = static_cast<double>(tiles * g.C * kPanel) * kProducts / 100;
    parallel_for(g.panels(), cost, [&](int64_t panel) {
        const int64_t o = panel * kPanel, n = std::min<int64_t>(g.K - o, kPanel);
        const Buffer<float> filters(kProducts * Panel::size(1, kDepth));
        const Buffer<float> outputs(kProducts * Sums::size(tiles, 1));
        const Panel u(filters.data(), 0, 1, n, kDepth);
        const Sums m(outputs.data(), tiles, 1);
        int64_t first = 0;
        do {
            const int64_t last = std::min(g.C, first + kDepth);
            transform_filters(g.w, o, n, first, last, u);
            for (int64_t i = 0; i < kProducts; ++i)
                multiply_panel(v.at(i, 0, first), tiles, u.data + i * u.matrix, u.width,
                               last - first, m.at(i, 0), first > 0);
            first = last;
        } while (first < g.C);
        for (int64_t t = 0; t < tiles; ++t)
            transform_output(g, t, m.at(0, 0) + t * u.width, m.matrix, o, n);
    });
}

// Measured on a Zen 5 core with 1 MB of L2. Filters that the last-level cache does not hold pass as
// few blocks of tiles as possible.
void convolve(const Problem& g) {
    const Buffer<float> zeros(std::max<int64_t>(g.C, 1));
    std::fill_n(zeros.data(), g.C, 0.0f);
    const bool many_filters = kProducts * Panel::size(g.panels(), g.C) > (int64_t{4} << 20);
    const int64_t tiles = g.tiles();
    if (tiles <= (many_filters ? 256 : 128)) return by_filters(g, zeros.data());
    const int64_t threads = num_threads();
    const int64_t tasks = blocks(blocks(tiles, many_filters ? 112 : 28), threads) * threads;
    by_tiles(g, zeros.data(), std::min(tasks, tiles));
}

void check(const Conv2dParams& p, const ArrayView& output) {
    check_dtype("the output", output, only(DType::f32));
    const bool fits = p.R == kTaps && p.S == kTaps && p.stride_h == 1 && p.stride_w == 1 &&
                      p.dilation_h == 1 && p.dilation_w == 1 && p.G == 1;
    if (!fits)
        throw ValueError(
            refusal("the convolution", "another", "a 3x3 filter, stride 1, dilation 1, groups 1"));
}

// Runs a pass whose filter strides and sizes are set, on arrays of any strides.
void run(Problem g, const ArrayView& input, const ArrayView& w, const ArrayView& output,
         const EpilogueView& epilogue, bool turned) {
    const DenseInput<float> x(input, Layout::channels_last);
    const DenseOutput<float> y(output, Layout::channels_last);
    const DenseEpilogue<float> dense(epilogue, Layout::channels_last);
    g.x = x.data(), g.y = y.data(), g.epilogue = dense.epilogue;
    g.rows = std::min(g.H, g.P - g.top + kTaps - 1);
    g.columns = std::min(g.W, g.Q - g.left + kTaps - 1);

    const auto filters = [turned](const ArrayView& a) {
        const auto* data = static_cast<const float*>(a.data);
        const int64_t* s = a.strides;
        if (!turned) return Filters{data, s[0], s[1], s[2], s[3]};
        return Filters{data + 2 * (s[2] + s[3]), s[1], s[0], -s[2], -s[3]};
    };
    g.w = filters(w);
    if (g.w.outputs_contiguous() || g.w.depth_contiguous() || g.w.taps_contiguous()) {
        convolve(g);
    } else {
        const DenseInput<float> copied(w, Layout::channels_last);
        g.w = filters(
            dense_view(const_cast<float*>(copied.data()), DType::f32, w, Layout::channels_last));
        convolve(g);
    }
    y.finish();
}

}  // namespace

void conv2d_fprop_winograd(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                           const ArrayView& y, const EpilogueView& epilogue) {
    check(p, y);
    Problem g{};
    g.N = p.N, g.C = p.C, g.H = p.H, g.W = p.W, g.K = p.K, g.P = p.P, g.Q = p.Q;
    g.top = p.top, g.left = p.left;
    run(g, x, w, y, epilogue, false);
}

void conv2d_dgrad_winograd(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                           const ArrayView& dx, const EpilogueView& epilogue) {
    check(p, dx);
    Problem g{};
    g.N = p.N, g.C = p.K, g.H = p.P, g.W = p.Q, g.K = p.C, g.P = p.H, g.Q = p.W;
    g.top = kTaps - 1 - p.top, g.left = kTaps - 1 - p.left;
    run(g, dy, w, dx, epilogue, true);
}

}  // namespace pycnn::PYCNN_ISA
