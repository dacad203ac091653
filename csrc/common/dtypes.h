// From a dtype known when the program runs to a type the compiler knows.
#pragma once

#include <initializer_list>

#include "common/array.h"
#include "common/half.h"

namespace pycnn {

inline void check_float(DType dtype) {
    if (!(kFloatDTypes & only(dtype)))
        throw TypeError(refusal("dtype", info(dtype).name, names_of(kFloatDTypes)));
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
    static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
    static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<Float16> {
    static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<BFloat16> {
    static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<uint8_t> {
    static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<int32_t> {
    static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
    static constexpr DType value = DType::i64;
};

// Calls function(T{}) with the stored type T of a floating-point dtype; TypeError for the others.
template <class F>
void with_float_dtype(DType dtype, F&& function) {
    switch (dtype) {
        case DType::f16: return function(Float16{});
        case DType::bf16: return function(BFloat16{});
        case DType::f32: return function(float{});
        case DType::f64: return function(double{});
        default: throw TypeError(refusal("dtype", info(dtype).name, names_of(kFloatDTypes)));
    }
}

// Calls function(A{}) with the type that dtype is computed in: float, or double for float64.
template <class F>
void with_accumulation(DType dtype, F&& function) {
    if (dtype == DType::f64) return function(double{});
    check_float(dtype);
    function(float{});
}

// Calls function(T{}) with the dtype all arrays have, or the accumulation dtype of their widest.
template <class F>
void with_common_dtype(std::initializer_list<const ArrayView*> arrays, F&& function) {
    const DType first = (*arrays.begin())->dtype;
    bool equal = true, wide = false;
    for (const ArrayView* a : arrays) {
        if (a == nullptr) continue;
        check_float(a->dtype);
        equal = equal && a->dtype == first;
        wide = wide || a->dtype == DType::f64;
    }
    if (equal) return with_float_dtype(first, function);
    wide ? function(double{}) : function(float{});
}

}  // namespace pycnn
