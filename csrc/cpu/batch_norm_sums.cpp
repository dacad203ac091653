// The sums of batch normalisation: statistics, and those its gradient needs.
//
// Computes   stats and reduce of cpu/batch_norm.h
// Arrays     any strides: rows of channels (channels-last) or planes (contiguous) are read in
//            place, anything else through a dense copy in the walk of x; rows of few channels are
//            folded into rows of whole vectors
// Threads    slabs of rows, and groups of channels where rows are few; planes: channels, each cut
//            where there are fewer than threads
// Tiling     blocks of up to 8 vectors of channels by 64 rows: two accumulators and the pivot of
//            each vector stay in registers
// Traffic    every operand is read once, y behind a ReLU not at all: its sign follows from x; a
//            block that has no pivot yet is read again, from L1
// Numerics   m2 of a chunk of rows is sum d^2 - (sum d)^2 / rows for the deviations d from a pivot,
//            the mean of the rows before it: all the cancellation together is then at most a few
//            times m2 itself. The first chunk takes its own mean as pivot, in a second pass. Chunks
//            are summed in accumulation dtype, and merged in float64
// Refuses    nothing
// Source     Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance: analysis and
//            recommendations", The American Statistician 37
#include "cpu/batch_norm_layout.h"
#include "cpu/parallel.h"
#include "primitives/batch_norm.h"

namespace pycnn::PYCNN_ISA {
namespace {

// What is known of a channel's elements so far: they merge.
struct Moments {
    double count = 0, mean = 0, m2 = 0;

