// Rows of an image as vectors of channels: the workspace of the convolutions that look at a few
// channels at a time.
//
// A tile holds, for each vector of channels, whole rows of one image with zeros where the padding
// lies: (vector, row, column, lane). Reading one absorbs the layout, the dtype and the borders, so
// that the kernel between read_tile() and write_row() has none of them.
#pragma once

#include <utility>

#include "cpu/conv2d_gather.h"
#include "cpu/epilogue.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {

// Lane i of the result is lane i ^ kDistance of v. An instruction or two: within 128 bits for
// distances up to 3 floats.
template <int kDistance, class V, size_t... kLane>
PYCNN_INLINE V exchange_lanes(V v, std::index_sequence<kLane...>) {
    if constexpr (kDistance == 0)
        return v;
    else
        return __builtin_shufflevector(v, v, (static_cast<int>(kLane) ^ kDistance)...);
}
template <int kDistance, class V>
PYCNN_INLINE V exchange_lanes(V v) {
    return exchange_lanes<kDistance>(v, std::make_index_sequence<sizeof(V) / sizeof(v[0])>{});
}

template <class V, size_t... kLane>
PYCNN_INLINE void interleave(V a, V b, V& low, V& high, std::index_sequence<kLane...>) {
    constexpr int kHalf = sizeof...(kLane) / 2, kAll = sizeof...(kLane);
    low = __builtin_shufflevector(a, b, (static_cast<int>(kLane) / 2 + (kLane % 2 ? kAll : 0))...);
    high = __builtin_shufflevector(
        a, b, (kHalf + static_cast<int>(kLane) / 2 + (kLane % 2 ? kAll : 0))...);
}

// Lane j of v[i] and lane i of v[j] change places.
template <class T>
PYCNN_INLINE void transpose(Vec<T> (&v)[kLanes<T>]) {
    constexpr int kCount = kLanes<T>;
#pragma GCC unroll 4
    for (int done = 1; done < kCount; done *= 2) {
        Vec<T> next[kCount];
#pragma GCC unroll 8
        for (int i = 0; i < kCount / 2; ++i)
            interleave(v[i], v[i + kCount / 2], next[2 * i], next[2 * i + 1],
                       std::make_index_sequence<kCount>{});
#pragma GCC unroll 16
        for (int i = 0; i < kCount; ++i) v[i] = next[i];
    }
}

// Calls body with std::integral_constant<int, 0>, ..., <int, kCount - 1>.
template <class F, int... kIndex>
PYCNN_INLINE void unrolled(F&& body, std::integer_sequence<int, kIndex...>) {
    (body(std::integral_constant<int, kIndex>{}), ...);
}
template <int kCount, class F>
PYCNN_INLINE void unrolled(F&& body) {
    unrolled(std::forward<F>(body), std::make_integer_sequence<int, kCount>{});
}

// Tiles hold the padding, so it must not dwarf the image (providers/native/tiles.py).
inline bool padding_fits(const Conv2dParams& g) {
    return (g.R - 1) * g.dilation_h + g.top + std::abs(g.bottom) <= 4 * g.H + 64 &&
           (g.S - 1) * g.dilation_w + g.left + std::abs(g.right) <= 4 * g.W + 64;
}
inline bool strides_fit(const Conv2dParams& g) { return g.stride_h <= 32 && g.stride_w <= 32; }
inline bool tiles_fit(const Conv2dParams& g) { return strides_fit(g) && padding_fits(g); }

inline void check_tiles(const Conv2dParams& g) {
    if (!strides_fit(g))
        throw ValueError(
            refusal("stride", std::to_string(std::max(g.stride_h, g.stride_w)), "at most 32"));
    if (!padding_fits(g))
        throw ValueError(refusal("padding and the dilated filter", "far larger than the image",
                                 "at most 4 times the image and 64 more"));
}

// Which part of an image a tile holds; what lies outside reads as zero.
struct Window {
    int64_t row, rows, column, columns;
};

template <class T>
struct Tile {
    T* data;
    Window window;
    int64_t row_step() const { return window.columns * kLanes<T>; }
    int64_t vector_step() const { return window.rows * row_step(); }
};

