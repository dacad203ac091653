// What every build of `elementwise` does with a call before it computes: the name and the parameters
// under which its tables hold the op, and the inputs that must be copied first.
#pragma once

#include <initializer_list>
#include <string>

#include "common/checks.h"
#include "primitives/elementwise.h"

namespace pycnn {

// An integer as an element of a dtype would hold it.
inline int64_t wrapped(int64_t value, DType dtype) {
    switch (dtype) {
        case DType::i32: return static_cast<int32_t>(value);
        case DType::i16: return static_cast<int16_t>(value);
        case DType::i8: return static_cast<int8_t>(value);
        case DType::u8: return static_cast<uint8_t>(value);
        case DType::boolean: return value != 0;
        default: return value;
    }
}

// Gives a call the name its row has in the tables of floats or of integers: some calls are another
// op, with no parameters. Integers take the form `integer`, the dtype of the inputs, has.
inline void name_row(ElementwiseCall& call, bool integers, DType integer) {
    const char* name = nullptr;
    if (call.op == "pow_scalar" && call.parameters == 1) {
        if (call.parameter[0].real == 2) name = "square";
        if (call.parameter[0].real == 0.5 && !integers) name = "sqrt";
    }
    if (integers && integer == DType::boolean && call.op == "bitwise_not") name = "logical_not";
    if (integers)
        for (Number& number : call.parameter) number.integer = wrapped(number.integer, integer);
    if (name == nullptr) return;
    call.op = name;
    call.parameters = 0;
}

// Adds the parameters an activation has where the caller gives none or fewer.
inline void add_defaults(ElementwiseCall& call) {
    struct Defaults {
        const char* op;
        std::initializer_list<double> values;
    };
    static const Defaults all[] = {
        {"hardtanh", {-1, 1}},        {"hardtanh_dgrad", {-1, 1}}, {"leaky_relu", {0.01}},
        {"leaky_relu_dgrad", {0.01}}, {"elu", {1, 1, 1}},          {"elu_dgrad", {1, 1, 1}},
        {"softplus", {1, 20}},        {"softplus_dgrad", {1, 20}},
    };
    for (const Defaults& d : all) {
        if (call.op != d.op) continue;
        for (; call.parameters < static_cast<int>(d.values.size()); ++call.parameters) {
            const double value = d.values.begin()[call.parameters];
            call.parameter[call.parameters] = {value, static_cast<int64_t>(value)};
        }
    }
}

// The row of a call, whose name and parameters are completed, or null: find(call) looks it up.
template <class Find>
auto row_of(ElementwiseCall& call, bool integers, DType integer, const Find& find) {
    const std::string given = call.op;
    name_row(call, integers, integer);
    auto row = find(call);
    if (row == nullptr && call.op == given) {
        add_defaults(call);
        row = find(call);
    }
    return row;
}

// Whether an input must be copied before out is written: they share memory, and not element by
// element.
inline bool overwritten(const ArrayView& input, const ArrayView& out) {
    struct Extent {  // the bytes from the first to behind the last element
        uintptr_t begin, end;
    };
    const auto extent_of = [](const ArrayView& a) {
        Extent e{reinterpret_cast<uintptr_t>(a.data), reinterpret_cast<uintptr_t>(a.data)};
        const int64_t bytes = info(a.dtype).bytes;
        for (int i = 0; i < a.ndim; ++i) {
            const auto reach =
                static_cast<uintptr_t>(std::abs(a.strides[i]) * (a.shape[i] - 1) * bytes);
            if (a.strides[i] < 0)
                e.begin -= reach;
            else
                e.end += reach;
        }
        e.end += static_cast<uintptr_t>(bytes);
        return e;
    };
    const Extent read = extent_of(input), written = extent_of(out);
    if (read.begin >= written.end || written.begin >= read.end) return false;
    if (input.data != out.data || input.dtype != out.dtype || input.ndim != out.ndim) return true;
    for (int i = 0; i < input.ndim; ++i)
        if (input.shape[i] != out.shape[i] ||
            (input.shape[i] != 1 && input.strides[i] != out.strides[i]))
            return true;
    return false;
}

// What a call without a row raises.
inline TypeError no_such_form(const ElementwiseCall& call) {
    return TypeError(refusal("the op",
                             "'" + call.op + "' of " + std::to_string(call.inputs) + " arrays of " +
                                 info(call.input[0].dtype).name + " and " +
                                 std::to_string(call.parameters) + " parameters",
                             "the forms of pycnn.providers.reference.elementwise.OPS"));
}

}  // namespace pycnn