    PYCNN_INLINE void merge(double other_count, double other_mean, double other_m2) {
        const double all = count + other_count;
        if (all == 0) return;
        const double delta = other_mean - mean, share = other_count / all;
        mean += delta * share;
        m2 += other_m2 + delta * delta * count * share;
        count = all;
    }
};

// How rows are shared: slabs of rows times groups of channels.
struct Shares {
    int64_t slabs, groups, rows, channels;  // rows of a slab, channels of a group
};

template <class A>
Shares shares(int64_t rows, int64_t channels) {
    constexpr int64_t block = 4 * kLanes<A>;
    const int64_t threads = num_threads();
    Shares s{};
    const int64_t most = threads == 1                        ? 1
                         : rows < 16 * kRowsAtOnce * threads ? threads
                                                             : 4 * threads;
    s.slabs = std::clamp<int64_t>(rows / 32, 1, most);
    s.rows = (rows + s.slabs - 1) / s.slabs;
    s.groups = s.slabs >= threads ? 1 : (threads + s.slabs - 1) / s.slabs;
    s.channels = ((channels + s.groups - 1) / s.groups + block - 1) / block * block;
    s.groups = (channels + s.channels - 1) / s.channels;
    return s;
}

// Calls body(slab, first row, end, first channel, end) for every share of the rows.
template <class T, class F>
void for_shares(const Shares& s, int64_t rows, int64_t channels, int arrays, F&& body) {
    const double cost = kNanosecondsPerByte * arrays * sizeof(T) *
                        static_cast<double>(s.rows * std::min(s.channels, channels));
    parallel_for(s.slabs * s.groups, cost, [&](int64_t task) {
        const int64_t slab = task / s.groups, c = task % s.groups * s.channels;
        const int64_t first = std::min(rows, slab * s.rows);
        body(slab, first, std::min(rows, first + s.rows), c, std::min(channels, c + s.channels));
    });
}

// --- statistics ----------------------------------------------------------------------------------

template <int Width, class T, class V>
PYCNN_INLINE void sum_deviations(const T* x, int64_t pitch, int64_t rows, int n, const V* pivot,
                                 V* sum, V* squares) {
    using A = Accumulation<T>;
#pragma GCC unroll 8
    for (int i = 0; i < Width; ++i) sum[i] = squares[i] = zero<A>();
    for (int64_t r = 0; r < rows; ++r, x += pitch) {
#pragma GCC unroll 8
        for (int i = 0; i < Width; ++i) {
            const V d = read(x + i * kLanes<A>, n) - pivot[i];
            sum[i] = sum[i] + d;
            squares[i] = fma(d, d, squares[i]);
        }
    }
}

// mean and m2 of the channels [begin, end) over some rows.
template <class T>
void stats_of_rows(const T* x, int64_t pitch, int64_t rows, int64_t begin, int64_t end,
                   double* mean, double* m2) {
    using A = Accumulation<T>;
    using V = Vec<A>;
    constexpr int lanes = kLanes<A>;
    for (int64_t row = 0; row < rows; row += kRowsAtOnce) {
        const int64_t some = std::min(kRowsAtOnce, rows - row);
        const double before = static_cast<double>(row), count = static_cast<double>(some);
        const double share = count / (before + count), both = before * share;
        channel_blocks<8, A>(begin, end, [&](auto width, int64_t c, int n) {
            constexpr int W = decltype(width)::value;
            alignas(64) A pivots[W * lanes], sums[W * lanes], squared[W * lanes];
            V pivot[W], sum[W], squares[W];
            const T* from = x + row * pitch + c;
            if (row == 0) {
                for (int i = 0; i < W; ++i) pivot[i] = read(from + i * lanes, n);
                sum_deviations<W>(from, pitch, some, n, pivot, sum, squares);
                for (int i = 0; i < W; ++i) pivot[i] = pivot[i] + sum[i] / static_cast<A>(some);
            } else {
                for (int i = 0; i < W * lanes; ++i)
                    pivots[i] = W > 1 || i < n ? static_cast<A>(mean[c + i]) : A(0);
                for (int i = 0; i < W; ++i) pivot[i] = load(pivots + i * lanes);
            }
            sum_deviations<W>(from, pitch, some, n, pivot, sum, squares);
            for (int i = 0; i < W; ++i) {
                store(pivots + i * lanes, pivot[i]);
                store(sums + i * lanes, sum[i]);
                store(squared + i * lanes, squares[i]);
            }
            const int live = W > 1 ? W * lanes : n;
            for (int i = 0; i < live; ++i) {
                const double s = sums[i], average = s / count;
                const double old = row == 0 ? 0.0 : mean[c + i];
                const double delta = (static_cast<double>(pivots[i]) + average) - old;
                const double own = std::max(static_cast<double>(squared[i]) - s * average, 0.0);
                m2[c + i] = (row == 0 ? 0.0 : m2[c + i]) + own + delta * delta * both;
                mean[c + i] = old + delta * share;
            }
        });
    }
}

template <class T>
void stats_rows(const Walked<const T>& x, int64_t rows, int64_t C, double* mean, double* m2) {
    using A = Accumulation<T>;
    const Fold fold = folded<A>(rows, C, x.pitch == C);
    const int64_t pitch = fold.times > 1 ? fold.channels : x.pitch;
    const Shares s = shares<A>(fold.rows, fold.channels);
    const Buffer<double> means(s.slabs * fold.channels), m2s(s.slabs * fold.channels);
    for_shares<T>(s, fold.rows, fold.channels, 1,
                  [&](int64_t slab, int64_t first, int64_t last, int64_t begin, int64_t end) {
                      stats_of_rows(x.data + first * pitch, pitch, last - first, begin, end,
                                    means.data() + slab * fold.channels,
                                    m2s.data() + slab * fold.channels);
                  });
    for (int64_t c = 0; c < C; ++c) {
        Moments all;
        for (int64_t slab = 0; slab < s.slabs; ++slab) {
            const int64_t first = std::min(fold.rows, slab * s.rows);
            const auto count = static_cast<double>(std::min(fold.rows, first + s.rows) - first);
            if (count == 0) continue;
            for (int64_t i = slab * fold.channels + c; i < (slab + 1) * fold.channels; i += C)
                all.merge(count, means[i], m2s[i]);
        }
        for (int64_t i = c; i < fold.rest; i += C)
            all.merge(1, static_cast<double>(static_cast<A>(x.data[fold.rows * pitch + i])), 0);
        mean[c] = all.mean;
        m2[c] = all.m2;
    }
}

// --- planes --------------------------------------------------------------------------------------

constexpr int64_t kPlaneChunk = 4096;

// The stretches of a channel's elements [begin, end), its planes one after the other:
// body(n, s, count).
template <class F>
PYCNN_INLINE void for_stretches(int64_t begin, int64_t end, int64_t S, F&& body) {
    for (int64_t n = begin / S, s = begin % S; begin < end; ++n, s = 0) {
        const int64_t count = std::min(S - s, end - begin);
        body(n, s, count);
        begin += count;
    }
}

// Two sums over a chunk, four vectors of each.
template <class A>
struct PlaneSums {
    Vec<A> first[4]{}, second[4]{};

