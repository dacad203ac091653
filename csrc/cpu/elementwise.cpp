// The loops around the formulas of the elementwise ops.
//
// Computes   out = op(inputs...; parameters) after broadcasting
// Arrays     any dtypes and strides; computed in double if an input is float64, in float if one is
//            floating point, else in 64-bit integers; out may be an input, and where it overlaps
//            one otherwise that input is copied first
// Threads    ranges of blocks; no result depends on them
// Tiling     blocks of kBlock elements: the innermost axes in out's order of strides, and a piece
//            of the next. An operand that is dense over a block in the type computed in is used
//            where it lies, any other is brought into a workspace in L1, and kept there for the
//            next block if that reads the same elements (a bias along channels-last channels). One
//            dense axis in all operands is one range without blocks.
// Traffic    every input read once, out written once
// Numerics   one rounding, at the store of a half
// Refuses    an op without integer form is computed in double; bitwise ops of floating point
#include "primitives/elementwise.h"

#include <algorithm>

#include "common/checks.h"
#include "cpu/blocks.h"
#include "cpu/copy.h"
#include "cpu/elementwise_table.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"
#include "primitives/elementwise_call.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kBlock = 1024;
constexpr int kMostOperands = kMostInputs + 1;  // out is the last

struct Operand {
    char* data;
    int64_t bytes;  // of an element
    DType dtype;
    int64_t strides[kMaxDims];
};

// The axes of a call, out's largest stride first; neighbours that every operand steps over as over
// one axis are one.
struct Loop {
    int axes = 0;
    int64_t sizes[kMaxDims];
    int operands = 0;
    Operand operand[kMostOperands];

    const Operand& out() const { return operand[operands - 1]; }
};

Operand operand_of(const ArrayView& a, const ArrayView& out) {
    Operand result{static_cast<char*>(a.data), info(a.dtype).bytes, a.dtype, {}};
    for (int i = 0; i < a.ndim; ++i)
        result.strides[out.ndim - a.ndim + i] = a.shape[i] == 1 ? 0 : a.strides[i];
    return result;
}

Loop loop_of(const ElementwiseCall& call) {
    const ArrayView& out = call.out;
    int order[kMaxDims], count = 0;
    for (int i = 0; i < out.ndim; ++i) {
        if (out.shape[i] == 1) continue;
        int at = count++;
        for (; at > 0 && std::abs(out.strides[order[at - 1]]) < std::abs(out.strides[i]); --at)
            order[at] = order[at - 1];
        order[at] = i;
    }
    Operand all[kMostOperands];
    Loop loop;
    loop.operands = call.inputs + 1;
    for (int k = 0; k < loop.operands; ++k) {
        all[k] = operand_of(k < call.inputs ? call.input[k] : out, out);
        loop.operand[k] = all[k];
    }
    for (int i = 0; i < count; ++i) {
        const int64_t size = out.shape[order[i]];
        bool joined = loop.axes > 0;
        for (int k = 0; joined && k < loop.operands; ++k)
            joined = loop.operand[k].strides[loop.axes - 1] == all[k].strides[order[i]] * size;
        if (joined)
            loop.sizes[loop.axes - 1] *= size;
        else
            loop.sizes[loop.axes++] = size;
        for (int k = 0; k < loop.operands; ++k)
            loop.operand[k].strides[loop.axes - 1] = all[k].strides[order[i]];
    }
    if (loop.axes == 0) {
        loop.axes = 1;
        loop.sizes[0] = 1;
        for (int k = 0; k < loop.operands; ++k) loop.operand[k].strides[0] = 1;
    }
    return loop;
}

// A row and the parameters in T.
template <class T>
struct Chosen {
    Row row;
    T parameters[kMostParameters];
};

// One operand while blocks are worked through.
struct Stage {
    bool direct;
    Gather gather;
    char* workspace;
    const char* kept = nullptr;  // whose elements the workspace holds
    int64_t kept_size = 0;
};

