// The launches of a reduction whose elements are read as V.
#pragma once

#include <algorithm>
#include <utility>

#include "cuda/launch.cuh"
#include "cuda/reduce.cuh"
#include "primitives/reduce.h"

namespace pycnn::cuda {

constexpr int64_t kReduceBlocks = 528;  // four for each of an H100's multiprocessors
constexpr int64_t kLeastLoads = 2;      // of a thread ahead of itself, for a part of its own

// x as kept and reduced axes, in x's order.
struct ReducePlan {
    ArrayView x, kept, reduced;  // the shapes and x's strides of the two kinds of axes
    int64_t out_strides[kMaxDims], places[kMaxDims];
    int64_t outputs, count;
    bool inner_reduced;  // whether the smallest stride is a reduced axis's
};

inline ReducePlan reduce_plan(const ReduceCall& call) {
    const ArrayView& x = call.x;
    ReducePlan plan{};
    plan.x = x;
    plan.inner_reduced = true;
    plan.outputs = plan.count = 1;
    int64_t smallest = 0;
    for (int i = 0; i < x.ndim; ++i) {
        ArrayView& kind = call.reduced[i] ? plan.reduced : plan.kept;
        kind.shape[kind.ndim] = x.shape[i];
        kind.strides[kind.ndim++] = x.strides[i];
        if (x.shape[i] == 1 || (smallest != 0 && std::abs(x.strides[i]) > smallest)) continue;
        smallest = std::max<int64_t>(std::abs(x.strides[i]), 1);
        plan.inner_reduced = call.reduced[i];
    }
    for (int i = plan.reduced.ndim - 1; i >= 0; --i) {
        plan.places[i] = plan.count;
        plan.count *= plan.reduced.shape[i];
    }
    for (int i = 0; i < plan.kept.ndim; ++i) {
        plan.out_strides[i] = call.out.strides[i];
        plan.outputs *= plan.kept.shape[i];
    }
    return plan;
}

// Where a pass puts what it finds, and what it brings to the steps.
struct ReducePass {
    void* out;
    DType out_dtype;
    bool out_is_dense;
    double number = 0;
    Finish finish = Finish::plain;
    const double* center = nullptr;
};

inline int64_t power_of_two_from(int64_t n) {
    int64_t power = 1;
    while (power < n) power *= 2;
    return power;
}

// Whether elements of `along`'s innermost axis can be loaded n at a time.
inline bool loads_of(int64_t n, const ArrayView& x, const Walk<2>& along, const Walk<2>& other) {
    const int last = along.axes - 1;
    if (along.steps[0][last] != 1 || (along.axes > 1 && along.sizes[last] % n != 0)) return false;
    for (int i = 0; i < last; ++i)
        if (along.steps[0][i] % n != 0) return false;
    for (int i = 0; i < other.axes; ++i)
        if (other.sizes[i] > 1 && other.steps[0][i] % n != 0) return false;
    return reinterpret_cast<uintptr_t>(x.data) % static_cast<uintptr_t>(n * info(x.dtype).bytes) ==
           0;
}

// The innermost axis in steps of n elements.
inline void widen_axis(Walk<2>& walk, int64_t n) {
    const int last = walk.axes - 1;
    walk.sizes[last] = (walk.sizes[last] + n - 1) / n;
    walk.divisions[last] = Division(std::max<int64_t>(walk.sizes[last], 1));
    for (auto& steps : walk.steps) steps[last] *= n;
}

// Calls function with the widths V is compiled for: integral_constant<int, n>.
template <class V, class F>
void with_width(int64_t n, F&& function) {
    switch (n) {
        case 8:
            if constexpr (std::is_same_v<V, float>)
                return function(std::integral_constant<int, 8>{});
            break;
        case 4:
            if constexpr (!std::is_same_v<V, double>)
                return function(std::integral_constant<int, 4>{});
            break;
        case 2:
            if constexpr (!std::is_same_v<V, float>)
                return function(std::integral_constant<int, 2>{});
            break;
    }
    function(std::integral_constant<int, 1>{});
}

template <class V, class Step>
void run_pass(const ReducePlan& plan, const ReducePass& pass) {
    using Acc = typename Step::Acc;
    const int64_t bytes = info(plan.x.dtype).bytes;
    Reduce<Acc> p{};
    p.dtype = plan.x.dtype;
    p.bytes = static_cast<uint8_t>(bytes);
    p.center = pass.center;
    p.out = pass.out;
    p.out_dtype = pass.out_dtype;
    p.out_is_dense = pass.out_is_dense;
    p.number = pass.number;
    p.finish = pass.finish;
    p.outputs = static_cast<uint32_t>(plan.outputs);
    p.kept = walk_of<2>(plan.kept, {plan.kept.strides, plan.out_strides});
    const Walk<2> kept = p.kept;

    // an index is 32 bits: what has more elements is cut along its longest reduced axis
    const int64_t* sizes = plan.reduced.shape;
    const int longest =
        static_cast<int>(std::max_element(sizes, sizes + plan.reduced.ndim) - sizes);
    const int64_t wanted = plan.count < int64_t{1} << 31 ? 1 : (plan.count >> 30) + 1;
    const int64_t size = plan.reduced.ndim == 0 ? 1 : sizes[longest];
    const int64_t piece = wanted == 1 ? size : in_vectors((size + wanted - 1) / wanted);

    const auto walk_piece = [&](int64_t first) {
        ArrayView shape = plan.reduced;
        if (shape.ndim > 0) shape.shape[longest] = std::min(piece, size - first);
        const int64_t* places = Step::kIndexed ? plan.places : shape.strides;
        p.reduced = walk_of<2>(shape, {shape.strides, places});
        p.place_step = p.reduced.steps[1][p.reduced.axes - 1];
        p.first_place = first * places[longest];
        p.x = static_cast<const char*>(plan.x.data) + first * plan.reduced.strides[longest] * bytes;
        p.last_size = p.reduced.count;
    };
    walk_piece(0);
    int64_t n = 1;
    if (Step::kWide) {
        const auto& along = plan.inner_reduced ? p.reduced : p.kept;
        const auto& other = plan.inner_reduced ? p.kept : p.reduced;
        n = std::min<int64_t>(16 / bytes, plan.inner_reduced && std::is_same_v<V, float> ? 8 : 4);
        if (!loads_of(n, plan.x, along, other)) n = 1;
    }
    const auto count_units = [&] {
        if (plan.inner_reduced) widen_axis(p.reduced, n);
        p.units =
            static_cast<uint32_t>(plan.inner_reduced ? (p.last_size + n - 1) / n : p.reduced.count);
    };
    count_units();

    int64_t most_parts;
    if (plan.inner_reduced) {
        p.shape = static_cast<int>(p.units > 512 ? kReduceThreads
                                                 : power_of_two_from(std::min(p.units, 32u)));
        const int64_t teams = kReduceThreads / p.shape;
        p.tiles = static_cast<uint32_t>((plan.outputs + teams - 1) / teams);
        most_parts = p.units / (p.shape * kReduceAhead);
        if (p.shape < kReduceThreads) most_parts = 1;
    } else {
        widen_axis(p.kept, n);
        const int64_t columns = (plan.outputs + n - 1) / n;
        int64_t across = power_of_two_from(std::min<int64_t>(columns, 32));
        while (across < kReduceThreads && across < columns && kReduceThreads / across > p.units)
            across *= 2;
        p.shape = static_cast<int>(across);
        p.tiles = static_cast<uint32_t>((columns + across - 1) / across);
        most_parts = p.units / (kReduceThreads / across * kReduceAhead * kLeastLoads);
    }
    const int64_t parts =
        std::max<int64_t>(1, std::min<int64_t>(most_parts, kReduceBlocks / p.tiles));
    p.units_each = static_cast<uint32_t>(std::max<int64_t>((p.units + parts - 1) / parts, 1));
    const auto parts_of_piece = [&] {
        return std::max<int64_t>(1, (int64_t{p.units} + p.units_each - 1) / p.units_each);
    };

    const int64_t pieces = std::max<int64_t>(1, (size + piece - 1) / std::max<int64_t>(piece, 1));
    const int64_t most = parts_of_piece() * pieces;  // the last piece may be smaller
    Workspace<Acc> partial(most > 1 ? most * plan.outputs : 0);
    p.parts = static_cast<int>(most);
    int64_t launched = 0;
    for (int64_t i = 0; i < pieces; ++i) {
        if (i > 0) {
            walk_piece(i * piece);
            count_units();
        }
        p.partial = partial.data() + launched * plan.outputs;
        const int64_t here = parts_of_piece();
        with_width<V>(n, [&](auto width) {
            constexpr int N = Step::kWide ? decltype(width)::value : 1;
            const dim3 grid(static_cast<unsigned>(p.tiles * here));
            if (plan.inner_reduced)
                launch(reduce_rows_kernel<V, Step, N>, grid, dim3(kReduceThreads),
                       p.shape == kReduceThreads ? kReduceThreads / 32 * sizeof(Acc) : 0, p);
            else if constexpr (N <= 4)
                launch(reduce_columns_kernel<V, Step, N>, grid, dim3(kReduceThreads),
                       p.shape < kReduceThreads ? kReduceThreads * N * sizeof(Acc) : 0, p);
        });
        launched += here;
    }
    if (p.parts == 1) return;
    p.parts = static_cast<int>(launched);
    p.partial = partial.data();
    p.kept = kept;
    launch(reduce_parts_kernel<Step>, blocks_for(plan.outputs, kReduceThreads / 32),
           dim3(kReduceThreads), 0, p);
}

// The ops whose result is a number of x's kind.
template <class V>
void reduce_as(const ReduceCall& call, const ReducePlan& plan) {
    const double count = static_cast<double>(plan.count);
    ReducePass pass{call.out.data, call.out.dtype, false};
    pass.number = count;
    switch (call.op) {
        case Reduction::sum: return run_pass<V, Sum<V>>(plan, pass);
        case Reduction::prod: return run_pass<V, Product<V>>(plan, pass);
        case Reduction::amax: return run_pass<V, Extreme<true>::Of<V>>(plan, pass);
        case Reduction::amin: return run_pass<V, Extreme<false>::Of<V>>(plan, pass);
        case Reduction::argmax: return run_pass<V, Place<true>::Of<V>>(plan, pass);
        case Reduction::argmin: return run_pass<V, Place<false>::Of<V>>(plan, pass);
        case Reduction::any: pass.finish = Finish::any; break;
        case Reduction::all: pass.finish = Finish::all; break;
        default: break;
    }
    run_pass<V, Nonzeros<V>>(plan, pass);
}

// The ops that compute in float64.
template <class V>
void reduce_in_double(const ReduceCall& call, const ReducePlan& plan) {
    const double count = static_cast<double>(plan.count);
    ReducePass pass{call.out.data, call.out.dtype, false};
    const bool centered =
        call.op == Reduction::var || call.op == Reduction::std || call.op == Reduction::logsumexp;
    Workspace<double> center(centered ? plan.outputs : 0);
    ReducePass first{center.data(), DType::f64, true};
    pass.center = centered ? center.data() : nullptr;
    switch (call.op) {
        case Reduction::mean:
            pass.finish = Finish::quotient;
            pass.number = count;
            return run_pass<V, Sum<V>>(plan, pass);
        case Reduction::var:
        case Reduction::std:
            first.finish = Finish::quotient;
            first.number = count;
            run_pass<V, Sum<V>>(plan, first);
            pass.number = std::max(count - call.correction, 0.0);
            if (call.op == Reduction::std) pass.finish = Finish::root;
            return run_pass<V, Deviations<V>>(plan, pass);
        case Reduction::logsumexp:
            first.finish = Finish::finite;
            run_pass<V, Extreme<true>::Of<V>>(plan, first);
            return run_pass<V, SumOfExponentials<V>>(plan, pass);
        case Reduction::norm: return run_pass<V, Squares<V>>(plan, pass);
        case Reduction::norm1: return run_pass<V, Sizes<V>>(plan, pass);
        default: pass.number = call.correction; return run_pass<V, PowersOf<V>>(plan, pass);
    }
}

inline bool computes_in_double(Reduction op) {
    switch (op) {
        case Reduction::mean:
        case Reduction::var:
        case Reduction::std:
        case Reduction::logsumexp:
        case Reduction::norm:
        case Reduction::norm1:
        case Reduction::norm_power: return true;
        default: return false;
    }
}

void reduce_float(const ReduceCall& call, const ReducePlan& plan);
void reduce_double(const ReduceCall& call, const ReducePlan& plan);
void reduce_whole(const ReduceCall& call, const ReducePlan& plan);

}  // namespace pycnn::cuda