    // add(offset, n, first, second) adds n elements.
    template <class F>
    PYCNN_INLINE void over(int64_t count, F&& add) {
        constexpr int lanes = kLanes<A>;
        int64_t i = 0;
        for (; i + 4 * lanes <= count; i += 4 * lanes)
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) add(i + k * lanes, lanes, first[k], second[k]);
        for (; i < count; i += lanes)
            add(i, static_cast<int>(std::min<int64_t>(lanes, count - i)), first[0], second[0]);
    }
    A total(const Vec<A> (&v)[4]) const { return sum_of_lanes((v[0] + v[1]) + (v[2] + v[3])); }
};

// How the elements of a channel are cut: a few parts where there are fewer channels than threads.
int64_t plane_parts(int64_t C, int64_t count) {
    const int64_t threads = num_threads();
    if (C >= 2 * threads) return 1;
    return std::clamp<int64_t>(count / kPlaneChunk, 1, (2 * threads + C - 1) / C);
}

template <class T>
Moments stats_of_plane(const Walked<const T>& x, int64_t c, int64_t begin, int64_t end, int64_t S) {
    using A = Accumulation<T>;
    Moments all;
    const T* channel = x.data + c * x.c;
    for (int64_t at = begin; at < end; at += kPlaneChunk) {
        const int64_t stop = std::min(end, at + kPlaneChunk);
        const auto count = static_cast<double>(stop - at);
        A pivot =
            at == begin ? static_cast<A>(channel[at / S * x.n + at % S]) : static_cast<A>(all.mean);
        for (int pass = at == begin ? 0 : 1; pass < 2; ++pass) {
            A pivots[kLanes<A>];
            store(pivots, broadcast<A>(pivot));
            PlaneSums<A> sums;
            for_stretches(at, stop, S, [&](int64_t n, int64_t s, int64_t length) {
                const T* from = channel + n * x.n + s;
                const auto whole = broadcast<A>(pivot);
                sums.over(length, [&](int64_t i, int k, Vec<A>& sum, Vec<A>& squares) {
                    const Vec<A> d = k == kLanes<A> ? load(from + i) - whole
                                                    : load(from + i, k) - load(pivots, k);
                    sum = sum + d;
                    squares = fma(d, d, squares);
                });
            });
            const double sum = sums.total(sums.first), average = sum / count;
            if (pass == 0) {
                pivot += static_cast<A>(average);
                continue;
            }
            const double own = static_cast<double>(sums.total(sums.second)) - sum * average;
            all.merge(count, static_cast<double>(pivot) + average, std::max(own, 0.0));
        }
    }
    return all;
}

template <class T>
void stats_planes(const Walked<const T>& x, int64_t N, int64_t C, int64_t S, double* mean,
                  double* m2) {
    const int64_t count = N * S, parts = plane_parts(C, count);
    const Buffer<Moments> moments(C * parts);
    const double cost = kNanosecondsPerByte * sizeof(T) * static_cast<double>(count / parts) + 20;
    parallel_ranges(C * parts, 8 * num_threads(), cost, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const int64_t part = i % parts;
            moments[i] =
                stats_of_plane(x, i / parts, count * part / parts, count * (part + 1) / parts, S);
        }
    });
    for (int64_t c = 0; c < C; ++c) {
        Moments all;
        for (int64_t part = 0; part < parts; ++part) {
            const Moments& m = moments[c * parts + part];
            all.merge(m.count, m.mean, m.m2);
        }
        mean[c] = all.mean;
        m2[c] = all.m2;
    }
}

// --- sums of the gradient ------------------------------------------------------------------------

