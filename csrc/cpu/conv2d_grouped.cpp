// Convolution in small groups, fprop and dgrad: 4, 8, 16 or 32 channels per group.
//
// Computes   fprop and dgrad of cpu/conv2d.h where a group has as many filters as channels
// Arrays     any strides; rows of the input are copied into a tile (cpu/conv2d_tiles.h), which
//            absorbs the layout, the halves and the borders. The filter is repacked
// Threads    one task per (image, band of rows, chunk of channels)
// Tiling     a vector holds several groups, or a group fills vectors. Groups that fill them: 14
//            pixels x 1 vector of output channels in registers (7 in narrow rows and with 16
//            registers); an input channel is broadcast once for all the filter's columns. Smaller
//            groups: 7 pixels x 1 vector; instead of broadcasting each input channel within its
//            group, the input's lanes change places with those at distance d, for every d below
//            the group's size, and meet filters packed to match: no lane is wasted, and an
//            exchanged vector serves all the filter's columns
// Traffic    3x3, 16 per group: 16 broadcasts and 3 loads for 42 fused multiplications of a vector;
//            4 per group: 3 exchanges and 1 load for 12. The roof is arithmetic
// Numerics   one accumulator per output in float32 for the halves; deterministic
// Refuses    other groups; strides above 32; padding and dilation far larger than the image
// Source     Krizhevsky et al. 2012; Xie et al. 2017, arXiv:1611.05431
#include "cpu/conv2d_grouped.h"

#include "cpu/conv2d.h"