// Fills a tile with `vectors` vectors of channels from channel c on, zeros past the last channel.
template <class T, class Stored>
void read_tile(const ArrayView& a, int64_t n, int64_t c, int64_t vectors, const Tile<T>& tile) {
    constexpr int kCount = kLanes<T>;
    const Window& part = tile.window;
    const int64_t begin = std::clamp<int64_t>(-part.column, 0, part.columns);
    const int64_t end = std::clamp<int64_t>(a.shape[3] - part.column, begin, part.columns);
    const int64_t step_c = a.strides[1], step_w = a.strides[3];
    const int64_t next_row = a.strides[2] * int64_t{sizeof(Stored)};
    for (int64_t i = 0; i < part.rows; ++i) {
        const int64_t h = part.row + i;
        if (h < 0 || h >= a.shape[2]) {
            for (int64_t v = 0; v < vectors; ++v) {
                T* to = tile.data + v * tile.vector_step() + i * tile.row_step();
                std::fill(to, to + tile.row_step(), T{0});
            }
            continue;
        }
        const Stored* row = static_cast<const Stored*>(a.data) + n * a.strides[0] + c * step_c +
                            h * a.strides[2] + part.column * step_w;
        for (int64_t v = 0; v < vectors; ++v) {
            T* to = tile.data + v * tile.vector_step() + i * tile.row_step();
            std::fill(to, to + begin * kCount, T{0});
            std::fill(to + end * kCount, to + part.columns * kCount, T{0});
        }
        if (step_c == 1) {
            const int64_t whole = std::min(vectors, (a.shape[1] - c) / kCount);
            const int rest = static_cast<int>(a.shape[1] - c - whole * kCount);
            for (int64_t j = begin; j < end; ++j) {
                const Stored* from = row + j * step_w;
                T* to = tile.data + i * tile.row_step() + j * kCount;
                for (int64_t v = 0; v < whole; ++v) {
                    __builtin_prefetch(reinterpret_cast<const void*>(
                        reinterpret_cast<intptr_t>(from + v * kCount) + next_row));
                    store(to + v * tile.vector_step(), load(from + v * kCount));
                }
                if (whole < vectors)
                    store(to + whole * tile.vector_step(), load(from + whole * kCount, rest));
            }
            continue;
        }
        for (int64_t v = 0; v < vectors; ++v) {
            const auto lanes = std::min<int64_t>(kCount, a.shape[1] - c - v * kCount);
            const Stored* from = row + v * kCount * step_c;
            T* to = tile.data + v * tile.vector_step() + i * tile.row_step();
            int64_t j = begin;
            if (step_w == 1)
                for (; j < end; j += kCount) {
                    const int columns = static_cast<int>(std::min<int64_t>(kCount, end - j));
                    Vec<T> block[kCount]{};
                    for (int64_t lane = 0; lane < lanes; ++lane) {
                        const Stored* at = from + lane * step_c + j;
                        block[lane] = columns == kCount ? load(at) : load(at, columns);
                    }
                    transpose<T>(block);
                    for (int k = 0; k < columns; ++k) store(to + (j + k) * kCount, block[k]);
                }
            for (; j < end; ++j)
                for (int64_t lane = 0; lane < kCount; ++lane)
                    to[j * kCount + lane] =
                        lane < lanes ? static_cast<T>(from[lane * step_c + j * step_w]) : T{0};
        }
    }
}

// An output that is dense in a layout, with its epilogue.
template <class T, class Stored>
struct TiledOutput {
    Stored* data;
    Layout layout;
    int64_t C, H, W;
    Epilogue<T, Stored> before, after;  // what comes before the residual, and the rest

    TiledOutput(Stored* out, const ArrayView& like, Layout order, const Epilogue<T, Stored>& e)
        : data(out),
          layout(order),
          C(like.shape[1]),
          H(like.shape[2]),
          W(like.shape[3]),
          before(e),
          after(e) {
        before.residual = nullptr;
        before.activation = Activation::none;
        after.bias = after.scale = after.shift = nullptr;
    }

