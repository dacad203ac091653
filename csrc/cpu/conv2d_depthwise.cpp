// Depthwise convolution, channels-last: fprop and dgrad, vectors along the channels.
//
// Computes   fprop and dgrad of cpu/conv2d.h where every channel has one filter of its own
// Arrays     dense channels-last and float32, float64 or the halves are read and written in place;
//            others go through a dense copy. The filter is repacked as (R,S,C)
// Threads    ranges of pairs of output rows, all images in one line
// Tiling     2 output rows x 8 pixels x 1 vector of channels in registers, each input vector read
//            once for all the outputs it meets; the channels are the inner loop, so that memory is
//            walked in its own order; filters of 3, 5 and 7 columns with their taps in registers,
//            others, borders and the channels past the last whole vector tap by tap
// Traffic    a 3x3 block reads 40 vectors and 9 taps for 144 fused multiplications; an input row
//            comes from beyond the caches once and then serves R output rows. 147x147x128, float32:
//            2.25 FLOP per byte, the roof is memory
// Numerics   one accumulator per output in float32 for the halves, the taps in order r, s (the
//            reverse for dgrad); deterministic
// Refuses    more than one filter per channel
// Source     Chollet 2017, arXiv:1610.02357
#include "cpu/conv2d.h"
#include "cpu/conv2d_depthwise_planes.h"
#include "cpu/conv2d_gather.h"
#include "cpu/epilogue.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {
namespace {

template <class T, class Stored>
struct Operands {
    const Stored* in;
    Stored* out;
    const T* filter;
    int64_t channels;
    Epilogue<T, Stored> epilogue;
};

// Where a block of outputs lies and what it reads, in elements.
struct Place {
    int64_t in, out, filter;            // its first output, and the input at that one's tap (0, 0)
    int64_t in_row, in_column;          // from a tap to the next one's input
    int64_t in_pixel;                   // from an output to the next one's input
    int64_t filter_row, filter_column;  // from a tap to the next
    int64_t out_row, out_pixel;
    int64_t next_rows, image_row;  // to the input rows that the next outputs add, and their length
    int64_t taps;                  // rows of the filter
    int64_t first_row, end_row;    // the tap rows that meet the image; one more for a pair
    int64_t first_column = 0, end_column = 0;  // likewise the columns, or the input columns of an
                                               // edge block
    int64_t pixels = 0;                        // the outputs of an edge block
};

template <class T, class Stored>
using Block = void (*)(const Operands<T, Stored>&, const Place&);

template <int N, class T, class Stored>
PYCNN_INLINE void finish(const Operands<T, Stored>& o, Vec<T> (&acc)[N], int64_t c, int64_t out,
                         int64_t step, int n) {
    o.epilogue.template finish_block<N>(acc, c, out + c, step, n);
    for (int i = 0; i < N; ++i) {
        Stored* to = o.out + (out + c + i * step);
        if (n == kLanes<T>)
            store(to, acc[i]);
        else
            store(to, acc[i], n);
    }
}

// The first `count` outputs of a block.
template <int N, class T, class Stored>
PYCNN_INLINE void finish_some(const Operands<T, Stored>& o, const Vec<T> (&acc)[N], int64_t c,
                              int64_t out, int64_t step, int64_t count) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
        if (i >= count) break;
        Vec<T> one[1] = {acc[i]};
        finish(o, one, c, out + i * step, 0, kLanes<T>);
    }
}

// One input row into the outputs of one row, or of two, for which it is the row before.
template <int S, int kStride, bool kEdge, bool kUpper, bool kLower, int kPixels, class T,
          class Stored>
PYCNN_INLINE void add_row(Vec<T> (&upper)[kPixels], Vec<T> (&lower)[kPixels], const Stored* row,
                          int64_t column, const T* taps, const Place& p) {
    Vec<T> above[S], below[S];
    for (int s = 0; s < S; ++s) {
        if (kUpper) above[s] = load(taps + s * p.filter_column);
        if (kLower) below[s] = load(taps - p.filter_row + s * p.filter_column);
    }
#pragma GCC unroll 32
    for (int j = 0; j < (kPixels - 1) * kStride + S; ++j) {
        if (kEdge && (j < p.first_column || j >= p.end_column)) continue;
        const Vec<T> v = load(row + j * column);
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) {
            const int i = j - s;
            if (i < 0 || i % kStride != 0 || i / kStride >= kPixels) continue;
            if (kUpper) upper[i / kStride] = fma(v, above[s], upper[i / kStride]);
            if (kLower) lower[i / kStride] = fma(v, below[s], lower[i / kStride]);
        }
    }
}