namespace pycnn::PYCNN_ISA {
namespace {

// Outputs in registers: the fewer for narrow rows, and where lanes change places, which takes more
// registers for the filter.
constexpr int kFew = 7, kMany = kRegisters == 32 ? 14 : kFew;

// The taps of S columns next to each other, for kStep input channels or distances.
template <int S, int kStep, class T>
PYCNN_INLINE void load_taps(Vec<T> (&filter)[S][kStep], const T* taps, int64_t tap_column) {
    for (int s = 0; s < S; ++s)
        for (int d = 0; d < kStep; ++d) filter[s][d] = load(taps + s * tap_column + d * kLanes<T>);
}

// What the inputs of column j add to the outputs that see them: through taps s = j, j - kStride...
template <int S, int kStride, int kPixels, class V>
PYCNN_INLINE void add_input(V (&acc)[kPixels], V x, int j, const V* filter, int next) {
    for (int s = 0; s < S; ++s) {
        const int i = j - s;
        if (i < 0 || i % kStride != 0 || i / kStride >= kPixels) continue;
        acc[i / kStride] = fma(x, filter[s * next], acc[i / kStride]);
    }
}

// One row of a tile, kPixels outputs: S columns of taps next to each other.
template <int S, int kStride, int kSpan, int kPixels, class T>
PYCNN_INLINE void add_row(Vec<T> (&acc)[kPixels], const T* in, const T* taps, int64_t tap_column) {
    constexpr int kInputs = (kPixels - 1) * kStride + S;
    if constexpr (kFills<kSpan, T>) {
        for (int c = 0; c < kSpan; ++c) {
            Vec<T> filter[S][1];
            load_taps(filter, taps + c * kLanes<T>, tap_column);
            unrolled<kInputs>([&](auto j) {
                add_input<S, kStride>(acc, broadcast(in[j * kLanes<T> + c]), j, filter[0], 1);
            });
        }
    } else {
        constexpr int kStep = std::min(4, kSpan);
        unrolled<kSpan / kStep>([&](auto part) {
            Vec<T> filter[S][kStep];
            load_taps(filter, taps + part * kStep * kLanes<T>, tap_column);
            unrolled<kInputs>([&](auto j) {
                const Vec<T> v = exchange_lanes<part * kStep>(load(in + j * kLanes<T>));
                unrolled<kStep>([&](auto d) {
                    add_input<S, kStride>(acc, exchange_lanes<d>(v), j, filter[0] + d, kStep);
                });
            });
        });
    }
}

// The same for one column of taps, the outputs' inputs `step` apart.
template <int kSpan, int kPixels, class T>
PYCNN_INLINE void add_column(Vec<T> (&acc)[kPixels], const T* in, int64_t step, const T* taps) {
    if constexpr (kFills<kSpan, T>) {
        for (int c = 0; c < kSpan; ++c) {
            const Vec<T> filter = load(taps + c * kLanes<T>);
            unrolled<kPixels>(
                [&](auto i) { acc[i] = fma(broadcast(in[i * step + c]), filter, acc[i]); });
        }
    } else {
        constexpr int kStep = std::min(4, kSpan);
        unrolled<kSpan / kStep>([&](auto part) {
            Vec<T> filter[1][kStep];
            load_taps(filter, taps + part * kStep * kLanes<T>, 0);
            for (int i = 0; i < kPixels; ++i) {
                const Vec<T> v = exchange_lanes<part * kStep>(load(in + i * step));
                unrolled<kStep>(
                    [&](auto d) { acc[i] = fma(exchange_lanes<d>(v), filter[0][d], acc[i]); });
            }
        });
    }
}

// S = 0: any columns of taps, one by one.
template <int S, int kStride, int kSpan, int kPixels, class T>
void compute(const TileRow<T>& row, const Arrangement& w, const T* filter) {
    const GatherAxis &down = *row.down, &across = *row.across;
    const int64_t group = row.vector / w.vectors_per_group * w.vectors_per_group;
    const int64_t tap_column = across.tap_step * kSpan * kLanes<T>;
    const int64_t column = across.dilation * kLanes<T>, pixel = across.stride * kLanes<T>;
    for (int64_t j = 0; j < row.pixels; j += kPixels) {
        Vec<T> acc[kPixels]{};
        for (int64_t v = 0; v < w.vectors_per_group; ++v)
            for (int64_t r = row.first_row; r < row.end_row; ++r) {
                const T* in = row.tile + ((group + v - row.first_vector) * row.vector_step +
                                          row.in + r * row.in_row + j * pixel);
                const T* taps = filter + row.vector * w.length() +
                                w.tap(v, down.first_tap + r * down.tap_step, across.first_tap);
                if constexpr (S > 0)
                    add_row<S, kStride, kSpan>(acc, in, taps, tap_column);
                else
                    for (int64_t s = 0; s < across.taps; ++s)
                        add_column<kSpan>(acc, in + s * column, pixel, taps + s * tap_column);
            }
        for (int i = 0; i < kPixels; ++i) store(row.out + (j + i) * row.out_step, acc[i]);
    }
}

template <int kSpan, int kPixels, class T>
void compute_row(const TileRow<T>& row, const Arrangement& w, const T* filter) {
    const GatherAxis& across = *row.across;
    if (across.taps == 3 && across.dilation == 1 && across.stride == 1)
        return compute<3, 1, kSpan, kPixels>(row, w, filter);
    if (across.taps == 3 && across.dilation == 1 && across.stride == 2)
        return compute<3, 2, kSpan, kPixels>(row, w, filter);
    compute<0, 1, kSpan, kPixels>(row, w, filter);
}

// w (K,C/G,R,S) for fprop; for dgrad the roles of filters and channels are swapped.
template <class T, class Stored>
void pack_lanes(const Arrangement& order, const ArrayView& w, bool adjoint, int64_t vector,
                int64_t input, T* to) {
    constexpr int kCount = kLanes<T>;
    const int64_t each = order.span * kCount;
    int64_t from[kCount * kCount];  // where its first tap lies
    for (int64_t d = 0; d < order.span; ++d)
        for (int lane = 0; lane < kCount; ++lane) {
            const int64_t output = vector * kCount + lane;
            const int64_t other = order.input_channel(vector, input, lane, d);
            const int64_t k = adjoint ? output / order.per_group * order.per_group + other : output;
            const int64_t c = adjoint ? output % order.per_group : other;
            from[d * kCount + lane] = k * w.strides[0] + c * w.strides[1];
        }
    const bool whole = (vector + 1) * kCount <= order.C;
    for (int64_t r = 0; r < order.R; ++r)
        for (int64_t s = 0; s < order.S; ++s, to += each) {
            const Stored* tap =
                static_cast<const Stored*>(w.data) + r * w.strides[2] + s * w.strides[3];
            if (whole)
                for (int64_t i = 0; i < each; ++i) to[i] = static_cast<T>(tap[from[i]]);
            else
                for (int64_t i = 0; i < each; ++i)
                    to[i] = vector * kCount + i % kCount < order.C ? static_cast<T>(tap[from[i]])
                                                                   : T{0};
        }
}

// The same where groups fill vectors and channels lie next to each other: whole squares.
template <class T, class Stored>
void pack_squares(const Arrangement& order, const ArrayView& w, bool adjoint, int64_t vector,
                  int64_t input, T* to) {
    constexpr int kCount = kLanes<T>;
    const int64_t first = vector / order.vectors_per_group * order.per_group;
    const int64_t outputs = vector % order.vectors_per_group * kCount, inputs = input * kCount;
    const int64_t k = first + (adjoint ? inputs : outputs), c = adjoint ? outputs : inputs;
    const Stored* from = static_cast<const Stored*>(w.data) + k * w.strides[0] + c;
    for (int64_t r = 0; r < order.R; ++r)
        for (int64_t s = 0; s < order.S; ++s, to += kCount * kCount) {
            const Stored* tap = from + r * w.strides[2] + s * w.strides[3];
            Vec<T> square[kCount];
            for (int i = 0; i < kCount; ++i) square[i] = load(tap + i * w.strides[0]);
            if (!adjoint) transpose<T>(square);
            for (int i = 0; i < kCount; ++i) store(to + i * kCount, square[i]);
        }
}

template <class T, class Stored>
Buffer<T> packed_filter(const Arrangement& order, const ArrayView& w, bool adjoint) {
    Buffer<T> packed(order.vectors() * order.length());
    const int64_t inputs = order.vectors_per_group;
    const bool squares = order.span == kLanes<T> && w.strides[1] == 1;
    const double cost = static_cast<double>(order.length()) * (squares ? 0.1 : 1);
    parallel_for(order.vectors() * inputs, cost, [&](int64_t task) {
        const int64_t vector = task / inputs, input = task % inputs;
        T* to = packed.data() + vector * order.length() + order.tap(input, 0, 0);
        if (squares)
            pack_squares<T, Stored>(order, w, adjoint, vector, input, to);
        else
            pack_lanes<T, Stored>(order, w, adjoint, vector, input, to);
    });
    return packed;
}

template <class Stored>
void gather(const Conv2dParams& g, const Gathers& gathers, const ArrayView& in, const ArrayView& w,
            const ArrayView& out, const EpilogueView& epilogue, bool adjoint) {
    using T = Accumulation<Stored>;
    const Arrangement order(g, kLanes<T>);
    const Buffer<T> filter = packed_filter<T, Stored>(order, w, adjoint);
    const double cost = static_cast<double>(order.per_group * g.R * g.S) / 5;
    const auto rounded = [&](int64_t block) {
        int64_t sum = 0;
        for (const GatherAxis& axis : gathers.across) sum += ceil_div(axis.count, block) * block;
        return sum;
    };
    with_span<T>(order.span, [&](auto span) {
        const auto run = [&](auto pixels) {
            tiled_gather<T, Stored>(gathers, in, out, epilogue, order.vectors_per_group, pixels,
                                    cost, kFills<span, T> ? 16 : 4, [&](const TileRow<T>& row) {
                                        compute_row<span, pixels>(row, order, filter.data());
                                    });
        };
        if constexpr (kFills<span, T> && kMany > kFew)
            if (rounded(kMany) == rounded(kFew)) return run(std::integral_constant<int, kMany>{});
        run(std::integral_constant<int, kFew>{});
    });
}

}  // namespace

void conv2d_fprop_grouped(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                          const ArrayView& y, const EpilogueView& epilogue) {
    check_grouped(p);
    with_float_dtype(y.dtype, [&](auto t) {
        gather<decltype(t)>(p, fprop_gathers(p), x, w, y, epilogue, false);
    });
}

void conv2d_dgrad_grouped(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                          const ArrayView& dx, const EpilogueView& epilogue) {
    check_grouped(p);
    with_float_dtype(dx.dtype, [&](auto t) {
        gather<decltype(t)>(p, dgrad_gathers(p), dy, w, dx, epilogue, true);
    });
}

}  // namespace pycnn::PYCNN_ISA
