#include "primitives/elementwise.h"

#include <algorithm>
#include <unordered_map>

#include "cuda/elementwise_launch.cuh"
#include "primitives/elementwise_call.h"

namespace pycnn::cuda {
namespace {

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

// Runs the op computed in `computed`; false if there is no such row. `integer` is the inputs' dtype
// where they are whole numbers.
bool try_run(ElementwiseCall call, DType computed, DType integer) {
    const Table& table = table_of(computed);
    const auto find = [&](const ElementwiseCall& c) -> const ElementwiseRow* {
        const auto rows = table.find(c.op);
        if (rows == table.end()) return nullptr;
        for (const ElementwiseRow& row : rows->second)
            if (row.arrays == c.inputs && row.numbers == c.parameters) return &row;
        return nullptr;
    };
    const ElementwiseRow* row = row_of(call, computed == DType::i64, integer, find);
    if (row == nullptr) return false;
    row->run(call, row->op);
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
    DTypes dtypes = 0;
    DType integer = call.input[0].dtype;
    for (int k = 0; k < call.inputs; ++k) {
        ArrayView& a = call.input[k];
        if (overwritten(a, call.out)) a = copied(a, copies[k]);
        dtypes |= only(a.dtype);
        if (integer == DType::boolean) integer = a.dtype;
    }
    const DType computed = computed_in(dtypes);
    if (try_run(call, computed, integer)) return;
    if (computed == DType::i64 && try_run(call, DType::f64, integer)) return;
    throw no_such_form(call);
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
