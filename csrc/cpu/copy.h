// Arrays into other layouts and dtypes.
#pragma once

#include <initializer_list>

#include "common/array.h"
#include "common/half.h"
#include "cpu/memory.h"
#include "cpu/per_isa.h"

namespace pycnn {

// Copies the elements of one array into another of equal shape, any strides in both. Equal dtypes
// copy bit for bit, floating-point dtypes convert into each other; throws TypeError for other
// pairs.
PYCNN_PER_ISA(void copy(const ArrayView& from, const ArrayView& to);)

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

// `shape` with the strides of a layout, over `data`.
inline ArrayView dense_view(void* data, DType dtype, const ArrayView& like, Layout layout) {
    ArrayView view = like;
    view.data = data;
    view.dtype = dtype;
    view.writable = true;
    int order[kMaxDims];
    for (int i = 0; i < view.ndim; ++i) order[i] = view.ndim - 1 - i;
    if (layout == Layout::channels_last) order[0] = 1, order[1] = 3, order[2] = 2, order[3] = 0;
    int64_t stride = 1;
    for (int i = 0; i < view.ndim; ++i) {
        view.strides[order[i]] = stride;
        stride *= view.shape[order[i]];
    }
    return view;
}

inline bool has_layout(const ArrayView& a, Layout layout) {
    return layout == Layout::channels_last ? is_channels_last(a) : is_contiguous(a);
}

// The elements of an array as T, dense in a layout: the array's own memory where it is that
// already, else a converted copy in a workspace.
template <class T>
class DenseInput {
  public:
    DenseInput(const ArrayView& a, Layout layout) {
        if (a.dtype == DTypeOf<T>::value && has_layout(a, layout)) {
            data_ = static_cast<const T*>(a.data);
            return;
        }
        workspace_ = Buffer<T>(a.numel());
        data_ = workspace_.data();
        PYCNN_BEST(copy)(a, dense_view(workspace_.data(), DTypeOf<T>::value, a, layout));
    }
    const T* data() const { return data_; }

  private:
    Buffer<T> workspace_;
    const T* data_;
};

// Where a kernel writes T, dense in a layout: the array's own memory where it is that, else a
// workspace, which finish() converts and copies into the array.
template <class T>
class DenseOutput {
  public:
    DenseOutput(const ArrayView& a, Layout layout) : array_(a), layout_(layout) {
        if (a.dtype == DTypeOf<T>::value && has_layout(a, layout)) {
            data_ = static_cast<T*>(a.data);
            return;
        }
        workspace_ = Buffer<T>(a.numel());
        data_ = workspace_.data();
    }
    T* data() const { return data_; }
    void finish() const {
        if (data_ == array_.data) return;
        PYCNN_BEST(copy)(dense_view(data_, DTypeOf<T>::value, array_, layout_), array_);
    }

  private:
    ArrayView array_;
    Layout layout_;
    Buffer<T> workspace_;
    T* data_;
};

}  // namespace pycnn
