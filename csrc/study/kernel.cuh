// What a user's own CUDA kernel includes to be run by `pycnn study check FILE.cu`. One file holds
// kernels and, for each that can be called, a launcher of the name of its primitive:
//
//   #include "study/kernel.cuh"
//
//   template <class T>
//   __global__ void doubled(Tensor<const T> x, Tensor<T> y) { ... }
//
//   PYCNN_KERNEL(elementwise) {
//       with_float_dtype(call.output().dtype, [&](auto t) {
//           using T = decltype(t);
//           launch(doubled<T>, blocks, threads, 0, Tensor<const T>(call.input()), ...);
//       });
//   }
//
// `call` is a study::Call: the primitive's arrays in the order of pycnn.dispatch.PRIMITIVES, the
// geometry's fields by name, and the epilogue. A launcher may throw Refused("why") before it
// launches anything; one that never asks for an epilogue refuses those calls that have one. Strides
// are in elements and may be anything, negative too. machine.cuh lists what a kernel may use.
#pragma once

#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include "common/array.h"
#include "common/dtypes.h"
#include "common/epilogue.h"
#include "common/params.h"
#include "cuda/epilogue.cuh"
#include "cuda/launch.cuh"
#include "cuda/numbers.cuh"
#ifndef PYCNN_EMULATED
#include "cuda/stream.h"
#endif

namespace pycnn::study {

// pycnn/study/cuda_source.py lays out the same structs with ctypes.
static_assert(sizeof(ArrayView) == 144);

struct Field {
    const char* name;
    const char* text;  // null where it is a number
    int64_t integer;
    double number;
};

struct RawCall {
    const ArrayView* const* arrays;  // inputs, then outputs; null where an optional one is left out
    int64_t inputs, outputs;
    const ArrayView* epilogue[4];  // bias, scale, shift, residual
    const char* activation;        // null where there is none
    const Field* fields;
    int64_t field_count;
    void* stream;
};

// Why a launcher does not take a call.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Call {
  public:
    explicit Call(const RawCall& raw) : raw_(raw) {}

    bool has_input(int64_t i) const {
        return i >= 0 && i < raw_.inputs && raw_.arrays[i] != nullptr;
    }
    const ArrayView& input(int64_t i = 0) const { return array(i, raw_.inputs, 0, "input"); }
    const ArrayView& output(int64_t i = 0) const {
        return array(i, raw_.outputs, raw_.inputs, "output");
    }

    // A field of the geometry by its Python name; an element of a tuple is "axes[0]".
    int64_t integer(const char* name) const { return field(name).integer; }
    double number(const char* name) const { return field(name).number; }
    std::string text(const char* name) const {
        const Field& f = field(name);
        return f.text == nullptr ? "" : f.text;
    }
    bool has(const char* name) const { return find(name) != nullptr; }

    // The geometry of a convolution.
    Conv2dParams conv2d() const {
        std::array<int64_t, 16> values{};
        if (raw_.field_count != 16 || !has("dilation_w"))
            throw ValueError("this primitive's geometry is not a convolution's");
        for (size_t i = 0; i < values.size(); ++i) values[i] = raw_.fields[i].integer;
        return conv2d_params(values);
    }

    // What is applied before an element is stored: cuda::epilogue_of<T>(view), cuda::finish(...).
    EpilogueView epilogue() const {
        asked_ = true;
        EpilogueView view;
        std::optional<ArrayView>* parts[] = {&view.bias, &view.scale, &view.shift, &view.residual};
        for (size_t i = 0; i < 4; ++i)
            if (raw_.epilogue[i] != nullptr) *parts[i] = *raw_.epilogue[i];
        for (size_t i = 1; raw_.activation != nullptr && i < std::size(kActivations); ++i)
            if (std::strcmp(raw_.activation, kActivations[i]) == 0)
                view.activation = static_cast<Activation>(i);
        return view;
    }

    // Whether there is an epilogue that nobody asked for.
    bool ignored_epilogue() const {
        bool any = raw_.activation != nullptr;
        for (const ArrayView* part : raw_.epilogue) any = any || part != nullptr;
        return any && !asked_;
    }

  private:
    const ArrayView& array(int64_t i, int64_t count, int64_t first, const char* what) const {
        if (i < 0 || i >= count || raw_.arrays[first + i] == nullptr)
            throw ValueError(std::string("call.") + what + "(" + std::to_string(i) +
                             "): the call has no such array");
        return *raw_.arrays[first + i];
    }
    const Field* find(const char* name) const {
        for (int64_t i = 0; i < raw_.field_count; ++i)
            if (std::strcmp(raw_.fields[i].name, name) == 0) return &raw_.fields[i];
        return nullptr;
    }
    const Field& field(const char* name) const {
        const Field* found = find(name);
        if (found != nullptr) return *found;
        std::string names;
        for (int64_t i = 0; i < raw_.field_count; ++i)
            names += (i ? ", " : "") + std::string(raw_.fields[i].name);
        throw ValueError(refusal("the geometry's field", name, names));
    }

    const RawCall& raw_;
    mutable bool asked_ = false;
};

// An array as a kernel takes it, by value: its memory and its strides.
template <class T>
struct Tensor {
    T* data;
    int64_t shape[4], steps[4];

    explicit Tensor(const ArrayView& view) : data(static_cast<T*>(view.data)), shape(), steps() {
        for (int i = 0; i < 4 && i < view.ndim; ++i)
            shape[i] = view.shape[i], steps[i] = view.strides[i];
    }
    __device__ T& operator()(int64_t a, int64_t b = 0, int64_t c = 0, int64_t d = 0) const {
        return data[a * steps[0] + b * steps[1] + c * steps[2] + d * steps[3]];
    }
};

enum Outcome : int { kDone = 0, kRefused = 1, kFailed = 2 };

inline int tell(char* message, int64_t size, const char* text, Outcome outcome) {
    std::snprintf(message, static_cast<size_t>(size), "%s", text);
    return outcome;
}

template <class F>
int guarded(const RawCall& raw, char* message, int64_t size, F launcher) {
    try {
#ifndef PYCNN_EMULATED
        cuda::current_stream() = static_cast<cudaStream_t>(raw.stream);
#endif
        const Call call(raw);
        launcher(call);
        if (call.ignored_epilogue())
            return tell(message, size, "the launcher does not ask for the epilogue", kRefused);
        return kDone;
    } catch (const Refused& why) {
        return tell(message, size, why.what(), kRefused);
    } catch (const std::exception& error) {
        return tell(message, size, error.what(), kFailed);
    } catch (...) {
        return tell(message, size, "an exception that is no std::exception", kFailed);
    }
}

}  // namespace pycnn::study

using namespace pycnn;        // NOLINT: this header is for programs of one file
using namespace pycnn::cuda;  // NOLINT
using pycnn::study::Call;
using pycnn::study::Refused;
using pycnn::study::Tensor;

#define PYCNN_KERNEL(NAME)                                                        \
    static void pycnn_launcher_##NAME(const Call& call);                          \
    extern "C" __attribute__((visibility("default"))) int pycnn_kernel_##NAME(    \
        const pycnn::study::RawCall* raw, char* message, int64_t size) {          \
        return pycnn::study::guarded(*raw, message, size, pycnn_launcher_##NAME); \
    }                                                                             \
    static void pycnn_launcher_##NAME([[maybe_unused]] const Call& call)