    // Row h of image n, channels [c, c + kLanes) from their sums, one vector per column; it may
    // read kLanes - 1 vectors past the row.
    void write_row(int64_t n, int64_t h, int64_t c, const T* sums) const {
        constexpr int kCount = kLanes<T>;
        const int lanes = static_cast<int>(std::min<int64_t>(kCount, C - c));
        if (layout == Layout::channels_last) {
            const int64_t row = (n * H + h) * W * C + c;
            int64_t j = 0;
            for (; j + 4 <= W; j += 4) put<4>(row + j * C, C, c, sums + j * kCount, lanes);
            for (; j < W; ++j) put<1>(row + j * C, C, c, sums + j * kCount, lanes);
            return;
        }
        const int64_t plane = H * W, row = (n * C + c) * plane + h * W;
        for (int64_t j = 0; j < W; j += kCount) {
            const int columns = static_cast<int>(std::min<int64_t>(kCount, W - j));
            Vec<T> block[kCount];
            for (int i = 0; i < kCount; ++i) block[i] = load(sums + (j + i) * kCount);
            before.template finish_block<kCount>(block, c, 0, 0, lanes);
            transpose<T>(block);
            for (int i = 0; i < lanes; ++i) {
                Vec<T> one[1] = {block[i]};
                const int64_t at = row + i * plane + j;
                after.template finish_block<1>(one, 0, at, 0, columns);
                if (columns == kCount)
                    store(data + at, one[0]);
                else
                    store(data + at, one[0], columns);
            }
        }
    }

  private:
    template <int kPixels>
    PYCNN_INLINE void put(int64_t at, int64_t step, int64_t c, const T* sums, int lanes) const {
        constexpr int kCount = kLanes<T>;
        Vec<T> block[kPixels];
        for (int i = 0; i < kPixels; ++i) block[i] = load(sums + i * kCount);
        before.template finish_block<kPixels>(block, c, 0, 0, lanes);
        after.template finish_block<kPixels>(block, 0, at, step, lanes);
        for (int i = 0; i < kPixels; ++i) {
            if (lanes == kCount)
                store(data + at + i * step, block[i]);
            else
                store(data + at + i * step, block[i], lanes);
        }
    }
};

// One row of outputs of one phase and one vector of channels, for a kernel to compute.
template <class T>
struct TileRow {
    const T* tile;                 // of the first vector of the chunk
    int64_t in;                    // the input of the first output's first tap, from there
    int64_t in_row;                // from a tap row to the next
    int64_t vector_step;           // from a vector of channels to the next
    int64_t first_row, end_row;    // the tap rows inside the image
    int64_t vector, first_vector;  // the output's vector of channels, and the tile's first
    T* out;
    int64_t out_step;
    int64_t pixels;  // rounded up to whole blocks
    const GatherAxis *down, *across;
};

// Fits a task's tiles, of bytes(rows, vectors), into a part of the second-level cache: fewer rows
// and fewer vectors of channels, but if possible no fewer than `least` rows, which repeats few, and
// than read whole cache lines in a row.
template <class F>
void fit_tiles(int64_t& rows, int64_t& chunk, int64_t unit, int64_t least, const F& bytes) {
    constexpr int64_t kTileBytes = int64_t{384} << 10, kVectors = 4;
    const auto fewer = [unit](int64_t vectors) {
        return ((vectors + 1) / 2 + unit - 1) / unit * unit;
    };
    while (rows > least && bytes(rows, chunk) > kTileBytes) rows = (rows + 1) / 2;
    while (chunk > std::max(unit, kVectors) && bytes(rows, chunk) > kTileBytes)
        chunk = fewer(chunk);
    while (rows > 1 && bytes(rows, chunk) > kTileBytes) rows = (rows + 1) / 2;
    while (chunk > unit && bytes(rows, chunk) > kTileBytes) chunk = fewer(chunk);
}

// The input columns that `across` reads for outputs rounded up to whole blocks.
inline Window columns_of(const std::vector<GatherAxis>& across, int64_t block) {
    int64_t begin = 0, end = 1;
    for (const GatherAxis& axis : across) {
        if (axis.taps == 0) continue;
        const int64_t outputs = (axis.count + block - 1) / block * block;
        begin = std::min(begin, axis.at(0));
        end = std::max(end, axis.at(outputs - 1) + (axis.taps - 1) * axis.dilation + 1);
    }
    return {0, 0, begin, end - begin};
}

