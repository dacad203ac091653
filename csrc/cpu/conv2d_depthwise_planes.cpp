// Depthwise convolution, contiguous: fprop and dgrad, vectors along the rows.
//
// Computes   fprop and dgrad of cpu/conv2d.h where every channel has one filter of its own
// Arrays     dense contiguous, float32, float64 or the halves, read and written in place
// Threads    ranges of (band of rows, plane)
// Tiling     a band of a plane is copied into a tile with its padding. Rows follow each other
//            there, so output (i, j), kept at i*pitch + j, sums the tile at that place plus an
//            offset for each tap: one long correlation, whatever the width, whose few results
//            between the rows are dropped. A stride is as many tiles as it has phases, each with
//            every stride-th row and column; the phases of a strided dgrad are interleaved when
//            they are written
// Traffic    one copy into and one out of the first-level cache around a load for each fused
//            multiplication; the taps of a 3x3 filter stay in registers
// Numerics   one accumulator per output in float32 for the halves, the taps in order r, s (the
//            reverse for dgrad); deterministic
// Refuses    arrays that are not contiguous; strides above 32; padding far larger than the image
// Source     own design
#include "cpu/conv2d_depthwise_planes.h"

#include "cpu/conv2d_tiles.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int kBlock = 4;  // vectors of outputs at a time

template <class V, size_t... kLane>
PYCNN_INLINE void every_second(V a, V b, V& even, V& odd, std::index_sequence<kLane...>) {
    even = __builtin_shufflevector(a, b, (2 * static_cast<int>(kLane))...);
    odd = __builtin_shufflevector(a, b, (2 * static_cast<int>(kLane) + 1)...);
}

template <class T, class Stored>
PYCNN_INLINE Vec<T> load_some(const Stored* from, int64_t n) {
    return n >= kLanes<T> ? load(from) : n > 0 ? load(from, static_cast<int>(n)) : zero<T>();
}
template <class T, class Stored>
PYCNN_INLINE void store_some(Stored* to, Vec<T> v, int64_t n) {
    if (n >= kLanes<T>)
        store(to, v);
    else if (n > 0)
        store(to, v, static_cast<int>(n));
}

// to[p][i] = from[p + i * phases] for p < phases, as far as there are `count` elements.
template <class T, class Stored>
void split(const Stored* from, int64_t count, int64_t phases, T* to, int64_t to_step) {
    constexpr int n = kLanes<T>;
    if (phases == 1) {
        for (int64_t i = 0; i < count; i += n)
            store_some<T>(to + i, load_some<T>(from + i, count - i), count - i);
    } else if (phases == 2) {
        for (int64_t i = 0; i < count; i += 2 * n) {
            const int64_t rest = count - i;
            Vec<T> even, odd;
            every_second(load_some<T>(from + i, rest), load_some<T>(from + i + n, rest - n), even,
                         odd, std::make_index_sequence<n>{});
            store_some<T>(to + i / 2, even, (rest + 1) / 2);
            store_some<T>(to + to_step + i / 2, odd, rest / 2);
        }
    } else {
        for (int64_t p = 0; p < phases; ++p)
            for (int64_t i = p; i < count; i += phases)
                to[p * to_step + i / phases] = static_cast<T>(from[i]);
    }
}

// to[p + i * phases] = from[p][i], `count` elements.
template <class T>
void join(const T* from, int64_t from_step, int64_t phases, T* to, int64_t count) {
    constexpr int n = kLanes<T>;
    if (phases == 2) {
        for (int64_t i = 0; i < count; i += 2 * n) {
            Vec<T> low, high;
            interleave(load(from + i / 2), load(from + from_step + i / 2), low, high,
                       std::make_index_sequence<n>{});
            store_some<T>(to + i, low, count - i);
            store_some<T>(to + i + n, high, count - i - n);
        }
        return;
    }
    for (int64_t p = 0; p < phases; ++p)
        for (int64_t i = p; i < count; i += phases) to[i] = from[p * from_step + i / phases];
}