// Outputs of a row, or of a row and the next, which reads one input row further down; the whole
// vectors of channels. S columns of taps, next to each other. An edge block has fewer outputs or
// reads past the sides of the image.
template <int S, int kStride, int kRows, int kPixels, bool kEdge, class T, class Stored>
void block(const Operands<T, Stored>& o, const Place& p) {
    constexpr int64_t kBytes = sizeof(Stored);
    const int64_t channels = o.channels;
    const auto ahead = reinterpret_cast<intptr_t>(o.in) + (p.in + p.next_rows) * kBytes;
    for (int64_t c = 0; c + kLanes<T> <= channels; c += kLanes<T>) {
        // What the next rows of outputs add, into the second-level cache.
        for (int i = 0; i < (kRows == 2 ? 2 : kStride); ++i)
            for (int j = 0; j < kPixels * kStride; ++j)
                __builtin_prefetch(reinterpret_cast<const void*>(
                                       ahead + (i * p.image_row + j * channels + c) * kBytes),
                                   0, 2);
        Vec<T> upper[kPixels]{}, lower[kPixels]{};
        for (int64_t r = p.first_row; r < p.end_row; ++r) {
            const Stored* row = o.in + (p.in + r * p.in_row + c);
            const T* taps = o.filter + (p.filter + r * p.filter_row + c);
            if (kRows == 1 || r == 0)
                add_row<S, kStride, kEdge, true, false>(upper, lower, row, channels, taps, p);
            else if (r == p.taps)
                add_row<S, kStride, kEdge, false, true>(upper, lower, row, channels, taps, p);
            else
                add_row<S, kStride, kEdge, true, true>(upper, lower, row, channels, taps, p);
        }
        if (kEdge) {
            finish_some(o, upper, c, p.out, p.out_pixel, p.pixels);
            if (kRows == 2) finish_some(o, lower, c, p.out + p.out_row, p.out_pixel, p.pixels);
        } else {
            finish(o, upper, c, p.out, p.out_pixel, kLanes<T>);
            if (kRows == 2) finish(o, lower, c, p.out + p.out_row, p.out_pixel, kLanes<T>);
        }
    }
}

template <int kPixels, bool kWhole, class T, class Stored>
PYCNN_INLINE void tap_by_tap(const Operands<T, Stored>& o, const Place& p, int64_t c, int n) {
    Vec<T> acc[kPixels]{};
    for (int64_t r = p.first_row; r < p.end_row; ++r)
        for (int64_t s = p.first_column; s < p.end_column; ++s) {
            const Vec<T> tap =
                load(o.filter + (p.filter + r * p.filter_row + s * p.filter_column + c));
            const Stored* in = o.in + (p.in + r * p.in_row + s * p.in_column + c);
            for (int i = 0; i < kPixels; ++i) {
                const Stored* at = in + i * p.in_pixel;
                acc[i] = fma(kWhole ? load(at) : load(at, n), tap, acc[i]);
            }
        }
    finish(o, acc, c, p.out, p.out_pixel, kWhole ? kLanes<T> : n);
}

// kPixels outputs of a row, channels [c, C), any taps.
template <int kPixels, class T, class Stored>
void any_block(const Operands<T, Stored>& o, const Place& p, int64_t c) {
    for (; c + kLanes<T> <= o.channels; c += kLanes<T>)
        tap_by_tap<kPixels, true>(o, p, c, kLanes<T>);
    if (c < o.channels) tap_by_tap<kPixels, false>(o, p, c, static_cast<int>(o.channels - c));
}

constexpr int kPixels = 8, kFewPixels = 4;

// The blocks for one kind of columns, for one row or two; null where there is none.
template <class T, class Stored>
struct Blocks {
    Block<T, Stored> wide, narrow, edge;
};

template <int kRows, class T, class Stored>
Blocks<T, Stored> blocks_of(const GatherAxis& across) {
#define PYCNN_BLOCKS(S, kStride)                                                          \
    if (across.taps == S && across.stride == kStride && (S == 1 || across.dilation == 1)) \
    return {&block<S, kStride, kRows, kPixels, false, T, Stored>,                         \
            &block<S, kStride, kRows, kFewPixels, false, T, Stored>,                      \
            &block<S, kStride, kRows, kFewPixels, true, T, Stored>}
    PYCNN_BLOCKS(1, 1);
    PYCNN_BLOCKS(2, 1);
    PYCNN_BLOCKS(3, 1);
    PYCNN_BLOCKS(5, 1);
    PYCNN_BLOCKS(7, 1);
    if constexpr (kRows == 1) {
        PYCNN_BLOCKS(3, 2);
        PYCNN_BLOCKS(5, 2);
        PYCNN_BLOCKS(7, 2);
    }
#undef PYCNN_BLOCKS
    return {nullptr, nullptr, nullptr};
}

