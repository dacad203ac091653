// The passes of batch normalisation that write every element.
//
// Computes   apply and dgrad of cpu/batch_norm.h
// Arrays     any strides: rows of channels (channels-last) or planes (contiguous) are read and
//            written in place, anything else through a dense copy in the walk of x; rows of few
//            channels are folded into rows of whole vectors
// Threads    ranges of rows, or of planes
// Tiling     four rows side by side share a vector of the parameters. Panels of 512 KiB from the
//            last to the first: the sums have just been there, so that part is in cache; forwards
//            inside one, as processors prefetch
// Traffic    every operand is read once, the output written once; the sign that a ReLU's gradient
//            needs is computed from x: y is not read, no masked dy written. An output of float or
//            double that no cache keeps is written past the caches, its lines not read first
// Numerics   halves in float32, rounded once; apply is (x - mean) * (invstd * weight) + bias, the
//            product and the sum rounded together where the processor can
// Refuses    nothing
#include "cpu/batch_norm_layout.h"
#include "cpu/epilogue.h"
#include "cpu/parallel.h"
#include "primitives/batch_norm.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kPanelBytes = 512 * 1024;  // what is walked forwards, as processors prefetch best
constexpr int64_t kStreamBytes = 24 * 1024 * 1024;  // an output no cache will keep

// Calls body(first, last) for panels of rows, the last ones first.
template <class F>
void backwards(int64_t rows, int64_t row_bytes, double cost_of_row, F&& body) {
    constexpr double least = 2000;  // nanoseconds a range should take
    const auto worth = static_cast<int64_t>(static_cast<double>(rows) * cost_of_row / least);
    const int64_t threads = num_threads(), panel = std::max<int64_t>(4, kPanelBytes / row_bytes);
    const int64_t parts = threads == 1 ? 1 : std::clamp<int64_t>(worth, threads, 4 * threads);
    parallel_ranges(rows, parts, cost_of_row, [&](int64_t first, int64_t last) {
        for (int64_t end = rows - first; end > rows - last; end -= panel)
            body(std::max(rows - last, end - panel), end);
    });
}

// Whether an output is written past the caches: its lines are then not read first.
template <class T>
bool streams(const T* data, int64_t pitch, int64_t rows, int64_t channels) {
    return sizeof(T) == sizeof(Accumulation<T>) && pitch % kLanes<Accumulation<T>> == 0 &&
           channels % kLanes<Accumulation<T>> == 0 &&
           reinterpret_cast<uintptr_t>(data) % kVectorBytes == 0 &&
           rows * channels * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
}

template <bool Stream, class T, class V>
PYCNN_INLINE void put(T* to, V v, int n) {
    if constexpr (Stream && sizeof(T) == sizeof(Accumulation<T>))
        stream(to, v);
    else
        write(to, v, n);
}

// Calls body(number of rows, row, channel, n) for groups of four rows, vector by vector of
// channels.
template <class A, class F>
PYCNN_INLINE void row_groups(int64_t rows, int64_t channels, F&& body) {
    constexpr int lanes = kLanes<A>;
    const auto group = [&](auto count, int64_t r) {
        int64_t c = 0;
        for (; c + lanes <= channels; c += lanes) body(count, r, c, lanes);
        if (c < channels) body(count, r, c, static_cast<int>(channels - c));
    };
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) group(std::integral_constant<int, 4>{}, r);
    for (; r < rows; ++r) group(std::integral_constant<int, 1>{}, r);
}

// --- apply ---------------------------------------------------------------------------------------

// What follows the sum, before the store.
enum class Finish { store, relu };

template <bool Residual, Finish How, bool Stream, class T, class Out>
void apply_rows_of(const T* x, int64_t x_pitch, const T* residual, int64_t residual_pitch, Out* y,
                   int64_t y_pitch, int64_t rows, int64_t channels,
                   const Output<Accumulation<T>>& p) {
    using A = Accumulation<T>;
    const A *mean = p.mean.data(), *scale = p.scale.data(), *bias = p.bias.data();
    row_groups<A>(rows, channels, [&](auto count, int64_t r, int64_t c, int n) {
        const Vec<A> m = read(mean + c, n), w = read(scale + c, n), b = read(bias + c, n);
#pragma GCC unroll 4
        for (int64_t i = r; i < r + decltype(count)::value; ++i) {
            Vec<A> v = fma(read(x + i * x_pitch + c, n) - m, w, b);
            if constexpr (Residual) v = v + read(residual + i * residual_pitch + c, n);
            if constexpr (How == Finish::relu) v = max(zero<A>(), v);
            put<Stream>(y + i * y_pitch + c, v, n);
        }
    });
}

