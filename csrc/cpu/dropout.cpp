// Dropout whose mask is computed from a counter, where it is needed.
//
// Computes   out[i] = x[i] * (word >= threshold ? scale : 0), the word being number j % 4 of Philox
//            4x32-10 at the counter (j / 4, offset) under the key `seed`; j counts the elements of
//            the mask's axes in row-major order
// Arrays     contiguous arrays are walked as they lie, others through a dense copy
// Threads    ranges of mask elements
// Tiling     512 words at a time: ten rounds over 128 counters, a vector of them per instruction
// Traffic    x read once, out written once; some 10 integer instructions a word in vectors
// Numerics   halves in float32, rounded once
// Refuses    nothing
// Source     Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11
#include "primitives/dropout.h"

#include <algorithm>

#include "cpu/memory_order.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kBlocks = 128;  // counters at a time
constexpr int64_t kWords = 4 * kBlocks;

// Words [4 first, 4 first + kWords).
void philox(uint64_t first, const DropoutMask& mask, uint32_t* words) {
    const int64_t* key = static_cast<const int64_t*>(mask.key.data);
    const auto seed = static_cast<uint64_t>(key[0]);
    const auto offset = static_cast<uint64_t>(key[mask.key.strides[0]]);
    alignas(64) uint32_t a[kBlocks], b[kBlocks], c[kBlocks], d[kBlocks];
    for (int64_t i = 0; i < kBlocks; ++i) {
        const uint64_t block = first + static_cast<uint64_t>(i);
        a[i] = static_cast<uint32_t>(block);
        b[i] = static_cast<uint32_t>(block >> 32);
        c[i] = static_cast<uint32_t>(offset);
        d[i] = static_cast<uint32_t>(offset >> 32);
    }
    uint32_t low = static_cast<uint32_t>(seed), high = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        for (int64_t i = 0; i < kBlocks; ++i) {
            const uint64_t even = uint64_t{0xD2511F53} * a[i], odd = uint64_t{0xCD9E8D57} * c[i];
            a[i] = static_cast<uint32_t>(odd >> 32) ^ b[i] ^ low;
            b[i] = static_cast<uint32_t>(odd);
            c[i] = static_cast<uint32_t>(even >> 32) ^ d[i] ^ high;
            d[i] = static_cast<uint32_t>(even);
        }
        low += 0x9E3779B9;
        high += 0xBB67AE85;
    }
    for (int64_t i = 0; i < kBlocks; ++i) {
        words[4 * i] = a[i];
        words[4 * i + 1] = b[i];
        words[4 * i + 2] = c[i];
        words[4 * i + 3] = d[i];
    }
}

// The mask elements [begin, end), each with `inner` elements of x.
template <class T>
void drop(const T* x, T* out, int64_t begin, int64_t end, int64_t inner, const DropoutMask& mask) {
    using A = Accumulation<T>;
    const A scale = static_cast<A>(mask.scale);
    alignas(64) uint32_t words[kWords];
    for (int64_t at = begin; at < end; at += kWords) {
        philox(static_cast<uint64_t>(at) / 4, mask, words);
        const int64_t count = std::min(kWords, end - at);
        const T* from = x + at * inner;
        T* to = out + at * inner;
        if (inner == 1) {
            for (int64_t i = 0; i < count; ++i)
                to[i] = T(static_cast<A>(from[i]) * (words[i] >= mask.threshold ? scale : A{0}));
            continue;
        }
        for (int64_t i = 0; i < count; ++i) {
            const A factor = words[i] >= mask.threshold ? scale : A{0};
            for (int64_t k = 0; k < inner; ++k)
                to[i * inner + k] = T(static_cast<A>(from[i * inner + k]) * factor);
        }
    }
}

}  // namespace

void dropout(const ArrayView& x, const ArrayView& out, const DropoutMask& mask) {
    if (out.numel() == 0) return;
    int64_t count = 1;
    for (int i = 0; i < mask.axes; ++i) count *= x.shape[i];
    const int64_t inner = out.numel() / count;
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        const ArrayView walk = dense_view(nullptr, out.dtype, out, Layout::contiguous);
        const OrderedInput<T> from(x, walk);
        const OrderedOutput<T> to(out, walk);
        // every range begins with a block of words
        const int64_t groups = (count + kWords - 1) / kWords;
        const double cost = kWords * (1.0 + 0.1 * sizeof(T) * static_cast<double>(inner));
        parallel_ranges(groups, 4 * num_threads(), cost, [&](int64_t begin, int64_t end) {
            drop(from.data(), to.data(), begin * kWords, std::min(count, end * kWords), inner,
                 mask);
        });
        to.finish();
    });
}

}  // namespace pycnn::PYCNN_ISA