struct Shape {
    int64_t N, C, in_h, in_w, out_h, out_w, filter_pitch, filter_columns;
};

// One pass over dense channels-last arrays.
template <class T, class Stored>
class Pass {
  public:
    Pass(const Gathers& gathers, const Shape& shape, const Operands<T, Stored>& operands)
        : gathers_(gathers), shape_(shape), operands_(operands) {
        for (const GatherAxis& across : gathers.across)
            one_row_.push_back(blocks_of<1, T, Stored>(across)),
                two_rows_.push_back(blocks_of<2, T, Stored>(across));
    }

    void run() const {
        const auto phases = static_cast<int64_t>(gathers_.down.size());
        const int64_t pairs = (gathers_.down[0].count + 1) / 2, units = pairs * phases;
        const double taps =
            1 + static_cast<double>(gathers_.down[0].taps * gathers_.across[0].taps);
        const double row = static_cast<double>(shape_.out_w * shape_.C);
        parallel_ranges(shape_.N * units, 4 * num_threads(), 2 * row * taps / 60,
                        [&](int64_t begin, int64_t end) {
                            for (int64_t unit = begin; unit < end; ++unit)
                                two_rows(unit / units, gathers_.down[unit % phases],
                                         unit % units / phases * 2);
                        });
    }

  private:
    // Outputs i and i + 1 of a phase, where there are so many.
    void two_rows(int64_t n, const GatherAxis& down, int64_t i) const {
        const int64_t rows = std::min<int64_t>(2, down.count - i);
        for (size_t b = 0; b < gathers_.across.size(); ++b) {
            const GatherAxis& across = gathers_.across[b];
            if (rows == 2 && down.taps > 0 && down.stride == down.dilation &&
                two_rows_[b].wide != nullptr)
                columns(place(n, down, across, i, down.taps + 1), across, two_rows_[b], 2);
            else
                for (int64_t row = i; row < i + rows; ++row)
                    columns(place(n, down, across, row, down.taps), across, one_row_[b], 1);
        }
    }

    Place place(int64_t n, const GatherAxis& down, const GatherAxis& across, int64_t i,
                int64_t tap_rows) const {
        const int64_t in_row = shape_.in_w * shape_.C, out_row = shape_.out_w * shape_.C;
        GatherAxis reached = down;
        reached.taps = tap_rows;
        Place p;
        p.in = (n * shape_.in_h + down.at(i)) * in_row;
        p.in_row = down.dilation * in_row;
        p.image_row = in_row;
        p.next_rows = ((down.taps - 1) * down.dilation + 1) * in_row;
        if (tap_rows > down.taps) p.next_rows += down.stride * in_row;
        p.in_column = across.dilation * shape_.C;
        p.in_pixel = across.stride * shape_.C;
        p.out = (n * shape_.out_h + down.first + i * down.step) * out_row;
        p.out_row = down.step * out_row;
        p.out_pixel = across.step * shape_.C;
        p.filter =
            (down.first_tap * shape_.filter_columns + across.first_tap) * shape_.filter_pitch;
        p.filter_row = down.tap_step * shape_.filter_columns * shape_.filter_pitch;
        p.filter_column = across.tap_step * shape_.filter_pitch;
        p.taps = down.taps;
        p.first_row = reached.first_inside(i);
        p.end_row = reached.end_inside(i);
        return p;
    }

    // All columns of a row, or of two.
    void columns(const Place& row, const GatherAxis& across, const Blocks<T, Stored>& blocks,
                 int rows) const {
        const int64_t first = across.first_whole(), end = across.end_whole();
        const int64_t whole = shape_.C / kLanes<T> * kLanes<T>;
        if (blocks.wide == nullptr || whole == 0) return tap_columns(row, across, 0, rows);
        for (int64_t j = 0; j < across.count;) {
            Place p = at(row, across, j);
            if (j >= first && j + kPixels <= end) {
                blocks.wide(operands_, p);
                j += kPixels;
            } else if (j >= first && j + kFewPixels <= end) {
                blocks.narrow(operands_, p);
                j += kFewPixels;
            } else {
                p.pixels = std::min<int64_t>(kFewPixels, across.count - j);
                p.first_column = -across.at(j);
                p.end_column = across.size - across.at(j);
                blocks.edge(operands_, p);
                j += p.pixels;
            }
        }
        if (whole < shape_.C) tap_columns(row, across, whole, rows);
    }

