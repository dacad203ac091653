// The table of elementwise ops: name -> a function that applies the op's formula to dense blocks.
//
// A formula is written once, on vectors of T (or on single int64_t), as a row of a function
// template that fills the table; elementwise.cpp brings the operands into dense blocks of T.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cpu/math.h"

namespace pycnn::PYCNN_ISA {

// out[i] = formula(in[0][i], ...; parameters) for i < n; out may be one of the inputs. Inputs and
// parameters are of the type the table is of, out too, or bytes of 0 and 1 where `boolean`.
using Block = void (*)(const void* const* in, void* out, int64_t n, const void* parameters);

struct Row {
    int arrays, parameters;
    bool boolean;
    double cost;  // nanoseconds per element, roughly
    Block block;
};

// Several rows may share a name and differ in how many arrays and parameters they take.
struct OpTable {
    std::unordered_map<std::string, std::vector<Row>> rows;
    double cost = 0.2;  // of the rows that follow

    void add(const char* name, Row row) {
        row.cost = cost;
        rows[name].push_back(row);
    }
};

// What computes in T.
const OpTable& float_ops();
const OpTable& double_ops();
const OpTable& integer_ops();

template <class T>
PYCNN_INLINE void store_result(void* out, int64_t i, Vec<T> y, int m) {
    T* to = static_cast<T*>(out) + i;
    if (m == kLanes<T>)
        store(to, y);
    else
        store(to, y, m);
}

// A mask as bytes of 0 and 1.
template <class T>
PYCNN_INLINE void store_result(void* out, int64_t i, Mask<T> y, int m) {
    typedef uint8_t Bytes __attribute__((vector_size(kLanes<T>)));
    const Bytes bytes = __builtin_convertvector(y, Bytes) & 1;
    std::memcpy(static_cast<uint8_t*>(out) + i, &bytes, static_cast<size_t>(m));
}

template <class T, int kArrays, class Formula, size_t... I>
PYCNN_INLINE void for_each_vector(const void* const* in, void* out, int64_t n,
                                  [[maybe_unused]] const T* parameters, std::index_sequence<I...>) {
    for (int64_t i = 0; i < n; i += kLanes<T>) {
        const int m = n - i < kLanes<T> ? static_cast<int>(n - i) : kLanes<T>;
        const auto argument = [&](auto index) {
            constexpr int k = decltype(index)::value;
            if constexpr (k < kArrays) {
                const T* from = static_cast<const T*>(in[k]) + i;
                return m == kLanes<T> ? load(from) : load(from, m);
            } else {
                return broadcast(parameters[k - kArrays]);
            }
        };
        store_result<T>(out, i, Formula::of(argument(std::integral_constant<int, I>{})...), m);
    }
}

template <class T, int kArrays, class Formula, size_t... I>
PYCNN_INLINE void for_each_integer(const void* const* in, void* out, int64_t n,
                                   [[maybe_unused]] const T* parameters,
                                   std::index_sequence<I...>) {
    using Result = decltype(Formula::of((static_cast<void>(I), T{})...));
    using Stored = std::conditional_t<std::is_same_v<Result, bool>, uint8_t, T>;
    for (int64_t i = 0; i < n; ++i) {
        const auto argument = [&](auto index) {
            constexpr int k = decltype(index)::value;
            if constexpr (k < kArrays)
                return static_cast<const T*>(in[k])[i];
            else
                return parameters[k - kArrays];
        };
        static_cast<Stored*>(out)[i] = Formula::of(argument(std::integral_constant<int, I>{})...);
    }
}

template <class T, int kArrays, class Formula, size_t... I>
void block(const void* const* in, void* out, int64_t n, const void* parameters) {
    const T* numbers = static_cast<const T*>(parameters);
    if constexpr (std::is_integral_v<T>)
        for_each_integer<T, kArrays, Formula>(in, out, n, numbers, std::index_sequence<I...>{});
    else
        for_each_vector<T, kArrays, Formula>(in, out, n, numbers, std::index_sequence<I...>{});
}

template <class T, int kArrays, class Formula, size_t... I>
Block block_of(std::index_sequence<I...>) {
    return &block<T, kArrays, Formula, I...>;
}

template <class T>
struct MaskOf {
    using type = Mask<T>;
};
template <>
struct MaskOf<int64_t> {
    using type = bool;
};

// The row of a formula, from its address: that tells the number of arguments and the result.
template <class T, int kArrays, class Formula, class R, class... Args>
Row row_of(R (*)(Args...)) {
    return {kArrays, static_cast<int>(sizeof...(Args)) - kArrays,
            std::is_same_v<R, typename MaskOf<T>::type>, 0,
            block_of<T, kArrays, Formula>(std::index_sequence_for<Args...>{})};
}

// Enters a formula of `kArrays` arrays and any parameters, which are the last arguments:
//     PYCNN_OP(1, "clamp_min", (V x, V low), largest(x, low))
#define PYCNN_OP(kArrays, name, arguments, ...)                           \
    {                                                                     \
        struct Formula {                                                  \
            static PYCNN_INLINE auto of arguments { return __VA_ARGS__; } \
        };                                                                \
        table.add(name, row_of<T, kArrays, Formula>(&Formula::of));       \
    }

// <op>(a, b) of two arrays and <op>_scalar(a; b) of an array and a number.
#define PYCNN_OP_AND_SCALAR(name, ...)         \
    PYCNN_OP(2, name, (V a, V b), __VA_ARGS__) \
    PYCNN_OP(1, name "_scalar", (V a, V b), __VA_ARGS__)

}  // namespace pycnn::PYCNN_ISA