// sums[k] = the sum over the taps of filter[t] * in[offset[t] + k], for k < length rounded up to a
// block.
template <int kTaps, class T>
void correlate(const T* in, const int64_t* offset, const T* filter, int64_t taps, T* sums,
               int64_t length) {
    constexpr int n = kLanes<T>;
    Vec<T> tap[kTaps > 0 ? kTaps : 1];
    for (int t = 0; t < kTaps; ++t) tap[t] = broadcast<T>(filter[t]);
    for (int64_t k = 0; k < length; k += kBlock * n) {
        Vec<T> acc[kBlock]{};
        if constexpr (kTaps > 0) {
#pragma GCC unroll 16
            for (int t = 0; t < kTaps; ++t)
                for (int i = 0; i < kBlock; ++i)
                    acc[i] = fma(load(in + offset[t] + k + i * n), tap[t], acc[i]);
        } else {
            for (int64_t t = 0; t < taps; ++t) {
                const Vec<T> one = broadcast<T>(filter[t]);
                for (int i = 0; i < kBlock; ++i)
                    acc[i] = fma(load(in + offset[t] + k + i * n), one, acc[i]);
            }
        }
        for (int i = 0; i < kBlock; ++i) store(sums + k + i * n, acc[i]);
    }
}

// Lane i of the result is lane i + kShift of a and b, one after the other.
template <int kShift, class V, size_t... kLane>
PYCNN_INLINE V shifted(V a, V b, std::index_sequence<kLane...>) {
    return __builtin_shufflevector(a, b, (static_cast<int>(kLane) + kShift)...);
}

// kRows rows of outputs of a 3x3 filter on a tile with whole vectors in a row: each input vector is
// read once and shifted in registers.
template <int kRows, class T>
void correlate_3x3(const T* in, const T* filter, T* sums, int64_t pitch, int64_t columns) {
    constexpr int n = kLanes<T>;
    constexpr auto kAll = std::make_index_sequence<n>{};
    Vec<T> tap[9];
    for (int t = 0; t < 9; ++t) tap[t] = broadcast<T>(filter[t]);
    for (int64_t k = 0; k < columns; k += n) {
        Vec<T> acc[kRows]{};
#pragma GCC unroll 8
        for (int row = 0; row < kRows + 2; ++row) {
            const T* from = in + row * pitch + k;
            const Vec<T> first = load(from), next = load(from + n);
            const Vec<T> v[3] = {first, shifted<1>(first, next, kAll),
                                 shifted<2>(first, next, kAll)};
#pragma GCC unroll 3
            for (int r = 0; r < 3; ++r)
                if (row >= r && row - r < kRows)
#pragma GCC unroll 3
                    for (int s = 0; s < 3; ++s)
                        acc[row - r] = fma(v[s], tap[3 * r + s], acc[row - r]);
        }
        for (int i = 0; i < kRows; ++i) store(sums + i * pitch + k, acc[i]);
    }
}

// The outputs [i, i + rows) down of one phase, all across, and where their taps lie in the tile.
template <class T>
struct Phase {
    int64_t i, rows, columns;
    std::vector<int64_t> offsets, taps;  // in the tile, and in the filter (R,S)
};

// A band of output rows: what it reads, and its phases, those across within those down.
template <class T>
struct Band {
    Window window;
    int64_t row_phases, column_phases, pitch, phase_step, size;
    int64_t sums_step;  // from the sums of a phase across to the next's
    bool in_vectors;    // a 3x3 filter, and rows of whole vectors
    std::vector<Phase<T>> phases;

