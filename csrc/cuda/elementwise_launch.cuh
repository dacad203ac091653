// The launch of a group's kernel, and the table of the ops computed in one type.
#pragma once

#include <string>
#include <vector>

#include "cuda/elementwise.cuh"
#include "cuda/launch.cuh"
#include "primitives/elementwise.h"

namespace pycnn::cuda {

static_assert(kMostNumbers == kMostParameters);

// A row of a table: what it takes, and how it is run with its numbers complete.
struct ElementwiseRow {
    const char* name;
    int arrays, numbers, op;
    void (*run)(const ElementwiseCall& call, int op);
};

const std::vector<ElementwiseRow>& float_rows();
const std::vector<ElementwiseRow>& double_rows();
const std::vector<ElementwiseRow>& whole_rows();

// The steps of out's axes in an input of out's number of axes or fewer.
inline void broadcast_strides(const ArrayView& a, const ArrayView& out, int64_t* strides) {
    for (int i = 0; i < out.ndim; ++i) {
        const int axis = i - (out.ndim - a.ndim);
        strides[i] = axis < 0 || a.shape[axis] == 1 ? 0 : a.strides[axis];
    }
}

// How many elements a thread may compute: see elementwise.cuh.
template <class A, int Inputs>
int vector_width(const Elementwise<A, Inputs>& p, int widest) {
    const auto& walk = p.walk;
    const int last = walk.axes - 1;
    DTypes dtypes = only(p.out_dtype);
    int64_t most_bytes = info(p.out_dtype).bytes;
    for (int k = 0; k < p.inputs; ++k) {
        dtypes |= only(p.dtype[k]);
        most_bytes = std::max<int64_t>(most_bytes, p.bytes[k]);
    }
    const int n = std::min(widest, static_cast<int>(16 / most_bytes));
    if ((dtypes & ~kVectorDTypes<A>) != 0 || (walk.axes > 1 && walk.sizes[last] % n != 0)) return 1;
    const auto holds = [&](int array, const void* data, int64_t bytes) {
        if (walk.steps[array][last] != 1) return false;
        for (int axis = 0; axis < last; ++axis)
            if (walk.steps[array][axis] % n != 0) return false;
        return reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(n * bytes) == 0;
    };
    if (!holds(0, p.out, info(p.out_dtype).bytes)) return 1;
    for (int k = 0; k < p.inputs; ++k)
        if (walk.steps[k + 1][last] != 0 && !holds(k + 1, p.input[k], p.bytes[k])) return 1;
    return n;
}

template <class A, class Group, int N>
void launch_elementwise(Elementwise<A, Group::kArrays> p) {
    if constexpr (N > 1) {
        const int last = p.walk.axes - 1;
        p.elements = p.walk.count;
        p.walk.sizes[last] = (p.walk.sizes[last] + N - 1) / N;
        p.walk.divisions[last] = Division(p.walk.sizes[last]);
        p.walk.steps[0][last] *= N;
        for (int k = 0; k < p.inputs; ++k) {
            p.repeated[k] = p.walk.steps[k + 1][last] == 0;
            p.walk.steps[k + 1][last] *= N;
        }
        p.threads = static_cast<uint32_t>((p.walk.count + N - 1) / N);
    } else {
        p.threads = static_cast<uint32_t>(p.walk.count);
    }
    launch(elementwise_kernel<A, Group, N>, blocks_for(p.threads, kElementwiseThreads),
           dim3(kElementwiseThreads), 0, p);
}

template <class A, class Group>
void run_walk(Elementwise<A, Group::kArrays>& p) {
    auto& walk = p.walk;
    if (walk.count >= int64_t{1} << 31) {  // an index is 32 bits: the halves of the longest axis
        int axis = 0;
        for (int i = 1; i < walk.axes; ++i)
            if (walk.sizes[i] > walk.sizes[axis]) axis = i;
        const int64_t size = walk.sizes[axis], first = in_vectors(size / 2);
        Elementwise<A, Group::kArrays> half = p;
        for (int part = 0; part < 2; ++part) {
            half.walk.sizes[axis] = part == 0 ? first : size - first;
            half.walk.count = walk.count / size * half.walk.sizes[axis];
            if (half.walk.count < int64_t{1} << 31)
                for (int i = 0; i < walk.axes; ++i)
                    half.walk.divisions[i] = Division(half.walk.sizes[i]);
            if (half.walk.count > 0) run_walk<A, Group>(half);
            const auto moved = [&](auto* data, int array, int64_t bytes) {
                return data + first * walk.steps[array][axis] * bytes;
            };
            half = p;
            half.out = moved(static_cast<char*>(p.out), 0, info(p.out_dtype).bytes);
            for (int k = 0; k < p.inputs; ++k)
                half.input[k] = moved(static_cast<const char*>(p.input[k]), k + 1, p.bytes[k]);
        }
        return;
    }
    constexpr int kMost = Group::kWidest;
    switch (vector_width(p, kMost)) {
        case 8:
            if constexpr (kMost >= 8 && !std::is_same_v<A, double>)
                return launch_elementwise<A, Group, 8>(p);
            break;
        case 4:
            if constexpr (kMost >= 4 && !std::is_same_v<A, double>)
                return launch_elementwise<A, Group, 4>(p);
            break;
        case 2:
            if constexpr (kMost >= 2 && !std::is_same_v<A, float>)
                return launch_elementwise<A, Group, 2>(p);
            break;
    }
    launch_elementwise<A, Group, 1>(p);
}

template <class A, class Group>
void run_group(const ElementwiseCall& call, int op) {
    constexpr int kInputs = Group::kArrays;
    Elementwise<A, kInputs> p{};
    int64_t strides[kInputs][kMaxDims];
    const int64_t* pointers[kInputs + 1];
    pointers[0] = call.out.strides;
    p.inputs = call.inputs;
    p.op = op;
    p.out = call.out.data;
    p.out_dtype = call.out.dtype;
    for (int k = 0; k < kInputs; ++k) {
        pointers[k + 1] = k < call.inputs ? strides[k] : call.out.strides;
        if (k >= call.inputs) continue;
        const ArrayView& a = call.input[k];
        broadcast_strides(a, call.out, strides[k]);
        p.input[k] = a.data;
        p.dtype[k] = a.dtype;
        p.bytes[k] = static_cast<uint8_t>(info(a.dtype).bytes);
    }
    for (int i = 0; i < call.parameters; ++i) {
        const Number& number = call.parameter[i];
        if constexpr (std::is_same_v<A, int64_t>)
            p.numbers[i] = number.integer;
        else
            p.numbers[i] = static_cast<A>(number.real);
    }
    const auto& all = reinterpret_cast<const int64_t* const(&)[kInputs + 1]>(pointers);
    p.walk = walk_of<kInputs + 1>(call.out, all);
    run_walk<A, Group>(p);
}

template <class A, class... Groups>
std::vector<ElementwiseRow> rows_of() {
    std::vector<ElementwiseRow> table;
    const auto add = [&](auto group) {
        using Group = decltype(group);
        Rows rows;
        Group::template formulas<A>(rows);
        for (int op = 0; op < rows.count; ++op) {
            const Rows::Row& row = rows.rows[op];
            table.push_back({row.name, row.arrays, row.numbers, op, &run_group<A, Group>});
        }
    };
    (add(Groups{}), ...);
    return table;
}

}  // namespace pycnn::cuda
