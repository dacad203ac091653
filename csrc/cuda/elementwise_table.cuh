// The lists of elementwise's formulas: written once, read by the host for their names and by a
// kernel for the one it was asked for.
//
// A group is the formulas of one kernel: elementwise.cuh has one template for all. How many arrays
// its formulas take, and how long they are, decides a kernel's registers, so that groups are made
// by both. A group states
//
//   kArrays        the most arrays a formula of it takes
//   kWidest        the most elements a thread computes: fewer where formulas are long
//   formulas<A>(visit)   the rows, in A: float, double or int64_t
#pragma once

#include <cstddef>
#include <utility>

#include "cuda/machine.cuh"

namespace pycnn::cuda {

template <int N>
struct Arrays {
    static constexpr int kCount = N;
};

// How many arguments a formula has.
template <class F>
struct ArgumentsOf;
template <class F, class R, class... Args>
struct ArgumentsOf<R (F::*)(Args...) const> {
    static constexpr int kCount = static_cast<int>(sizeof...(Args));
};
template <class F>
constexpr int kArguments = ArgumentsOf<decltype(&F::operator())>::kCount;

// A formula of `kArrays` arrays and any numbers, which are the last arguments:
//     PYCNN_OP(1, "clamp_min", (A x, A low), largest(x, low))
#define PYCNN_OP(kArrays, name, arguments, ...) \
    if (visit(Arrays<kArrays>{}, name, [] arguments { return __VA_ARGS__; })) return;

// <op>(a, b) of two arrays, and <op>_scalar(a; b) of an array and a number.
#define PYCNN_OP_OF_TWO(name, ...) PYCNN_OP(2, name, (A a, A b), __VA_ARGS__)
#define PYCNN_OP_OF_SCALAR(name, ...) PYCNN_OP(1, name "_scalar", (A a, A b), __VA_ARGS__)

#define PYCNN_FORMULA __host__ __device__ __forceinline__

// Collects the rows of a group, on the host.
struct Rows {
    static constexpr int kMost = 80;
    struct Row {
        const char* name;
        int arrays, numbers;
    };
    Row rows[kMost];
    int count = 0;

    template <int N, class F>
    PYCNN_FORMULA bool operator()(Arrays<N>, const char* name, const F&) {
        rows[count++] = {name, N, kArguments<F> - N};
        return false;
    }
};

// Gives run(Arrays<N>{}, formula) the formula of number `op`.
template <class Run>
class Choice {
  public:
    PYCNN_FORMULA Choice(int op, Run& run) : op_(op), run_(run) {}

    template <int N, class F>
    PYCNN_FORMULA bool operator()(Arrays<N> arrays, const char*, const F& formula) {
        if (next_++ != op_) return false;
        run_(arrays, formula);
        return true;
    }

  private:
    int op_, next_ = 0;
    Run& run_;
};

}  // namespace pycnn::cuda