    Band(const Gathers& gathers, int64_t S, int64_t top, int64_t bottom) {
        const GatherAxis &first_down = gathers.down[0], &first_across = gathers.across[0];
        row_phases = first_down.stride, column_phases = first_across.stride;
        window = columns_of(gathers.across, 1);
        int64_t low = INT64_MAX, high = INT64_MIN, outputs = 0;
        for (const GatherAxis& down : gathers.down) {
            const int64_t i = first(down, top), stop = first(down, bottom);
            outputs = std::max(outputs, stop - i);
            if (i >= stop || down.taps == 0) continue;
            low = std::min(low, down.at(i));
            high = std::max(high, down.at(stop - 1) + (down.taps - 1) * down.dilation + 1);
        }
        window.row = low < high ? low : 0;
        window.rows = low < high ? high - low : 1;
        pitch = ceil_div(window.columns, column_phases);
        for (const GatherAxis& across : gathers.across) pitch = std::max(pitch, across.count);
        in_vectors = gathers.down.size() == 1 && gathers.across.size() == 1 &&
                     three_in_a_row(first_down) && three_in_a_row(first_across);
        if (in_vectors) pitch = ceil_div(pitch, kLanes<T>) * kLanes<T>;
        phase_step = ceil_div(window.rows, row_phases) * pitch;
        constexpr int64_t kSlack = kBlock * kLanes<T>;
        size = row_phases * column_phases * phase_step + kSlack;
        sums_step = outputs * pitch + kSlack;
        for (const GatherAxis& down : gathers.down)
            for (const GatherAxis& across : gathers.across) {
                const int64_t i = first(down, top);
                Phase<T> phase{i, first(down, bottom) - i, across.count, {}, {}};
                for (int64_t r = 0; r < down.taps; ++r)
                    for (int64_t s = 0; s < across.taps; ++s) {
                        const int64_t row = down.at(i) - window.row + r * down.dilation;
                        const int64_t column = across.at(0) - window.column + s * across.dilation;
                        phase.offsets.push_back(row_at(row) + column_at(column));
                        phase.taps.push_back((down.first_tap + r * down.tap_step) * S +
                                             across.first_tap + s * across.tap_step);
                    }
                phases.push_back(std::move(phase));
            }
    }

    // The first output of a phase in row h or below.
    static int64_t first(const GatherAxis& down, int64_t h) {
        return std::clamp<int64_t>(ceil_div(h - down.first, down.step), 0, down.count);
    }
    // Where the tile keeps a row of the window, and how far into it a column.
    int64_t row_at(int64_t row) const {
        if (row_phases == 1) return row * pitch;  // without the divisions
        return row % row_phases * column_phases * phase_step + row / row_phases * pitch;
    }
    int64_t column_at(int64_t column) const {
        return column % column_phases * phase_step + column / column_phases;
    }
    static bool three_in_a_row(const GatherAxis& a) {
        return a.taps == 3 && a.stride == 1 && a.dilation == 1;
    }
};

template <class T, class Stored>
class Planes {
  public:
    Planes(const Conv2dParams& g, const Gathers& gathers, const ArrayView& in, const ArrayView& w,
           const ArrayView& out, const EpilogueView& epilogue)
        : g_(g),
          gathers_(gathers),
          in_(in),
          w_(w),
          out_(out),
          end_(epilogue, Layout::contiguous),
          after_(end_.epilogue) {
        after_.bias = after_.scale = after_.shift = nullptr;
    }

    void run() const {
        const int64_t planes = g_.N * g_.C, H = out_.shape[2], W = out_.shape[3];
        if (planes == 0 || H == 0 || W == 0) return;
        constexpr int64_t kTileBytes = int64_t{20} << 10;
        const int64_t row = std::max(W, in_.shape[3]) * int64_t{sizeof(T)};
        int64_t bands = std::clamp<int64_t>(ceil_div(H * row, kTileBytes), 1, ceil_div(H, 4));
        const int64_t rows = ceil_div(H, bands);
        bands = ceil_div(H, rows);
        const double taps = static_cast<double>(gathers_.down[0].taps * gathers_.across[0].taps);
        const double cost = static_cast<double>(rows * W) * (taps + 4) / (4 * kLanes<T>);
        parallel_ranges(bands * planes, 4 * num_threads(), cost, [&](int64_t begin, int64_t end) {
            for (int64_t unit = begin; unit < end;) {
                const int64_t band = unit / planes;
                const int64_t stop = std::min(end, (band + 1) * planes);
                one_band(band * rows, std::min(H, (band + 1) * rows), unit % planes, stop - unit);
                unit = stop;
            }
        });
    }