// Runs kernel(TileRow) for every row of every phase. Chunks hold whole multiples of `unit` vectors;
// the kernel computes pixels in blocks of `block`; `cost` is that of one output vector; `least`:
// see fit_tiles().
template <class T, class Stored, class Kernel>
void tiled_gather(const Gathers& gathers, const ArrayView& in, const ArrayView& out_array,
                  const EpilogueView& epilogue, int64_t unit, int64_t block, double cost,
                  int64_t least, const Kernel& kernel) {
    constexpr int kCount = kLanes<T>;
    const Layout layout = is_channels_last(out_array) ? Layout::channels_last : Layout::contiguous;
    const DenseOutput<Stored> dense(out_array, layout);
    const DenseEpilogue<T, Stored> end(epilogue, layout);
    const TiledOutput<T, Stored> out(dense.data(), out_array, layout, end.epilogue);
    const int64_t N = out_array.shape[0], vectors = (out.C + kCount - 1) / kCount;
    const Window across = columns_of(gathers.across, block);
    int64_t pitch = out.W;
    for (const GatherAxis& axis : gathers.across)
        pitch = std::max(pitch, axis.first + (axis.count + block - 1) / block * block * axis.step);

    const GatherAxis& widest = gathers.down[0];
    const auto bytes = [&](int64_t rows, int64_t chunk) {
        const int64_t reach = (widest.taps - 1) * widest.dilation;
        const int64_t read =
            std::min(in.shape[2], ceil_div(rows, widest.step) * widest.stride + reach);
        return read * across.columns * chunk * kVectorBytes;
    };
    int64_t chunk = vectors, rows = std::min<int64_t>(out.H, std::max<int64_t>(least, 8));
    fit_tiles(rows, chunk, unit, least, bytes);
    const auto tasks = [&] { return N * ceil_div(out.H, rows) * ceil_div(vectors, chunk); };
    while (tasks() < num_threads() && chunk > unit)
        chunk = ((chunk + 1) / 2 + unit - 1) / unit * unit;
    while (tasks() < num_threads() && rows > 1) rows = (rows + 1) / 2;

    const int64_t bands = ceil_div(out.H, rows), chunks = ceil_div(vectors, chunk);
    const double task_cost = cost * static_cast<double>(rows * out.W * chunk);
    parallel_for(tasks(), task_cost, [&](int64_t task) {
        const int64_t n = task / (bands * chunks), band = task / chunks % bands;
        const int64_t first = task % chunks * chunk, last = std::min(vectors, first + chunk);
        const int64_t top = band * rows, bottom = std::min(out.H, top + rows);
        int64_t low = in.shape[2], high = 0;
        for (const GatherAxis& down : gathers.down) {
            const int64_t i = std::max<int64_t>(0, ceil_div(top - down.first, down.step));
            const int64_t stop = std::min(down.count, ceil_div(bottom - down.first, down.step));
            if (i >= stop || down.taps == 0) continue;
            low = std::min(low, down.at(i));
            high = std::max(high, down.at(stop - 1) + (down.taps - 1) * down.dilation + 1);
        }
        low = std::clamp<int64_t>(low, 0, in.shape[2]);
        high = std::clamp<int64_t>(high, low, in.shape[2]);
        const Window window{low, high - low, across.column, across.columns};
        const Buffer<T> inputs((last - first) * window.rows * window.columns * kCount);
        const Tile<T> tile{inputs.data(), window};
        read_tile<T, Stored>(in, n, first * kCount, last - first, tile);
        const Buffer<T> sums((pitch + kCount) * kCount);
        for (int64_t vector = first; vector < last; ++vector)
            for (int64_t h = top; h < bottom; ++h) {
                const auto phases = static_cast<int64_t>(gathers.down.size());
                const GatherAxis& down = gathers.down[phases == 1 ? 0 : h % phases];
                const int64_t i = (h - down.first) / down.step;
                for (const GatherAxis& axis : gathers.across) {
                    TileRow<T> row;
                    row.tile = tile.data;
                    row.in = (down.at(i) - low) * tile.row_step() +
                             (axis.at(0) - across.column) * kCount;
                    row.in_row = down.dilation * tile.row_step();
                    row.vector_step = tile.vector_step();
                    row.first_row = down.first_inside(i);
                    row.end_row = down.end_inside(i);
                    row.vector = vector;
                    row.first_vector = first;
                    row.out = sums.data() + axis.first * kCount;
                    row.out_step = axis.step * kCount;
                    row.pixels = (axis.count + block - 1) / block * block;
                    row.down = &down;
                    row.across = &axis;
                    kernel(row);
                }
                out.write_row(n, h, vector * kCount, sums.data());
            }
    });
    dense.finish();
}

