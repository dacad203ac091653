// Copies between any two strided layouts, converting floating-point dtypes on the way.
//
// Computes   to[i] = from[i] for every index i
// Arrays     any strides, equal shapes; equal dtypes move bit for bit, halves through float32
// Threads    ranges of planes, large planes cut along their longer axis
// Tiling     axes that step alike in both arrays are merged; what is left is one of: runs dense in
//            both (memcpy, or vectors that convert), transposes (a vector's lanes square, in
//            registers, inside panels of kPanel), and the rest element by element
// Traffic    every element read once, written once; a transpose reads and writes whole cache lines
// Numerics   float64 into a half rounds twice, through float32
// Refuses    conversions between integers, or an integer and a float (TypeError)
#include "cpu/copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

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

// --- vectors of elements -------------------------------------------------------------------------

// float64 moves in lanes of 64 bits, everything else in lanes of 32: narrow integers as their bits,
// halves as float32. float64 and another dtype have no lane in common.
template <class T>
using Lane = std::conditional_t<sizeof(T) == 8, double, float>;
template <class From, class To>
constexpr bool kByVectors = sizeof(Lane<From>) == sizeof(Lane<To>);

template <class T>
PYCNN_INLINE Vec<Lane<T>> read(const T* from, int n) {
    constexpr int lanes = kLanes<Lane<T>>;
    if constexpr (std::is_integral_v<T>) {
        typedef T Narrow __attribute__((vector_size(lanes * sizeof(T))));
        typedef uint32_t Wide __attribute__((vector_size(kVectorBytes)));
        Narrow stored{};
        if (n == lanes)
            std::memcpy(&stored, from, sizeof stored);
        else
            std::memcpy(&stored, from, static_cast<size_t>(n) * sizeof(T));
        return (Vec<float>)__builtin_convertvector(stored, Wide);
    } else {
        return n == lanes ? load(from) : load(from, n);
    }
}

template <class T>
PYCNN_INLINE void write(T* to, Vec<Lane<T>> v, int n) {
    constexpr int lanes = kLanes<Lane<T>>;
    if constexpr (std::is_integral_v<T>) {
        typedef T Narrow __attribute__((vector_size(lanes * sizeof(T))));
        typedef uint32_t Wide __attribute__((vector_size(kVectorBytes)));
        const Narrow stored = __builtin_convertvector((Wide)v, Narrow);
        if (n == lanes)
            std::memcpy(to, &stored, sizeof stored);
        else
            std::memcpy(to, &stored, static_cast<size_t>(n) * sizeof(T));
    } else {
        n == lanes ? store(to, v) : store(to, v, n);
    }
}

// Lane l of the result: a's where l has no bit `Distance`, else b's lane l - Distance; `Upper`: a's
// lane l + Distance where it has none, else b's.
template <size_t Distance, bool Upper, class V, size_t... L>
PYCNN_INLINE V exchanged(V a, V b, std::index_sequence<L...>) {
    return __builtin_shufflevector(a, b,
                                   (Upper ? ((L & Distance) ? sizeof...(L) + L : L + Distance)
                                          : ((L & Distance) ? sizeof...(L) + L - Distance : L))...);
}

// rows[i] lane j <-> rows[j] lane i.
template <size_t Distance, size_t Size, class V>
PYCNN_INLINE void transpose(V* rows) {
    if constexpr (Distance < Size) {
        constexpr auto lanes = std::make_index_sequence<Size>{};
#pragma GCC unroll 16
        for (size_t i = 0; i < Size; ++i) {
            if (i & Distance) continue;
            const V a = rows[i], b = rows[i + Distance];
            rows[i] = exchanged<Distance, false>(a, b, lanes);
            rows[i + Distance] = exchanged<Distance, true>(a, b, lanes);
        }
        transpose<2 * Distance, Size>(rows);
    }
}

// --- planes --------------------------------------------------------------------------------------

// One axis of both arrays.
struct Axis {
    int64_t size, from, to;
};

// `count` elements, dense in both.
template <class From, class To>
void copy_run(const From* from, To* to, int64_t count) {
    if constexpr (std::is_same_v<From, To>) {
        std::memcpy(static_cast<void*>(to), from, static_cast<size_t>(count) * sizeof(To));
    } else {
        int64_t i = 0;
        if constexpr (kByVectors<From, To>)
            for (constexpr int lanes = kLanes<Lane<To>>; i + lanes <= count; i += lanes)
                write(to + i, read(from + i, lanes), lanes);
        for (; i < count; ++i) to[i] = converted<From, To>(from[i]);
    }
}

// A square of the plane below, whole or (rows, columns) of it: `rows` along `column` axes.
template <class From, class To>
PYCNN_INLINE void transpose_square(const From* from, int64_t from_step, To* to, int64_t to_step,
                                   int rows, int columns) {
    constexpr int lanes = kLanes<Lane<From>>;
    Vec<Lane<From>> square[lanes]{};
    if (rows == lanes && columns == lanes) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) square[i] = read(from + i * from_step, lanes);
        transpose<1, lanes>(square);
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) write(to + i * to_step, square[i], lanes);
    } else {
        for (int i = 0; i < rows; ++i) square[i] = read(from + i * from_step, columns);
        transpose<1, lanes>(square);
        for (int i = 0; i < columns; ++i) write(to + i * to_step, square[i], rows);
    }
}