template <class T>
class Blocks {
  public:
    Blocks(const Loop& loop, const Chosen<T>& op) : loop_(loop), op_(op) {
        inner_ = loop.axes;
        inside_ = 1;
        while (inner_ > 0 && inside_ * loop.sizes[inner_ - 1] <= kBlock)
            inside_ *= loop.sizes[--inner_];
        // axes [0, cut_) are walked, axis cut_ is taken in pieces, those after it whole
        cut_ = std::max(inner_ - 1, 0);
        piece_ = inner_ == 0 ? loop.sizes[0] : std::max<int64_t>(kBlock / inside_, 1);
        pieces_ = (loop.sizes[cut_] + piece_ - 1) / piece_;
        count_ = pieces_;
        for (int i = 0; i < cut_; ++i) count_ *= loop.sizes[i];
        for (int k = 0; k < loop.operands; ++k) direct_[k] = lies_dense(loop.operand[k], k);
    }

    void run() const {
        const double cost = op_.row.cost * static_cast<double>(std::min(kBlock, inside_ * piece_));
        parallel_ranges(count_, 4 * num_threads(), cost,
                        [&](int64_t begin, int64_t end) { run_range(begin, end); });
    }

  private:
    bool lies_dense(const Operand& a, int k) const {
        const bool masks = k == loop_.operands - 1 && op_.row.boolean;
        if (a.dtype != (masks ? DType::boolean : computed())) return false;
        int64_t expected = 1;
        for (int i = loop_.axes - 1; i >= cut_; --i) {
            if (a.strides[i] != expected) return false;
            expected *= loop_.sizes[i];
        }
        return true;
    }

    static constexpr DType computed() {
        return std::is_same_v<T, float>    ? DType::f32
               : std::is_same_v<T, double> ? DType::f64
                                           : DType::i64;
    }

    void run_range(int64_t begin, int64_t end) const {
        alignas(64) char workspaces[kMostOperands][kBlock * sizeof(T)];
        Stage stage[kMostOperands];
        const int inputs = loop_.operands - 1;
        for (int k = 0; k < inputs; ++k)
            stage[k] = {direct_[k], gather_to<T>(loop_.operand[k].dtype), workspaces[k]};
        const Scatter scatter = op_.row.boolean ? scatter_from<uint8_t>(loop_.out().dtype)
                                                : scatter_from<T>(loop_.out().dtype);
        int64_t at[kMaxDims] = {};  // of the walked axes
        int64_t rest = begin / pieces_, piece = begin % pieces_;
        for (int i = cut_ - 1; i >= 0; --i) at[i] = rest % loop_.sizes[i], rest /= loop_.sizes[i];
        int64_t sizes[kMaxDims];
        std::copy(loop_.sizes + cut_, loop_.sizes + loop_.axes, sizes);
        for (int64_t block = begin; block < end; ++block) {
            const int64_t first = piece * piece_;
            sizes[0] = std::min(piece_, loop_.sizes[cut_] - first);
            const int64_t n = sizes[0] * whole_axes();
            const void* in[kMostInputs];
            for (int k = 0; k < inputs; ++k) in[k] = brought(k, stage[k], at, first, sizes, n);
            char* to = address(loop_.out(), at, first);
            if (direct_[inputs]) {
                op_.row.block(in, to, n, op_.parameters);
            } else {
                op_.row.block(in, workspaces[inputs], n, op_.parameters);
                scatter(workspaces[inputs], to, loop_.out().strides + cut_, sizes,
                        loop_.axes - cut_);
            }
            if (++piece == pieces_) {
                piece = 0;
                for (int i = cut_ - 1; i >= 0 && ++at[i] == loop_.sizes[i]; --i) at[i] = 0;
            }
        }
    }

    // The elements per step of the axis taken in pieces.
    int64_t whole_axes() const { return inner_ == 0 ? inside_ / loop_.sizes[0] : inside_; }

    char* address(const Operand& a, const int64_t* at, int64_t first) const {
        int64_t offset = first * a.strides[cut_];
        for (int i = 0; i < cut_; ++i) offset += at[i] * a.strides[i];
        return a.data + offset * a.bytes;
    }

    const void* brought(int k, Stage& stage, const int64_t* at, int64_t first, const int64_t* sizes,
                        int64_t n) const {
        const Operand& a = loop_.operand[k];
        const char* from = address(a, at, first);
        if (stage.direct) return from;
        if (stage.kept != from || stage.kept_size < n) {
            stage.gather(from, a.strides + cut_, sizes, loop_.axes - cut_, stage.workspace);
            stage.kept = from;
            stage.kept_size = n;
        }
        return stage.workspace;
    }

