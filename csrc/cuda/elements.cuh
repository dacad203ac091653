// Arrays of floats as kernels read and write them: of a type the compiler knows, or of a dtype that
// is known when the program runs.
#pragma once

#include <optional>

#include "common/array.h"
#include "common/dtypes.h"
#include "cuda/numbers.cuh"

namespace pycnn {

namespace cuda {
// Stands for the type of arrays whose dtypes differ; they are computed in A.
template <class A>
struct Mixed {};
}  // namespace cuda

template <class A>
struct AccumulationOf<cuda::Mixed<A>> {
    using type = A;
};

namespace cuda {

template <class A>
__device__ __forceinline__ A load_float(const void* data, DType dtype, int64_t at) {
    switch (dtype) {
        case DType::f16: return convert<A>(static_cast<const Float16*>(data)[at]);
        case DType::bf16: return convert<A>(static_cast<const BFloat16*>(data)[at]);
        case DType::f32: return convert<A>(static_cast<const float*>(data)[at]);
        default: return convert<A>(static_cast<const double*>(data)[at]);
    }
}

template <class A>
__device__ __forceinline__ void store_float(void* data, DType dtype, int64_t at, A value) {
    switch (dtype) {
        case DType::f16: static_cast<Float16*>(data)[at] = convert<Float16>(value); return;
        case DType::bf16: static_cast<BFloat16*>(data)[at] = convert<BFloat16>(value); return;
        case DType::f32: static_cast<float*>(data)[at] = convert<float>(value); return;
        default: static_cast<double*>(data)[at] = convert<double>(value);
    }
}

// An array of elements of the type T, of any float dtype where T is Mixed. A load leaves them as
// they are stored: they are converted when their turn comes, so that many loads are under way.
template <class T>
struct Elements {
    using Stored = T;
    T* data;

    template <int N>
    __device__ __forceinline__ Vector<T, N> load(int64_t at) const {
        return load_vector<T, N>(data + at);
    }
    template <int N>
    __device__ __forceinline__ void store(int64_t at, const Accumulation<T> (&values)[N]) const {
        Vector<T, N> vector;
#pragma unroll
        for (int j = 0; j < N; ++j) vector.v[j] = convert<T>(values[j]);
        if constexpr (sizeof vector == 16) {
            uint32_t words[4];
            memcpy(words, &vector, sizeof words);
            store_16(data + at, words);
        } else {
            store_vector(data + at, vector);
        }
    }
    static Elements of(const ArrayView& a) { return {static_cast<T*>(a.data)}; }
    explicit operator bool() const { return data != nullptr; }
};

template <class A>
struct Elements<Mixed<A>> {
    using Stored = A;
    void* data;
    DType dtype;

    template <int N>
    __device__ __forceinline__ Vector<A, N> load(int64_t at) const {
        static_assert(N == 1, "arrays of different dtypes are read one by one");
        return {{load_float<A>(data, dtype, at)}};
    }
    template <int N>
    __device__ __forceinline__ void store(int64_t at, const A (&values)[N]) const {
        static_assert(N == 1, "arrays of different dtypes are written one by one");
        store_float(data, dtype, at, values[0]);
    }
    static Elements of(const ArrayView& a) { return {a.data, a.dtype}; }
};

// A vector of any float dtype and step, or none.
struct FloatVector {
    void* data;
    DType dtype;
    int64_t step;

    FloatVector() = default;
    FloatVector(void* data_, DType dtype_, int64_t step_)
        : data(data_), dtype(dtype_), step(step_) {}
    explicit FloatVector(const ArrayView& a) : FloatVector(a.data, a.dtype, a.strides[0]) {}
    explicit FloatVector(const std::optional<ArrayView>& a)
        : FloatVector(a ? FloatVector(*a) : FloatVector(nullptr, DType::f32, 0)) {}
};

// The values [first, first + N) of a vector; `without` where there is none.
template <int N, class A>
__device__ __forceinline__ void values_of(const FloatVector& vector, int64_t first, A without,
                                          A (&values)[N]) {
    const auto read = [&](auto* data) {
#pragma unroll
        for (int j = 0; j < N; ++j) values[j] = convert<A>(data[(first + j) * vector.step]);
    };
    if (vector.data == nullptr) {
#pragma unroll
        for (int j = 0; j < N; ++j) values[j] = without;
        return;
    }
    switch (vector.dtype) {
        case DType::f16: return read(static_cast<const Float16*>(vector.data));
        case DType::bf16: return read(static_cast<const BFloat16*>(vector.data));
        case DType::f32: return read(static_cast<const float*>(vector.data));
        default: return read(static_cast<const double*>(vector.data));
    }
}

// Calls function(T{}) with the type all arrays share, or Mixed where their dtypes differ.
template <class F>
void with_elements(std::initializer_list<const ArrayView*> arrays, F&& function) {
    const DType first = (*arrays.begin())->dtype;
    bool equal = true, wide = false;
    for (const ArrayView* a : arrays) {
        equal = equal && a->dtype == first;
        wide = wide || a->dtype == DType::f64;
    }
    if (equal) return with_float_dtype(first, function);
    wide ? function(Mixed<double>{}) : function(Mixed<float>{});
}

template <class T>
constexpr bool kMixed = false;
template <class A>
constexpr bool kMixed<Mixed<A>> = true;

}  // namespace cuda
}  // namespace pycnn
