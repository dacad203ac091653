#include "primitives/elementwise.h"

#include <algorithm>
#include <unordered_map>

#include "cuda/elementwise_launch.cuh"

namespace pycnn::cuda {
namespace {

// The parameters an activation has where the caller gives none or fewer.
struct Defaults {
    const char* op;
    std::initializer_list<double> values;
};
const Defaults kDefaults[] = {
    {"hardtanh", {-1, 1}},        {"hardtanh_dgrad", {-1, 1}}, {"leaky_relu", {0.01}},
    {"leaky_relu_dgrad", {0.01}}, {"elu", {1, 1, 1}},          {"elu_dgrad", {1, 1, 1}},
    {"softplus", {1, 20}},        {"softplus_dgrad", {1, 20}},
};

using Table = std::unordered_map<std::string, std::vector<ElementwiseRow>>;

Table by_name(const std::vector<ElementwiseRow>& rows) {
    Table table;
    for (const ElementwiseRow& row : rows) table[row.name].push_back(row);
    return table;
}
const Table& table_of(DType computed) {
    static const Table floats = by_name(float_rows()), doubles = by_name(double_rows()),
                       whole = by_name(whole_rows());
    return computed == DType::f32 ? floats : computed == DType::f64 ? doubles : whole;
}

const ElementwiseRow* find(const Table& table, const std::string& name, int arrays, int numbers) {
    const auto rows = table.find(name);
    if (rows == table.end()) return nullptr;
    for (const ElementwiseRow& row : rows->second)
        if (row.arrays == arrays && row.numbers == numbers) return &row;
    return nullptr;
}

// An integer as an element of a dtype would hold it.
int64_t wrapped(int64_t value, DType dtype) {
    switch (dtype) {
        case DType::i32: return static_cast<int32_t>(value);
        case DType::i16: return static_cast<int16_t>(value);
        case DType::i8: return static_cast<int8_t>(value);
        case DType::u8: return static_cast<uint8_t>(value);
        case DType::boolean: return value != 0;
        default: return value;
    }
}

// Runs the op computed in `computed`; false if there is no such row. `integer` is the inputs' dtype
// where they are whole numbers.
bool try_run(ElementwiseCall call, DType computed, DType integer) {
    const Table& table = table_of(computed);
    std::string name = call.op;
    if (name == "pow_scalar" && call.parameters == 1) {
        if (call.parameter[0].real == 2) name = "square";
        if (call.parameter[0].real == 0.5 && computed != DType::i64) name = "sqrt";
    }
    if (computed == DType::i64) {
        if (integer == DType::boolean && name == "bitwise_not") name = "logical_not";
        for (Number& number : call.parameter) number.integer = wrapped(number.integer, integer);
    }
    if (name != call.op) call.parameters = 0;
    const ElementwiseRow* row = find(table, name, call.inputs, call.parameters);
    if (row == nullptr && name == call.op) {
        for (const Defaults& d : kDefaults) {
            if (call.op != d.op) continue;
            for (; call.parameters < static_cast<int>(d.values.size()); ++call.parameters) {
                const double value = d.values.begin()[call.parameters];
                call.parameter[call.parameters] = {value, static_cast<int64_t>(value)};
            }
        }
        row = find(table, name, call.inputs, call.parameters);
    }
    if (row == nullptr) return false;
    row->run(call, row->op);
    return true;
}

// The bytes from the first to behind the last element.
struct Extent {
    uintptr_t begin, end;
};
Extent extent_of(const ArrayView& a) {
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
}

bool same_elements(const ArrayView& a, const ArrayView& b) {
    if (a.data != b.data || a.dtype != b.dtype || a.ndim != b.ndim) return false;
    for (int i = 0; i < a.ndim; ++i)
        if (a.shape[i] != b.shape[i] || (a.shape[i] != 1 && a.strides[i] != b.strides[i]))
            return false;
    return true;
}

DType computed_in(DTypes inputs) {
    if (inputs & only(DType::f64)) return DType::f64;
    return inputs & kFloatDTypes ? DType::f32 : DType::i64;
}

// `a` in memory of its own.
ArrayView copied(const ArrayView& a, Workspace<char>& memory) {
    memory = Workspace<char>(a.numel() * info(a.dtype).bytes);
    ElementwiseCall copy;
    copy.op = "copy";
    copy.inputs = 1;
    copy.input[0] = a;
    copy.out = dense_view(memory.data(), a.dtype, a, Layout::contiguous);
    try_run(copy, computed_in(only(a.dtype)), a.dtype);
    return copy.out;
}

}  // namespace

void elementwise(const ElementwiseCall& given) {
    if (given.out.numel() == 0) return;
    ElementwiseCall call = given;
    Workspace<char> copies[kMostInputs];
    const Extent written = extent_of(call.out);
    DTypes dtypes = 0;
    DType integer = call.input[0].dtype;
    for (int k = 0; k < call.inputs; ++k) {
        ArrayView& a = call.input[k];
        const Extent read = extent_of(a);
        if (read.begin < written.end && written.begin < read.end && !same_elements(a, call.out))
            a = copied(a, copies[k]);
        dtypes |= only(a.dtype);
        if (integer == DType::boolean) integer = a.dtype;
    }
    const DType computed = computed_in(dtypes);
    if (try_run(call, computed, integer)) return;
    if (computed == DType::i64 && try_run(call, DType::f64, integer)) return;
    throw TypeError(refusal("the op",
                            "'" + call.op + "' of " + std::to_string(call.inputs) + " arrays of " +
                                info(call.input[0].dtype).name + " and " +
                                std::to_string(call.parameters) + " parameters",
                            "the forms of pycnn.providers.reference.elementwise.OPS"));
}

std::vector<std::string> elementwise_ops() {
    std::vector<std::string> names;
    for (const DType computed : {DType::f32, DType::i64})
        for (const auto& [name, rows] : table_of(computed))
            if (name != "copy" && std::find(names.begin(), names.end(), name) == names.end())
                names.push_back(name);
    return names;
}

}  // namespace pycnn::cuda
