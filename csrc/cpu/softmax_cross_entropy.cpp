// Softmax cross entropy of logits with class indices, and its gradient.
//
// Computes   fprop and dgrad of cpu/softmax_cross_entropy.h
// Arrays     any strides: logits are walked in their memory order, or in a dense copy; what has one
//            element per position is gathered into that order
// Threads    ranges of positions
// Tiling     one position where the classes are innermost, else as many positions side by side as a
//            vector holds
// Traffic    logits come from memory once; probabilities are never stored
// Numerics   halves in float32; differences are taken from the maximum; a target is used as an
//            index only where it lies in [0, C)
// Refuses    nothing
#include "primitives/softmax_cross_entropy.h"

#include <cmath>

#include "cpu/softmax_rows.h"

namespace pycnn::PYCNN_ISA {
namespace {

// A walk over (N, C, *) without the axis of the classes: that of (N, *) in the same order.
ArrayView positions_of(const ArrayView& walk) {
    const int64_t classes = walk.strides[1], size = std::max<int64_t>(walk.shape[1], 1);
    ArrayView p = walk;
    for (int i = 0; i < walk.ndim; ++i)
        if (walk.strides[i] > classes || (walk.strides[i] == classes && i != 1))
            p.strides[i] = walk.shape[i] == 1 ? walk.strides[i] : walk.strides[i] / size;
    for (int i = 2; i < walk.ndim; ++i) {
        p.shape[i - 1] = p.shape[i];
        p.strides[i - 1] = p.strides[i];
    }
    --p.ndim;
    return p;
}

int64_t integer_at(const ArrayView& a, int64_t offset) {
    switch (a.dtype) {
        case DType::i8: return static_cast<const int8_t*>(a.data)[offset];
        case DType::i16: return static_cast<const int16_t*>(a.data)[offset];
        case DType::i32: return static_cast<const int32_t*>(a.data)[offset];
        case DType::i64: return static_cast<const int64_t*>(a.data)[offset];
        case DType::u8: return static_cast<const uint8_t*>(a.data)[offset];
        default: return static_cast<const bool*>(a.data)[offset] ? 1 : 0;
    }
}

// The targets as int64 in the order of `positions`.
Buffer<int64_t> targets_of(const ArrayView& target, const ArrayView& positions) {
    const int64_t count = target.numel();
    Buffer<int64_t> values(std::max<int64_t>(count, 1));
    for (int64_t i = 0; i < count; ++i) {
        int64_t rest = i, from = 0, to = 0;
        for (int axis = target.ndim - 1; axis >= 0; --axis) {
            const int64_t at = rest % target.shape[axis];
            rest /= target.shape[axis];
            from += at * target.strides[axis];
            to += at * positions.strides[axis];
        }
        values[to] = integer_at(target, from);
    }
    return values;
}

// The weights of the classes as A, ones where there are none.
template <class A>
Buffer<A> weights_of(const CrossEntropy& a) {
    const int64_t classes = a.logits.shape[1];
    Buffer<A> values(std::max<int64_t>(classes, 1));
    if (!a.class_weight) {
        std::fill_n(values.data(), classes, A(1));
        return values;
    }
    ArrayView to = *a.class_weight;
    to.data = values.data();
    to.dtype = DTypeOf<A>::value;
    to.strides[0] = 1;
    copy(*a.class_weight, to);
    return values;
}

constexpr double kCostOfExp = 1;  // nanoseconds for an element, about

// What a position's loss needs beside its target.
template <class A>
struct Problem {
    const CrossEntropy& a;
    const int64_t* target;
    const A* weight;
    Cut cut;

