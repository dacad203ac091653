// Resampling: along the width first, then along the height.
//
// Computes   cpu/resize2d.h: every mode, and the gradients, which are other tables
// Arrays     contiguous or channels-last, others are copied; halves are widened as they are read
// Threads    blocks of rows of the output, per image (channels-last: and block of channels) or
//            plane
// Tiling     rows resampled along the width wait in a ring of workspaces until no output row
//            needs them. Channels-last with 2 x 2 taps at most: no workspace, four loads a vector.
//            One tap without weights (nearest): elements are copied as they are stored
// Traffic    x read once from memory, y written once; the ring lives in the second-level cache
// Numerics   in accumulation dtype, the taps of a table in its order, rounded once; what is no tap
//            is not read, so that infinity and NaN stay where they belong
// Refuses    nothing
// Source     the tables: pycnn/providers/resize_tables.py
#include "primitives/resize2d.h"

#include <algorithm>
#include <cstring>

#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {
namespace {

// One axis with weights in the type they are used in.
template <class A>
struct Axis {
    explicit Axis(const ResizeAxis& a) : first(a.first.data()), source(a.source.data()) {
        weights.assign(a.weight.begin(), a.weight.end());
    }
    int64_t begin(int64_t output) const { return first[output]; }
    int64_t end(int64_t output) const { return first[output + 1]; }
    A weight(int64_t tap) const { return weights[static_cast<size_t>(tap)]; }
    const int64_t *first, *source;
    std::vector<A> weights;
};

// Sizes, the channels innermost: a contiguous array is one of N*C images with one channel.
struct Sizes {
    int64_t N, C, H, W, P, Q;
};

template <class T>
PYCNN_INLINE Vec<Accumulation<T>> load_some(const T* from, int n) {
    return n == kLanes<Accumulation<T>> ? load(from) : load(from, n);
}

template <class T>
PYCNN_INLINE void store_some(T* to, Vec<Accumulation<T>> v, int n) {
    if (n == kLanes<Accumulation<T>>)
        store(to, v);
    else
        store(to, v, n);
}

// Cuts the output rows of every image so that a few images still keep every thread busy.
int64_t rows_per_task(int64_t images, int64_t P) {
    const int64_t wanted = std::min<int64_t>(P, std::max<int64_t>(16 / images, 1));
    return (P + wanted - 1) / wanted;
}

// --- nearest -------------------------------------------------------------------------------------

// Elements of `bytes` bytes.
void copy_pixels(const ResizeAxis& h, const ResizeAxis& w, const Sizes& g, int64_t bytes,
                 const char* x, char* y) {
    const int64_t rows = rows_per_task(g.N, g.P), blocks = (g.P + rows - 1) / rows;
    const int64_t pixel = g.C * bytes, row = g.Q * pixel;
    const double cost = static_cast<double>(rows * g.Q) * (1.0 + 0.05 * static_cast<double>(pixel));
    const auto gather = [&](const auto* from, auto* to) {
        for (int64_t q = 0; q < g.Q; ++q) to[q] = from[w.source[static_cast<size_t>(q)]];
    };
    parallel_for(g.N * blocks, cost, [&](int64_t task) {
        const int64_t n = task / blocks, begin = task % blocks * rows;
        for (int64_t p = begin; p < std::min(g.P, begin + rows); ++p) {
            const int64_t source = h.source[static_cast<size_t>(p)];
            const char* from = x + (n * g.H + source) * g.W * pixel;
            char* to = y + (n * g.P + p) * row;
            if (p > begin && source == h.source[static_cast<size_t>(p - 1)])
                std::memcpy(to, to - row, static_cast<size_t>(row));
            else if (pixel == 1)
                gather(reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to));
            else if (g.C == 1 && bytes == 2)
                gather(reinterpret_cast<const uint16_t*>(from), reinterpret_cast<uint16_t*>(to));
            else if (g.C == 1 && bytes == 4)
                gather(reinterpret_cast<const uint32_t*>(from), reinterpret_cast<uint32_t*>(to));
            else if (g.C == 1)
                gather(reinterpret_cast<const uint64_t*>(from), reinterpret_cast<uint64_t*>(to));
            else
                for (int64_t q = 0; q < g.Q; ++q)
                    std::memcpy(to + q * pixel, from + w.source[static_cast<size_t>(q)] * pixel,
                                static_cast<size_t>(pixel));
        }
    });
}