template <Finish How, class T, class Out>
void apply_rows_of(const T* x, int64_t x_pitch, const T* residual, int64_t residual_pitch, Out* y,
                   int64_t y_pitch, int64_t rows, int64_t channels,
                   const Output<Accumulation<T>>& p, bool stream = false) {
    const auto run = [&](auto adds, auto past) {
        apply_rows_of<decltype(adds)::value, How, decltype(past)::value>(
            x, x_pitch, residual, residual_pitch, y, y_pitch, rows, channels, p);
    };
    const auto choose = [&](auto adds) {
        stream ? run(adds, std::true_type{}) : run(adds, std::false_type{});
    };
    residual ? choose(std::true_type{}) : choose(std::false_type{});
}

// Rows with any activation: those that take more than a ReLU are applied in a buffer.
template <class T>
void apply_some_rows(const T* x, int64_t x_pitch, const T* residual, int64_t residual_pitch, T* y,
                     int64_t y_pitch, int64_t rows, int64_t channels,
                     const Output<Accumulation<T>>& p, Activation activation, bool stream) {
    using A = Accumulation<T>;
    if (activation == Activation::none)
        return apply_rows_of<Finish::store>(x, x_pitch, residual, residual_pitch, y, y_pitch, rows,
                                            channels, p, stream);
    if (activation == Activation::relu)
        return apply_rows_of<Finish::relu>(x, x_pitch, residual, residual_pitch, y, y_pitch, rows,
                                           channels, p, stream);
    const Buffer<A> row(channels);
    for (int64_t r = 0; r < rows; ++r) {
        const T* add = residual ? residual + r * residual_pitch : nullptr;
        apply_rows_of<Finish::store>(x + r * x_pitch, x_pitch, add, residual_pitch, row.data(),
                                     channels, 1, channels, p);
        activate(row.data(), channels, activation);
        T* to = y + r * y_pitch;
        int64_t c = 0;
        for (; c + kLanes<A> <= channels; c += kLanes<A>) store(to + c, load(row.data() + c));
        if (c < channels)
            store(to + c, load(row.data() + c, static_cast<int>(channels - c)),
                  static_cast<int>(channels - c));
    }
}

double activation_cost(Activation activation) {
    return activation == Activation::none || activation == Activation::relu ? 0 : 0.5;
}

template <class T>
void apply_rows(const BatchNormApply& a, const Walked<const T>& x, const Walked<const T>& residual,
                const Walked<T>& y, int64_t rows, int64_t C) {
    using A = Accumulation<T>;
    const bool dense =
        x.pitch == C && y.pitch == C && (residual.data == nullptr || residual.pitch == C);
    const Fold fold = folded<A>(rows, C, dense);
    const bool is_folded = fold.times > 1;
    const int64_t x_pitch = is_folded ? fold.channels : x.pitch;
    const int64_t y_pitch = is_folded ? fold.channels : y.pitch;
    const int64_t residual_pitch = is_folded ? fold.channels : residual.pitch;
    const Output<A> p = output_of<A>(a, fold.times);
    const bool stream = streams(y.data, y_pitch, fold.rows, fold.channels);
    const auto run = [&](int64_t first, int64_t count, int64_t channels) {
        apply_some_rows(x.data + first * x_pitch, x_pitch,
                        residual.data ? residual.data + first * residual_pitch : nullptr,
                        residual_pitch, y.data + first * y_pitch, y_pitch, count, channels, p,
                        a.activation, stream && count > 1);
    };
    const double cost = (2 * kNanosecondsPerByte * sizeof(T) + activation_cost(a.activation)) *
                        static_cast<double>(fold.channels);
    const auto row_bytes = fold.channels * static_cast<int64_t>(sizeof(T));
    backwards(fold.rows, row_bytes, cost,
              [&](int64_t first, int64_t last) { run(first, last - first, fold.channels); });
    if (fold.rest > 0) run(fold.rows, 1, fold.rest);
}

