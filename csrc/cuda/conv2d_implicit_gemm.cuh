// Convolution as one matrix product whose operands are never written: implicit GEMM.
//
// Computes   fprop y[n,k,p,q] = sum_{r,s,c} x[n, c, p*Sh - top + r*Dh, ...] * w[k,c,r,s] per group:
//            rows are the pixels (n,p,q), columns the filters k, the depth the taps (r,s) with the
//            channels c innermost
//            dgrad, by phases: the pixels of dx with one h mod Sh and one w mod Sw meet the same
//            taps, each phase a product of dense pixels and its own taps; phases without taps are
//            the epilogue of zero
//            wgrad dw[k,c,r,s] = sum_{n,p,q} dy[n,k,p,q] * x[...]: rows k, columns (r,s,c), the
//            depth the pixels, split in parts where tiles are few
// Arrays     x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q); f16/bf16/f32/f64, any strides.
//            16-byte loads where x, dy and w are channels-last and the channels fill vectors; a w
//            of another layout is repacked for that
// Grid       x: tiles, batches of groups, parts of the depth; dgrad: phases too, most taps first
// Tiling     gemm_tiles.cuh. A pixel and a tap are digits that count up with carries: the loop over
//            the depth does not divide
// Traffic    vgg.c3_2 (56x56x256 -> 256, 3x3, N=32, f32): 211 MB, 118 GFLOP: arithmetic; x crosses
//            L2 nine times, once a tap, for every tile of columns
// Numerics   as gemm_tiles.cuh; deterministic
// Refuses    2^31 pixels or more, coordinates of 2^28 or more
// Source     Chetlur et al. 2014, arXiv:1410.0759, section 3; phases: Shi et al. 2016,
//            arXiv:1609.07009
#pragma once

#include <algorithm>
#include <vector>

#include "common/params.h"
#include "cuda/conv2d_axis.cuh"
#include "cuda/gemm_launch.cuh"

namespace pycnn::cuda {

using Plain = DigitAxis<Digits::plain>;
using Taps = DigitAxis<Digits::taps>;
using Pixels = DigitAxis<Digits::pixels>;

// An image (N,C,H,W) or a filter bank (K,C,R,S), as a kernel reads it.
template <class T>
struct Tensor4 {
    T* data;
    int64_t n, c, h, w;  // strides

