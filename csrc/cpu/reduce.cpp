// Reductions over any set of axes.
//
// Computes   out = op of x over the reduced axes; what each op is: reduced_to() at the end
// Arrays     any dtypes and strides
// Threads    groups of outputs; where these are few, the largest reduced axis is cut into parts,
//            whose accumulators are merged in order. The cut depends on the number of threads.
// Tiling     Axes in x's order of strides, neighbours joined. If the innermost is reduced, its row
//            is added into kChains vectors per output; if it is kept, rows of kColumns outputs are
//            added to each other, several at once where they are short and lie side by side.
// Traffic    x read once per pass; var, std, logsumexp, argmax and argmin take two. float32 from
//            memory: bandwidth
// Numerics   accumulated in float64, or in 64-bit integers, which wrap; one rounding at the store.
//            Sums of float32: first 32 (columns) or 128 terms (rows) in float32, pairwise in part
//            Ties of argmax and argmin: the lowest index
// Source     var in two passes: Chan, Golub and LeVeque 1983
#include "primitives/reduce.h"

#include <algorithm>
#include <cmath>

#include "common/checks.h"
#include "cpu/blocks.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/reduce_kernels.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kColumns = 1024;
constexpr int64_t kSplit = 16384;  // the fewest elements worth a part of their own

struct Axis {
    int64_t size, stride;
    int64_t place;  // reduced: how far a step moves the row-major index; kept: out's stride
};

// x as kept axes and reduced axes, each with the largest stride first. Accumulators are dense in
// the order of the kept ones.
struct Plan {
    const char* x;
    DType dtype;
    int64_t bytes;
    int kept_count = 0, reduced_count = 0;
    Axis kept[kMaxDims], reduced[kMaxDims];
    int64_t outputs = 1, count = 1;
    bool inner_reduced;  // whether the smallest stride is a reduced axis's
};

void append(Axis* axes, int& count, const Axis& axis) {
    if (count > 0) {
        Axis& outer = axes[count - 1];
        if (outer.stride == axis.stride * axis.size && outer.place == axis.place * axis.size) {
            outer = {outer.size * axis.size, axis.stride, axis.place};
            return;
        }
    }
    axes[count++] = axis;
}

Plan plan_of(const ReduceCall& call) {
    const ArrayView& x = call.x;
    Plan plan{};
    plan.x = static_cast<const char*>(x.data);
    plan.dtype = x.dtype;
    plan.bytes = info(x.dtype).bytes;
    plan.outputs = plan.count = 1;
    int64_t place[kMaxDims];
    for (int i = x.ndim - 1, o = call.out.ndim - 1; i >= 0; --i) {
        place[i] = call.reduced[i] ? plan.count : call.out.strides[o--];
        (call.reduced[i] ? plan.count : plan.outputs) *= x.shape[i];
    }
    int order[kMaxDims], axes = 0;
    for (int i = 0; i < x.ndim; ++i) {
        if (x.shape[i] == 1) continue;
        int at = axes++;
        for (; at > 0 && std::abs(x.strides[order[at - 1]]) < std::abs(x.strides[i]); --at)
            order[at] = order[at - 1];
        order[at] = i;
    }
    // joined only where no axis of the other kind lies between: reduced H and W around kept C are two
    for (int k = 0; k < axes; ++k) {
        const int i = order[k];
        const Axis axis{x.shape[i], x.strides[i], place[i]};
        if (call.reduced[i])
            append(plan.reduced, plan.reduced_count, axis);
        else
            append(plan.kept, plan.kept_count, axis);
    }
    plan.inner_reduced = axes == 0 || call.reduced[order[axes - 1]];
    if (plan.reduced_count == 0 && plan.inner_reduced)
        plan.reduced[plan.reduced_count++] = {1, 1, 1};
    return plan;
}

// Calls body(offset, index) for every combination of the axes: the sums of stride and place.
template <class F>
void for_each_index(const Axis* axes, int count, int64_t offset, int64_t index, F&& body) {
    if (count == 0) return body(offset, index);
    for (int64_t i = 0; i < axes[0].size; ++i)
        for_each_index(axes + 1, count - 1, offset + i * axes[0].stride, index + i * axes[0].place,
                       body);
}

// Where the kept axes put the output of a number, in their order.
int64_t offset_of(const Axis* axes, int count, int64_t number) {
    int64_t offset = 0;
    for (int i = count - 1; i >= 0; --i) {
        if (i == 0) return offset + number * axes[0].stride;
        offset += number % axes[i].size * axes[i].stride;
        number /= axes[i].size;
    }
    return offset;
}

