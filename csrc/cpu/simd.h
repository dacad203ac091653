// One vector register of float or double, for the instruction set this file is compiled for.
//
// Vec<T> is the compiler's own vector type: + - * / and comparisons are operators, a comparison
// gives a Mask<T>. Everything else is a function here, so that a kernel is written once for every
// width. Compiled with -ffp-contract=off: only fma() fuses.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "common/half.h"

#if defined(__AVX2__)
// GCC takes the deliberately undefined operands of its own intrinsics for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace pycnn::PYCNN_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

template <class T>
struct VecOf;
template <>
struct VecOf<float> {
    typedef float type __attribute__((vector_size(kVectorBytes)));
    typedef int32_t mask __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VecOf<double> {
    typedef double type __attribute__((vector_size(kVectorBytes)));
    typedef int64_t mask __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vec = typename VecOf<T>::type;
// All bits of a lane set, or none.
template <class T>
using Mask = typename VecOf<T>::mask;
template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

#define PYCNN_INLINE inline __attribute__((always_inline))

// --- loads and stores; n < kLanes reads or writes only the first n elements, the rest read as 0
// ---

template <class T>
PYCNN_INLINE Vec<T> zero() {
    return Vec<T>{};
}

template <class T>
PYCNN_INLINE Vec<T> broadcast(T value) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_set1_ps(value);
    else
        return (Vec<T>)_mm512_set1_pd(value);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm256_set1_ps(value);
    else
        return (Vec<T>)_mm256_set1_pd(value);
#else
    Vec<T> v;
    for (int i = 0; i < kLanes<T>; ++i) v[i] = value;
    return v;
#endif
}

template <class T>
PYCNN_INLINE Vec<T> load(const T* from) {
    Vec<T> v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <class T>
PYCNN_INLINE void store(T* to, Vec<T> v) {
    std::memcpy(to, &v, sizeof v);
}

// Stores a whole vector past the caches; `to` is aligned to it.
template <class T>
PYCNN_INLINE void stream(T* to, Vec<T> v) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)v);
#elif defined(__AVX2__)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)v);
#else
    std::memcpy(to, &v, sizeof v);
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// The first n of 8 (float) or 4 (double) lanes.
PYCNN_INLINE __m256i first_lanes_32(int n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
}
PYCNN_INLINE __m256i first_lanes_64(int n) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane);
}
#endif

template <class T>
PYCNN_INLINE Vec<T> load(const T* from, int n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), from);
    else
        return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), from);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm256_maskload_ps(from, first_lanes_32(n));
    else
        return (Vec<T>)_mm256_maskload_pd(from, first_lanes_64(n));
#else
    Vec<T> v{};
    for (int i = 0; i < n; ++i) v[i] = from[i];
    return v;
#endif
}

template <class T>
PYCNN_INLINE void store(T* to, Vec<T> v, int n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
    else
        _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        _mm256_maskstore_ps(to, first_lanes_32(n), (__m256)v);
    else
        _mm256_maskstore_pd(to, first_lanes_64(n), (__m256d)v);
#else
    for (int i = 0; i < n; ++i) to[i] = v[i];
#endif
}

// Halves, widened to float32 when loaded and rounded to nearest even when stored.
PYCNN_INLINE Vec<float> load(const Float16* from) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
    return (Vec<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    Vec<float> v;
    for (int i = 0; i < kLanes<float>; ++i) v[i] = static_cast<float>(from[i]);
    return v;
#endif
}

PYCNN_INLINE void store(Float16* to, Vec<float> v) {
#if defined(__AVX512F__)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(__AVX2__)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
    for (int i = 0; i < kLanes<float>; ++i) to[i] = Float16(v[i]);
#endif
}

PYCNN_INLINE Vec<float> load(const BFloat16* from) {
    typedef uint16_t Narrow __attribute__((vector_size(kVectorBytes / 2)));
    typedef uint32_t Wide __attribute__((vector_size(kVectorBytes)));
    Narrow stored;
    std::memcpy(&stored, from, sizeof stored);
    return (Vec<float>)(__builtin_convertvector(stored, Wide) << 16);
}