    // The same tap by tap, for the channels from c on.
    void tap_columns(const Place& row, const GatherAxis& across, int64_t c, int rows) const {
        const int64_t first = across.first_whole(), end = across.end_whole();
        for (int64_t j = 0; j < across.count;) {
            if (j >= first && j + kFewPixels <= end) {
                any<kFewPixels>(row, across, j, c, rows);
                j += kFewPixels;
            } else {
                any<1>(row, across, j++, c, rows);
            }
        }
    }

    Place at(Place p, const GatherAxis& across, int64_t j) const {
        p.in += across.at(j) * shape_.C;
        p.out += (across.first + j * across.step) * shape_.C;
        return p;
    }

    template <int kPixels>
    void any(const Place& row, const GatherAxis& across, int64_t j, int64_t c, int rows) const {
        Place p = at(row, across, j);
        p.first_column = across.first_inside(j);
        p.end_column = across.end_inside(j);
        if (rows == 1) return any_block<kPixels>(operands_, p, c);
        Place one = p;
        one.end_row = std::min(p.end_row, p.taps);
        any_block<kPixels>(operands_, one, c);
        one.in += p.in_row;
        one.out += p.out_row;
        one.first_row = std::max<int64_t>(p.first_row - 1, 0);
        one.end_row = std::max<int64_t>(p.end_row - 1, one.first_row);
        any_block<kPixels>(operands_, one, c);
    }

    const Gathers& gathers_;
    const Shape& shape_;
    const Operands<T, Stored>& operands_;
    std::vector<Blocks<T, Stored>> one_row_, two_rows_;  // for each phase across
};

// w (C,1,R,S) as (R,S,pitch), the channels past C zero.
template <class T, class Stored>
Buffer<T> packed_filter(const Conv2dParams& g, const ArrayView& w, int64_t pitch) {
    constexpr int kCount = kLanes<T>;
    Buffer<T> packed(g.R * g.S * pitch);
    const int64_t step = w.strides[0];
    for (int64_t c = 0; c < pitch; c += kCount) {
        T* to = packed.data() + c;
        for (int64_t r = 0; r < g.R; ++r)
            for (int64_t s = 0; s < g.S; ++s, to += pitch) {
                const Stored* from = static_cast<const Stored*>(w.data) + c * step +
                                     r * w.strides[2] + s * w.strides[3];
                if (c + kCount <= g.C)
                    for (int lane = 0; lane < kCount; ++lane)
                        to[lane] = static_cast<T>(from[lane * step]);
                else
                    for (int lane = 0; lane < kCount; ++lane)
                        to[lane] = c + lane < g.C ? static_cast<T>(from[lane * step]) : T{0};
            }
    }
    return packed;
}

template <class Stored>
void gather_pixels(const Conv2dParams& g, const Gathers& gathers, const ArrayView& in,
                   const ArrayView& w, const ArrayView& out, const EpilogueView& epilogue) {
    using T = Accumulation<Stored>;
    const int64_t pitch = (g.C + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
    const Shape shape{g.N, g.C, in.shape[2], in.shape[3], out.shape[2], out.shape[3], pitch, g.S};
    const Buffer<T> filter = packed_filter<T, Stored>(g, w, pitch);
    const DenseInput<Stored> from(in, Layout::channels_last);
    const DenseOutput<Stored> to(out, Layout::channels_last);
    const DenseEpilogue<T, Stored> end(epilogue, Layout::channels_last);
    const Operands<T, Stored> operands{from.data(), to.data(), filter.data(), g.C, end.epilogue};
    Pass<T, Stored>(gathers, shape, operands).run();
    to.finish();
}

void gather(const Conv2dParams& g, const Gathers& gathers, const ArrayView& in, const ArrayView& w,
            const ArrayView& out, const EpilogueView& epilogue) {
    if (takes_planes(g, in, out)) return gather_planes(g, gathers, in, w, out, epilogue);
    with_float_dtype(out.dtype,
                     [&](auto t) { gather_pixels<decltype(t)>(g, gathers, in, w, out, epilogue); });
}

}  // namespace

void conv2d_fprop_depthwise(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                            const ArrayView& y, const EpilogueView& epilogue) {
    check_depthwise(p);
    gather(p, fprop_gathers(p), x, w, y, epilogue);
}

void conv2d_dgrad_depthwise(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                            const ArrayView& dx, const EpilogueView& epilogue) {
    check_depthwise(p);
    gather(p, dgrad_gathers(p), dy, w, dx, epilogue);
}

}  // namespace pycnn::PYCNN_ISA
