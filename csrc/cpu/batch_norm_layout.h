// How the batch-norm kernels walk an array (N, C, *): as rows of channels or as planes.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <optional>

#include "cpu/copy.h"
#include "cpu/simd.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {

// (N, C, S): the axes after the channels merged into one of S elements.
struct Steps {
    int64_t n, c, s;
};

inline int64_t spatial_size(const ArrayView& a) {
    int64_t size = 1;
    for (int i = 2; i < a.ndim; ++i) size *= a.shape[i];
    return size;
}

// The steps of an array whose spatial axes can be walked as one.
inline std::optional<Steps> merged_steps(const ArrayView& a) {
    Steps steps{a.strides[0], a.strides[1], 1};
    int64_t expected = 0;  // the step of the next axis outwards
    bool first = true;
    for (int i = a.ndim - 1; i >= 2; --i) {
        if (a.shape[i] == 1) continue;
        if (first)
            steps.s = a.strides[i];
        else if (a.strides[i] != expected)
            return std::nullopt;
        expected = a.strides[i] * a.shape[i];
        first = false;
    }
    return steps;
}

// `rows`: element (n, c, s) lies at (n*S + s) * pitch + c. `planes`: at n * step_n + c * step_c +
// s.
enum class Walk { rows, planes };

inline bool walks_rows(const ArrayView& a) {
    const auto steps = merged_steps(a);
    const int64_t size = spatial_size(a);
    return steps && (a.shape[1] == 1 || steps->c == 1) &&
           (a.shape[0] == 1 || size == 1 || steps->n == size * steps->s);
}

inline bool walks_planes(const ArrayView& a) {
    const auto steps = merged_steps(a);
    return steps && (spatial_size(a) == 1 || steps->s == 1);
}

// The walk that suits the first array, if the others can at least be copied into it.
inline Walk choose_walk(const ArrayView& first, std::initializer_list<const ArrayView*> arrays) {
    for (const ArrayView* a : arrays)
        if (a != nullptr && a->ndim > 4 && !merged_steps(*a)) return Walk::planes;
    if (first.shape[1] == 1 && walks_planes(first)) return Walk::planes;
    if (walks_rows(first)) return Walk::rows;
    if (walks_planes(first)) return Walk::planes;
    const bool channels_inside =
        first.ndim == 4 && std::abs(first.strides[1]) < std::abs(first.strides[3]);
    return channels_inside ? Walk::rows : Walk::planes;
}

// The array with four axes, where it has fewer or its spatial axes merge; else as it is.
inline ArrayView with_four_axes(const ArrayView& a) {
    ArrayView b = a;
    b.ndim = 4;
    const auto steps = merged_steps(a);
    if (a.ndim > 4 && !steps) return a;
    if (a.ndim > 4) {
        b.shape[2] = spatial_size(a);
        b.strides[2] = steps->s;
    }
    for (int i = a.ndim > 4 ? 3 : a.ndim; i < 4; ++i) b.shape[i] = 1, b.strides[i] = 1;
    return b;
}

// Elements of T under a walk: where they start and how they step.
template <class T>
struct Walked {
    T* data = nullptr;
    int64_t pitch = 0;     // rows
    int64_t n = 0, c = 0;  // planes
};

template <class T>
Walked<T> walked(T* data, const ArrayView& a, Walk walk, bool dense) {
    const int64_t size = spatial_size(a);
    if (dense) return {data, a.shape[1], a.shape[1] * size, size};
    const Steps steps = *merged_steps(a);
    // Where there is one row or one element in each plane, any pitch will do: a dense one.
    const int64_t pitch = size > 1 ? steps.s : a.shape[0] > 1 ? steps.n : a.shape[1];
    return {data, walk == Walk::rows ? pitch : 0, steps.n, steps.c};
}

inline bool fits(const ArrayView& a, Walk walk) {
    return walk == Walk::rows ? walks_rows(a) : walks_planes(a);
}

inline Layout layout_of(Walk walk) {
    return walk == Walk::rows ? Layout::channels_last : Layout::contiguous;
}

// An array that a kernel reads as T under a walk: itself, or a dense copy.
template <class T>
class WalkedInput {
  public:
    WalkedInput(const ArrayView& a, Walk walk) {
        if (a.dtype == DTypeOf<T>::value && fits(a, walk)) {
            view_ = walked(static_cast<const T*>(a.data), a, walk, false);
            return;
        }
        workspace_ = Buffer<T>(a.numel());
        const ArrayView from = with_four_axes(a);
        copy(from, dense_view(workspace_.data(), DTypeOf<T>::value, from, layout_of(walk)));
        view_ = walked<const T>(workspace_.data(), a, walk, true);
    }
    const Walked<const T>& operator*() const { return view_; }

  private:
    Buffer<T> workspace_;
    Walked<const T> view_;
};