// sum dy and sum dy * (x - mean) of the channels [begin, end) over some rows.
template <bool Relu, class T>
void reduce_rows_of(const T* dy, int64_t dy_pitch, const T* x, int64_t x_pitch, int64_t rows,
                    int64_t begin, int64_t end, const Output<Accumulation<T>>& y, double* sum_dy,
                    double* sum_product) {
    using A = Accumulation<T>;
    using V = Vec<A>;
    constexpr int lanes = kLanes<A>;
    constexpr int kMost = Relu ? 4 : 8;  // with their parameters they fill the registers
    const A *mean = y.mean.data(), *scale = y.scale.data(), *bias = y.bias.data();
    for (int64_t row = 0; row < rows; row += kRowsAtOnce) {
        const int64_t some = std::min(kRowsAtOnce, rows - row);
        channel_blocks<kMost, A>(begin, end, [&](auto width, int64_t c, int n) {
            constexpr int W = decltype(width)::value;
            V middle[W], factor[W], shift[W], sum[W], product[W];
#pragma GCC unroll 8
            for (int i = 0; i < W; ++i) {
                middle[i] = read(mean + c + i * lanes, n);
                if constexpr (Relu) {
                    factor[i] = read(scale + c + i * lanes, n);
                    shift[i] = read(bias + c + i * lanes, n);
                }
                sum[i] = product[i] = zero<A>();
            }
            const T *gradient = dy + row * dy_pitch + c, *from = x + row * x_pitch + c;
            for (int64_t r = 0; r < some; ++r, gradient += dy_pitch, from += x_pitch) {
#pragma GCC unroll 8
                for (int i = 0; i < W; ++i) {
                    V g = read(gradient + i * lanes, n);
                    const V d = read(from + i * lanes, n) - middle[i];
                    if constexpr (Relu) g = behind_relu<A>(g, fma(d, factor[i], shift[i]));
                    sum[i] = sum[i] + g;
                    product[i] = fma(g, d, product[i]);
                }
            }
            alignas(64) A sums[W * lanes], products[W * lanes];
            for (int i = 0; i < W; ++i) {
                store(sums + i * lanes, sum[i]);
                store(products + i * lanes, product[i]);
            }
            const int live = W > 1 ? W * lanes : n;
            for (int i = 0; i < live; ++i) {
                sum_dy[c + i] = (row == 0 ? 0.0 : sum_dy[c + i]) + sums[i];
                sum_product[c + i] = (row == 0 ? 0.0 : sum_product[c + i]) + products[i];
            }
        });
    }
}

template <bool Relu, class T>
void reduce_rows(const BatchNormReduce& a, const Walked<const T>& dy, const Walked<const T>& x,
                 int64_t rows, int64_t C, double* sum_dy, double* sum_product) {
    using A = Accumulation<T>;
    const Fold fold = folded<A>(rows, C, dy.pitch == C && x.pitch == C);
    const int64_t dy_pitch = fold.times > 1 ? fold.channels : dy.pitch;
    const int64_t x_pitch = fold.times > 1 ? fold.channels : x.pitch;
    const Output<A> y = output_of<A>(a, fold.times);
    const Shares s = shares<A>(fold.rows, fold.channels);
    const Buffer<double> sums(s.slabs * fold.channels), products(s.slabs * fold.channels);
    for_shares<T>(s, fold.rows, fold.channels, 2,
                  [&](int64_t slab, int64_t first, int64_t last, int64_t begin, int64_t end) {
                      reduce_rows_of<Relu>(dy.data + first * dy_pitch, dy_pitch,
                                           x.data + first * x_pitch, x_pitch, last - first, begin,
                                           end, y, sums.data() + slab * fold.channels,
                                           products.data() + slab * fold.channels);
                  });
    for (int64_t c = 0; c < C; ++c) {
        double sum = 0, product = 0;
        for (int64_t slab = 0; slab < s.slabs; ++slab) {
            if (slab * s.rows >= fold.rows) continue;
            for (int64_t i = slab * fold.channels + c; i < (slab + 1) * fold.channels; i += C) {
                sum += sums[i];
                product += products[i];
            }
        }
        for (int64_t i = c; i < fold.rest; i += C) {
            const auto g = static_cast<double>(static_cast<A>(dy.data[fold.rows * dy_pitch + i]));
            const A d = static_cast<A>(x.data[fold.rows * x_pitch + i]) - y.mean[c];
            if constexpr (Relu) {
                const auto one = [](A v) { return broadcast<A>(v); };
                if (fma(one(d), one(y.scale[c]), one(y.bias[c]))[0] <= 0) continue;
            }
            sum += g;
            product += g * static_cast<double>(d);
        }
        sum_dy[c] = sum;
        sum_product[c] = product;
    }
}

