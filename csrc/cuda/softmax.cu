#include "cuda/softmax.cuh"

#include "primitives/softmax.h"

namespace pycnn::cuda {
namespace {

// What walks the rows: threads of a group and elements of a vector for rows that lie side by side
// in memory; a vector of rows otherwise.
template <int N, int Group, bool Held>
struct AlongRows {
    static constexpr int width = N, group = Group;
    static constexpr bool held = Held;
};

// Calls along(AlongRows) or across(vector, index) with how the rows are walked.
template <class T, int Arrays, class Along, class Across>
void with_walk(Rows<Arrays>& r, bool aligned, Along&& along, Across&& across) {
    if constexpr (!kMixed<T>) {
        constexpr int width = kWidth<T>;
        // two exponentials of float64 side by side take more registers than there are
        constexpr int streamed = sizeof(T) == 8 ? 1 : width;
        if (r.length >= kShortRow) {
            if (aligned && along_rows(r, width)) {
                const int64_t vectors = r.length / width;
                return vectors <= 32 * kHeld ? along(AlongRows<width, 32, true>{})
                       : vectors <= kRowThreads * kHeld
                           ? along(AlongRows<width, kRowThreads, true>{})
                           : along(AlongRows<streamed, kRowThreads, false>{});
            }
            if (along_rows(r, 1))
                return r.length <= 32 * kHeld ? along(AlongRows<1, 32, true>{})
                                              : along(AlongRows<1, kRowThreads, false>{});
        }
        if (aligned && across_rows(r, width)) {
            share_columns(r, width);
            return across(std::integral_constant<int, width>{}, uint32_t{});
        }
    }
    with_index(r.walk.count, [&](auto index) {
        share_columns(r, 1);
        across(std::integral_constant<int, 1>{}, index);
    });
}

// Launches a kernel of one warp, or of one block, for each of `rows`.
template <class P>
void launch_rows(void (*kernel)(P), int group, int64_t rows, const P& p) {
    const int64_t together = std::clamp<int64_t>(rows, 1, kRowThreads / group);
    launch(kernel, blocks_for(rows, together), dim3(static_cast<unsigned>(together * group)), 0, p);
}

}  // namespace

void softmax_fprop(const ArrayView& x, const ArrayView& y, int axis, bool log) {
    if (y.numel() == 0) return;
    with_elements({&y, &x}, [&](auto t) {
        using T = decltype(t);
        SoftmaxFprop<T> p{Elements<T>::of(y), Elements<T>::of(x), log, rows_of<2>({&y, &x}, axis)};
        with_walk<T>(
            p.rows, aligned_to_vectors({x.data, y.data}),
            [&](auto how) {
                if constexpr (!kMixed<T>)
                    launch_rows(softmax_rows_kernel<T, how.width, how.group, how.held>, how.group,
                                p.rows.walk.count, p);
            },
            [&](auto width, auto index) {
                launch(softmax_columns_kernel<T, decltype(width)::value, decltype(index)>,
                       p.rows.blocks(), dim3(p.rows.threads()), 0, p);
            });
    });
}

void softmax_dgrad(const ArrayView& dy, const ArrayView& y, const ArrayView& dx, int axis,
                   bool log) {
    if (dx.numel() == 0) return;
    with_elements({&dx, &dy, &y}, [&](auto t) {
        using T = decltype(t);
        SoftmaxDgrad<T> p{Elements<T>::of(dx), Elements<T>::of(dy), Elements<T>::of(y), log,
                          rows_of<3>({&dx, &dy, &y}, axis)};
        with_walk<T>(
            p.rows, aligned_to_vectors({dx.data, dy.data, y.data}),
            [&](auto how) {
                if constexpr (!kMixed<T>)
                    launch_rows(softmax_rows_dgrad_kernel<T, how.width, how.group, how.held>,
                                how.group, p.rows.walk.count, p);
            },
            [&](auto width, auto index) {
                launch(softmax_columns_dgrad_kernel<T, decltype(width)::value, decltype(index)>,
                       p.rows.blocks(), dim3(p.rows.threads()), 0, p);
            });
    });
}

}  // namespace pycnn::cuda