// A plane: y[i] = (x[i] - mean) * scale + bias, and so on.
template <bool Residual, Finish How, class T, class Out>
void apply_plane(const T* x, const T* residual, Out* y, int64_t count, Accumulation<T> mean,
                 Accumulation<T> scale, Accumulation<T> bias) {
    using A = Accumulation<T>;
    const auto m = broadcast<A>(mean), w = broadcast<A>(scale), b = broadcast<A>(bias);
    const auto finish = [&](int64_t i, int n) {
        Vec<A> v = fma(read(x + i, n) - m, w, b);
        if constexpr (Residual) v = v + read(residual + i, n);
        if constexpr (How == Finish::relu) v = max(zero<A>(), v);
        write(y + i, v, n);
    };
    constexpr int lanes = kLanes<A>;
    int64_t i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes)
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) finish(i + k * lanes, lanes);
    for (; i + lanes <= count; i += lanes) finish(i, lanes);
    if (i < count) finish(i, static_cast<int>(count - i));
}

template <bool Residual, class T>
void apply_plane(const T* x, const T* residual, T* y, int64_t count, Accumulation<T> mean,
                 Accumulation<T> scale, Accumulation<T> bias, Activation activation) {
    using A = Accumulation<T>;
    if (activation == Activation::none)
        return apply_plane<Residual, Finish::store>(x, residual, y, count, mean, scale, bias);
    if (activation == Activation::relu)
        return apply_plane<Residual, Finish::relu>(x, residual, y, count, mean, scale, bias);
    constexpr int64_t some = 1024;
    alignas(64) A part[some];
    for (int64_t at = 0; at < count; at += some) {
        const int64_t length = std::min(some, count - at);
        apply_plane<Residual, Finish::store>(x + at, residual + at, part, length, mean, scale,
                                             bias);
        activate(part, length, activation);
        for (int64_t i = 0; i < length; i += kLanes<A>) {
            const int n = static_cast<int>(std::min<int64_t>(kLanes<A>, length - i));
            write(y + at + i, load(part + i), n);
        }
    }
}

constexpr int64_t kPlanePart = 16384;

// Calls body(n, c, first element, count) for the planes, large ones in parts, the last ones first.
template <class F>
void for_planes(int64_t N, int64_t C, int64_t S, double cost, F&& body) {
    const int64_t planes = N * C;
    const int64_t parts =
        planes >= 4 * num_threads() ? 1 : std::clamp<int64_t>(S / kPlanePart, 1, 16);
    const int64_t all = planes * parts;
    const double each = cost * static_cast<double>(S) / static_cast<double>(parts) + 10;
    parallel_ranges(all, 4 * num_threads(), each, [&](int64_t first, int64_t last) {
        for (int64_t i = all - 1 - first; i > all - 1 - last; --i) {
            const int64_t plane = i / parts, part = i % parts;
            const int64_t begin = S * part / parts, end = S * (part + 1) / parts;
            body(plane / C, plane % C, begin, end - begin);
        }
    });
}

template <class T>
void apply_planes(const BatchNormApply& a, const Walked<const T>& x,
                  const Walked<const T>& residual, const Walked<T>& y, int64_t N, int64_t C,
                  int64_t S) {
    using A = Accumulation<T>;
    const Output<A> p = output_of<A>(a, 1);
    const double cost = 2 * kNanosecondsPerByte * sizeof(T) + activation_cost(a.activation);
    for_planes(N, C, S, cost, [&](int64_t n, int64_t c, int64_t at, int64_t count) {
        const T* from = x.data + n * x.n + c * x.c + at;
        T* to = y.data + n * y.n + c * y.c + at;
        if (residual.data)
            apply_plane<true>(from, residual.data + n * residual.n + c * residual.c + at, to, count,
                              p.mean[c], p.scale[c], p.bias[c], a.activation);
        else
            apply_plane<false>(from, from, to, count, p.mean[c], p.scale[c], p.bias[c],
                               a.activation);
    });
}

