// Division by a number that is known at the launch: a multiplication and a shift.
#pragma once

#include <cstdint>

#include "cuda/machine.cuh"

namespace pycnn::cuda {

// n / d for n, d < 2^31. With 2^(l-1) < d <= 2^l and m = ceil(2^(31+l) / d), which fits in 32 bits,
// m exceeds 2^(31+l) / d by less than 2^l / d / n, so that floor(n m / 2^(31+l)) is the quotient.
// Granlund and Montgomery 1994, "Division by invariant integers using multiplication".
class Division {
  public:
    Division() = default;
    explicit Division(int64_t divisor) : divisor_(static_cast<uint32_t>(divisor)) {
        uint32_t l = 0;
        while ((uint64_t{1} << l) < divisor_) ++l;
        shift_ = 31 + l;
        magic_ = static_cast<uint32_t>(((uint64_t{1} << shift_) + divisor_ - 1) / divisor_);
    }

    __host__ __device__ __forceinline__ uint32_t quotient(uint32_t n) const {
        return static_cast<uint32_t>(uint64_t{n} * magic_ >> shift_);
    }
    // n becomes the quotient; returns the remainder.
    __host__ __device__ __forceinline__ uint32_t divide(uint32_t& n) const {
        const uint32_t q = quotient(n), remainder = n - q * divisor_;
        n = q;
        return remainder;
    }
    __host__ __device__ __forceinline__ uint32_t divisor() const { return divisor_; }

  private:
    uint32_t divisor_, magic_, shift_;
};

}  // namespace pycnn::cuda
