// What softmax and cross entropy share: rows along one axis, and sums of exponentials.
//
// A row is what one softmax runs along. Where its elements lie side by side, a warp or a block
// walks it in vectors of 16 bytes. Otherwise neighbouring rows lie side by side (the classes of
// pixels): a thread takes a vector of rows, the threads of a block lie `across` the rows and `down`
// their axis, more of them down where rows are few.
#pragma once

#include <algorithm>
#include <limits>

#include "cuda/elements.cuh"
#include "cuda/fold.cuh"
#include "cuda/launch.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kRowThreads = 256;

// Loads of a thread under way at a time. Exponentials of float64 are many instructions: with more
// of them side by side a thread runs out of registers.
template <class A>
constexpr int kRowLoads = sizeof(A) == 8 ? 1 : 4;
constexpr int64_t kShortRow = 16;  // shorter rows are left to a thread each

// The rows of `Arrays` arrays of one shape.
template <int Arrays>
struct Rows {
    int64_t length;
    int64_t steps[Arrays];   // along a row
    Walk<Arrays> walk;       // from row to row; its last axis is counted in vectors
    int64_t beside[Arrays];  // the step from row to row inside of a vector
    int across, down;        // threads, where they walk columns

    unsigned threads() const { return static_cast<unsigned>((across * down + 31) / 32 * 32); }
    dim3 blocks() const { return blocks_for(walk.count, across); }
};

// The place of a thread that walks columns.
template <class Index>
struct Column {
    int column, row;  // in the block
    Index rows;       // the vector of rows
    bool inside;
};

template <class Index, int Arrays>
__device__ __forceinline__ Column<Index> column_of(const Rows<Arrays>& r) {
    const unsigned across = static_cast<unsigned>(r.across);
    Column<Index> c;
    c.column = static_cast<int>(threadIdx.x % across);
    c.row = static_cast<int>(threadIdx.x / across);
    const int64_t rows = int64_t{blockIdx.x} * across + c.column;
    c.rows = static_cast<Index>(rows);
    c.inside = c.row < r.down && rows < r.walk.count;
    return c;
}

// The largest of the values seen and the sum of exp(value - top): no exponential overflows. Of
// nothing but -inf the sum is 0; +inf and NaN make it NaN.
template <class A>
struct Exponentials {
    A top = -std::numeric_limits<A>::infinity(), total = 0;

    __device__ __forceinline__ static A base(A top) {
        return top == -std::numeric_limits<A>::infinity() ? A(0) : top;
    }
    template <int N>
    __device__ __forceinline__ void add(const A (&values)[N]) {
        A higher = top;
#pragma unroll
        for (int i = 0; i < N; ++i) higher = values[i] > higher ? values[i] : higher;
        const A from = base(higher);
        total *= exp(top - from);
#pragma unroll
        for (int i = 0; i < N; ++i) total += exp(values[i] - from);
        top = higher;
    }
    __device__ __forceinline__ void merge(A other_top, A other_total) {
        const A higher = other_top > top ? other_top : top, from = base(higher);
        total = total * exp(top - from) + other_total * exp(other_top - from);
        top = higher;
    }
};

template <class A>
__device__ __forceinline__ A larger(A a, A b) {
    return a > b ? a : b;
}
template <class A>
__device__ __forceinline__ A sum_of(A a, A b) {
    return a + b;
}

// The exponentials of a row whose elements lie side by side, known to all of its group of threads.
// The thread takes the vectors at + first, at + first + Group * N ... below at + length.
template <int Group, int N, class T, class A = Accumulation<T>>
__device__ __forceinline__ Exponentials<A> row_exponentials(const Elements<T>& x, int64_t at,
                                                            int64_t first, int64_t length,
                                                            A* room) {
    Exponentials<A> own;
    for_groups<kRowLoads<A>>(first, length, int64_t{Group} * N, [&](auto many, int64_t c) {
        constexpr int Many = decltype(many)::value;
        Vector<T, N> loaded[Many];
#pragma unroll
        for (int i = 0; i < Many; ++i) loaded[i] = x.template load<N>(at + c + i * Group * N);
#pragma unroll
        for (int i = 0; i < Many; ++i) {
            A values[N];
#pragma unroll
            for (int j = 0; j < N; ++j) values[j] = convert<A>(loaded[i].v[j]);
            own.add(values);
        }
    });
    Exponentials<A> all;
    all.top = fold_group<Group>(own.top, room, larger<A>);
    const A share = own.total * exp(own.top - Exponentials<A>::base(all.top));
    all.total = fold_group<Group>(share, room, sum_of<A>);
    return all;
}