// An array that a kernel fills, itself or through a dense workspace.
template <class T>
class WalkedOutput {
  public:
    WalkedOutput(const ArrayView& a, Walk walk) : array_(a), walk_(walk) {
        if (a.dtype == DTypeOf<T>::value && fits(a, walk)) {
            view_ = walked(static_cast<T*>(a.data), a, walk, false);
            return;
        }
        workspace_ = Buffer<T>(a.numel());
        view_ = walked(workspace_.data(), a, walk, true);
    }
    const Walked<T>& operator*() const { return view_; }
    void finish() const {
        if (workspace_.data() == nullptr) return;
        const ArrayView to = with_four_axes(array_);
        copy(dense_view(workspace_.data(), DTypeOf<T>::value, to, layout_of(walk_)), to);
    }

  private:
    ArrayView array_;
    Walk walk_;
    Buffer<T> workspace_;
    Walked<T> view_;
};

// A vector (C,) as A, repeated `times` times.
template <class A>
Buffer<A> vector_of(const ArrayView& a, int64_t times = 1) {
    Buffer<A> values(std::max<int64_t>(a.shape[0] * times, 1));
    with_float_dtype(a.dtype, [&](auto t) {
        using T = decltype(t);
        for (int64_t c = 0; c < a.shape[0]; ++c)
            values[c] = static_cast<A>(
                static_cast<Accumulation<T>>(static_cast<const T*>(a.data)[c * a.strides[0]]));
    });
    for (int64_t i = a.shape[0]; i < a.shape[0] * times; ++i) values[i] = values[i - a.shape[0]];
    return values;
}

// What apply computes per channel, (x - mean) * scale + bias.
template <class A>
struct Output {
    Buffer<A> mean, scale, bias;
};

// Of anything that has mean, invstd, weight and bias.
template <class A, class Arguments>
Output<A> output_of(const Arguments& a, int64_t times) {
    const int64_t channels = a.x.shape[1] * times;
    Output<A> y{vector_of<A>(a.mean, times), vector_of<A>(a.invstd, times),
                Buffer<A>(std::max<int64_t>(channels, 1))};
    if (a.weight) {
        const Buffer<A> weight = vector_of<A>(*a.weight, times);
        for (int64_t c = 0; c < channels; ++c) y.scale[c] *= weight[c];
    }
    if (a.bias)
        y.bias = vector_of<A>(*a.bias, times);
    else
        std::fill_n(y.bias.data(), channels, A(0));
    return y;
}

// The gradient of relu(y) for that of y; NaN lets it through.
template <class A>
PYCNN_INLINE Vec<A> behind_relu(Vec<A> gradient, Vec<A> y) {
    return select(y <= zero<A>(), zero<A>(), gradient);
}

inline void store_vector(const double* values, const ArrayView& to) {
    with_float_dtype(to.dtype, [&](auto t) {
        using T = decltype(t);
        for (int64_t c = 0; c < to.shape[0]; ++c)
            static_cast<T*>(to.data)[c * to.strides[0]] =
                T(static_cast<Accumulation<T>>(values[c]));
    });
}

// Rows of few channels are taken several at a time, as rows of `channels` = times * C channels that
// fill whole vectors; the last of them may hold fewer, `rest`.
struct Fold {
    int64_t times, channels, rows, rest;
};

// `dense`: whether the rows of every array follow each other without a gap.
template <class A>
Fold folded(int64_t rows, int64_t C, bool dense) {
    constexpr int64_t lanes = kLanes<A>;
    const int64_t times = !dense || C >= 8 * lanes ? 1 : lanes / std::gcd(C, lanes);
    return {times, C * times, rows / times, rows % times * C};
}

// Calls body(width, c, n) for blocks of `width` whole vectors of the channels [begin, end), at most
// Most of them, and at the end for the n channels that fill no vector, with width 1.
template <int Most, class A, class F>
PYCNN_INLINE void channel_blocks(int64_t begin, int64_t end, F&& body) {
    constexpr int lanes = kLanes<A>;
    int64_t c = begin;
    if constexpr (Most >= 8)
        for (; c + 8 * lanes <= end; c += 8 * lanes)
            body(std::integral_constant<int, 8>{}, c, lanes);
    if constexpr (Most >= 4)
        for (; c + 4 * lanes <= end; c += 4 * lanes)
            body(std::integral_constant<int, 4>{}, c, lanes);
    for (; c + 2 * lanes <= end; c += 2 * lanes) body(std::integral_constant<int, 2>{}, c, lanes);
    for (; c + lanes <= end; c += lanes) body(std::integral_constant<int, 1>{}, c, lanes);
    if (c < end) body(std::integral_constant<int, 1>{}, c, static_cast<int>(end - c));
}

template <class T>
PYCNN_INLINE auto read(const T* from, int n) {
    return n == kLanes<Accumulation<T>> ? load(from) : load(from, n);
}
template <class T, class V>
PYCNN_INLINE void write(T* to, V v, int n) {
    n == kLanes<Accumulation<T>> ? store(to, v) : store(to, v, n);
}

constexpr int64_t kRowsAtOnce = 64;  // of a block of channels: 32 KiB of a half cache
constexpr double kNanosecondsPerByte = 0.02;

}  // namespace pycnn::PYCNN_ISA