// Elements of x as A, or as float where they are: used in place, or brought through a workspace.
template <class A>
class Reader {
  public:
    explicit Reader(const Plan& plan) : plan_(plan), gather_(gather_to<A>(plan.dtype)) {}

    // body(pointer, first, n) for pieces of n elements from `offset` on, `stride` apart
    template <class F>
    void read(int64_t offset, int64_t stride, int64_t size, F&& body) {
        const char* from = plan_.x + offset * plan_.bytes;
        if (stride == 1) {
            if constexpr (std::is_same_v<A, double>)
                if (plan_.dtype == DType::f32)
                    return body(reinterpret_cast<const float*>(from), int64_t{0}, size);
            if (plan_.dtype == (std::is_same_v<A, double> ? DType::f64 : DType::i64))
                return body(reinterpret_cast<const A*>(from), int64_t{0}, size);
        }
        for (int64_t first = 0; first < size; first += kColumns) {
            const int64_t n = std::min(kColumns, size - first);
            gather_(from + first * stride * plan_.bytes, &stride, &n, 1, workspace_);
            body(static_cast<const A*>(workspace_), first, n);
        }
    }

  private:
    const Plan& plan_;
    const Gather gather_;
    alignas(64) A workspace_[kColumns];
};

// The outputs [begin, end) of a plan whose innermost axis is reduced.
template <class Op, class A>
void reduce_rows(const Plan& plan, int64_t x_offset, int64_t first_index, const A* shift, A* out,
                 int64_t begin, int64_t end) {
    Reader<A> reader(plan);
    const Axis inner = plan.reduced[plan.reduced_count - 1];
    for (int64_t o = begin; o < end; ++o) {
        Lanes<A> acc[kChains];
        for (Lanes<A>& a : acc) a = splat(Op::template start<A>());
        const int64_t base = x_offset + offset_of(plan.kept, plan.kept_count, o);
        for_each_index(plan.reduced, plan.reduced_count - 1, base, first_index,
                       [&](int64_t offset, int64_t index) {
                           reader.read(offset, inner.stride, inner.size,
                                       [&](const auto* x, int64_t first, int64_t n) {
                                           reduce_row<Op, A>(
                                               x, n, acc, shift ? shift[o] : A{},
                                               static_cast<A>(index + first * inner.place),
                                               static_cast<A>(inner.place));
                                       });
                       });
        out[o] = merged<Op, A>(acc);
    }
}

// Outputs [begin, end) of one row of the innermost kept axis, at most kColumns of them.
template <class Op, class A>
void reduce_columns(const Plan& plan, int64_t x_offset, int64_t first_index, const A* shift, A* out,
                    int64_t begin, int64_t end) {
    constexpr int kPadding = kVectorBytes / sizeof(float);
    Reader<A> reader(plan);
    const Axis inner = plan.kept[plan.kept_count - 1];
    const int64_t n = end - begin;
    const int64_t base = x_offset + offset_of(plan.kept, plan.kept_count, begin);
    Axis axes[kMaxDims];
    std::copy(plan.reduced, plan.reduced + plan.reduced_count, axes);
    int count = plan.reduced_count;
    // short rows that follow each other: `fold` of them are one row, folded up in the end
    int64_t fold = 1, rows = 1, row_step = 0;
    if (!Op::kIndexed && n == inner.size && n <= kColumns / 4 && count > 0 &&
        axes[count - 1].stride == n * inner.stride) {
        const Axis adjacent = axes[--count];
        rows = adjacent.size;
        fold = std::clamp<int64_t>(rows, 1, kColumns / n);
        row_step = adjacent.stride;
    }
    alignas(64) A acc[kColumns + kPadding], shifts[kColumns + kPadding];
    std::fill(acc, acc + kColumns + kPadding, Op::template start<A>());
    std::fill(shifts, shifts + kColumns + kPadding, A{});
    if (shift)
        for (int64_t j = 0; j < fold; ++j) std::copy(shift + begin, shift + end, shifts + j * n);
    bool done = false;
    if constexpr (kNarrow<Op> && std::is_same_v<A, double>) {
        done = plan.dtype == DType::f32 && inner.stride == 1;
        if (done && rows == 1 && count > 0) {
            rows = axes[--count].size;
            row_step = axes[count].stride;
        }
        alignas(64) float partial[kColumns + kPadding];
        if (done)
            for_each_index(axes, count, base, first_index, [&](int64_t offset, int64_t) {
                const float* x = reinterpret_cast<const float*>(plan.x) + offset;
                const int64_t groups = rows / fold, left = rows % fold;
                reduce_narrow_columns<Op>(x, groups, fold * row_step, fold * n, acc, partial);
                if (left > 0)
                    reduce_narrow_columns<Op>(x + groups * fold * row_step, 1, 0, left * n, acc,
                                              partial);
            });
    }
    if (!done)
        for_each_index(axes, count, base, first_index, [&](int64_t offset, int64_t index) {
            for (int64_t row = 0; row < rows; row += fold)
                reader.read(offset + row * row_step, inner.stride, std::min(fold, rows - row) * n,
                            [&](const auto* x, int64_t first, int64_t m) {
                                reduce_column<Op, A>(x, m, acc + first, shifts + first,
                                                     static_cast<A>(index));
                            });
        });
    for (int64_t j = 1; j < fold; ++j)
        for (int64_t i = 0; i < n; ++i) acc[i] = Op::merge(acc[i], acc[j * n + i]);
    std::copy(acc, acc + n, out + begin);
}