// --- gradient ------------------------------------------------------------------------------------

// Per channel: dx = (dy - shift - (x - mean) * slope) * y.scale.
template <class A>
struct Projection {
    Output<A> y;
    Buffer<A> shift, slope;
};

template <class A>
Projection<A> projection(const BatchNormDgrad& a, int64_t count, int64_t times) {
    const int64_t channels = a.x.shape[1] * times;
    Projection<A> p{output_of<A>(a, times), {}, {}};
    if (a.sum_dy && a.sum_dy_xhat) {
        p.shift = vector_of<A>(*a.sum_dy, times);
        p.slope = vector_of<A>(*a.sum_dy_xhat, times);
        const Buffer<A> invstd = vector_of<A>(a.invstd, times);
        for (int64_t c = 0; c < channels; ++c) {
            p.shift[c] /= static_cast<A>(count);
            p.slope[c] = p.slope[c] / static_cast<A>(count) * invstd[c];
        }
    }
    return p;
}

template <bool Training, bool Relu, bool Stream, class T>
void dgrad_rows_of(const T* dy, int64_t dy_pitch, const T* x, int64_t x_pitch, T* dx,
                   int64_t dx_pitch, int64_t rows, int64_t channels,
                   const Projection<Accumulation<T>>& p) {
    using A = Accumulation<T>;
    using V = Vec<A>;
    const A *mean = p.y.mean.data(), *scale = p.y.scale.data(), *bias = p.y.bias.data();
    const A *shift = p.shift.data(), *slope = p.slope.data();
    row_groups<A>(rows, channels, [&](auto count, int64_t r, int64_t c, int n) {
        V off{}, tilt{};
        const V middle = read(mean + c, n), factor = read(scale + c, n), added = read(bias + c, n);
        if constexpr (Training) {
            off = read(shift + c, n);
            tilt = read(slope + c, n);
        }
#pragma GCC unroll 4
        for (int64_t i = r; i < r + decltype(count)::value; ++i) {
            V g = read(dy + i * dy_pitch + c, n);
            V d{};
            if constexpr (Training || Relu) d = read(x + i * x_pitch + c, n) - middle;
            if constexpr (Relu) g = behind_relu<A>(g, fma(d, factor, added));
            if constexpr (Training) g = fma(-d, tilt, g - off);
            put<Stream>(dx + i * dx_pitch + c, g * factor, n);
        }
    });
}

template <bool Training, bool Relu, class T>
void dgrad_rows(const BatchNormDgrad& a, const Walked<const T>& dy, const Walked<const T>& x,
                const Walked<T>& dx, int64_t rows, int64_t C) {
    using A = Accumulation<T>;
    const Fold fold = folded<A>(rows, C, dy.pitch == C && x.pitch == C && dx.pitch == C);
    const bool is_folded = fold.times > 1;
    const int64_t dy_pitch = is_folded ? fold.channels : dy.pitch;
    const int64_t x_pitch = is_folded ? fold.channels : x.pitch;
    const int64_t dx_pitch = is_folded ? fold.channels : dx.pitch;
    const Projection<A> p = projection<A>(a, rows, fold.times);
    const bool stream = streams(dx.data, dx_pitch, fold.rows, fold.channels);
    const auto run = [&](int64_t first, int64_t count, int64_t channels) {
        const T *gradient = dy.data + first * dy_pitch, *from = x.data + first * x_pitch;
        T* to = dx.data + first * dx_pitch;
        if (stream && count > 1)
            dgrad_rows_of<Training, Relu, true>(gradient, dy_pitch, from, x_pitch, to, dx_pitch,
                                                count, channels, p);
        else
            dgrad_rows_of<Training, Relu, false>(gradient, dy_pitch, from, x_pitch, to, dx_pitch,
                                                 count, channels, p);
    };
    const double cost = 3 * kNanosecondsPerByte * sizeof(T) * static_cast<double>(fold.channels);
    const auto row_bytes = fold.channels * static_cast<int64_t>(sizeof(T));
    backwards(fold.rows, row_bytes, cost,
              [&](int64_t first, int64_t last) { run(first, last - first, fold.channels); });
    if (fold.rest > 0) run(fold.rows, 1, fold.rest);
}

