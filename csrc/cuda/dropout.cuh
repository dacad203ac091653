// Dropout from a counter: the mask is computed where it is needed and never stored.
//
// Computes   out = x * mask, mask[i] = scale where word i of Philox 4x32-10 is at least threshold,
//            else 0; i counts the elements of x's first axes in row-major order. Word i is number i
//            % 4 of the counter (i / 4, offset) under the key `seed`
// Arrays     x, out of one float dtype and shape, any strides; key (2,) int64: (seed, offset), read
//            on the device. Vectors of 4 elements or more of which groups of four have one counter,
//            or all one word (the mask of a channel), take the vector kernel; out may be x
// Grid       x: 256 threads a block, an element or a vector each
// Tiling     none: every element is used once
// Traffic    x read once, out written once; (32,256,56,56) in bf16: 103 MB, and some 20 integer
//            instructions an element: bandwidth in f32, about even in halves
// Numerics   halves in f32, rounded once; the same bits as every other provider's mask
// Refuses    nothing
// Source     Srivastava et al. 2014, JMLR 15; Salmon et al. 2011, "Parallel random numbers: as easy
//            as 1, 2, 3", SC'11
#pragma once

#include "cuda/numbers.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kDropoutThreads = 256;

template <class T>
struct Dropout {
    const T* x;
    T* out;
    const int64_t* key;
    int64_t key_step;
    uint32_t threshold;
    Accumulation<T> scale;
    Walk<3> walk;  // out, x, the mask's index; its last axis is counted in vectors
};

// The four words of counter (block, key[1]) under key[0].
template <class T>
__device__ __forceinline__ void philox(const Dropout<T>& p, uint64_t block, uint32_t (&words)[4]) {
    const auto seed = static_cast<uint64_t>(p.key[0]);
    const auto offset = static_cast<uint64_t>(p.key[p.key_step]);
    auto low = static_cast<uint32_t>(seed), high = static_cast<uint32_t>(seed >> 32);
    auto a = static_cast<uint32_t>(block), b = static_cast<uint32_t>(block >> 32);
    auto c = static_cast<uint32_t>(offset), d = static_cast<uint32_t>(offset >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const uint64_t even = uint64_t{0xD2511F53} * a, odd = uint64_t{0xCD9E8D57} * c;
        a = static_cast<uint32_t>(odd >> 32) ^ b ^ low;
        b = static_cast<uint32_t>(odd);
        c = static_cast<uint32_t>(even >> 32) ^ d ^ high;
        d = static_cast<uint32_t>(even);
        low += 0x9E3779B9;
        high += 0xBB67AE85;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

template <class T>
__device__ __forceinline__ uint32_t word_of(const Dropout<T>& p, int64_t i) {
    uint32_t words[4];
    philox(p, static_cast<uint64_t>(i) / 4, words);
    const uint32_t low = i & 1 ? words[1] : words[0], high = i & 1 ? words[3] : words[2];
    return i & 2 ? high : low;
}

template <class T>
__device__ __forceinline__ T dropped(const Dropout<T>& p, T x, uint32_t word) {
    using A = Accumulation<T>;
    return convert<T>(convert<A>(x) * (word >= p.threshold ? p.scale : A(0)));
}

// What the elements of a vector have in common.
enum class Words { fours, one };

// A vector is 16 bytes, or two such of float64, which has only two elements in one.
template <class T>
constexpr int kDropoutWidth = kWidth<T> < 4 ? 4 : kWidth<T>;

template <class T, Words Kind>
__global__ void __launch_bounds__(kDropoutThreads) dropout_vector_kernel(Dropout<T> p) {
    constexpr int N = kDropoutWidth<T>, Part = kWidth<T>;
    static_assert(N % 4 == 0 && N % Part == 0, "whole counters in whole vectors");
    const int64_t index = int64_t{blockIdx.x} * kDropoutThreads + threadIdx.x;
    if (index >= p.walk.count) return;
    int64_t at[3];
    locate(p.walk, static_cast<uint32_t>(index), at);
    Vector<T, Part> x[N / Part];
#pragma unroll
    for (int i = 0; i < N / Part; ++i) x[i] = load_vector<T, Part>(p.x + at[1] + i * Part);
    uint32_t words[N / 4][4];
    if constexpr (Kind == Words::one) {
        const uint32_t word = word_of(p, at[2]);
#pragma unroll
        for (int i = 0; i < N; ++i) words[i / 4][i % 4] = word;
    } else {
#pragma unroll
        for (int i = 0; i < N / 4; ++i) philox(p, static_cast<uint64_t>(at[2]) / 4 + i, words[i]);
    }
#pragma unroll
    for (int i = 0; i < N / Part; ++i) {
#pragma unroll
        for (int j = 0; j < Part; ++j) {
            const int k = i * Part + j;
            x[i].v[j] = dropped(p, x[i].v[j], words[k / 4][k % 4]);
        }
        store_vector(p.out + at[0] + i * Part, x[i]);
    }
}

template <class T, class Index>
__global__ void __launch_bounds__(kDropoutThreads) dropout_strided_kernel(Dropout<T> p) {
    const int64_t index = int64_t{blockIdx.x} * kDropoutThreads + threadIdx.x;
    if (index >= p.walk.count) return;
    int64_t at[3];
    locate(p.walk, static_cast<Index>(index), at);
    p.out[at[0]] = dropped(p, p.x[at[1]], word_of(p, at[2]));
}

}  // namespace pycnn::cuda
