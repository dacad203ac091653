// Reductions over any set of axes: the elements of an output combined, step by step.
//
// Computes   out[o] = finish(merge of add(x[o, r]) over the reduced elements r); reduce_steps.cuh
//            has the steps
// Arrays     x, out of any dtypes and strides. x is walked as kept axes and reduced axes, each by
//            x's strides, neighbours joined
// Grid       x: 256 threads a block; parts of the reduced elements times tiles of outputs, the
//            tiles of one part side by side
//            rows     the smallest stride is a reduced axis's: a team of 1 to 32 lanes or the whole
//                     block takes one output, its lanes side by side along that axis
//            columns  it is a kept axis's: `across` threads side by side along the outputs, 256 /
//                     across of them down the reduced elements
// Tiling     N elements of 16 bytes or fewer a load, where they lie on multiples of their size;
//            four loads a thread are under way. Accumulators in registers, one a thread (rows) or N
//            (columns); lanes merge by shuffles, warps and rows through shared memory
// Traffic    x read once a pass; var, std and logsumexp take two. Sum of (32,56,56,256) in bfloat16
//            over all but the channels: 51 MB, 26 MFLOP: 0.5 FLOP/byte, bandwidth
// Numerics   sums in float64 whatever x is, whole numbers in 64 bits, one rounding at the store.
//            The order follows from shapes, strides and alignment: no atomics, parts are merged in
//            a second launch
// Refuses    nothing
// Source     var in two passes: Chan, Golub and LeVeque 1983, The American Statistician 37(3)
#pragma once

#include "cuda/reduce_steps.cuh"
#include "cuda/stored.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kReduceThreads = 256;
constexpr int kReduceAhead = 4;  // loads of a thread under way
// The least blocks of a multiprocessor: left open, ptxas keeps to 48 registers and spills.
constexpr int kReduceResident = 1;

template <class Acc>
struct Reduce {
    const void* x;
    DType dtype, out_dtype;
    uint8_t bytes;         // of an element of x
    const double* center;  // per output, or null
    void* out;
    Acc* partial;       // (parts, outputs) where there are several parts; else out is filled
    bool out_is_dense;  // in the order of the kept walk, where out is a workspace
    double number;
    Finish finish;
    int parts;
    uint32_t outputs;
    uint32_t units, units_each;  // reduced: in all, and of a part; N elements each in rows
    uint32_t tiles;              // of outputs: blocks of a part
    int shape;                   // rows: the lanes of a team; columns: the threads across
    int64_t last_size;           // elements of the axis that is taken N at a time, were it the only
    int64_t first_place, place_step;  // of the first element, along the innermost reduced axis
    Walk<2> kept;     // x, out; in columns the innermost axis in steps of N elements
    Walk<2> reduced;  // x, row-major index; in rows the innermost in steps of N
};

// The value that lane xor `distance` has.
template <class T>
__device__ __forceinline__ T exchanged(T value, int distance) {
    return __shfl_xor_sync(kFullWarp, value, distance);
}
template <class V>
__device__ __forceinline__ Found<V> exchanged(const Found<V>& found, int distance) {
    return {exchanged(found.value, distance), exchanged(found.place, distance)};
}

template <class Step, class Acc>
__device__ __forceinline__ void store_output(const Reduce<Acc>& p, uint32_t output, int64_t at,
                                             const Acc& acc, double center) {
    const auto y = Step::finish(acc, {p.number, center, p.finish});
    with_stored(p.out_dtype, [&](auto t) {
        using T = decltype(t);
        static_cast<T*>(p.out)[p.out_is_dense ? output : at] = narrowed<T>(y);
    });
}

// The accumulator of one part of an output, or of all of it.
template <class Step, class Acc>
__device__ __forceinline__ void emit(const Reduce<Acc>& p, uint32_t part, uint32_t output,
                                     int64_t at, const Acc& acc, double center) {
    if (p.parts > 1)
        p.partial[int64_t{part} * p.outputs + output] = acc;
    else
        store_output<Step>(p, output, at, acc, center);
}

template <class V, class Step, int N>
__global__ void __launch_bounds__(kReduceThreads, kReduceResident)
    reduce_rows_kernel(Reduce<typename Step::Acc> p) {
    using Acc = typename Step::Acc;
    Acc* const of_warps = dynamic_shared<Acc>();
    const uint32_t team = p.shape;
    const uint32_t part = blockIdx.x / p.tiles;
    const uint32_t output = blockIdx.x % p.tiles * (kReduceThreads / team) + threadIdx.x / team;
    const bool active = output < p.outputs;
    int64_t base[2] = {0, 0};
    With with{p.number, 0, p.finish};
    Acc acc = Step::start();
    if (active) {
        locate(p.kept, output, base);
        if (p.center != nullptr) with.center = p.center[output];
        const uint32_t first = part * p.units_each;
        const uint32_t end = p.units - first < p.units_each ? p.units : first + p.units_each;
        for (uint32_t unit = first + threadIdx.x % team; unit < end;) {
            Loaded<N> loaded[kReduceAhead] = {};
            int64_t place[kReduceAhead];
            int count[kReduceAhead];
#pragma unroll
            for (int a = 0; a < kReduceAhead; ++a) {
                count[a] = 0;
                place[a] = 0;
                if (unit < end) {
                    int64_t at[2];
                    locate(p.reduced, unit, at);
                    const int64_t left =
                        N > 1 && p.reduced.axes == 1 ? p.last_size - int64_t{unit} * N : N;
                    count[a] = left < N ? static_cast<int>(left) : N;
                    place[a] = p.first_place + at[1];
                    load_bytes(loaded[a], p.x, base[0] + at[0], p.bytes, count[a], false);
                }
                unit += team;
            }
#pragma unroll
            for (int a = 0; a < kReduceAhead; ++a) {
                if (count[a] == 0) continue;
                V value[N] = {};
                widen(value, loaded[a], p.dtype, false);
#pragma unroll
                for (int j = 0; j < N; ++j)
                    if (j < count[a])
                        acc = Step::add(acc, value[j], place[a] + j * p.place_step, with);
            }
        }
    }
    for (int distance = 16; distance > 0; distance /= 2)
        if (distance < static_cast<int>(team)) acc = Step::merge(acc, exchanged(acc, distance));
    if (team == kReduceThreads) {
        if (lane() == 0) of_warps[threadIdx.x / 32] = acc;
        __syncthreads();
        if (threadIdx.x == 0)
            for (int warp = 1; warp < kReduceThreads / 32; ++warp)
                acc = Step::merge(acc, of_warps[warp]);
    }
    if (active && threadIdx.x % team == 0) emit<Step>(p, part, output, base[1], acc, with.center);
}