    // An axis of one element has the stride 0: what is written for it has no meaning.
    explicit Tensor4(const ArrayView& a) : data(static_cast<T*>(a.data)) {
        const auto stride = [&](int axis) { return a.shape[axis] > 1 ? a.strides[axis] : 0; };
        n = stride(0), c = stride(1), h = stride(2), w = stride(3);
    }
    Tensor4() = default;
};

template <class Axis>
Axis digits(int64_t size0, int64_t size1, int64_t size2, int64_t step0, int64_t step1,
            int64_t step2) {
    Axis axis{};
    axis.set(static_cast<int>(size0), static_cast<int>(size1), static_cast<int>(size2), step0,
             step1, step2);
    return axis;
}

// Throws where pixels or coordinates are more than the axes count.
inline void check_countable(const Conv2dParams& g) {
    constexpr int64_t most = int64_t{1} << 31, farthest = int64_t{1} << 28;
    const bool far = g.H + g.top + std::abs(g.bottom) >= farthest ||
                     g.W + g.left + std::abs(g.right) >= farthest;
    const auto many = [](int64_t n, int64_t a, int64_t b) {
        return a * b >= most || n * (a * b) >= most;
    };
    if (far || many(g.N, g.P, g.Q) || many(g.N, g.H, g.W) || many(g.C + g.K, g.R, g.S))
        throw ValueError(
            "geometry: the implicit product takes fewer than 2^31 pixels and images below 2^28");
}

// The epilogue's part of an output: its channels, and where its residual lies, on axes like the
// output's own, which step(tensor) makes.
template <class T, class Out, class RowsOf, class ColsOf>
void set_output(Out& out, const ArrayView& to, const EpilogueView& epilogue, int64_t channels,
                const RowsOf& rows_of, const ColsOf& cols_of) {
    const Tensor4<T> t(to);
    out.data = t.data;
    out.rows = rows_of(t), out.cols = cols_of(t);
    out.batch_step = channels * t.c;
    out.epilogue = epilogue_of<T>(epilogue);
    if (epilogue.residual) {
        const Tensor4<T> r(*epilogue.residual);
        out.residual_rows = rows_of(r), out.residual_cols = cols_of(r);
        out.residual_batch_step = channels * r.c;
    }
    out.batch_channels = out.channels = channels;
}

// --- filters with their channels side by side ----------------------------------------------------

constexpr int kPackThreads = 256;

// packed (K,R,S,C) from w (K,C,R,S) with the strides `steps`.
template <class T>
struct PackFilters {
    const T* w;
    T* packed;
    int64_t steps[4], count;
    int C, R, S;
};

template <class T>
__global__ void __launch_bounds__(kPackThreads) pack_filters_kernel(PackFilters<T> p) {
    const int64_t i = int64_t{blockIdx.x} * kPackThreads + threadIdx.x;
    if (i >= p.count) return;
    const int64_t c = i % p.C, s = i / p.C % p.S, rest = i / p.C / p.S;
    const int64_t r = rest % p.R, k = rest / p.R;
    p.packed[i] = p.w[k * p.steps[0] + c * p.steps[1] + r * p.steps[2] + s * p.steps[3]];
}

// A filter bank whose channels can be read as vectors: as it lies, or a copy of it.
template <class T>
class Filters {
  public:
    // `wanted`: whether the other operand has vectors, so that a copy pays.
    Filters(const ArrayView& w, bool wanted) : tensor(w) {
        const int64_t K = w.shape[0], C = w.shape[1], R = w.shape[2], S = w.shape[3];
        constexpr int N = kWidth<T>;
        const auto whole = [&](int64_t size, int64_t step) { return size == 1 || step % N == 0; };
        const bool vectors = tensor.c == 1 && whole(K, tensor.n) && whole(R, tensor.h) &&
                             whole(S, tensor.w) && aligned_to_vectors({tensor.data});
        if (vectors || !wanted || C % N != 0 || w.numel() == 0) return;
        copy_ = Workspace<T>(w.numel());
        PackFilters<T> p{tensor.data,        copy_.data(),        {},
                         w.numel(),          static_cast<int>(C), static_cast<int>(R),
                         static_cast<int>(S)};
        std::copy_n(w.strides, 4, p.steps);
        launch(pack_filters_kernel<T>, blocks_for(p.count, kPackThreads), dim3(kPackThreads), 0, p);
        tensor.data = copy_.data();
        tensor.c = 1, tensor.w = C, tensor.h = S * C, tensor.n = R * S * C;
    }
    Tensor4<T> tensor;

