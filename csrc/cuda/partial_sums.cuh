// The second half of a sum that was split over blocks: partial results, added in a fixed order.
//
// Computes   out[e] = sum over the slices i of partial[i, e]
// Arrays     partial (slices, d0, d1, ...) dense, in the accumulation dtype; out of the shape (d0,
//            d1, ...) and any strides
// Grid       x: 128 threads a block, 32 elements by 4 rows of slices
// Tiling     four sums an element, in registers, joined through shared memory
// Traffic    partial read once: slices * elements * 4 bytes, written shortly before: from the L2
//            cache
// Numerics   every fourth slice in order, then the four sums in order: deterministic, no atomics
// Refuses    nothing
// Source     the split sums of CUTLASS ("split-K, parallel reduction")
#pragma once

#include "cuda/conv2d_axis.cuh"
#include "cuda/launch.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

constexpr int kSumElements = 32, kSumRows = 4;

template <class T, int Axes>
struct PartialSums {
    const Accumulation<T>* partial;
    T* out;
    int64_t elements;
    int slices;
    Divisor<int64_t> sizes[Axes];
    int64_t steps[Axes];
};

template <class T, int Axes>
__global__ void __launch_bounds__(kSumElements* kSumRows)
    partial_sums_kernel(PartialSums<T, Axes> p) {
    using A = Accumulation<T>;
    A* const rows = dynamic_shared<A>();  // [kSumRows][kSumElements]
    const int lane = static_cast<int>(threadIdx.x) % kSumElements;
    const int row = static_cast<int>(threadIdx.x) / kSumElements;
    int64_t element = int64_t{blockIdx.x} * kSumElements + lane;
    A sum = 0;
    if (element < p.elements) {
#pragma unroll 4
        for (int slice = row; slice < p.slices; slice += kSumRows)
            sum += p.partial[slice * p.elements + element];
    }
    rows[threadIdx.x] = sum;
    __syncthreads();
    if (row != 0 || element >= p.elements) return;
    for (int i = 1; i < kSumRows; ++i) sum += rows[i * kSumElements + lane];
    int64_t at = 0;
#pragma unroll
    for (int axis = Axes - 1; axis > 0; --axis) at += p.sizes[axis].divide(element) * p.steps[axis];
    p.out[at + element * p.steps[0]] = convert<T>(sum);
}

// out[i0, i1, ...] lies at the sum of i * steps from `out`.
template <class T, int Axes>
void sum_slices(const Accumulation<T>* partial, int64_t slices, T* out,
                const int64_t (&sizes)[Axes], const int64_t (&steps)[Axes]) {
    PartialSums<T, Axes> p{};
    p.partial = partial, p.out = out;
    p.slices = static_cast<int>(slices);
    p.elements = 1;
    for (int axis = 0; axis < Axes; ++axis) {
        p.elements *= sizes[axis];
        p.sizes[axis] = Divisor<int64_t>(sizes[axis]);
        p.steps[axis] = steps[axis];
    }
    launch(partial_sums_kernel<T, Axes>, blocks_for(p.elements, kSumElements),
           dim3(kSumElements * kSumRows), kSumElements * kSumRows * sizeof(Accumulation<T>), p);
}

}  // namespace pycnn::cuda
