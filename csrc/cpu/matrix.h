// Where the elements of a matrix lie in memory, for the matrix products.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "primitives/builds.h"

namespace pycnn::PYCNN_ISA {

// One axis of a matrix. Its elements lie in runs of evenly spaced ones, `runs` of them to an image:
// the pixels of a strided channels-last array, say. A plain axis is one run without end.
struct Axis {
    static constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

    int64_t step = 0;  // from an element to the next of its run
    int64_t run = kEndless;
    int64_t runs = 1;
    int64_t run_step = 0, image_step = 0;  // from a run, from an image, to the next

    static Axis even(int64_t step) { return {step}; }

    // The pixels of N images of P x Q, in that order, with the steps of an array's axes.
    static Axis pixels(int64_t N, int64_t P, int64_t Q, int64_t n_step, int64_t p_step,
                       int64_t q_step) {
        if (Q == 1) Q = std::exchange(P, 1), q_step = p_step;
        if (Q == 1) Q = std::exchange(N, 1), q_step = n_step;
        if (P > 1 && p_step == Q * q_step) Q *= std::exchange(P, 1);
        if (P > 1) return {q_step, Q, P, p_step, n_step};
        if (N > 1 && n_step != Q * q_step) return {q_step, Q, 1, 0, n_step};
        return even(q_step);
    }

    int64_t offset(int64_t i) const {
        if (i < run) return i * step;
        const int64_t before = i / run;
        return i % run * step + before % runs * run_step + before / runs * image_step;
    }

    // How many elements, from i on, are evenly spaced.
    int64_t even_from(int64_t i) const { return run == kEndless ? kEndless : run - i % run; }
    bool is_even(int64_t i, int64_t count) const { return even_from(i) >= count; }

    // Calls body(first, count, offset of the first) for each run within [begin, end).
    template <class F>
    void for_each_run(int64_t begin, int64_t end, F&& body) const {
        for (int64_t i = begin; i < end;) {
            const int64_t count = std::min(even_from(i), end - i);
            body(i, count, offset(i));
            i += count;
        }
    }
};

}  // namespace pycnn::PYCNN_ISA