// The sums of a wgrad: for every vector of channels `length` elements, once for each part of the
// images. The parts are cut by the number of threads and added up in order.
template <class T>
struct PartialSums {
    Buffer<T> data;
    int64_t parts, vectors, length;

    // The sum over the parts of the elements [at, at + kLanes) of a vector of channels.
    Vec<T> total(int64_t vector, int64_t at) const {
        Vec<T> sum = load(data.data() + vector * length + at);
        for (int64_t part = 1; part < parts; ++part)
            sum = sum + load(data.data() + (part * vectors + vector) * length + at);
        return sum;
    }
};

// Runs kernel(x's tile, dy's tile, vectors in them, sums of the first) for every band of rows. The
// kernel adds to the sums.
template <class T, class Stored, class Kernel>
PartialSums<T> tiled_wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                           int64_t unit, int64_t length, double cost, int64_t least,
                           const Kernel& kernel) {
    constexpr int kCount = kLanes<T>;
    const int64_t vectors = (g.C + kCount - 1) / kCount;
    const int64_t outputs = g.Q;
    const int64_t columns = (outputs - 1) * g.stride_w + (g.S - 1) * g.dilation_w + 1;
    const auto read = [&](int64_t rows) {
        return (rows - 1) * g.stride_h + (g.R - 1) * g.dilation_h + 1;
    };
    const auto bytes = [&](int64_t rows, int64_t chunk) {
        return (read(rows) * columns + rows * outputs) * chunk * kVectorBytes;
    };
    int64_t chunk = vectors, rows = std::min<int64_t>(g.P, std::max<int64_t>(least, 8));
    fit_tiles(rows, chunk, unit, least, bytes);
    const int64_t bands = ceil_div(g.P, rows), chunks = ceil_div(vectors, chunk);
    const int64_t wanted = num_threads() == 1 ? 1 : 2 * num_threads();
    const int64_t parts =
        std::clamp<int64_t>(ceil_div(wanted, chunks), 1, std::max<int64_t>(1, g.N * bands));
    PartialSums<T> sums{Buffer<T>(parts * vectors * length), parts, vectors, length};
    const double outputs_in_all = static_cast<double>(g.N * g.P * g.Q * vectors);
    const double task_cost = cost * outputs_in_all / static_cast<double>(parts * chunks);
    parallel_for(parts * chunks, task_cost, [&](int64_t task) {
        const int64_t part = task / chunks, first = task % chunks * chunk;
        const int64_t count = std::min(vectors - first, chunk);
        T* to = sums.data.data() + (part * vectors + first) * length;
        std::fill(to, to + count * length, T{0});
        const Buffer<T> inputs(count * read(rows) * columns * kCount);
        const Buffer<T> given(count * rows * outputs * kCount);
        const int64_t end = g.N * bands * (part + 1) / parts;
        for (int64_t band = g.N * bands * part / parts; band < end; ++band) {
            const int64_t n = band / bands, top = band % bands * rows;
            const int64_t some = std::min(rows, g.P - top);
            const Tile<T> from{inputs.data(),
                               {top * g.stride_h - g.top, read(some), -g.left, columns}};
            const Tile<T> with{given.data(), {top, some, 0, outputs}};
            read_tile<T, Stored>(x, n, first * kCount, count, from);
            read_tile<T, Stored>(dy, n, first * kCount, count, with);
            kernel(from, with, count, to);
        }
    });
    return sums;
}

}  // namespace pycnn::PYCNN_ISA
