// What softmax and cross entropy share: maxima and sums of exponentials along an axis.
#pragma once

#include <limits>

#include "cpu/math.h"
#include "cpu/memory_order.h"
#include "cpu/parallel.h"
#include "cpu/stream.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {

// The first n elements, -inf in the other lanes.
template <class T>
PYCNN_INLINE Vec<Accumulation<T>> load_or_least(const T* from, int n) {
    using A = Accumulation<T>;
    if (n == kLanes<A>) return load(from);
    Mask<A> lane;
    for (int i = 0; i < kLanes<A>; ++i) lane[i] = i;
    return select(lane < Mask<A>{} + n, load(from, n),
                  broadcast<A>(-std::numeric_limits<A>::infinity()));
}

template <class T>
PYCNN_INLINE Vec<Accumulation<T>> load_some(const T* from, int n) {
    return n == kLanes<Accumulation<T>> ? load(from) : load(from, n);
}
// body(first element, n) for the vectors of a row.
template <class A, class F>
PYCNN_INLINE void row_vectors(int64_t count, F&& body) {
    constexpr int lanes = kLanes<A>;
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) body(i, lanes);
    if (i < count) body(i, static_cast<int>(count - i));
}

// A sum in accumulation dtype, carried over into float64 before it loses digits.
template <class A>
class LongSum {
  public:
    PYCNN_INLINE void add(Vec<A> v) {
        sum_ = sum_ + v;
        if (++added_ == 256) carry();
    }
    double total() {
        carry();
        return total_;
    }

  private:
    void carry() {
        total_ += static_cast<double>(sum_of_lanes(sum_));
        sum_ = zero<A>();
        added_ = 0;
    }
    Vec<A> sum_ = zero<A>();
    int added_ = 0;
    double total_ = 0;
};

// The same for every lane of its own.
template <class A>
class LongLaneSum {
  public:
    PYCNN_INLINE void add(Vec<A> v) {
        sum_ = sum_ + v;
        if (++added_ < 256) return;
        total_ = total_ + sum_;
        sum_ = zero<A>();
        added_ = 0;
    }
    Vec<A> total() const { return total_ + sum_; }

  private:
    Vec<A> sum_ = zero<A>(), total_ = zero<A>();
    int added_ = 0;
};

// max x of a row; NaN are passed over, a row of them gives -inf.
template <class T>
Accumulation<T> row_max(const T* x, int64_t count) {
    using A = Accumulation<T>;
    Vec<A> most = broadcast<A>(-std::numeric_limits<A>::infinity());
    row_vectors<A>(count, [&](int64_t i, int n) { most = max(load_or_least(x + i, n), most); });
    A lanes[kLanes<A>];
    store(lanes, most);
    for (int half = kLanes<A> / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            lanes[i] = lanes[i + half] > lanes[i] ? lanes[i + half] : lanes[i];
    return lanes[0];
}

// max x along columns that lie side by side.
template <class T>
PYCNN_INLINE Vec<Accumulation<T>> column_max(const T* x, int64_t count, int64_t step, int n) {
    using A = Accumulation<T>;
    Vec<A> most = broadcast<A>(-std::numeric_limits<A>::infinity());
    for (int64_t i = 0; i < count; ++i) most = max(load_some(x + i * step, n), most);
    return most;
}

// Calls row(o) where the axis is innermost, else columns(o, j, n) for groups of n columns, a vector
// of them or `width`.
template <class A, class Row, class Columns>
void along(const Cut& cut, double cost, Row&& row, Columns&& columns, int64_t width = kLanes<A>) {
    const int64_t lanes = width;
    const int64_t vectors = cut.inner == 1 ? 1 : (cut.inner + lanes - 1) / lanes;
    const int64_t units = cut.outer * vectors;
    cost *= static_cast<double>(cut.size * (cut.inner == 1 ? 1 : lanes));
    parallel_ranges(units, 8 * num_threads(), cost, [&](int64_t first, int64_t last) {
        for (int64_t unit = first; unit < last; ++unit) {
            const int64_t o = unit / vectors, j = unit % vectors * lanes;
            if (cut.inner == 1)
                row(o);
            else
                columns(o, j, static_cast<int>(std::min(lanes, cut.inner - j)));
        }
    });
}

}  // namespace pycnn::PYCNN_ISA
