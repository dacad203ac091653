#include "cpu/blocks.h"

#include "common/half.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {
namespace {

struct Bool {
    uint8_t byte;
};

template <class To, class From>
PYCNN_INLINE To converted(From value) {
    if constexpr (std::is_same_v<From, To>)
        return value;
    else if constexpr (std::is_same_v<From, Bool>)
        return converted<To>(static_cast<int64_t>(value.byte != 0));
    else if constexpr (std::is_same_v<From, Float16> || std::is_same_v<From, BFloat16>)
        return converted<To>(static_cast<float>(value));
    else if constexpr (std::is_same_v<To, Bool>)
        return Bool{value != 0};
    else if constexpr (std::is_same_v<To, Float16> || std::is_same_v<To, BFloat16>)
        return To(static_cast<float>(value));
    else
        return static_cast<To>(value);
}

template <class T>
constexpr bool kHalf = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;

template <class From, class To>
PYCNN_INLINE void convert_row(const From* from, To* to, int64_t n) {
    int64_t i = 0;
    if constexpr ((kHalf<From> && std::is_same_v<To, float>) ||
                  (kHalf<To> && std::is_same_v<From, float>))
        for (; i + kLanes<float> <= n; i += kLanes<float>) store(to + i, load(from + i));
    for (; i < n; ++i) to[i] = converted<To>(from[i]);
}

// Returns the end of what it wrote.
template <class From, class To>
To* gather_axes(const From* from, const int64_t* strides, const int64_t* sizes, int axes, To* to) {
    if (axes == 0) {
        *to = converted<To>(*from);
        return to + 1;
    }
    const int64_t size = sizes[0], stride = strides[0];
    if (axes > 1) {
        for (int64_t i = 0; i < size; ++i)
            to = gather_axes(from + i * stride, strides + 1, sizes + 1, axes - 1, to);
        return to;
    }
    if (stride == 1)
        convert_row(from, to, size);
    else if (stride == 0)
        std::fill(to, to + size, converted<To>(*from));
    else
        for (int64_t i = 0; i < size; ++i) to[i] = converted<To>(from[i * stride]);
    return to + size;
}

template <class From, class To>
const From* scatter_axes(const From* from, To* to, const int64_t* strides, const int64_t* sizes,
                         int axes) {
    if (axes == 0) {
        *to = converted<To>(*from);
        return from + 1;
    }
    const int64_t size = sizes[0], stride = strides[0];
    if (axes > 1) {
        for (int64_t i = 0; i < size; ++i)
            from = scatter_axes(from, to + i * stride, strides + 1, sizes + 1, axes - 1);
        return from;
    }
    if (stride == 1)
        convert_row(from, to, size);
    else
        for (int64_t i = 0; i < size; ++i) to[i * stride] = converted<To>(from[i]);
    return from + size;
}

template <class From, class To>
void gather(const void* from, const int64_t* strides, const int64_t* sizes, int axes, void* to) {
    gather_axes(static_cast<const From*>(from), strides, sizes, axes, static_cast<To*>(to));
}

template <class From, class To>
void scatter(const void* from, void* to, const int64_t* strides, const int64_t* sizes, int axes) {
    scatter_axes(static_cast<const From*>(from), static_cast<To*>(to), strides, sizes, axes);
}

// function(S{}) with the stored type S of any dtype.
template <class F>
auto with_dtype(DType dtype, F&& function) {
    switch (dtype) {
        case DType::f16: return function(Float16{});
        case DType::bf16: return function(BFloat16{});
        case DType::f32: return function(float{});
        case DType::f64: return function(double{});
        case DType::i32: return function(int32_t{});
        case DType::i64: return function(int64_t{});
        case DType::u8: return function(uint8_t{});
        case DType::i8: return function(int8_t{});
        case DType::i16: return function(int16_t{});
        default: return function(Bool{});
    }
}

}  // namespace

template <class T>
Gather gather_to(DType from) {
    return with_dtype(from, [](auto stored) -> Gather { return &gather<decltype(stored), T>; });
}

template <class T>
Scatter scatter_from(DType to) {
    return with_dtype(to, [](auto stored) -> Scatter { return &scatter<T, decltype(stored)>; });
}

template Gather gather_to<float>(DType);
template Gather gather_to<double>(DType);
template Gather gather_to<int64_t>(DType);
template Scatter scatter_from<float>(DType);
template Scatter scatter_from<double>(DType);
template Scatter scatter_from<int64_t>(DType);
template Scatter scatter_from<uint8_t>(DType);

}  // namespace pycnn::PYCNN_ISA