  private:
    Workspace<T> copy_;
};

// --- fprop ---------------------------------------------------------------------------------------

template <class T>
using FpropProduct =
    Product<Operand<T, Pixels, Taps>, Operand<T, EvenAxis, Plain>, Output<T, Plain, EvenAxis>>;

template <class T>
void set_fprop_left(FpropProduct<T>& p, const Conv2dParams& g, const ArrayView& image) {
    const Tensor4<T> x(image);
    const int64_t C = g.C / g.G;
    p.left.data = x.data - g.top * x.h - g.left * x.w;
    p.left.batch_step = g.G > 1 ? C * x.c : 0;
    p.left.line = digits<Pixels>(g.N, g.P, g.Q, x.n, g.stride_h * x.h, g.stride_w * x.w);
    p.left.line.set_coordinates(g.stride_h, g.stride_w, -g.top, -g.left);
    p.left.depth = digits<Taps>(g.R, g.S, C, g.dilation_h * x.h, g.dilation_w * x.w, x.c);
    p.left.depth.set_coordinates(g.dilation_h, g.dilation_w, 0, 0);
    p.left.height = static_cast<int>(g.H), p.left.width = static_cast<int>(g.W);
}

template <class T>
void set_fprop_right(FpropProduct<T>& p, const Conv2dParams& g, const Tensor4<T>& w) {
    const int64_t C = g.C / g.G, K = g.K / g.G;
    p.right.data = w.data;
    p.right.batch_step = g.G > 1 ? K * w.n : 0;
    p.right.line = EvenAxis::of(K, w.n);
    p.right.depth = digits<Plain>(g.R, g.S, C, w.h, w.w, w.c);
}

template <class T>
void set_fprop_out(FpropProduct<T>& p, const Conv2dParams& g, const ArrayView& y,
                   const EpilogueView& epilogue) {
    const int64_t K = g.K / g.G;
    set_output<T>(
        p.out, y, epilogue, K,
        [&](const Tensor4<T>& t) { return digits<Plain>(g.N, g.P, g.Q, t.n, t.h, t.w); },
        [&](const Tensor4<T>& t) { return EvenAxis::of(K, t.c); });
    p.out.row_count = g.N * g.P * g.Q, p.out.col_count = K;
    p.depth = g.R * g.S * (g.C / g.G);
    p.batches = static_cast<int>(g.G);
}

// --- dgrad ---------------------------------------------------------------------------------------

template <class T>
using DgradProduct =
    Product<Operand<T, Pixels, Taps>, Operand<T, EvenAxis, Plain>, Output<T, Plain, EvenAxis>>;

// What the pixels first, first + stride, ... of one axis of dx meet (conv2d_axis.cuh): every
// tap_step-th tap from first_tap on, the first of them at `origin` of dy for the first pixel.
struct Phase {
    int first, count, taps, first_tap, origin;
};

inline Phase phase_of(const ConvAxis<int64_t>& axis, int64_t first) {
    const Meeting<int64_t> m = meeting(axis, first);
    return {static_cast<int>(first), static_cast<int>(outputs_of(axis, first)),
            static_cast<int>(m.taps), static_cast<int>(m.taps == 0 ? 0 : m.first_tap),
            static_cast<int>(m.first_row)};
}

// How far a phase of an axis moves the pointers: what one tap of w and one row of dy, dx and the
// residual are.
struct PhaseSteps {
    int64_t w, dy, dx, residual;
};

constexpr int kPhases = 8;  // of an axis in one launch

// The phases `down` x `across` of a dgrad. `p` is the product of the largest of them.
template <class T>
struct PhasedDgrad {
    DgradProduct<T> p;
    int downs, acrosses, channels;
    Phase down[kPhases], across[kPhases];
    PhaseSteps h_steps, w_steps;
};

// The product of one phase. `advance`: what the depths of the operands are walked by.
template <class T>
__host__ __device__ __forceinline__ DgradProduct<T> product_of_phase(const PhasedDgrad<T>& all,
                                                                     int index, int left_advance,
                                                                     int right_advance) {
    DgradProduct<T> p = all.p;
    const Phase& i = all.down[index / all.acrosses];
    const Phase& j = all.across[index % all.acrosses];
    p.left.data += i.origin * all.h_steps.dy + j.origin * all.w_steps.dy;
    p.left.line.sizes[1] = i.count, p.left.line.sizes[2] = j.count;
    p.left.line.h_first = i.origin, p.left.line.w_first = j.origin;
    const bool none = i.taps == 0 || j.taps == 0;
    p.left.depth.sizes[0] = p.right.depth.sizes[0] = none ? 0 : i.taps;
    p.left.depth.sizes[1] = p.right.depth.sizes[1] = none ? 1 : j.taps;
    p.left.depth.set_stride(left_advance);
    p.right.depth.set_stride(right_advance);
    p.right.data += i.first_tap * all.h_steps.w + j.first_tap * all.w_steps.w;
    p.out.data += i.first * all.h_steps.dx + j.first * all.w_steps.dx;
    p.out.rows.sizes[1] = i.count, p.out.rows.sizes[2] = j.count;
    if (p.out.epilogue.residual != nullptr)
        p.out.epilogue.residual += i.first * all.h_steps.residual + j.first * all.w_steps.residual;
    p.out.residual_rows.sizes[1] = i.count, p.out.residual_rows.sizes[2] = j.count;
    p.out.row_count = int64_t{p.out.rows.sizes[0]} * i.count * j.count;
    p.depth = none ? 0 : int64_t{i.taps} * j.taps * all.channels;
    return p;
}

// One block of a processor: what differs between phases takes registers.
template <class Engine, class Tile, class T>
__global__ void __launch_bounds__(Tile::kThreads, 1) phases_kernel(PhasedDgrad<T> all) {
    using P = DgradProduct<T>;
    const auto tiles = static_cast<unsigned>(all.p.row_tiles) *
                       static_cast<unsigned>(all.p.col_tiles) *
                       static_cast<unsigned>(all.p.batches);
    const P p = product_of_phase(all, static_cast<int>(blockIdx.x / tiles),
                                 Engine::template Left<Tile, P>::kAdvance,
                                 Engine::template Right<Tile, P>::kAdvance);
    const TilePlace place = tile_place(p, blockIdx.x % tiles);
    if (int64_t{place.row} * Tile::kRows >= p.out.row_count) return;  // a smaller phase
    Engine::template tile<Tile>(p, place);
}

template <class T>
PhasedDgrad<T> phased_dgrad(const Conv2dParams& g, const ArrayView& gradient, const Tensor4<T>& w,
                            const ArrayView& to, const EpilogueView& epilogue,
                            const ConvAxis<int64_t>& down, const ConvAxis<int64_t>& across) {
    const Tensor4<T> dy(gradient), dx(to);
    const int64_t C = g.C / g.G, K = g.K / g.G;
    const auto most = [](const ConvAxis<int64_t>& a) {
        return std::pair(outputs_of(a, int64_t{0}), (a.taps - 1) / a.tap_step + 1);
    };
    // rows of dy from a tap of a phase to the next
    const auto back = [](const ConvAxis<int64_t>& a) {
        return a.taps > 1 ? a.dilation / a.common : 0;
    };
    const auto [rows, taps_h] = most(down);
    const auto [cols, taps_w] = most(across);
    PhasedDgrad<T> all{};
    auto& p = all.p;
    p.left.data = dy.data;
    p.left.batch_step = g.G > 1 ? K * dy.c : 0;
    p.left.line = digits<Pixels>(g.N, rows, cols, dy.n, dy.h, dy.w);
    p.left.line.set_coordinates(1, 1, 0, 0);
    p.left.depth = digits<Taps>(taps_h, taps_w, K, -back(down) * dy.h, -back(across) * dy.w, dy.c);
    p.left.depth.set_coordinates(-back(down), -back(across), 0, 0);
    p.left.height = static_cast<int>(g.P), p.left.width = static_cast<int>(g.Q);
    p.right.data = w.data;
    p.right.batch_step = g.G > 1 ? K * w.n : 0;
    p.right.line = EvenAxis::of(C, w.c);
    p.right.depth =
        digits<Plain>(taps_h, taps_w, K, down.tap_step * w.h, across.tap_step * w.w, w.n);
    set_output<T>(
        p.out, to, epilogue, C,
        [&, r = rows, c = cols](const Tensor4<T>& t) {
            return digits<Plain>(g.N, r, c, t.n, g.stride_h * t.h, g.stride_w * t.w);
        },
        [&](const Tensor4<T>& t) { return EvenAxis::of(C, t.c); });
    p.out.row_count = g.N * rows * cols, p.out.col_count = C;
    p.depth = taps_h * taps_w * K;
    p.batches = static_cast<int>(g.G);
    all.channels = static_cast<int>(K);
    all.h_steps = {w.h, dy.h, dx.h, 0};
    all.w_steps = {w.w, dy.w, dx.w, 0};
    if (epilogue.residual) {
        const Tensor4<T> r(*epilogue.residual);
        all.h_steps.residual = r.h, all.w_steps.residual = r.w;
    }
    return all;
}

// The product of the only phase there is.
template <class T>
DgradProduct<T> only_phase(const PhasedDgrad<T>& all, const Phase& i, const Phase& j) {
    PhasedDgrad<T> one = all;
    one.downs = one.acrosses = 1;
    one.down[0] = i, one.across[0] = j;
    return product_of_phase(one, 0, 1, 1);
}

// Launches every phase on an engine.
template <class Engine, class T>
void launch_phases(PhasedDgrad<T> all, const ConvAxis<int64_t>& down,
                   const ConvAxis<int64_t>& across) {
    using P = DgradProduct<T>;
    const int64_t phases = down.phases * across.phases;
    if (phases == 1)
        return launch_on<Engine>(only_phase(all, phase_of(down, 0), phase_of(across, 0)));
    const auto most_taps_first = [](const ConvAxis<int64_t>& axis) {
        std::vector<Phase> list;
        for (int64_t i = 0; i < axis.phases; ++i) list.push_back(phase_of(axis, i));
        std::stable_sort(list.begin(), list.end(),
                         [](const Phase& a, const Phase& b) { return a.taps > b.taps; });
        return list;
    };
    const std::vector<Phase> rows = most_taps_first(down), cols = most_taps_first(across);
    auto& p = all.p;
    p.out.settle();
    const PhaseSteps* const axes[] = {&all.h_steps, &all.w_steps};
    for (const PhaseSteps* steps : axes)
        if (steps->dx % kWidth<T> != 0 || steps->residual % kWidth<T> != 0) p.out.vectors = false;
    TileChoice<Engine, T>::with(
        p.batches * phases, p.out.row_count, p.out.col_count, p.depth, false,
        [&](auto tile, const TileSpeed& speed, int64_t) {
            using Tile = decltype(tile);
            const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
            p.row_tiles = static_cast<int>(ceil_div(p.out.row_count, speed.rows));
            p.col_tiles = static_cast<int>(ceil_div(p.out.col_count, speed.cols));
            p.splits = 1;
            p.split_steps = static_cast<int>(std::max<int64_t>(ceil_div(p.depth, speed.depth), 1));
            for (size_t i = 0; i < rows.size(); i += kPhases)
                for (size_t j = 0; j < cols.size(); j += kPhases) {
                    all.downs = static_cast<int>(std::min<size_t>(kPhases, rows.size() - i));
                    all.acrosses = static_cast<int>(std::min<size_t>(kPhases, cols.size() - j));
                    std::copy_n(rows.begin() + static_cast<ptrdiff_t>(i), all.downs, all.down);
                    std::copy_n(cols.begin() + static_cast<ptrdiff_t>(j), all.acrosses, all.across);
                    const int64_t blocks =
                        int64_t{all.downs} * all.acrosses * p.row_tiles * p.col_tiles * p.batches;
                    if (blocks >= int64_t{1} << 31)
                        throw ValueError(refusal("the tiles of a product", std::to_string(blocks),
                                                 "below 2^31"));
                    launch(phases_kernel<Engine, Tile, T>, dim3(static_cast<unsigned>(blocks)),
                           dim3(Tile::kThreads), sizeof(typename Engine::template Shared<Tile, P>),
                           all);
                }
        });
}

// --- wgrad ---------------------------------------------------------------------------------------

template <class T>
using WgradProduct =
    Product<Operand<T, EvenAxis, Plain>, Operand<T, Taps, Pixels>, Output<T, EvenAxis, Plain>>;

template <class T>
WgradProduct<T> wgrad_product(const Conv2dParams& g, const ArrayView& image,
                              const ArrayView& gradient, const ArrayView& to) {
    const Tensor4<T> x(image), dy(gradient), dw(to);
    const int64_t C = g.C / g.G, K = g.K / g.G;
    WgradProduct<T> p{};
    p.left.data = dy.data;
    p.left.batch_step = g.G > 1 ? K * dy.c : 0;
    p.left.line = EvenAxis::of(K, dy.c);
    p.left.depth = digits<Plain>(g.N, g.P, g.Q, dy.n, dy.h, dy.w);
    p.right.data = x.data - g.top * x.h - g.left * x.w;
    p.right.batch_step = g.G > 1 ? C * x.c : 0;
    p.right.line = digits<Taps>(g.R, g.S, C, g.dilation_h * x.h, g.dilation_w * x.w, x.c);
    p.right.line.set_coordinates(g.dilation_h, g.dilation_w, 0, 0);
    p.right.depth = digits<Pixels>(g.N, g.P, g.Q, x.n, g.stride_h * x.h, g.stride_w * x.w);
    p.right.depth.set_coordinates(g.stride_h, g.stride_w, -g.top, -g.left);
    p.right.height = static_cast<int>(g.H), p.right.width = static_cast<int>(g.W);
    p.out.data = dw.data;
    p.out.batch_step = g.G > 1 ? K * dw.n : 0;
    p.out.rows = EvenAxis::of(K, dw.n);
    p.out.cols = digits<Plain>(g.R, g.S, C, dw.h, dw.w, dw.c);
    p.out.channels = 1;
    p.out.row_count = K, p.out.col_count = g.R * g.S * C;
    p.depth = g.N * g.P * g.Q;
    p.batches = static_cast<int>(g.G);
    return p;
}

}  // namespace pycnn::cuda
