// An array as a kernel sees it, and the checks a kernel makes on it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/checks.h"

namespace pycnn {

constexpr int kMaxDims = 8;

enum class DType : uint8_t { f16, bf16, f32, f64, i32, i64, u8, i8, i16, boolean };

struct DTypeInfo {
    DType dtype;
    const char* name;  // NumPy's
    char kind;  // NumPy's: a float, a signed or unsigned integer, a bool, or another library's type
    int64_t bytes;
};

constexpr std::array<DTypeInfo, 10> kDTypes{{{DType::f16, "float16", 'f', 2},
                                             {DType::bf16, "bfloat16", 'V', 2},
                                             {DType::f32, "float32", 'f', 4},
                                             {DType::f64, "float64", 'f', 8},
                                             {DType::i32, "int32", 'i', 4},
                                             {DType::i64, "int64", 'i', 8},
                                             {DType::u8, "uint8", 'u', 1},
                                             {DType::i8, "int8", 'i', 1},
                                             {DType::i16, "int16", 'i', 2},
                                             {DType::boolean, "bool", 'b', 1}}};

// A set of dtypes: a bit for each.
using DTypes = unsigned;
constexpr DTypes kAllDTypes = (1u << kDTypes.size()) - 1;

constexpr DTypes only(DType dtype) { return 1u << static_cast<unsigned>(dtype); }

constexpr DTypes kFloatDTypes =
    only(DType::f16) | only(DType::bf16) | only(DType::f32) | only(DType::f64);

inline std::string names_of(DTypes dtypes) {
    std::string names;
    for (const DTypeInfo& d : kDTypes)
        if (dtypes & only(d.dtype)) names += (names.empty() ? "" : ", ") + std::string(d.name);
    return names;
}

inline const DTypeInfo& info(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

struct ArrayView {
    void* data;
    DType dtype;
    bool writable;
    int ndim;
    int64_t shape[kMaxDims];
    int64_t strides[kMaxDims];  // in elements

    int64_t numel() const {
        int64_t product = 1;
        for (int i = 0; i < ndim; ++i) product *= shape[i];
        return product;
    }
};

// The memory formats of the project; an axis of size 1 and an empty array satisfy both.
enum class Layout : uint8_t { any, contiguous, channels_last };

// Whether the axes, innermost first, are packed with no gaps.
inline bool packed(const ArrayView& a, const int* innermost_first) {
    if (a.numel() == 0) return true;
    int64_t expected = 1;
    for (int i = 0; i < a.ndim; ++i) {
        const int axis = innermost_first[i];
        if (a.shape[axis] == 1) continue;
        if (a.strides[axis] != expected) return false;
        expected *= a.shape[axis];
    }
    return true;
}

inline bool is_contiguous(const ArrayView& a) {
    int order[kMaxDims];
    for (int i = 0; i < a.ndim; ++i) order[i] = a.ndim - 1 - i;
    return packed(a, order);
}

inline bool is_channels_last(const ArrayView& a) {
    const int order[] = {1, 3, 2, 0};
    return a.ndim == 4 && packed(a, order);
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

// Whether two different indices might name the same memory. Axes sorted by stride must each step
// over everything the smaller ones reach; a few exotic interleavings that do not overlap fail too.
inline bool may_overlap_itself(const ArrayView& a) {
    if (a.numel() == 0) return false;
    int order[kMaxDims];  // the axes longer than 1, by stride
    int count = 0;
    for (int axis = 0; axis < a.ndim; ++axis) {
        if (a.shape[axis] == 1) continue;
        int at = count++;
        for (; at > 0 && std::abs(a.strides[order[at - 1]]) > std::abs(a.strides[axis]); --at)
            order[at] = order[at - 1];
        order[at] = axis;
    }
    int64_t reach = 0;  // the largest offset so far
    for (int i = 0; i < count; ++i) {
        const int64_t stride = std::abs(a.strides[order[i]]);
        if (stride <= reach) return true;
        const int64_t length = checked_mul(stride, a.shape[order[i]] - 1, "an array's extent");
        reach = checked_add(reach, length, "an array's extent");
    }
    return false;
}

inline std::string shape_text(const ArrayView& a) { return tuple_text(a.shape, a.ndim); }

inline void check_shape(const std::string& name, const ArrayView& a, const int64_t* shape,
                        int ndim) {
    if (a.ndim != ndim || !std::equal(shape, shape + ndim, a.shape))
        throw ValueError(refusal(name + "'s shape", shape_text(a), tuple_text(shape, ndim)));
}

inline void check_dtype(const std::string& name, const ArrayView& a, DTypes accepted) {
    if (!(accepted & only(a.dtype)))
        throw TypeError(refusal(name + "'s dtype", info(a.dtype).name, names_of(accepted)));
}

inline void check_layout(const std::string& name, const ArrayView& a, Layout layout) {
    const bool holds = layout == Layout::any ||
                       (layout == Layout::contiguous && is_contiguous(a)) ||
                       (layout == Layout::channels_last && is_channels_last(a));
    if (holds) return;
    throw ValueError(
        refusal(name + "'s memory format",
                "shape " + shape_text(a) + " with strides " + tuple_text(a.strides, a.ndim) +
                    " (in elements)",
                layout == Layout::contiguous ? "contiguous" : "channels-last, of four axes"));
}

// What a kernel asks of the array it fills.
inline void check_output(const std::string& name, const ArrayView& a) {
    if (!a.writable) throw ValueError(refusal(name, "read-only", "a writable array"));
    if (may_overlap_itself(a))
        throw ValueError(refusal(name + "'s strides", tuple_text(a.strides, a.ndim),
                                 "strides under which no two elements share memory"));
}

}  // namespace pycnn