  private:
    // Rows [top, bottom) of `count` planes. Of small planes a few at a time go through each step:
    // a load that spans what two stores have just written waits for them.
    void one_band(int64_t top, int64_t bottom, int64_t plane, int64_t count) const {
        constexpr int64_t kTogether = 4096;  // elements
        const Band<T> band(gathers_, g_.S, top, bottom);
        const auto across = static_cast<int64_t>(gathers_.across.size());
        const int64_t most = std::clamp<int64_t>(kTogether / band.size, 1, count);
        const int64_t sums_size = across * band.sums_step;
        const Buffer<T> tiles(most * band.size), sums(most * sums_size);
        const Buffer<T> line(out_.shape[3] + 2 * kLanes<T>), filter(g_.R * g_.S);
        std::fill(tiles.data(), tiles.data() + most * band.size, T{0});  // the padding stays
        for (int64_t done = 0; done < count; done += most) {
            const int64_t some = std::min(most, count - done), first = plane + done;
            for (int64_t i = 0; i < some; ++i) read(band, first + i, tiles.data() + i * band.size);
            for (size_t d = 0; d < gathers_.down.size(); ++d) {
                const Phase<T>* phases = &band.phases[d * static_cast<size_t>(across)];
                if (phases->rows <= 0) continue;
                for (int64_t i = 0; i < some; ++i)
                    for (int64_t a = 0; a < across; ++a)
                        sum(band, phases[a], (first + i) % g_.C, tiles.data() + i * band.size,
                            filter.data(), sums.data() + i * sums_size + a * band.sums_step);
                for (int64_t i = 0; i < some; ++i)
                    write_rows(band, gathers_.down[d], *phases, first + i,
                               sums.data() + i * sums_size, line.data());
            }
        }
    }

    // The part of the band inside the image.
    void read(const Band<T>& band, int64_t plane, T* tile) const {
        const Window& part = band.window;
        const int64_t H = in_.shape[2], W = in_.shape[3];
        const int64_t begin = std::clamp<int64_t>(part.column, 0, W);
        const int64_t end = std::clamp<int64_t>(part.column + part.columns, begin, W);
        const int64_t skipped = begin - part.column;  // columns of padding
        const int64_t phases = band.column_phases, last = part.row + part.rows;
        const auto* from = static_cast<const Stored*>(in_.data) + plane * H * W;
        // Up to the first column of a whole group of phases.
        const int64_t single = std::min(end - begin, (phases - skipped % phases) % phases);
        const int64_t to = band.column_at(skipped + single);
        for (int64_t h = std::max<int64_t>(0, part.row); h < std::min(H, last); ++h) {
            const Stored* row = from + h * W + begin;
            T* at = tile + band.row_at(h - part.row);
            for (int64_t j = 0; j < single; ++j)
                at[band.column_at(skipped + j)] = static_cast<T>(row[j]);
            split(row + single, end - begin - single, phases, at + to, band.phase_step);
        }
    }