// --- two taps per axis at most, channels-last ----------------------------------------------------

// U vectors of channels of output (p, q), the last of n channels; `x` is the image.
template <class T, int U>
PYCNN_INLINE void blend(const Axis<Accumulation<T>>& h, const Axis<Accumulation<T>>& w,
                        const Sizes& g, int64_t p, int64_t q, const T* x, T* y, int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    Vec<A> total[U];
    for (int u = 0; u < U; ++u) total[u] = zero<A>();
    for (int64_t t = h.begin(p); t < h.end(p); ++t) {
        const T* row = x + h.source[t] * g.W * g.C;
        Vec<A> sum[U];
        for (int u = 0; u < U; ++u) sum[u] = zero<A>();
        for (int64_t s = w.begin(q); s < w.end(q); ++s) {
            const Vec<A> weight = broadcast<A>(w.weight(s));
            for (int u = 0; u < U; ++u)
                sum[u] = fma(load_some(row + w.source[s] * g.C + u * L, n), weight, sum[u]);
        }
        const Vec<A> weight = broadcast<A>(h.weight(t));
        for (int u = 0; u < U; ++u) total[u] = fma(sum[u], weight, total[u]);
    }
    for (int u = 0; u < U; ++u) store_some(y + u * L, total[u], n);
}

// U vectors of channels, the last of n channels; two taps along both axes.
template <class T, int U>
PYCNN_INLINE void blend_four(const Axis<Accumulation<T>>& h, const Axis<Accumulation<T>>& w,
                             const Sizes& g, int64_t p, int64_t q, const T* x, T* y, int n) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    const int64_t t = h.begin(p), s = w.begin(q);
    const T *top = x + h.source[t] * g.W * g.C, *bottom = x + h.source[t + 1] * g.W * g.C;
    const int64_t left = w.source[s] * g.C, right = w.source[s + 1] * g.C;
    const Vec<A> up = broadcast<A>(h.weight(t)), down = broadcast<A>(h.weight(t + 1)),
                 a = broadcast<A>(w.weight(s)), b = broadcast<A>(w.weight(s + 1));
    for (int u = 0; u < U; ++u) {
        const auto along = [&](const T* row) {
            return fma(load_some(row + right + u * L, n), b, load_some(row + left + u * L, n) * a);
        };
        const Vec<A> above = along(top), below = along(bottom);
        store_some(y + u * L, fma(below, down, above * up), n);
    }
}

template <class T>
void blend_channels(const Axis<Accumulation<T>>& h, const Axis<Accumulation<T>>& w, const Sizes& g,
                    const T* x, T* y) {
    constexpr int L = kLanes<Accumulation<T>>;
    const double cost = 0.15 * static_cast<double>(g.Q * g.C);
    parallel_for(g.N * g.P, cost, [&](int64_t np) {
        const T* image = x + np / g.P * g.H * g.W * g.C;
        const bool two_rows = h.end(np % g.P) - h.begin(np % g.P) == 2;
        for (int64_t q = 0; q < g.Q; ++q) {
            T* to = y + (np * g.Q + q) * g.C;
            int64_t c = 0;
            const bool four = two_rows && w.end(q) - w.begin(q) == 2;
            for (; c + 4 * L <= g.C; c += 4 * L) {
                if (four)
                    blend_four<T, 4>(h, w, g, np % g.P, q, image + c, to + c, L);
                else
                    blend<T, 4>(h, w, g, np % g.P, q, image + c, to + c, L);
            }
            for (; c < g.C; c += L) {
                const int n = static_cast<int>(std::min<int64_t>(L, g.C - c));
                if (four)
                    blend_four<T, 1>(h, w, g, np % g.P, q, image + c, to + c, n);
                else
                    blend<T, 1>(h, w, g, np % g.P, q, image + c, to + c, n);
            }
        }
    });
}

// --- any taps ------------------------------------------------------------------------------------

