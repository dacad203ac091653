#include "cuda/softmax_cross_entropy.cuh"

#include "primitives/softmax_cross_entropy.h"

namespace pycnn::cuda {
namespace {

// An array (N, *) as one (N, 1, *) whose class axis has the length of the logits', so that both
// walk alike.
ArrayView with_classes(const ArrayView& a, const ArrayView& logits) {
    ArrayView view = logits;
    view.data = a.data;
    view.dtype = a.dtype;
    view.strides[0] = a.strides[0];
    view.strides[1] = 0;
    for (int i = 1; i < a.ndim; ++i) view.strides[i + 1] = a.strides[i];
    return view;
}

// The weights in a workspace, or null.
template <class A>
Workspace<A> weights_of(const CrossEntropy& a) {
    if (!a.class_weight) return {};
    const int64_t count = a.class_weight->shape[0];
    Workspace<A> weights(count + 1);
    launch(class_weights_kernel<A>, dim3(1), dim3(kRowThreads), 0,
           ClassWeights<A>{FloatVector(*a.class_weight), weights.data(), count});
    return weights;
}

template <class A>
Classes<A> classes_of(const CrossEntropy& a, const Workspace<A>& weights) {
    const auto count = static_cast<double>(std::max<int64_t>(a.logits.shape[1], 1));
    return {weights.data(), a.ignore_index, static_cast<A>(1 - a.label_smoothing),
            static_cast<A>(a.label_smoothing / count)};
}

// Calls along(vector) for classes that lie side by side, or across(vector, index); the first
// `count` arrays hold logits.
template <class T, int Arrays, class Along, class Across>
void with_walk(Rows<Arrays>& r, bool aligned, int count, Along&& along, Across&& across) {
    constexpr auto one = std::integral_constant<int, 1>{};
    if constexpr (!kMixed<T>) {
        constexpr auto many = std::integral_constant<int, kWidth<T>>{};
        if (r.length >= kShortRow) {
            if (aligned && along_rows(r, kWidth<T>, count)) return along(many);
            if (along_rows(r, 1, count)) return along(one);
        }
        // two positions of float64 take more registers than there are
        if constexpr (sizeof(T) < 8) {
            if (aligned && across_rows(r, kWidth<T>, count)) {
                share_columns(r, kWidth<T>);
                return across(many, uint32_t{});
            }
        }
    }
    with_index(r.walk.count, [&](auto index) {
        share_columns(r, 1);
        across(one, index);
    });
}

}  // namespace

void softmax_cross_entropy_fprop(const CrossEntropy& a, const ArrayView& loss,
                                 const ArrayView& logsumexp) {
    if (loss.numel() == 0) return;
    with_float_dtype(a.logits.dtype, [&](auto t) {
        using T = decltype(t);
        using A = Accumulation<T>;
        const Workspace<A> weights = weights_of<A>(a);
        const ArrayView target = with_classes(a.target, a.logits);
        const ArrayView losses = with_classes(loss, a.logits);
        const ArrayView sums = with_classes(logsumexp, a.logits);
        CrossEntropyFprop<T> p{Elements<T>::of(a.logits),
                               Numbers::of(target),
                               Numbers::of(losses),
                               Numbers::of(sums),
                               classes_of(a, weights),
                               a.label_smoothing != 0,
                               rows_of<4>({&a.logits, &target, &losses, &sums}, 1)};
        with_walk<T>(
            p.rows, aligned_to_vectors({a.logits.data}), 1,
            [&](auto vector) {
                constexpr int N = decltype(vector)::value;
                const int64_t rows = p.rows.walk.count;
                if (p.rows.length <= 2048) {
                    const int64_t together = std::min<int64_t>(rows, kRowThreads / 32);
                    launch(cross_entropy_rows_kernel<T, N, 32>, blocks_for(rows, together),
                           dim3(static_cast<unsigned>(32 * together)), 0, p);
                } else {
                    launch(cross_entropy_rows_kernel<T, N, kRowThreads>, blocks_for(rows, 1),
                           dim3(kRowThreads), 0, p);
                }
            },
            [&](auto vector, auto index) {
                launch(cross_entropy_columns_kernel<T, decltype(vector)::value, decltype(index)>,
                       p.rows.blocks(), dim3(p.rows.threads()), 0, p);
            });
    });
}

void softmax_cross_entropy_dgrad(const CrossEntropy& a, const ArrayView& dloss,
                                 const ArrayView& logsumexp, const ArrayView& dx) {
    if (dx.numel() == 0) return;
    with_elements({&dx, &a.logits}, [&](auto t) {
        using T = decltype(t);
        using A = Accumulation<T>;
        const Workspace<A> weights = weights_of<A>(a);
        const ArrayView target = with_classes(a.target, a.logits);
        const ArrayView gradient = with_classes(dloss, a.logits);
        const ArrayView sums = with_classes(logsumexp, a.logits);
        CrossEntropyDgrad<T> p{Elements<T>::of(dx),
                               Elements<T>::of(a.logits),
                               Numbers::of(target),
                               Numbers::of(gradient),
                               Numbers::of(sums),
                               classes_of(a, weights),
                               a.label_smoothing != 0,
                               1,
                               rows_of<5>({&dx, &a.logits, &target, &gradient, &sums}, 1)};
        with_walk<T>(
            p.rows, aligned_to_vectors({dx.data, a.logits.data}), 2,
            [&](auto vector) {
                if constexpr (!kMixed<T>) {
                    constexpr int N = decltype(vector)::value;
                    constexpr int64_t chunk = int64_t{32} * kClassVectors * N;
                    p.chunks = (p.rows.length + chunk - 1) / chunk;
                    const int64_t warps = p.rows.walk.count * p.chunks;
                    const int64_t together = std::min<int64_t>(warps, kRowThreads / 32);
                    launch(cross_entropy_rows_dgrad_kernel<T, N>, blocks_for(warps, together),
                           dim3(static_cast<unsigned>(32 * together)), 0, p);
                }
            },
            [&](auto vector, auto index) {
                launch(
                    cross_entropy_columns_dgrad_kernel<T, decltype(vector)::value, decltype(index)>,
                    p.rows.blocks(), dim3(p.rows.threads()), 0, p);
            });
    });
}

}  // namespace pycnn::cuda