// The exponentials of N rows side by side, known to all threads down them. All of the block come.
template <int N, class T, class Index, int Arrays, class A>
__device__ __forceinline__ void column_exponentials(const Elements<T>& x, int64_t at, int64_t step,
                                                    const Rows<Arrays>& rows,
                                                    const Column<Index>& own,
                                                    A (&tops)[N][kRowThreads],
                                                    A (&totals)[N][kRowThreads],
                                                    Exponentials<A> (&sums)[N]) {
    if (own.inside) {
        for_groups<kRowLoads<A>>(
            int64_t{own.row}, rows.length, int64_t{rows.down}, [&](auto many, int64_t c) {
                constexpr int Many = decltype(many)::value;
                Vector<typename Elements<T>::Stored, N> loaded[Many];
#pragma unroll
                for (int i = 0; i < Many; ++i)
                    loaded[i] = x.template load<N>(at + (c + i * rows.down) * step);
#pragma unroll
                for (int j = 0; j < N; ++j) {
                    A values[Many];
#pragma unroll
                    for (int i = 0; i < Many; ++i) values[i] = convert<A>(loaded[i].v[j]);
                    sums[j].add(values);
                }
            });
    }
    if (rows.down == 1) return;
#pragma unroll
    for (int j = 0; j < N; ++j) {
        tops[j][threadIdx.x] = sums[j].top;
        totals[j][threadIdx.x] = sums[j].total;
    }
    fold_rows(own.row, rows.across, rows.down, [&](int slot, int other) {
#pragma unroll
        for (int j = 0; j < N; ++j) {
            sums[j].merge(tops[j][other], totals[j][other]);
            tops[j][slot] = sums[j].top;
            totals[j][slot] = sums[j].total;
        }
    });
    __syncthreads();
#pragma unroll
    for (int j = 0; j < N; ++j) {
        sums[j].top = tops[j][own.column];
        sums[j].total = totals[j][own.column];
    }
}

// --- on the host ---------------------------------------------------------------------------------

template <int Arrays>
Rows<Arrays> rows_of(const ArrayView* const (&arrays)[Arrays], int axis) {
    ArrayView rest[Arrays];
    const int64_t* strides[Arrays];
    Rows<Arrays> r{};
    r.length = arrays[0]->shape[axis];
    for (int a = 0; a < Arrays; ++a) {
        rest[a] = without_axis(*arrays[a], axis);
        strides[a] = rest[a].strides;
        r.steps[a] = arrays[a]->strides[axis];
    }
    r.walk = walk_of<Arrays>(rest[0], strides);
    for (int a = 0; a < Arrays; ++a) r.beside[a] = r.walk.steps[a][r.walk.axes - 1];
    return r;
}

// The first `count` arrays hold vectors: whether these lie along the rows.
template <int Arrays>
bool along_rows(const Rows<Arrays>& r, int width, int count = Arrays) {
    bool whole = r.length % width == 0;
    for (int a = 0; a < count; ++a) {
        whole = whole && (r.steps[a] == 1 || r.length == 1);
        for (int axis = 0; axis < r.walk.axes; ++axis)
            whole = whole && (r.walk.sizes[axis] == 1 || r.walk.steps[a][axis] % width == 0);
    }
    return whole && r.walk.count < int64_t{1} << 31;
}

// Whether they lie across rows.
template <int Arrays>
bool across_rows(const Rows<Arrays>& r, int width, int count = Arrays) {
    const int last = r.walk.axes - 1;
    bool whole = r.walk.sizes[last] % width == 0;
    for (int a = 0; a < count; ++a) {
        whole = whole && r.walk.steps[a][last] == 1 && (r.length == 1 || r.steps[a] % width == 0);
        for (int axis = 0; axis < last; ++axis) whole = whole && r.walk.steps[a][axis] % width == 0;
    }
    return whole && r.walk.count < int64_t{1} << 31;
}

// Counts the rows in vectors of `width` and spreads them over threads.
template <int Arrays>
void share_columns(Rows<Arrays>& r, int width) {
    constexpr int64_t enough = 132 * 1024;  // threads: half of what an H100 holds
    Walk<Arrays>& w = r.walk;
    const int last = w.axes - 1;
    w.count /= width;
    w.sizes[last] /= width;
    w.divisions[last] = Division(std::max<int64_t>(w.sizes[last], 1));
    for (int a = 0; a < Arrays; ++a) w.steps[a][last] *= width;
    r.down = 1;
    while (r.down < 64 && w.count * r.down < enough && 8 * r.down <= r.length) r.down *= 2;
    r.across = static_cast<int>(std::clamp<int64_t>(w.count, 1, kRowThreads / r.down));
}

}  // namespace pycnn::cuda