template <class V, class Step, int N>
__global__ void __launch_bounds__(kReduceThreads, kReduceResident)
    reduce_columns_kernel(Reduce<typename Step::Acc> p) {
    using Acc = typename Step::Acc;
    static_assert(sizeof(Acc) * N * kReduceThreads <= 48 * 1024);
    Acc* const of_threads = dynamic_shared<Acc>() + threadIdx.x;  // N rows of 256
    const uint32_t across = p.shape, rows = kReduceThreads / across, row = threadIdx.x / across;
    const uint32_t part = blockIdx.x / p.tiles;
    const uint32_t column = blockIdx.x % p.tiles * across + threadIdx.x % across;
    const uint32_t output = column * N;
    const bool active = output < p.outputs;
    const int count = p.outputs - output < N ? static_cast<int>(p.outputs - output) : N;
    int64_t base[2] = {0, 0};
    Acc acc[N];
    With with[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
        acc[j] = Step::start();
        with[j] = {p.number, 0, p.finish};
    }
    if (active) {
        locate(p.kept, column, base);
        if (p.center != nullptr)
#pragma unroll
            for (int j = 0; j < N; ++j)
                if (j < count) with[j].center = p.center[output + j];
        const uint32_t first = part * p.units_each;
        const uint32_t end = p.units - first < p.units_each ? p.units : first + p.units_each;
        for (uint32_t unit = first + row; unit < end;) {
            Loaded<N> loaded[kReduceAhead] = {};
            int64_t place[kReduceAhead];
            bool inside[kReduceAhead];
#pragma unroll
            for (int a = 0; a < kReduceAhead; ++a) {
                inside[a] = unit < end;
                place[a] = 0;
                if (inside[a]) {
                    int64_t at[2];
                    locate(p.reduced, unit, at);
                    place[a] = p.first_place + at[1];
                    load_bytes(loaded[a], p.x, base[0] + at[0], p.bytes, count, false);
                }
                unit += rows;
            }
#pragma unroll
            for (int a = 0; a < kReduceAhead; ++a) {
                if (!inside[a]) continue;
                V value[N] = {};
                widen(value, loaded[a], p.dtype, false);
#pragma unroll
                for (int j = 0; j < N; ++j) acc[j] = Step::add(acc[j], value[j], place[a], with[j]);
            }
        }
    }
    for (uint32_t half = rows / 2; half > 0; half /= 2) {
        if (row >= half && row < 2 * half)
#pragma unroll
            for (int j = 0; j < N; ++j) of_threads[j * kReduceThreads] = acc[j];
        __syncthreads();
        if (row < half)
#pragma unroll
            for (int j = 0; j < N; ++j)
                acc[j] = Step::merge(acc[j], of_threads[j * kReduceThreads + half * across]);
        __syncthreads();
    }
    if (!active || row != 0) return;
    const int64_t step = p.kept.steps[1][p.kept.axes - 1] / N;
#pragma unroll
    for (int j = 0; j < N; ++j)
        if (j < count) emit<Step>(p, part, output + j, base[1] + j * step, acc[j], with[j].center);
}

// The parts of an output merged by one warp, and finished.
template <class Step>
__global__ void __launch_bounds__(kReduceThreads, kReduceResident)
    reduce_parts_kernel(Reduce<typename Step::Acc> p) {
    using Acc = typename Step::Acc;
    const uint32_t output = blockIdx.x * (kReduceThreads / 32) + threadIdx.x / 32;
    const bool active = output < p.outputs;
    Acc acc = Step::start();
    if (active)
        for (int part = static_cast<int>(lane()); part < p.parts; part += 32)
            acc = Step::merge(acc, p.partial[int64_t{part} * p.outputs + output]);
    for (int distance = 16; distance > 0; distance /= 2)
        acc = Step::merge(acc, exchanged(acc, distance));
    if (!active || lane() != 0) return;
    int64_t at[2];
    locate(p.kept, output, at);
    store_output<Step>(p, output, at[1], acc, p.center != nullptr ? p.center[output] : 0);
}

}  // namespace pycnn::cuda