template <bool Relu, class T>
void reduce_planes(const BatchNormReduce& a, const Walked<const T>& dy, const Walked<const T>& x,
                   int64_t N, int64_t C, int64_t S, double* sum_dy, double* sum_product) {
    using A = Accumulation<T>;
    const int64_t count = N * S, parts = plane_parts(C, count);
    const Output<A> y = output_of<A>(a, 1);
    const Buffer<double> sums(C * parts), products(C * parts);
    const double cost =
        2 * kNanosecondsPerByte * sizeof(T) * static_cast<double>(count / parts) + 20;
    parallel_ranges(C * parts, 8 * num_threads(), cost, [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; ++task) {
            const int64_t c = task / parts, part = task % parts;
            const int64_t end = count * (part + 1) / parts;
            const auto center = broadcast<A>(y.mean[c]);
            const auto factor = broadcast<A>(y.scale[c]), shift = broadcast<A>(y.bias[c]);
            sums[task] = products[task] = 0;
            for (int64_t at = count * part / parts; at < end; at += kPlaneChunk) {
                PlaneSums<A> both;
                for_stretches(at, std::min(end, at + kPlaneChunk), S,
                              [&](int64_t n, int64_t s, int64_t length) {
                                  const T* gradient = dy.data + n * dy.n + c * dy.c + s;
                                  const T* from = x.data + n * x.n + c * x.c + s;
                                  both.over(length,
                                            [&](int64_t i, int k, Vec<A>& sum, Vec<A>& product) {
                                                Vec<A> g = read(gradient + i, k);
                                                const Vec<A> d = read(from + i, k) - center;
                                                if constexpr (Relu)
                                                    g = behind_relu<A>(g, fma(d, factor, shift));
                                                sum = sum + g;
                                                product = fma(g, d, product);
                                            });
                              });
                sums[task] += both.total(both.first);
                products[task] += both.total(both.second);
            }
        }
    });
    for (int64_t c = 0; c < C; ++c) {
        sum_dy[c] = sum_product[c] = 0;
        for (int64_t part = 0; part < parts; ++part) {
            sum_dy[c] += sums[c * parts + part];
            sum_product[c] += products[c * parts + part];
        }
    }
}

}  // namespace

void batch_norm_stats(const ArrayView& x, const ArrayView& mean, const ArrayView& m2) {
    const int64_t N = x.shape[0], C = x.shape[1], S = spatial_size(x);
    const Buffer<double> means(C), m2s(C);
    std::fill_n(means.data(), C, 0.0);
    std::fill_n(m2s.data(), C, 0.0);
    if (x.numel() > 0) {
        const Walk walk = choose_walk(x, {&x});
        with_float_dtype(x.dtype, [&](auto t) {
            using T = decltype(t);
            const WalkedInput<T> input(x, walk);
            if (walk == Walk::rows)
                stats_rows(*input, N * S, C, means.data(), m2s.data());
            else
                stats_planes(*input, N, C, S, means.data(), m2s.data());
        });
    }
    store_vector(means.data(), mean);
    store_vector(m2s.data(), m2);
}

void batch_norm_reduce(const BatchNormReduce& a) {
    const ArrayView &x = a.x, &dy = a.dy;
    const int64_t N = x.shape[0], C = x.shape[1], S = spatial_size(x);
    const Buffer<double> sums(C), products(C);
    std::fill_n(sums.data(), C, 0.0);
    std::fill_n(products.data(), C, 0.0);
    if (x.numel() > 0) {
        const Walk walk = choose_walk(x, {&x, &dy});
        with_common_dtype({&x, &dy}, [&](auto t) {
            using T = decltype(t);
            const WalkedInput<T> gradient(dy, walk), input(x, walk);
            const auto run = [&](auto relu) {
                constexpr bool kRelu = decltype(relu)::value;
                if (walk == Walk::rows)
                    reduce_rows<kRelu>(a, *gradient, *input, N * S, C, sums.data(),
                                       products.data());
                else
                    reduce_planes<kRelu>(a, *gradient, *input, N, C, S, sums.data(),
                                         products.data());
            };
            a.relu ? run(std::true_type{}) : run(std::false_type{});
        });
        const Buffer<double> scale = vector_of<double>(a.invstd);
        for (int64_t c = 0; c < C; ++c) products[c] *= scale[c];
    }
    store_vector(sums.data(), a.sum_dy);
    store_vector(products.data(), a.sum_dy_xhat);
}

}  // namespace pycnn::PYCNN_ISA