    bool counts(int64_t position) const { return target[position] != a.ignore_index; }
    bool inside(int64_t position) const {
        return target[position] >= 0 && target[position] < cut.size;
    }
};

// The loss of one position: `log_sum` is lse - max, `picked` x_t - max, `smooth` the sum of
// w_c * (lse - x_c).
template <class A>
A loss_of(const Problem<A>& p, int64_t position, A log_sum, A picked, A smooth) {
    if (!p.counts(position)) return 0;
    if (!p.inside(position)) return std::numeric_limits<A>::quiet_NaN();
    const A s = static_cast<A>(p.a.label_smoothing);
    A value = p.weight[p.target[position]] * (log_sum - picked);
    if (s != 0) value = (1 - s) * value + s / static_cast<A>(p.cut.size) * smooth;
    return value;
}

template <class T, class A = Accumulation<T>>
void fprop(const Problem<A>& p, const T* x, A* loss, A* logsumexp) {
    const Cut& cut = p.cut;
    const bool smooths = p.a.label_smoothing != 0;
    const auto picked_at = [&](int64_t position, const T* first, int64_t step, A most) {
        if (!p.counts(position) || !p.inside(position)) return A(0);
        return static_cast<A>(first[p.target[position] * step]) - most;
    };
    const auto row = [&](int64_t o) {
        const T* from = x + o * cut.size;
        const A most = row_max(from, cut.size);
        const auto top = broadcast<A>(most);
        LongSum<A> sum, smooth;
        row_vectors<A>(cut.size,
                       [&](int64_t i, int n) { sum.add(exp(load_or_least(from + i, n) - top)); });
        const A log_sum = static_cast<A>(std::log(sum.total()));
        if (smooths)
            row_vectors<A>(cut.size, [&](int64_t i, int n) {
                const Vec<A> w = load_some(p.weight + i, n);
                smooth.add(w * (broadcast<A>(log_sum) - (load_some(from + i, n) - top)));
            });
        logsumexp[o] = log_sum + most;
        loss[o] =
            loss_of(p, o, log_sum, picked_at(o, from, 1, most), static_cast<A>(smooth.total()));
    };
    const auto columns = [&](int64_t o, int64_t j, int n) {
        const int64_t step = cut.inner;
        const T* from = x + o * cut.size * step + j;
        const Vec<A> top = column_max(from, cut.size, step, n);
        LongLaneSum<A> sum, smooth;
        for (int64_t i = 0; i < cut.size; ++i) sum.add(exp(load_some(from + i * step, n) - top));
        const Vec<A> log_sum = log(sum.total());
        if (smooths)
            for (int64_t i = 0; i < cut.size; ++i)
                smooth.add(broadcast<A>(p.weight[i]) *
                           (log_sum - (load_some(from + i * step, n) - top)));
        const Vec<A> smoothed = smooth.total();
        for (int k = 0; k < n; ++k) {
            const int64_t position = o * step + j + k;
            logsumexp[position] = log_sum[k] + top[k];
            loss[position] = loss_of<A>(p, position, log_sum[k],
                                        picked_at(position, from + k, step, top[k]), smoothed[k]);
        }
    };
    along<A>(cut, 1.2 * kCostOfExp, row, columns);
}

// dx_c = p_c * slope - w_c * offset, and at the target, where it would cancel,
// (p_t - 1) * target + p_t * (slope - target) - w_t * offset.
template <class A>
struct Gradient {
    A slope, offset, target;
};

template <class A>
Gradient<A> gradient_of(const Problem<A>& p, int64_t position, A dloss, A weights) {
    if (!p.counts(position)) return {0, 0, 0};
    if (!p.inside(position)) return {std::numeric_limits<A>::quiet_NaN(), 0, 0};
    const A s = static_cast<A>(p.a.label_smoothing);
    const A share = s / static_cast<A>(p.cut.size);
    const A target = (1 - s) * p.weight[p.target[position]];
    return {dloss * (target + share * weights), dloss * share, dloss * target};
}

template <class T, class A = Accumulation<T>>
void dgrad(const Problem<A>& p, const T* x, const A* dloss, const A* lse, T* dx) {
    const Cut& cut = p.cut;
    double all = 0;
    for (int64_t c = 0; c < cut.size; ++c) all += static_cast<double>(p.weight[c]);
    const A weights = static_cast<A>(all);
    const bool smooths = p.a.label_smoothing != 0;
    const auto finish_target = [&](int64_t position, const T* from, T* to, int64_t step,
                                   const Gradient<A>& g) {
        const int64_t at = p.target[position] * step;
        const A q = std::exp(static_cast<A>(from[at]) - lse[position]);
        const A smooth = q * (g.slope - g.target) - p.weight[p.target[position]] * g.offset;
        to[at] = T((q - 1) * g.target + (smooths ? smooth : A(0)));
    };
    const auto row = [&](int64_t o) {
        const T* from = x + o * cut.size;
        T* to = dx + o * cut.size;
        if (!p.counts(o)) {
            row_vectors<A>(cut.size, [&](int64_t i, int n) { store_some(to + i, zero<A>(), n); });
            return;
        }
        const Gradient<A> g = gradient_of(p, o, dloss[o], weights);
        row_vectors<A>(cut.size, [&](int64_t i, int n) {
            Vec<A> v = exp(load_some(from + i, n) - broadcast<A>(lse[o])) * g.slope;
            if (smooths) v = v - load_some(p.weight + i, n) * g.offset;
            store_some(to + i, v, n);
        });
        if (p.inside(o)) finish_target(o, from, to, 1, g);
    };
    const auto columns = [&](int64_t o, int64_t j, int n) {
        const int64_t step = cut.inner;
        const T* from = x + o * cut.size * step + j;
        T* to = dx + o * cut.size * step + j;
        A slopes[kLanes<A>]{}, offsets[kLanes<A>]{}, live[kLanes<A>]{};
        Gradient<A> g[kLanes<A>];
        for (int k = 0; k < n; ++k) {
            const int64_t position = o * step + j + k;
            g[k] = gradient_of(p, position, dloss[position], weights);
            slopes[k] = g[k].slope;
            offsets[k] = g[k].offset;
            live[k] = p.counts(position) ? A(1) : A(0);
        }
        const Vec<A> slope = load(slopes), offset = load(offsets), counted = load(live);
        const Vec<A> sum = load_some(lse + o * step + j, n);
        for (int64_t i = 0; i < cut.size; ++i) {
            Vec<A> v = exp(load_some(from + i * step, n) - sum) * slope;
            if (smooths) v = v - broadcast<A>(p.weight[i]) * offset;
            store_some(to + i * step, select(counted != zero<A>(), v, zero<A>()), n);
        }
        for (int k = 0; k < n; ++k) {
            const int64_t position = o * step + j + k;
            if (p.counts(position) && p.inside(position))
                finish_target(position, from + k, to + k, step, g[k]);
        }
    };
    along<A>(cut, 1.2 * kCostOfExp, row, columns);
}

}  // namespace

void softmax_cross_entropy_fprop(const CrossEntropy& a, const ArrayView& loss,
                                 const ArrayView& logsumexp) {
    if (loss.numel() == 0) return;
    const ArrayView walk = without_gaps({&a.logits});
    const ArrayView positions = a.logits.shape[1] > 0
                                    ? positions_of(walk)
                                    : dense_view(nullptr, loss.dtype, loss, Layout::contiguous);
    with_float_dtype(a.logits.dtype, [&](auto t) {
        using T = decltype(t);
        using A = Accumulation<T>;
        const OrderedInput<T> x(a.logits, walk);
        const Buffer<int64_t> target = targets_of(a.target, positions);
        const Buffer<A> weight = weights_of<A>(a);
        const OrderedOutput<A> losses(loss, positions), sums(logsumexp, positions);
        Cut cut = cut_at(walk, 1);
        if (cut.size == 0) cut = {loss.numel(), 0, 1};
        fprop<T>({a, target.data(), weight.data(), cut}, x.data(), losses.data(), sums.data());
        losses.finish();
        sums.finish();
    });
}

void softmax_cross_entropy_dgrad(const CrossEntropy& a, const ArrayView& dloss,
                                 const ArrayView& logsumexp, const ArrayView& dx) {
    if (dx.numel() == 0) return;
    const ArrayView walk = without_gaps({&a.logits, &dx});
    const ArrayView positions = positions_of(walk);
    with_common_dtype({&a.logits, &dx}, [&](auto t) {
        using T = decltype(t);
        using A = Accumulation<T>;
        const OrderedInput<T> x(a.logits, walk);
        const Buffer<int64_t> target = targets_of(a.target, positions);
        const Buffer<A> weight = weights_of<A>(a);
        const OrderedInput<A> gradient(dloss, positions), sums(logsumexp, positions);
        const OrderedOutput<T> to(dx, walk);
        dgrad<T>({a, target.data(), weight.data(), cut_at(walk, 1)}, x.data(), gradient.data(),
                 sums.data(), to.data());
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