// The accumulators of all outputs; `shift` is one number for each of them, or null.
template <class Op, class A>
Buffer<A> accumulated(const Plan& plan, const A* shift = nullptr) {
    const int64_t threads = num_threads();
    const int64_t row = plan.inner_reduced ? 1 : plan.kept[plan.kept_count - 1].size;
    const int64_t pieces = (row + kColumns - 1) / kColumns;  // of a row of outputs
    const int64_t rows = plan.outputs / row;
    const int64_t groups = plan.inner_reduced ? std::min(plan.outputs, 8 * threads) : rows * pieces;

    int cut = 0;  // the reduced axis to take in parts
    for (int i = 1; i < plan.reduced_count; ++i)
        if (plan.reduced[i].size > plan.reduced[cut].size) cut = i;
    int64_t parts = 1;
    if (threads > 1 && groups < 2 * threads && plan.reduced_count > 0)
        parts = std::max<int64_t>(
            1, std::min({4 * threads, plan.reduced[cut].size, plan.outputs * plan.count / kSplit}));

    Buffer<A> acc(parts * plan.outputs);
    const double cost = Op::kCost * static_cast<double>(plan.outputs * plan.count) /
                        static_cast<double>(groups * parts);
    parallel_for(groups * parts, cost, [&](int64_t task) {
        const int64_t part = task / groups, group = task % groups;
        Plan mine = plan;
        int64_t offset = 0, index = 0;
        if (parts > 1) {
            Axis& axis = mine.reduced[cut];
            const int64_t begin = axis.size * part / parts, end = axis.size * (part + 1) / parts;
            offset = begin * axis.stride;
            index = begin * axis.place;
            axis.size = end - begin;
        }
        A* out = acc.data() + part * plan.outputs;
        if (plan.inner_reduced) {
            reduce_rows<Op, A>(mine, offset, index, shift, out, plan.outputs * group / groups,
                               plan.outputs * (group + 1) / groups);
        } else {
            const int64_t first = group / pieces * row, piece = group % pieces;
            reduce_columns<Op, A>(mine, offset, index, shift, out, first + row * piece / pieces,
                                  first + row * (piece + 1) / pieces);
        }
    });
    for (int64_t part = 1; part < parts; ++part)
        for (int64_t o = 0; o < plan.outputs; ++o)
            acc[o] = Op::merge(acc[o], acc[part * plan.outputs + o]);
    return acc;
}

template <class A>
void store(const Plan& plan, const ReduceCall& call, const Buffer<A>& acc) {
    int64_t sizes[kMaxDims], strides[kMaxDims];
    for (int i = 0; i < plan.kept_count; ++i) {
        sizes[i] = plan.kept[i].size;
        strides[i] = plan.kept[i].place;
    }
    scatter_from<A>(call.out.dtype)(acc.data(), call.out.data, strides, sizes, plan.kept_count);
}

template <class A, class F>
void each(const Plan& plan, const Buffer<A>& acc, F&& function) {
    for (int64_t o = 0; o < plan.outputs; ++o) acc[o] = static_cast<A>(function(acc[o]));
}