// One row along the width: channels [first, first + channels) of Q pixels.
template <class T>
void resample_row(const Axis<Accumulation<T>>& w, const Sizes& g, int64_t first, int64_t channels,
                  const T* x, Accumulation<T>* row) {
    using A = Accumulation<T>;
    constexpr int L = kLanes<A>;
    for (int64_t q = 0; q < g.Q; ++q)
        for (int64_t c = 0; c < channels; c += L) {
            const int n = static_cast<int>(std::min<int64_t>(L, channels - c));
            Vec<A> sum = zero<A>();
            for (int64_t s = w.begin(q); s < w.end(q); ++s)
                sum = fma(load_some(x + w.source[s] * g.C + first + c, n),
                          broadcast<A>(w.weight(s)), sum);
            store_some(row + q * channels + c, sum, n);
        }
}

// The same with one channel: pixels are neighbours. TAPS per output, or as many as there are if 0.
template <class A, int TAPS>
void resample_plane_row(const Axis<A>& w, const Sizes& g, const A* x, A* row) {
    const int64_t* source = w.source;
    const A* weight = w.weights.data();
    for (int64_t q = 0; q < g.Q; ++q) {
        A sum = 0;
        if constexpr (TAPS > 0) {
#pragma GCC unroll 4
            for (int s = 0; s < TAPS; ++s) sum += x[source[q * TAPS + s]] * weight[q * TAPS + s];
        } else {
            for (int64_t s = w.begin(q); s < w.end(q); ++s) sum += x[source[s]] * weight[s];
        }
        row[q] = sum;
    }
}

// How many taps every output has, 0 where they differ.
int64_t equal_taps(const ResizeAxis& a) {
    for (size_t i = 0; i + 1 < a.first.size(); ++i)
        if (a.first[i + 1] - a.first[i] != a.first[1]) return 0;
    return a.first.back() == 0 ? 0 : a.first[1];
}

// Rows resampled along the width, kept until another one takes their place: `span` neighbours.
template <class A>
class Ring {
  public:
    Ring(int64_t span, int64_t length)
        : span_(span),
          length_(length),
          rows_(span * length),
          held_(static_cast<size_t>(span), -1) {}
    // The row of input row h; make(row) fills it where it is not held.
    template <class F>
    const A* get(int64_t h, F&& make) {
        A* row = rows_.data() + h % span_ * length_;
        if (std::exchange(held_[static_cast<size_t>(h % span_)], h) != h) make(row);
        return row;
    }

  private:
    int64_t span_, length_;
    Buffer<A> rows_;
    std::vector<int64_t> held_;
};

// The most input rows from the first to the last tap of an output row.
int64_t widest(const ResizeAxis& a) {
    int64_t widest = 1;
    for (size_t i = 0; i + 1 < a.first.size(); ++i) {
        if (a.first[i] == a.first[i + 1]) continue;
        const auto [least, most] =
            std::minmax_element(a.source.begin() + a.first[i], a.source.begin() + a.first[i + 1]);
        widest = std::max(widest, *most - *least + 1);
    }
    return widest;
}