    const Loop& loop_;
    const Chosen<T>& op_;
    int inner_, cut_;
    int64_t inside_, piece_, pieces_, count_;
    bool direct_[kMostOperands];
};

template <class T>
bool one_dense_range(const Loop& loop, const Row& row) {
    constexpr DType computed = std::is_same_v<T, float>    ? DType::f32
                               : std::is_same_v<T, double> ? DType::f64
                                                           : DType::i64;
    if (loop.axes != 1) return false;
    for (int k = 0; k < loop.operands; ++k) {
        const bool masks = k == loop.operands - 1 && row.boolean;
        const Operand& a = loop.operand[k];
        if (a.strides[0] != 1 || a.dtype != (masks ? DType::boolean : computed)) return false;
    }
    return true;
}

template <class T>
void run(const Loop& loop, const Chosen<T>& op) {
    if (!one_dense_range<T>(loop, op.row)) return Blocks<T>(loop, op).run();
    const int64_t size = loop.sizes[0];
    const auto range = [&](int64_t begin, int64_t end) {
        const void* in[kMostInputs];
        for (int k = 0; k < loop.operands - 1; ++k)
            in[k] = loop.operand[k].data + begin * loop.operand[k].bytes;
        op.row.block(in, loop.out().data + begin * loop.out().bytes, end - begin, op.parameters);
    };
    if (size <= kBlock) return range(0, size);
    const int64_t blocks = (size + kBlock - 1) / kBlock;
    parallel_ranges(
        blocks, 4 * num_threads(), op.row.cost * kBlock,
        [&](int64_t begin, int64_t end) { range(begin * kBlock, std::min(end * kBlock, size)); });
}

// --- which row -----------------------------------------------------------------------------------

// False if the table has no such row.
template <class T>
bool try_run(const OpTable& table, ElementwiseCall call, DType integer) {
    const auto find = [&](const ElementwiseCall& c) -> const Row* {
        const auto rows = table.rows.find(c.op);
        if (rows == table.rows.end()) return nullptr;
        for (const Row& row : rows->second)
            if (row.arrays == c.inputs && row.parameters == c.parameters) return &row;
        return nullptr;
    };
    const Row* row = row_of(call, std::is_integral_v<T>, integer, find);
    if (row == nullptr) return false;
    Chosen<T> op{*row, {}};
    for (int i = 0; i < call.parameters; ++i) {
        const Number& number = call.parameter[i];
        op.parameters[i] =
            std::is_integral_v<T> ? static_cast<T>(number.integer) : static_cast<T>(number.real);
    }
    run<T>(loop_of(call), op);
    return true;
}

}  // namespace

void elementwise(const ElementwiseCall& given) {
    if (given.out.numel() == 0) return;
    ElementwiseCall call = given;
    Buffer<char> copies[kMostInputs];
    bool single = false, wide = false;
    DType integer = call.input[0].dtype;
    for (int k = 0; k < call.inputs; ++k) {
        ArrayView& a = call.input[k];
        if (overwritten(a, call.out)) {
            copies[k] = Buffer<char>(a.numel() * info(a.dtype).bytes);
            const ArrayView dense = dense_view(copies[k].data(), a.dtype, a, Layout::contiguous);
            copy(a, dense);
            a = dense;
        }
        wide = wide || a.dtype == DType::f64;
        single = single || (kFloatDTypes & only(a.dtype));
        if (integer == DType::boolean) integer = a.dtype;
    }
    bool done = false;
    if (!single) done = try_run<int64_t>(integer_ops(), call, integer);
    if (single && !wide) done = try_run<float>(float_ops(), call, integer);
    if (!done && (wide || !single)) done = try_run<double>(double_ops(), call, integer);
    if (done) return;
    throw no_such_form(call);
}

std::vector<std::string> elementwise_ops() {
    std::vector<std::string> names;
    for (const OpTable* table : {&float_ops(), &integer_ops()})
        for (const auto& [name, rows] : table->rows)
            if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    return names;
}

}  // namespace pycnn::PYCNN_ISA