PYCNN_INLINE void store(BFloat16* to, Vec<float> v) {
    typedef uint16_t Narrow __attribute__((vector_size(kVectorBytes / 2)));
    typedef uint32_t Wide __attribute__((vector_size(kVectorBytes)));
    const Wide all = (Wide)v;
    const Wide rounded = (all + 0x7fffu + ((all >> 16) & 1u)) >> 16;
    const Wide quiet = (all >> 16) | 0x40u;
    const Narrow stored = __builtin_convertvector(v == v ? rounded : quiet, Narrow);
    std::memcpy(to, &stored, sizeof stored);
}

template <class H>
PYCNN_INLINE auto load(const H* from, int n)
    -> std::enable_if_t<std::is_same_v<H, Float16> || std::is_same_v<H, BFloat16>, Vec<float>> {
    H some[kLanes<float>]{};
    std::memcpy(static_cast<void*>(some), from, static_cast<size_t>(n) * sizeof(H));
    return load(some);
}

template <class H>
PYCNN_INLINE auto store(H* to, Vec<float> v, int n)
    -> std::enable_if_t<std::is_same_v<H, Float16> || std::is_same_v<H, BFloat16>> {
    H all[kLanes<float>];
    store(all, v);
    std::memcpy(static_cast<void*>(to), all, static_cast<size_t>(n) * sizeof(H));
}

// --- arithmetic ----------------------------------------------------------------------------------

// a * b + c, rounded once where the instruction set can (twice in the baseline).
template <class T>
PYCNN_INLINE auto fma_(T a, T b, T c) {
#if defined(__AVX512F__)
    if constexpr (sizeof(a[0]) == 4)
        return (T)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
    else
        return (T)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__)
    if constexpr (sizeof(a[0]) == 4)
        return (T)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
    else
        return (T)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}
PYCNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return fma_(a, b, c); }
PYCNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return fma_(a, b, c); }

// Lane by lane: a where the mask is set, else b.
template <class M, class V>
PYCNN_INLINE V select(M mask, V a, V b) {
    return mask ? a : b;
}

// The larger; b if either is NaN. So max(zero, x) is a ReLU that lets NaN through.
template <class V>
PYCNN_INLINE V max(V a, V b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(a[0]) == 4)
        return (V)_mm512_max_ps((__m512)a, (__m512)b);
    else
        return (V)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
    if constexpr (sizeof(a[0]) == 4)
        return (V)_mm256_max_ps((__m256)a, (__m256)b);
    else
        return (V)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
    return a > b ? a : b;
#endif
}

// The smaller; b if either is NaN.
template <class V>
PYCNN_INLINE V min(V a, V b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(a[0]) == 4)
        return (V)_mm512_min_ps((__m512)a, (__m512)b);
    else
        return (V)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
    if constexpr (sizeof(a[0]) == 4)
        return (V)_mm256_min_ps((__m256)a, (__m256)b);
    else
        return (V)_mm256_min_pd((__m256d)a, (__m256d)b);
#else
    return a < b ? a : b;
#endif
}

template <class V>
PYCNN_INLINE V sqrt(V a) {
#if defined(__AVX512F__)
    if constexpr (sizeof(a[0]) == 4)
        return (V)_mm512_sqrt_ps((__m512)a);
    else
        return (V)_mm512_sqrt_pd((__m512d)a);
#elif defined(__AVX2__)
    if constexpr (sizeof(a[0]) == 4)
        return (V)_mm256_sqrt_ps((__m256)a);
    else
        return (V)_mm256_sqrt_pd((__m256d)a);
#else
    for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); ++i) a[i] = std::sqrt(a[i]);
    return a;
#endif
}

// The lanes added up, in a fixed order: halves first.
template <class V>
PYCNN_INLINE auto sum_of_lanes(V v) {
    using T = std::remove_cv_t<std::remove_reference_t<decltype(v[0])>>;
    T lanes[sizeof(V) / sizeof(T)];
    std::memcpy(lanes, &v, sizeof v);
    for (size_t half = sizeof(V) / sizeof(T) / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    return lanes[0];
}

}  // namespace pycnn::PYCNN_ISA
