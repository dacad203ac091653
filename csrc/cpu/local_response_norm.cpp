// Local response normalisation across neighbouring channels.
//
// Computes   both passes of cpu/local_response_norm.h
// Arrays     contiguous (N,C,*) or channels-last, others are copied; any floating-point dtype
// Threads    blocks of pixels of an image
// Tiling     a block of kPixels pixels of a contiguous image, one pixel of a channels-last one:
//            either way a run of C groups, group c next to group c + 1, with zeros around it in a
//            workspace. A window sum is `size` loads, a group apart
// Traffic    fprop reads x and writes y once; dgrad reads dy, x and y and writes dx once;
//            neighbours come from the workspace in the first-level cache
// Numerics   in accumulation dtype, the window summed in order of the channels, rounded once.
//            s^0.75 is sqrt(s) * sqrt(sqrt(s)), four roundings; other powers but 0.5 and 1 are the
//            C library's
// Refuses    nothing
// Source     Krizhevsky, Sutskever and Hinton 2012, section 3.3
#include "primitives/local_response_norm.h"

#include <algorithm>
#include <cmath>

#include "cpu/copy.h"
#include "cpu/math.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kPixels = 32;  // of a contiguous image at a time

template <class A>
Vec<A> power(Vec<A> s, A beta) {
    if (beta == A{0.75}) {
        const Vec<A> root = sqrt(s);
        return root * sqrt(root);
    }
    if (beta == A{0.5}) return sqrt(s);
    if (beta == A{1}) return s;
    return lane_by_lane(s, [beta](A a) { return std::pow(a, beta); });
}

// C groups of `step` elements in memory of `stride` elements from group to group; the last vector
// of a workspace's group may reach over its end.
struct Run {
    int64_t C, step, stride;
};

// Workspaces of a run: zeros, the groups, zeros.
template <class A>
class Padded {
  public:
    Padded(const Run& run, int64_t size)
        : ahead_(std::min(size, run.C) * run.step),
          buffer_(2 * ahead_ + run.C * run.step + kLanes<A>) {
        std::fill_n(buffer_.data(), 2 * ahead_ + run.C * run.step + kLanes<A>, A{0});
    }
    A* data() const { return buffer_.data() + ahead_; }

  private:
    int64_t ahead_;
    Buffer<A> buffer_;
};

// The sum over the groups from `before` ahead to `after` behind.
template <class A>
PYCNN_INLINE Vec<A> window_sum(const A* at, int64_t before, int64_t after, int64_t step) {
    Vec<A> sum = load(at - before * step);
    for (int64_t j = 1 - before; j <= after; ++j) sum = sum + load(at + j * step);
    return sum;
}

// Calls body(position in the workspace, position in memory, lanes) for every vector of the run.
template <class A, class F>
PYCNN_INLINE void each_vector(const Run& run, int64_t pixels, F&& body) {
    constexpr int64_t L = kLanes<A>;
    if (run.step == 1) {
        for (int64_t c = 0; c < run.C; c += L) body(c, c, static_cast<int>(std::min(L, run.C - c)));
        return;
    }
    for (int64_t c = 0; c < run.C; ++c)
        for (int64_t i = 0; i < pixels; i += L)
            body(c * run.step + i, c * run.stride + i, static_cast<int>(std::min(L, pixels - i)));
}

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

template <class A>
struct Constants {
    Constants(const LocalResponseNormParams& g, int64_t C)
        : before(std::min(g.size / 2, C)),
          after(std::min((g.size - 1) / 2, C)),
          k(static_cast<A>(g.k)),
          share(static_cast<A>(g.alpha / static_cast<double>(g.size))),
          beta(static_cast<A>(g.beta)),
          slope(static_cast<A>(2 * g.alpha * g.beta / static_cast<double>(g.size))) {}
    int64_t before, after;
    A k, share, beta, slope;
};

template <class T>
void fprop(const Constants<Accumulation<T>>& g, const Run& run, int64_t pixels,
           const Padded<Accumulation<T>>& squares, const T* x, T* y) {
    using A = Accumulation<T>;
    each_vector<A>(run, pixels, [&](int64_t at, int64_t from, int n) {
        const Vec<A> v = load_some(x + from, n);
        store(squares.data() + at, v * v);
    });
    each_vector<A>(run, pixels, [&](int64_t at, int64_t from, int n) {
        const Vec<A> sum = window_sum(squares.data() + at, g.before, g.after, run.step);
        const Vec<A> s = broadcast<A>(g.k) + sum * broadcast<A>(g.share);
        store_some(y + from, load_some(x + from, n) / power<A>(s, g.beta), n);
    });
}