template <bool Training, bool Relu, class T>
void dgrad_planes(const BatchNormDgrad& a, const Walked<const T>& dy, const Walked<const T>& x,
                  const Walked<T>& dx, int64_t N, int64_t C, int64_t S) {
    using A = Accumulation<T>;
    const Projection<A> p = projection<A>(a, N * S, 1);
    const double cost = 3 * kNanosecondsPerByte * sizeof(T);
    for_planes(N, C, S, cost, [&](int64_t n, int64_t c, int64_t at, int64_t count) {
        const T* gradient = dy.data + n * dy.n + c * dy.c + at;
        const T* from = x.data + n * x.n + c * x.c + at;
        T* to = dx.data + n * dx.n + c * dx.c + at;
        const auto mean = broadcast<A>(p.y.mean[c]), scale = broadcast<A>(p.y.scale[c]);
        const auto bias = broadcast<A>(p.y.bias[c]);
        const auto shift = broadcast<A>(Training ? p.shift[c] : A(0));
        const auto slope = broadcast<A>(Training ? p.slope[c] : A(0));
        const auto finish = [&](int64_t i, int k) {
            Vec<A> g = read(gradient + i, k);
            Vec<A> d{};
            if constexpr (Training || Relu) d = read(from + i, k) - mean;
            if constexpr (Relu) g = behind_relu<A>(g, fma(d, scale, bias));
            if constexpr (Training) g = fma(-d, slope, g - shift);
            write(to + i, g * scale, k);
        };
        constexpr int lanes = kLanes<A>;
        int64_t i = 0;
        for (; i + 4 * lanes <= count; i += 4 * lanes)
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) finish(i + k * lanes, lanes);
        for (; i + lanes <= count; i += lanes) finish(i, lanes);
        if (i < count) finish(i, static_cast<int>(count - i));
    });
}

}  // namespace

void batch_norm_apply(const BatchNormApply& a) {
    if (a.y.numel() == 0) return;
    const int64_t N = a.x.shape[0], C = a.x.shape[1], S = spatial_size(a.x);
    const ArrayView* residual = a.residual ? &*a.residual : nullptr;
    const Walk walk = choose_walk(a.x, {&a.x, residual, &a.y});
    with_common_dtype({&a.x, residual, &a.y}, [&](auto t) {
        using T = decltype(t);
        const WalkedInput<T> x(a.x, walk);
        const WalkedOutput<T> y(a.y, walk);
        const auto run = [&](const Walked<const T>& added) {
            walk == Walk::rows ? apply_rows(a, *x, added, *y, N * S, C)
                               : apply_planes(a, *x, added, *y, N, C, S);
        };
        if (residual)
            run(*WalkedInput<T>(*residual, walk));
        else
            run(Walked<const T>());
        y.finish();
    });
}

void batch_norm_dgrad(const BatchNormDgrad& a) {
    if (a.dx.numel() == 0) return;
    const int64_t N = a.x.shape[0], C = a.x.shape[1], S = spatial_size(a.x);
    const Walk walk = choose_walk(a.x, {&a.dy, &a.x, &a.dx});
    const bool training = a.sum_dy && a.sum_dy_xhat;
    with_common_dtype({&a.dy, &a.x, &a.dx}, [&](auto t) {
        using T = decltype(t);
        const WalkedInput<T> dy(a.dy, walk), x(a.x, walk);
        const WalkedOutput<T> dx(a.dx, walk);
        const auto run = [&](auto through, auto relu) {
            constexpr bool kTraining = decltype(through)::value, kRelu = decltype(relu)::value;
            walk == Walk::rows ? dgrad_rows<kTraining, kRelu>(a, *dy, *x, *dx, N * S, C)
                               : dgrad_planes<kTraining, kRelu>(a, *dy, *x, *dx, N, C, S);
        };
        const auto choose = [&](auto through) {
            a.relu ? run(through, std::true_type{}) : run(through, std::false_type{});
        };
        training ? choose(std::true_type{}) : choose(std::false_type{});
        dx.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
