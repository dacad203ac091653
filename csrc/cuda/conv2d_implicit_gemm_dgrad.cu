#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/conv2d_implicit_gemm.cuh"

namespace pycnn::cuda {
namespace {

template <class T>
PhasedDgrad<T> phased_dgrad(const Conv2dParams& g, const ArrayView& gradient, const Tensor4<T>& w,
                            const ArrayView& to, const EpilogueView& epilogue,
                            const PhaseAxis& down, const PhaseAxis& across) {
    const Tensor4<T> dy(gradient), dx(to);
    const int64_t C = g.C / g.G, K = g.K / g.G;
    const auto most = [](const PhaseAxis& a) {
        return std::pair((a.size - 1) / a.stride + 1, (a.taps - 1) / a.hop + 1);
    };
    const auto [rows, taps_h] = most(down);
    const auto [cols, taps_w] = most(across);
    PhasedDgrad<T> all{};
    auto& p = all.p;
    p.left.data = dy.data;
    p.left.batch_step = g.G > 1 ? K * dy.c : 0;
    p.left.line = digits<Pixels>(g.N, rows, cols, dy.n, dy.h, dy.w);
    p.left.line.set_coordinates(1, 1, 0, 0);
    p.left.depth = digits<Taps>(taps_h, taps_w, K, -down.back * dy.h, -across.back * dy.w, dy.c);
    p.left.depth.set_coordinates(-down.back, -across.back, 0, 0);
    p.left.height = static_cast<int>(g.P), p.left.width = static_cast<int>(g.Q);
    p.right.data = w.data;
    p.right.batch_step = g.G > 1 ? K * w.n : 0;
    p.right.line = EvenAxis::of(C, w.c);
    p.right.depth = digits<Plain>(taps_h, taps_w, K, down.hop * w.h, across.hop * w.w, w.n);
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

template <bool LeftAlong, bool RightAlong, bool Vectors, class T>
void launch_phases(PhasedDgrad<T> all, const PhaseAxis& down, const PhaseAxis& across) {
    const int64_t phases = down.phases() * across.phases();
    if (phases == 1)
        return launch_simt<LeftAlong, RightAlong, Vectors>(
            only_phase(all, down.phase(0), across.phase(0)));
    const auto most_taps_first = [](const PhaseAxis& axis) {
        std::vector<Phase> all_phases;
        for (int64_t i = 0; i < axis.phases(); ++i) all_phases.push_back(axis.phase(i));
        std::stable_sort(all_phases.begin(), all_phases.end(),
                         [](const Phase& a, const Phase& b) { return a.taps > b.taps; });
        return all_phases;
    };
    const std::vector<Phase> rows = most_taps_first(down), cols = most_taps_first(across);
    auto& p = all.p;
    p.out.settle();
    for (const PhaseSteps& steps : {all.h_steps, all.w_steps})
        if (steps.dx % kWidth<T> != 0 || steps.residual % kWidth<T> != 0) p.out.vectors = false;
    with_simt_tile<T, Vectors>(
        p.batches * phases, p.out.row_count, p.out.col_count, p.depth, false,
        [&](auto tile, const TileSpeed& speed, int64_t) {
            using Tile = decltype(tile);
            using P = DgradProduct<T>;
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
                    launch(simt_phases_kernel<Tile, LeftAlong, RightAlong, Vectors, T>,
                           dim3(static_cast<unsigned>(blocks)), dim3(Tile::kThreads),
                           sizeof(SimtShared<Tile, P>), all);
                }
        });
}

}  // namespace

void conv2d_dgrad_implicit_gemm(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                                const ArrayView& dx, const EpilogueView& epilogue) {
    check_countable(g);
    const PhaseAxis down(g.H, g.R, g.stride_h, g.top, g.dilation_h);
    const PhaseAxis across(g.W, g.S, g.stride_w, g.left, g.dilation_w);
    with_float_dtype(dx.dtype, [&](auto t) {
        using T = decltype(t);
        auto all = phased_dgrad<T>(g, dy, Tensor4<T>(w), dx, epilogue, down, across);
        const bool vectors = all.p.left.vectors_along(true, kWidth<T>) &&
                             all.h_steps.dy % kWidth<T> == 0 && all.w_steps.dy % kWidth<T> == 0;
        const Filters<T> filters(w, vectors);
        all = phased_dgrad<T>(g, dy, filters.tensor, dx, epilogue, down, across);
        if (vectors && all.p.right.vectors_along(false, kWidth<T>))
            launch_phases<true, false, true>(all, down, across);
        else if (all.p.left.runs_along_depth())
            launch_phases<true, false, false>(all, down, across);
        else
            launch_phases<false, false, false>(all, down, across);
    });
}

}  // namespace pycnn::cuda