    void sum(const Band<T>& band, const Phase<T>& phase, int64_t c, const T* tile, T* filter,
             T* sums) const {
        const auto taps = static_cast<int64_t>(phase.taps.size());
        const auto* w = static_cast<const Stored*>(w_.data) + c * w_.strides[0];
        for (int64_t t = 0; t < taps; ++t) {
            const int64_t tap = phase.taps[static_cast<size_t>(t)];
            filter[t] = static_cast<T>(w[tap / g_.S * w_.strides[2] + tap % g_.S * w_.strides[3]]);
        }
        if (band.in_vectors) {
            constexpr int kRows = 4;
            int64_t i = 0;
            for (; i + kRows <= phase.rows; i += kRows)
                correlate_3x3<kRows>(tile + i * band.pitch, filter, sums + i * band.pitch,
                                     band.pitch, phase.columns);
            for (; i < phase.rows; ++i)
                correlate_3x3<1>(tile + i * band.pitch, filter, sums + i * band.pitch, band.pitch,
                                 phase.columns);
            return;
        }
        const int64_t length = (phase.rows - 1) * band.pitch + phase.columns;
        if (taps == 9)
            correlate<9>(tile, phase.offsets.data(), filter, taps, sums, length);
        else
            correlate<0>(tile, phase.offsets.data(), filter, taps, sums, length);
    }

    void write_rows(const Band<T>& band, const GatherAxis& down, const Phase<T>& phase,
                    int64_t plane, const T* sums, T* line) const {
        const auto across = static_cast<int64_t>(gathers_.across.size());
        const int64_t n = plane / g_.C, c = plane % g_.C;
        for (int64_t i = 0; i < phase.rows; ++i) {
            const T* from = sums + i * band.pitch;
            if (across > 1) {
                join(from, band.sums_step, across, line, out_.shape[3]);
                from = line;
            }
            write(n, c, down.first + (phase.i + i) * down.step, from);
        }
    }

    void write(int64_t n, int64_t c, int64_t h, const T* sums) const {
        constexpr int kCount = kLanes<T>;
        const int64_t W = out_.shape[3], row = ((n * g_.C + c) * out_.shape[2] + h) * W;
        auto* to = static_cast<Stored*>(out_.data) + row;
        const Epilogue<T, Stored>& e = end_.epilogue;
        for (int64_t j = 0; j < W; j += kCount) {
            const int columns = static_cast<int>(std::min<int64_t>(kCount, W - j));
            Vec<T> one[1] = {load(sums + j)};
            if (e.bias) one[0] = one[0] + broadcast<T>(e.bias[c]);
            if (e.scale) one[0] = one[0] * broadcast<T>(e.scale[c]);
            if (e.shift) one[0] = one[0] + broadcast<T>(e.shift[c]);
            after_.template finish_block<1>(one, 0, row + j, 0, columns);
            if (columns == kCount)
                store(to + j, one[0]);
            else
                store(to + j, one[0], columns);
        }
    }

    const Conv2dParams& g_;
    const Gathers& gathers_;
    const ArrayView &in_, &w_, &out_;
    DenseEpilogue<T, Stored> end_;
    Epilogue<T, Stored> after_;  // what comes after the channel's constants
};

}  // namespace

// Rows shorter than this leave most of a vector unused: 19x19 planes take 1.4 times as long as
// through channels-last copies, planes of 37x37 two thirds.
constexpr int64_t kLeastRow = 32;

bool takes_planes(const Conv2dParams& g, const ArrayView& in, const ArrayView& out) {
    if (!is_contiguous(in) || !is_contiguous(out) || !tiles_fit(g)) return false;
    if (std::min(g.W, g.Q) < kLeastRow) return false;
    return !is_channels_last(in) || !is_channels_last(out) || g.C == 1;
}

void gather_planes(const Conv2dParams& g, const Gathers& gathers, const ArrayView& in,
                   const ArrayView& w, const ArrayView& out, const EpilogueView& epilogue) {
    with_float_dtype(out.dtype, [&](auto t) {
        using Stored = decltype(t);
        Planes<Accumulation<Stored>, Stored>(g, gathers, in, w, out, epilogue).run();
    });
}

}  // namespace pycnn::PYCNN_ISA