template <class T>
void resample(const ResizeAxis& along_h, const ResizeAxis& along_w, const Axis<Accumulation<T>>& h,
              const Axis<Accumulation<T>>& w, const Sizes& g, const T* x, T* y) {
    using A = Accumulation<T>;
    constexpr int64_t L = kLanes<A>, kCache = 512 * 1024;
    const int64_t span = widest(along_h), taps = equal_taps(along_w);
    const auto plane_row = taps == 1   ? resample_plane_row<A, 1>
                           : taps == 2 ? resample_plane_row<A, 2>
                           : taps == 4 ? resample_plane_row<A, 4>
                                       : resample_plane_row<A, 0>;
    const int64_t fit = kCache / (span * g.Q * static_cast<int64_t>(sizeof(A))) / 64 * 64;
    const int64_t channels = std::min(g.C, std::max<int64_t>(fit, 64));
    const int64_t pieces = (g.C + channels - 1) / channels;
    const int64_t rows = rows_per_task(g.N * pieces, g.P), blocks = (g.P + rows - 1) / rows;
    const double cost = 0.5 * static_cast<double>(rows * g.Q * channels);
    parallel_for(g.N * pieces * blocks, cost, [&](int64_t task) {
        const int64_t n = task / (pieces * blocks), first = task / blocks % pieces * channels,
                      begin = task % blocks * rows, some = std::min(channels, g.C - first);
        Ring<A> ring(span, g.Q * some);
        const Buffer<A> wide(std::is_same_v<T, A> ? 0 : g.W + L), sums(g.Q * some);
        for (int64_t p = begin; p < std::min(g.P, begin + rows); ++p) {
            std::fill_n(sums.data(), g.Q * some, A{0});
            for (int64_t t = h.begin(p); t < h.end(p); ++t) {
                const A* row = ring.get(h.source[t], [&](A* to) {
                    const T* from = x + (n * g.H + h.source[t]) * g.W * g.C;
                    if (g.C > 1) return resample_row(w, g, first, some, from, to);
                    if constexpr (std::is_same_v<T, A>) {
                        plane_row(w, g, from, to);
                    } else {
                        for (int64_t i = 0; i < g.W; i += L)
                            store(wide.data() + i,
                                  load_some(from + i, static_cast<int>(std::min(L, g.W - i))));
                        plane_row(w, g, wide.data(), to);
                    }
                });
                const Vec<A> weight = broadcast<A>(h.weight(t));
                for (int64_t i = 0; i < g.Q * some; i += L) {
                    const int m = static_cast<int>(std::min(L, g.Q * some - i));
                    store_some(sums.data() + i,
                               fma(load_some(row + i, m), weight, load_some(sums.data() + i, m)),
                               m);
                }
            }
            T* to = y + (n * g.P + p) * g.Q * g.C + first;
            const int64_t run = some == g.C ? g.Q * some : some;
            for (int64_t start = 0; start < g.Q * some; start += run, to += g.C)
                for (int64_t i = 0; i < run; i += L) {
                    const int m = static_cast<int>(std::min(L, run - i));
                    store_some(to + i, load_some(sums.data() + start + i, m), m);
                }
        }
    });
}

Sizes sizes_of(const ArrayView& x, const ArrayView& y, Layout layout) {
    const int64_t N = x.shape[0], C = x.shape[1];
    const bool last = layout == Layout::channels_last;
    return {last ? N : N * C, last ? C : 1, x.shape[2], x.shape[3], y.shape[2], y.shape[3]};
}

Layout layout_of(const ArrayView& x, const ArrayView& y) {
    for (const ArrayView* view : {&y, &x}) {
        if (is_contiguous(*view)) return Layout::contiguous;
        if (is_channels_last(*view)) return Layout::channels_last;
    }
    return Layout::channels_last;
}

// Elements are copied as numbers of their size.
template <class T>
void copy_as(const ResizeAxis& h, const ResizeAxis& w, ArrayView x, ArrayView y, DType dtype) {
    x.dtype = y.dtype = dtype;
    const Layout layout = layout_of(x, y);
    const DenseInput<T> from(x, layout);
    const DenseOutput<T> to(y, layout);
    copy_pixels(h, w, sizes_of(x, y, layout), sizeof(T), reinterpret_cast<const char*>(from.data()),
                reinterpret_cast<char*>(to.data()));
    to.finish();
}

bool two_taps_at_most(const ResizeAxis& a) {
    for (size_t i = 0; i + 1 < a.first.size(); ++i)
        if (a.first[i + 1] - a.first[i] > 2) return false;
    return true;
}

}  // namespace

void resize2d(const ResizeAxis& along_h, const ResizeAxis& along_w, const ArrayView& x,
              const ArrayView& y) {
    if (along_h.copies() && along_w.copies()) {
        switch (info(x.dtype).bytes) {
            case 1: return copy_as<uint8_t>(along_h, along_w, x, y, DType::u8);
            case 2: return copy_as<Float16>(along_h, along_w, x, y, DType::f16);
            case 4: return copy_as<int32_t>(along_h, along_w, x, y, DType::i32);
            default: return copy_as<int64_t>(along_h, along_w, x, y, DType::i64);
        }
    }
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        const Layout layout = layout_of(x, y);
        const DenseInput<T> from(x, layout);
        const DenseOutput<T> to(y, layout);
        const Sizes g = sizes_of(x, y, layout);
        const Axis<Accumulation<T>> h(along_h), w(along_w);
        if (g.C >= 8 && two_taps_at_most(along_h) && two_taps_at_most(along_w))
            blend_channels(h, w, g, from.data(), to.data());
        else
            resample(along_h, along_w, h, w, g, from.data(), to.data());
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
