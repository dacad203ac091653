#include "cpu/copy.h"

#include <algorithm>
#include <cstring>

#include "common/checks.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {
namespace {

template <class From, class To>
PYCNN_INLINE To converted(From value) {
    if constexpr (std::is_same_v<From, To>)
        return value;
    else if constexpr (std::is_same_v<To, Float16> || std::is_same_v<To, BFloat16>)
        return To(static_cast<float>(value));
    else
        return static_cast<To>(static_cast<Accumulation<From>>(value));
}

// One axis of both arrays.
struct Axis {
    int64_t size, from, to;
};

// The innermost two axes: `inner` is the destination's, `outer` may be where the source is dense.
template <class From, class To>
void copy_plane(const From* from, To* to, const Axis& outer, const Axis& inner) {
    constexpr int64_t kBlock = 16;
    if (inner.from == 1 && inner.to == 1 && std::is_same_v<From, To>) {
        for (int64_t i = 0; i < outer.size; ++i)
            std::memcpy(static_cast<void*>(to + i * outer.to), from + i * outer.from,
                        static_cast<size_t>(inner.size) * sizeof(To));
        return;
    }
    for (int64_t block = 0; block < inner.size; block += kBlock) {
        const int64_t end = std::min(inner.size, block + kBlock);
        for (int64_t i = 0; i < outer.size; ++i)
            for (int64_t j = block; j < end; ++j)
                to[i * outer.to + j * inner.to] =
                    converted<From, To>(from[i * outer.from + j * inner.from]);
    }
}

template <class From, class To>
void copy_as(const ArrayView& a, const ArrayView& b) {
    Axis axes[kMaxDims + 2];  // the destination's largest step first
    int count = 0;
    for (int i = 0; i < a.ndim; ++i) {
        if (a.shape[i] == 1) continue;
        int at = count++;
        for (; at > 0 && std::abs(axes[at - 1].to) < std::abs(b.strides[i]); --at)
            axes[at] = axes[at - 1];
        axes[at] = {a.shape[i], a.strides[i], b.strides[i]};
    }
    // Neighbours that step alike in both arrays are one axis.
    int merged = 0;
    for (int i = 1; i < count; ++i) {
        Axis& outer = axes[merged];
        const Axis& inner = axes[i];
        if (outer.from == inner.from * inner.size && outer.to == inner.to * inner.size)
            outer = {outer.size * inner.size, inner.from, inner.to};
        else
            axes[++merged] = inner;
    }
    count = count == 0 ? 0 : merged + 1;
    while (count < 2) axes[count++] = {1, 0, 0};
    if (axes[count - 1].size == 1) std::swap(axes[count - 1], axes[count - 2]);
    // The plane: the destination's innermost axis and the one the source runs fastest along.
    int fastest = count - 2;
    for (int i = 0; i < count - 2; ++i)
        if (std::abs(axes[i].from) < std::abs(axes[fastest].from)) fastest = i;
    std::swap(axes[fastest], axes[count - 2]);
    const Axis inner = axes[count - 1], outer = axes[count - 2];
    int64_t planes = 1;
    for (int i = 0; i < count - 2; ++i) planes *= axes[i].size;
    const int64_t pieces = planes >= 16 ? 1 : std::min<int64_t>(outer.size, 16);
    const double cost = 0.5 * static_cast<double>(outer.size * inner.size / pieces + 1);
    parallel_for(planes * pieces, cost, [&](int64_t task) {
        const int64_t piece = task % pieces;
        const auto* from = static_cast<const From*>(a.data);
        auto* to = static_cast<To*>(b.data);
        int64_t rest = task / pieces;
        for (int i = count - 3; i >= 0; --i) {
            from += rest % axes[i].size * axes[i].from;
            to += rest % axes[i].size * axes[i].to;
            rest /= axes[i].size;
        }
        const int64_t begin = outer.size * piece / pieces, end = outer.size * (piece + 1) / pieces;
        copy_plane(from + begin * outer.from, to + begin * outer.to,
                   Axis{end - begin, outer.from, outer.to}, inner);
    });
}

template <class From>
void copy_float(const ArrayView& a, const ArrayView& b) {
    switch (b.dtype) {
        case DType::f16: return copy_as<From, Float16>(a, b);
        case DType::bf16: return copy_as<From, BFloat16>(a, b);
        case DType::f32: return copy_as<From, float>(a, b);
        case DType::f64: return copy_as<From, double>(a, b);
        default: throw TypeError(refusal("dtype", info(b.dtype).name, names_of(kFloatDTypes)));
    }
}

}  // namespace

void copy(const ArrayView& from, const ArrayView& to) {
    if (from.numel() == 0) return;
    if (from.dtype == to.dtype) {
        switch (info(from.dtype).bytes) {
            case 1: return copy_as<uint8_t, uint8_t>(from, to);
            case 2: return copy_as<uint16_t, uint16_t>(from, to);
            case 4: return copy_as<uint32_t, uint32_t>(from, to);
            default: return copy_as<uint64_t, uint64_t>(from, to);
        }
    }
    switch (from.dtype) {
        case DType::f16: return copy_float<Float16>(from, to);
        case DType::bf16: return copy_float<BFloat16>(from, to);
        case DType::f32: return copy_float<float>(from, to);
        case DType::f64: return copy_float<double>(from, to);
        default: throw TypeError(refusal("dtype", info(from.dtype).name, names_of(kFloatDTypes)));
    }
}

}  // namespace pycnn::PYCNN_ISA