// The source is dense along `outer`, the destination along `inner`.
template <class From, class To>
void transpose_plane(const From* from, To* to, const Axis& outer, const Axis& inner) {
    constexpr int lanes = kLanes<Lane<From>>;
    constexpr int64_t kPanel = 4 * lanes;  // destination elements that are written side by side
    for (int64_t panel = 0; panel < inner.size; panel += kPanel) {
        const int64_t end = std::min(inner.size, panel + kPanel);
        for (int64_t j = 0; j < outer.size; j += lanes) {
            const int columns = static_cast<int>(std::min<int64_t>(lanes, outer.size - j));
            for (int64_t i = panel; i < end; i += lanes) {
                const int rows = static_cast<int>(std::min<int64_t>(lanes, end - i));
                const From* source = from + i * inner.from + j;
                To* target = to + j * outer.to + i;
                if (rows == lanes && columns == lanes)
                    transpose_square(source, inner.from, target, outer.to, lanes, lanes);
                else
                    transpose_square(source, inner.from, target, outer.to, rows, columns);
            }
        }
    }
}

// A plane with one axis of few elements: it is the inner loop, unrolled.
template <int Few, class From, class To>
void copy_few(const From* from, To* to, const Axis& many, const Axis& few) {
    for (int64_t i = 0; i < many.size; ++i)
        for (int64_t j = 0; j < (Few > 0 ? Few : few.size); ++j)
            to[i * many.to + j * few.to] = converted<From, To>(from[i * many.from + j * few.from]);
}

// The innermost two axes: `inner` is the destination's, `outer` may be where the source is dense.
template <class From, class To>
void copy_plane(const From* from, To* to, const Axis& outer, const Axis& inner) {
    constexpr int64_t kBlock = 16;
    if (inner.from == 1 && inner.to == 1 && inner.size * sizeof(To) > 32) {
        for (int64_t i = 0; i < outer.size; ++i)
            copy_run(from + i * outer.from, to + i * outer.to, inner.size);
        return;
    }
    const Axis& few = outer.size < inner.size ? outer : inner;
    const Axis& many = outer.size < inner.size ? inner : outer;
    switch (few.size) {
        case 1: return copy_few<1>(from, to, many, few);
        case 2: return copy_few<2>(from, to, many, few);
        case 3: return copy_few<3>(from, to, many, few);
        case 4: return copy_few<4>(from, to, many, few);
        default: break;
    }
    if constexpr (kByVectors<From, To>)
        if (outer.from == 1 && inner.to == 1) return transpose_plane(from, to, outer, inner);
    if (few.size <= 8) return copy_few<0>(from, to, many, few);
    for (int64_t block = 0; block < inner.size; block += kBlock) {
        const int64_t end = std::min(inner.size, block + kBlock);
        for (int64_t i = 0; i < outer.size; ++i)
            for (int64_t j = block; j < end; ++j)
                to[i * outer.to + j * inner.to] =
                    converted<From, To>(from[i * outer.from + j * inner.from]);
    }
}

// --- whole arrays --------------------------------------------------------------------------------

// The axes longer than 1, the destination's largest step first; neighbours that step alike in both
// arrays are one. At least two axes. Returns their number.
int merged_axes(const ArrayView& a, const ArrayView& b, Axis* axes) {
    int count = 0;
    for (int i = 0; i < a.ndim; ++i) {
        if (a.shape[i] == 1) continue;
        int at = count++;
        for (; at > 0 && std::abs(axes[at - 1].to) < std::abs(b.strides[i]); --at)
            axes[at] = axes[at - 1];
        axes[at] = {a.shape[i], a.strides[i], b.strides[i]};
    }
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
    if (count == 0) axes[count++] = {1, 1, 1};
    if (count == 1) {
        axes[1] = axes[0];
        axes[0] = {1, 0, 0};
        count = 2;
    }
    return count;
}

template <class From, class To>
void copy_as(const ArrayView& a, const ArrayView& b) {
    constexpr int64_t kPiece = 16384;  // elements that are worth a task
    Axis axes[kMaxDims + 2];
    const int count = merged_axes(a, b, axes);
    // The plane: the destination's innermost axis and the one the source runs fastest along.
    int fastest = count - 2;
    for (int i = 0; i < count - 2; ++i) {
        const int64_t step = std::abs(axes[i].from), least = std::abs(axes[fastest].from);
        if (least == 0 || (step > 0 && step < least)) fastest = i;
    }
    std::swap(axes[fastest], axes[count - 2]);
    const Axis inner = axes[count - 1], outer = axes[count - 2];
    int64_t planes = 1;
    for (int i = 0; i < count - 2; ++i) planes *= axes[i].size;
    const bool along_inner = inner.size > outer.size;
    const int64_t longer = along_inner ? inner.size : outer.size;
    const int64_t plane = outer.size * inner.size;
    const int64_t pieces = planes >= 64 ? 1 : std::clamp<int64_t>(plane / kPiece, 1, 64);
    const int64_t each = ((longer + pieces - 1) / pieces + 63) / 64 * 64;  // whole cache lines
    const double cost = 0.05 * (sizeof(From) + sizeof(To)) * static_cast<double>(plane) /
                        static_cast<double>(pieces);
    const int64_t parts = std::clamp<int64_t>(planes * plane / kPiece, 1, 64);
    parallel_ranges(planes * pieces, parts, cost, [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; ++task) {
            const auto* from = static_cast<const From*>(a.data);
            auto* to = static_cast<To*>(b.data);
            int64_t rest = task / pieces;
            for (int i = count - 3; i >= 0; --i) {
                const int64_t at = rest % axes[i].size;
                from += at * axes[i].from;
                to += at * axes[i].to;
                rest /= axes[i].size;
            }
            const int64_t begin = std::min(longer, task % pieces * each);
            Axis part[] = {outer, inner};
            Axis& cut = part[along_inner ? 1 : 0];
            cut.size = std::min(longer, begin + each) - begin;
            if (cut.size > 0)
                copy_plane(from + begin * cut.from, to + begin * cut.to, part[0], part[1]);
        }
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
            case 4: return copy_as<float, float>(from, to);
            default: return copy_as<double, double>(from, to);
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