template <class T>
void dgrad(const Constants<Accumulation<T>>& g, const Run& run, int64_t pixels,
           const Padded<Accumulation<T>>& squares, const Padded<Accumulation<T>>& ratios,
           const Padded<Accumulation<T>>& scales, const T* dy, const T* x, const T* y, T* dx) {
    using A = Accumulation<T>;
    each_vector<A>(run, pixels, [&](int64_t at, int64_t from, int n) {
        const Vec<A> v = load_some(x + from, n);
        store(squares.data() + at, v * v);
    });
    each_vector<A>(run, pixels, [&](int64_t at, int64_t from, int n) {
        const Vec<A> sum = window_sum(squares.data() + at, g.before, g.after, run.step);
        const Vec<A> s = broadcast<A>(g.k) + sum * broadcast<A>(g.share);
        store(scales.data() + at, s);
        const Vec<A> ratio = load_some(dy + from, n) * load_some(y + from, n) / s;
        if (n == kLanes<A>)
            store(ratios.data() + at, ratio);
        else
            store(ratios.data() + at, ratio, n);  // behind the last group stay zeros
    });
    each_vector<A>(run, pixels, [&](int64_t at, int64_t from, int n) {
        const Vec<A> through = window_sum(ratios.data() + at, g.after, g.before, run.step);
        const Vec<A> own = load_some(dy + from, n) / power<A>(load(scales.data() + at), g.beta);
        store_some(dx + from, own - load_some(x + from, n) * through * broadcast<A>(g.slope), n);
    });
}

// Calls body(run, offset of its first element, pixels) for every run of pixels; each task makes
// its workspaces by make(run).
template <class Make, class F>
void each_run(const ArrayView& a, Layout layout, Make&& make, F&& body) {
    const int64_t N = a.shape[0], C = a.shape[1], pixels = a.numel() / (N * C);
    const bool last = layout == Layout::channels_last;
    const Run run = last ? Run{C, 1, 1} : Run{C, kPixels, pixels};
    const int64_t each = last ? 1 : kPixels, runs = (pixels + each - 1) / each;
    const double cost = 3.0 * static_cast<double>(C * each);
    parallel_ranges(N * runs, 64, cost, [&](int64_t begin, int64_t end) {
        const auto workspaces = make(run);
        for (int64_t i = begin; i < end; ++i) {
            const int64_t n = i / runs, first = i % runs * each;
            body(workspaces, run, n * C * pixels + (last ? first * C : first),
                 std::min(each, pixels - first));
        }
    });
}

Layout layout_of(const ArrayView& a, const ArrayView& b) {
    for (const ArrayView* view : {&a, &b}) {
        if (is_contiguous(*view)) return Layout::contiguous;
        if (is_channels_last(*view)) return Layout::channels_last;
    }
    return Layout::contiguous;
}

}  // namespace

void local_response_norm_fprop(const LocalResponseNormParams& g, const ArrayView& x,
                               const ArrayView& y) {
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        using A = Accumulation<T>;
        const Layout layout = layout_of(y, x);
        const DenseInput<T> from(x, layout);
        const DenseOutput<T> to(y, layout);
        const Constants<A> constants(g, x.shape[1]);
        each_run(
            x, layout, [&](const Run& run) { return Padded<A>(run, g.size); },
            [&](const Padded<A>& squares, const Run& run, int64_t at, int64_t pixels) {
                fprop<T>(constants, run, pixels, squares, from.data() + at, to.data() + at);
            });
        to.finish();
    });
}

void local_response_norm_dgrad(const LocalResponseNormParams& g, const ArrayView& dy,
                               const ArrayView& x, const ArrayView& y, const ArrayView& dx) {
    with_float_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        using A = Accumulation<T>;
        const Layout layout = layout_of(dx, dy);
        const DenseInput<T> dy_in(dy, layout), x_in(x, layout), y_in(y, layout);
        const DenseOutput<T> to(dx, layout);
        const Constants<A> constants(g, x.shape[1]);
        struct Workspaces {
            Padded<A> squares, ratios, scales;
        };
        each_run(
            x, layout,
            [&](const Run& run) { return Workspaces{{run, g.size}, {run, g.size}, {run, g.size}}; },
            [&](const Workspaces& w, const Run& run, int64_t at, int64_t pixels) {
                dgrad<T>(constants, run, pixels, w.squares, w.ratios, w.scales, dy_in.data() + at,
                         x_in.data() + at, y_in.data() + at, to.data() + at);
            });
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
