// The epilogue on vectors: what a kernel does to its accumulators before it stores them.
#pragma once

#include "common/epilogue.h"
#include "cpu/copy.h"
#include "cpu/math.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

template <class V>
PYCNN_INLINE V sigmoid(V x) {
    return 1 / (1 + exp(-x));
}

// activation(x), with the default parameters of pycnn.functional; NaN stays NaN.
template <class T>
PYCNN_INLINE Vec<T> activated(Vec<T> x, Activation activation) {
    const Vec<T> none = zero<T>(), three = broadcast<T>(3), six = broadcast<T>(6);
    switch (activation) {
        case Activation::relu: return max(none, x);
        case Activation::relu6: return min(six, max(none, x));
        case Activation::leaky_relu: return x > none ? x : x * static_cast<T>(0.01);
        case Activation::sigmoid: return sigmoid(x);
        case Activation::tanh: return tanh(x);
        case Activation::silu: return x * sigmoid(x);
        case Activation::hardswish: return x * min(six, max(none, x + three)) / six;
        case Activation::hardsigmoid: return min(six, max(none, x + three)) / six;
        case Activation::gelu:
            return x *
                   ((1 + erf(x * static_cast<T>(0.70710678118654752440))) * static_cast<T>(0.5));
        case Activation::elu: return x > none ? x : expm1(min(none, x));
        default: return x;
    }
}

// Applies an activation to `count` elements in place, out of line.
template <class T>
__attribute__((noinline)) void activate(T* data, int64_t count, Activation activation) {
    int64_t i = 0;
    for (; i + kLanes<T> <= count; i += kLanes<T>)
        store(data + i, activated<T>(load(data + i), activation));
    const int rest = static_cast<int>(count - i);
    if (rest > 0) store(data + i, activated<T>(load(data + i, rest), activation), rest);
}

// An epilogue over dense arrays of T: per-channel vectors, and a residual laid out as the output,
// of T or of the halves it is stored in.
template <class T, class Stored = T>
struct Epilogue {
    const T *bias = nullptr, *scale = nullptr, *shift = nullptr;
    const Stored* residual = nullptr;
    Activation activation = Activation::none;

    bool any() const { return linear() || activation != Activation::none; }
    bool linear() const { return bias || scale || shift || residual; }

    // Whether finish() applies the activation too; the others are left to activate(), so that their
    // code is not repeated for every accumulator.
    bool activates_inline() const {
        return activation == Activation::none || activation == Activation::relu ||
               activation == Activation::relu6;
    }

    // acc of channels [channel, channel + n) of the output element at `offset`.
    PYCNN_INLINE Vec<T> finish(Vec<T> acc, int64_t channel, int64_t offset, int n) const {
        const auto read = [n](const auto* from) {
            return n == kLanes<T> ? load(from) : load(from, n);
        };
        if (bias) acc = acc + read(bias + channel);
        if (scale) acc = acc * read(scale + channel);
        if (shift) acc = acc + read(shift + channel);
        if (residual) acc = acc + read(residual + offset);
        if (activation == Activation::relu) return max(zero<T>(), acc);
        if (activation == Activation::relu6) return min(broadcast<T>(6), max(zero<T>(), acc));
        return acc;
    }

    // A block of accumulators, the activation included whichever it is: acc[i] holds channels
    // [channel, channel + n) of the output element at `offset` + i*step.
    template <int Count>
    PYCNN_INLINE void finish_block(Vec<T> (&acc)[Count], int64_t channel, int64_t offset,
                                   int64_t step, int n) const {
        const auto read = [n](const auto* from) {
            return n == kLanes<T> ? load(from) : load(from, n);
        };
        if (bias) {
            const Vec<T> b = read(bias + channel);
            for (int i = 0; i < Count; ++i) acc[i] = acc[i] + b;
        }
        if (scale) {
            const Vec<T> b = read(scale + channel);
            for (int i = 0; i < Count; ++i) acc[i] = acc[i] * b;
        }
        if (shift) {
            const Vec<T> b = read(shift + channel);
            for (int i = 0; i < Count; ++i) acc[i] = acc[i] + b;
        }
        if (residual)
            for (int i = 0; i < Count; ++i) acc[i] = acc[i] + read(residual + offset + i * step);
        if (activation == Activation::none) return;
        if (activates_inline()) {
            for (int i = 0; i < Count; ++i) acc[i] = max(zero<T>(), acc[i]);
            if (activation == Activation::relu6)
                for (int i = 0; i < Count; ++i) acc[i] = min(broadcast<T>(6), acc[i]);
            return;
        }
        T values[Count * kLanes<T>];
        for (int i = 0; i < Count; ++i) store(values + i * kLanes<T>, acc[i]);
        activate(values, Count * kLanes<T>, activation);
        for (int i = 0; i < Count; ++i) acc[i] = load(values + i * kLanes<T>);
    }
};

// The caller's epilogue as dense arrays of T, the residual in the layout of the output.
template <class T, class Stored = T>
class DenseEpilogue {
  public:
    DenseEpilogue(const EpilogueView& view, Layout layout) {
        epilogue.activation = view.activation;
        epilogue.bias = dense(view.bias, Layout::contiguous, bias_);
        epilogue.scale = dense(view.scale, Layout::contiguous, scale_);
        epilogue.shift = dense(view.shift, Layout::contiguous, shift_);
        epilogue.residual = dense(view.residual, layout, residual_);
    }
    Epilogue<T, Stored> epilogue;

  private:
    template <class U>
    static const U* dense(const std::optional<ArrayView>& view, Layout layout,
                          std::optional<DenseInput<U>>& kept) {
        if (!view) return nullptr;
        return kept.emplace(*view, layout).data();
    }
    std::optional<DenseInput<T>> bias_, scale_, shift_;
    std::optional<DenseInput<Stored>> residual_;
};

}  // namespace pycnn::PYCNN_ISA