template <class A>
Buffer<A> extreme(const Plan& plan, bool largest) {
    return largest ? accumulated<Extreme<true>, A>(plan) : accumulated<Extreme<false>, A>(plan);
}

Buffer<double> deviations(const Plan& plan, double correction) {
    const double count = static_cast<double>(plan.count);
    const Buffer<double> mean = accumulated<Sum, double>(plan);
    each(plan, mean, [&](double total) { return total / count; });
    Buffer<double> squares = accumulated<Deviations, double>(plan, mean.data());
    const double divisor = std::max(count - correction, 0.0);
    each(plan, squares, [&](double total) { return total / divisor; });
    return squares;
}

Buffer<double> log_of_sums(const Plan& plan) {
    const Buffer<double> top = extreme<double>(plan, true);
    each(plan, top, [](double x) { return std::isfinite(x) ? x : 0.0; });
    Buffer<double> sums = accumulated<Exponentials, double>(plan, top.data());
    for (int64_t o = 0; o < plan.outputs; ++o) sums[o] = top[o] + std::log(sums[o]);
    return sums;
}

Buffer<double> root_of_powers(const Plan& plan, double p) {
    const Buffer<double> power(plan.outputs);
    each(plan, power, [&](double) { return p; });
    Buffer<double> sums = accumulated<Powers, double>(plan, power.data());
    each(plan, sums, [&](double total) { return std::pow(total, 1 / p); });
    return sums;
}

// What reads alike in floating point and in integers; false for the others.
template <class A>
bool reduced_to(const Plan& plan, const ReduceCall& call) {
    const auto give = [&](const Buffer<A>& acc) {
        store(plan, call, acc);
        return true;
    };
    switch (call.op) {
        case Reduction::sum: return give(accumulated<Sum, A>(plan));
        case Reduction::prod: return give(accumulated<Product, A>(plan));
        case Reduction::amax: return give(extreme<A>(plan, true));
        case Reduction::amin: return give(extreme<A>(plan, false));
        case Reduction::argmax:
        case Reduction::argmin: {
            const Buffer<A> found = extreme<A>(plan, call.op == Reduction::argmax);
            return give(accumulated<FirstMatch, A>(plan, found.data()));
        }
        case Reduction::count_nonzero:
        case Reduction::any:
        case Reduction::all: {
            const Buffer<A> nonzeros = accumulated<Nonzeros, A>(plan);
            if (call.op == Reduction::any) each(plan, nonzeros, [](A n) { return n > 0; });
            if (call.op == Reduction::all)
                each(plan, nonzeros, [&](A n) { return n == static_cast<A>(plan.count); });
            return give(nonzeros);
        }
        default: return false;
    }
}

void reduced_in_double(const Plan& plan, const ReduceCall& call) {
    const auto give = [&](const Buffer<double>& acc) { store(plan, call, acc); };
    switch (call.op) {
        case Reduction::mean: {
            const Buffer<double> sums = accumulated<Sum, double>(plan);
            each(plan, sums, [&](double s) { return s / static_cast<double>(plan.count); });
            return give(sums);
        }
        case Reduction::var: return give(deviations(plan, call.correction));
        case Reduction::std: {
            const Buffer<double> squares = deviations(plan, call.correction);
            each(plan, squares, [](double s) { return std::sqrt(s); });
            return give(squares);
        }
        case Reduction::logsumexp: return give(log_of_sums(plan));
        case Reduction::norm: {
            const Buffer<double> squares = accumulated<Squares, double>(plan);
            each(plan, squares, [](double s) { return std::sqrt(s); });
            return give(squares);
        }
        case Reduction::norm1: return give(accumulated<Sizes, double>(plan));
        default: return give(root_of_powers(plan, call.correction));
    }
}

}  // namespace

void reduce(const ReduceCall& call) {
    const Plan plan = plan_of(call);
    if (plan.outputs == 0) return;
    const bool picks = call.op == Reduction::amax || call.op == Reduction::amin ||
                       call.op == Reduction::argmax || call.op == Reduction::argmin;
    if (plan.count == 0 && picks)
        throw ValueError(refusal("the number of reduced elements", "0", "at least 1"));
    const bool floating = kFloatDTypes & only(call.x.dtype);
    if (floating ? reduced_to<double>(plan, call) : reduced_to<int64_t>(plan, call)) return;
    reduced_in_double(plan, call);
}

}  // namespace pycnn::PYCNN_ISA
