// float16 and bfloat16 as stored: two bytes that convert to float32 and back, rounding to nearest
// even. Kernels compute in float32 and round once, when they store.
#pragma once

#include <cstdint>
#include <cstring>

namespace pycnn {

inline uint32_t float_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// IEEE binary16: 1 sign, 5 exponent, 10 mantissa bits.
struct Float16 {
    uint16_t bits;

    Float16() = default;
    explicit Float16(float value) : bits(round(value)) {}
    explicit operator float() const;

  private:
    static uint16_t round(float value);
};

inline Float16::operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u)  // infinity and NaN
        return float_of_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude < 0x0400u)  // zero and subnormals: a multiple of 2^-24
        return float_of_bits(sign | float_bits(static_cast<float>(magnitude) * 0x1p-24f));
    return float_of_bits(sign | ((magnitude << 13) + 0x38000000u));
}

inline uint16_t Float16::round(float value) {
    const uint32_t all = float_bits(value);
    const auto sign = static_cast<uint16_t>(all >> 16 & 0x8000u);
    const uint32_t magnitude = all & 0x7fffffffu;
    if (magnitude > 0x7f800000u)  // NaN, kept quiet with the top of its payload
        return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u)  // rounds to 2^16 or more
        return static_cast<uint16_t>(sign | 0x7c00u);
    if (magnitude <
        0x38800000u) {  // subnormal: adding 0.5 leaves multiples of 2^-24 in the mantissa
        const float shifted = float_of_bits(magnitude) + 0.5f;
        return static_cast<uint16_t>(sign | (float_bits(shifted) - 0x3f000000u));
    }
    const uint32_t odd = magnitude >> 13 & 1u;
    return static_cast<uint16_t>(sign | (magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

// The upper half of a float32.
struct BFloat16 {
    uint16_t bits;

    BFloat16() = default;
    explicit BFloat16(float value) : bits(round(value)) {}
    explicit operator float() const { return float_of_bits(static_cast<uint32_t>(bits) << 16); }

  private:
    static uint16_t round(float value) {
        const uint32_t all = float_bits(value);
        if ((all & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(all >> 16 | 0x40u);
        return static_cast<uint16_t>((all + 0x7fffu + (all >> 16 & 1u)) >> 16);
    }
};

// The type that sums and arithmetic of a stored type are kept in.
template <class T>
struct AccumulationOf {
    using type = T;
};
template <>
struct AccumulationOf<Float16> {
    using type = float;
};
template <>
struct AccumulationOf<BFloat16> {
    using type = float;
};
template <class T>
using Accumulation = typename AccumulationOf<T>::type;

}  // namespace pycnn
