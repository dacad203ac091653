// cuda/machine.cuh on a CPU: CUDA's words and the tensor cores', on the engine of engine.h.
//
// What is asynchronous on a GPU is late here: a copy of cp_async lands when its group is waited for,
// and until then its destination holds NaN, so that reading too early and overwriting too early
// both show. Shared memory and workspaces begin as NaN.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "common/half.h"
#include "cpu/memory.h"
#include "emulator/copies.h"
#include "emulator/engine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#ifdef PYCNN_EMULATOR_THREADS
#define __shared__ static  // one block runs at a time, and AddressSanitizer guards it
#else
#define __shared__ static thread_local  // a block's threads are fibers of one thread
#endif

#define threadIdx (::pycnn::emulator::current->index)
#define blockIdx (::pycnn::emulator::current->block->index)
#define blockDim (::pycnn::emulator::current->block->size)
#define gridDim (::pycnn::emulator::current->block->grid)

using dim3 = pycnn::emulator::Size3;

inline void __syncthreads(pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    pycnn::emulator::meet_block(site);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    pycnn::emulator::meet_warp(mask, "__syncwarp()", site,
                               pycnn::emulator::Combine([](pycnn::emulator::Thread* const*) {}));
}

namespace pycnn::emulator {

// Each lane takes the value of lane source(own lane), or its own where that is outside the warp.
template <class T, class F>
T shuffle(unsigned mask, const char* what, Site site, T value, const F& source) {
    return exchange<T>(mask, what, site, value, [&](Thread* const* lanes) {
        for (int i = 0; i < static_cast<int>(kWarp); ++i) {
            if (lanes[i] == nullptr) continue;
            const int from = source(i);
            // a lane outside the mask has no defined value: NaN, or ones
            const bool own = from < 0 || from >= static_cast<int>(kWarp);
            Thread* other = own ? lanes[i] : lanes[from];
            if (other != nullptr)
                std::memcpy(lanes[i]->result, other->operand, sizeof(T));
            else
                std::memset(lanes[i]->result, 0xff, sizeof(T));
        }
    });
}

inline unsigned ballot(unsigned mask, const char* what, Site site, int predicate) {
    return exchange<unsigned>(mask, what, site, predicate, [&](Thread* const* lanes) {
        unsigned votes = 0;
        for (unsigned i = 0; i < kWarp; ++i)
            if (lanes[i] != nullptr && operand_of<int>(*lanes[i]) != 0) votes |= 1u << i;
        for (unsigned i = 0; i < kWarp; ++i)
            if (lanes[i] != nullptr) result_of<unsigned>(*lanes[i]) = votes;
    });
}

}  // namespace pycnn::emulator

// The width of CUDA's shuffles is left at the whole warp.
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::shuffle(mask, "__shfl_sync()", site, value,
                                    [&](int) { return lane & 31; });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance,
                 pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::shuffle(mask, "__shfl_up_sync()", site, value,
                                    [&](int i) { return i - static_cast<int>(distance); });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance,
                   pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::shuffle(mask, "__shfl_down_sync()", site, value,
                                    [&](int i) { return i + static_cast<int>(distance); });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance, pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::shuffle(mask, "__shfl_xor_sync()", site, value,
                                    [&](int i) { return i ^ distance; });
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::ballot(mask, "__ballot_sync()", site, predicate);
}
inline int __any_sync(unsigned mask, int predicate, pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::ballot(mask, "__any_sync()", site, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate, pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::ballot(mask, "__all_sync()", site, predicate) == mask;
}

// Atomic on integers and floats; each returns what was there before.
template <class T, class F>
T pycnn_atomic(T* address, const F& change) {
    T before;
    __atomic_load(address, &before, __ATOMIC_RELAXED);
    for (T after = change(before);
         !__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
         after = change(before)) {
    }
    return before;
}
template <class T>
T atomicAdd(T* address, std::common_type_t<T> value) {
    return pycnn_atomic(address, [&](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicOr(T* address, std::common_type_t<T> value) {
    return pycnn_atomic(address, [&](T old) { return static_cast<T>(old | value); });
}
template <class T>
T atomicMax(T* address, std::common_type_t<T> value) {
    return pycnn_atomic(address, [&](T old) { return old < value ? value : old; });
}

namespace pycnn::cuda {

constexpr unsigned kFullWarp = 0xffffffffu;

inline unsigned lane() { return emulator::current->lane; }

template <class T>
T* dynamic_shared() {
    return static_cast<T*>(emulator::current->block->dynamic_shared);
}

inline float to_float(Float16 h) { return static_cast<float>(h); }
inline float to_float(BFloat16 h) { return static_cast<float>(h); }
template <class H>
H from_float(float f) {
    return H(f);
}

// --- tensor cores ---------------------------------------------------------------------------------
// PTX ISA, "Matrix fragments for mma.m16n8k16" and "for mma.m16n8k8". With group = lane / 4 and
// part = lane % 4, lane by lane:
//   d (16 x 8)   d[0], d[1] row group, d[2], d[3] row group + 8; columns 2*part, 2*part + 1
//   halves       a (16 x 16) a[0] row group, a[1] row group + 8, columns 2*part, 2*part + 1;
//                            a[2], a[3] the same rows, columns 8 further; b (16 x 8) b[0] rows
//                            2*part, 2*part + 1, b[1] rows 8 further, column group
//                a register holds two halves, the lower index in the lower 16 bits
//   tf32         a (16 x 8)  a[0] row group, a[1] row group + 8, column part; a[2], a[3] column
//                            part + 4; b (8 x 8) b[0] row part, b[1] row part + 4, column group

namespace detail {

struct MmaIn {
    float d[4];
    uint32_t a[4], b[2];
};
struct MmaOut {
    float d[4];
};

// d += a b, a and b read from the fragments of the 32 lanes. Products are exact, sums in float32 in
// an order that the hardware does not promise either.
template <int Depth, class A, class B>
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const char* what,
         emulator::Site site, const A& a_of, const B& b_of) {
    MmaIn in;
    std::memcpy(in.d, d, sizeof d);
    std::memcpy(in.a, a, sizeof a);
    std::memcpy(in.b, b, sizeof b);
    const auto out = emulator::exchange<MmaOut>(
        kFullWarp, what, site, in, [&](emulator::Thread* const* lanes) {
            float left[16][Depth], right[Depth][8];
            for (int row = 0; row < 16; ++row)
                for (int k = 0; k < Depth; ++k) left[row][k] = a_of(lanes, row, k);
            for (int k = 0; k < Depth; ++k)
                for (int column = 0; column < 8; ++column) right[k][column] = b_of(lanes, k, column);
            for (int i = 0; i < 32; ++i) {
                const float* old = emulator::operand_of<MmaIn>(*lanes[i]).d;
                for (int j = 0; j < 4; ++j) {
                    const int row = i / 4 + 8 * (j / 2), column = 2 * (i % 4) + j % 2;
                    float sum = 0;
                    for (int k = 0; k < Depth; ++k) sum += left[row][k] * right[k][column];
                    emulator::result_of<MmaOut>(*lanes[i]).d[j] = old[j] + sum;
                }
            }
        });
    std::memcpy(d, out.d, sizeof d);
}

template <class H>
float half_of(uint32_t pair, int which) {
    H h;
    h.bits = static_cast<uint16_t>(pair >> 16 * which);
    return static_cast<float>(h);
}

}  // namespace detail

template <class H>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], H,
                  emulator::Site site = emulator::Site::here()) {
    using detail::MmaIn;
    detail::mma<16>(
        d, a, b, "mma.m16n8k16", site,
        [](emulator::Thread* const* lanes, int row, int k) {
            const int from = row % 8 * 4 + k % 8 / 2;
            return detail::half_of<H>(
                emulator::operand_of<MmaIn>(*lanes[from]).a[row / 8 + 2 * (k / 8)], k % 2);
        },
        [](emulator::Thread* const* lanes, int k, int column) {
            const int from = column * 4 + k % 8 / 2;
            return detail::half_of<H>(emulator::operand_of<MmaIn>(*lanes[from]).b[k / 8], k % 2);
        });
}

// A float32 rounded to tf32, 11 bits, to nearest with ties away from zero (cvt.rna.tf32.f32).
inline uint32_t round_to_tf32(float f) {
    const uint32_t bits = float_bits(f);
    if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
    return (bits + 0x1000u) & 0xffffe000u;
}

// The hardware reads the upper 19 bits of an operand and ignores the rest.
inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                             emulator::Site site = emulator::Site::here()) {
    using detail::MmaIn;
    detail::mma<8>(
        d, a, b, "mma.m16n8k8", site,
        [](emulator::Thread* const* lanes, int row, int k) {
            const int from = row % 8 * 4 + k % 4;
            return float_of_bits(
                emulator::operand_of<MmaIn>(*lanes[from]).a[row / 8 + 2 * (k / 4)] & 0xffffe000u);
        },
        [](emulator::Thread* const* lanes, int k, int column) {
            const int from = column * 4 + k % 4;
            return float_of_bits(emulator::operand_of<MmaIn>(*lanes[from]).b[k / 4] & 0xffffe000u);
        });
}

// Four 8x8 tiles of 16-bit elements: lane 8*t + i hands in the address of row i of tile t, 16 bytes
// aligned to 16; register t of a lane gets two neighbours of row lane/4 of tile t, columns
// 2*(lane%4) and the next. Transposed, it gets rows 2*(lane%4) and the next of column lane/4.
namespace detail {
struct Four {
    uint32_t r[4];
};
template <bool Transposed>
void ldmatrix(uint32_t (&r)[4], const void* row, emulator::Site site) {
    const char* what = Transposed ? "ldmatrix.trans" : "ldmatrix";
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
        throw emulator::Fault(std::string(what) + " at " + site.file + ":" +
                              std::to_string(site.line) + ": a row that is not aligned to 16 bytes");
    const auto out =
        emulator::exchange<Four>(kFullWarp, what, site, row, [](emulator::Thread* const* lanes) {
            uint16_t tile[4][8][8];
            for (int i = 0; i < 32; ++i)
                std::memcpy(tile[i / 8][i % 8], emulator::operand_of<const void*>(*lanes[i]), 16);
            for (int i = 0; i < 32; ++i)
                for (int t = 0; t < 4; ++t) {
                    const int major = i / 4, minor = 2 * (i % 4);
                    const uint32_t low =
                        Transposed ? tile[t][minor][major] : tile[t][major][minor];
                    const uint32_t high =
                        Transposed ? tile[t][minor + 1][major] : tile[t][major][minor + 1];
                    emulator::result_of<Four>(*lanes[i]).r[t] = low | high << 16;
                }
        });
    std::memcpy(r, out.r, sizeof r);
}
}  // namespace detail

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, emulator::Site site = emulator::Site::here()) {
    detail::ldmatrix<false>(r, row, site);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row,
                              emulator::Site site = emulator::Site::here()) {
    detail::ldmatrix<true>(r, row, site);
}

inline void store_16(void* global, const uint32_t (&words)[4]) {
    std::memcpy(__builtin_assume_aligned(global, 16), words, sizeof words);
}

// --- copies past the registers --------------------------------------------------------------------

inline void cp_async_16(void* shared, const void* global, bool inside) {
    emulator::copy_later(shared, inside ? global : nullptr, 16);
}
inline void cp_async_4(void* shared, const void* global, bool inside) {
    emulator::copy_later(shared, inside ? global : nullptr, 4);
}
inline void cp_async_commit() { emulator::commit_copies(); }
// Waits until at most `Pending` of the thread's groups are under way.
template <int Pending>
void cp_async_wait() {
    emulator::finish_copies(Pending);
}

// --- on the host ----------------------------------------------------------------------------------

template <class... Params>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
            const std::common_type_t<Params>&... params) {
    const auto body = [&] { kernel(params...); };
    emulator::run_grid(
        grid, block, shared_bytes,
        [](const void* f) { (*static_cast<const decltype(body)*>(f))(); }, &body);
}

// Memory for kernels, full of NaN; std::bad_alloc where there is none.
template <class T>
class Workspace {
  public:
    Workspace() = default;
    explicit Workspace(int64_t count) : buffer_(count) {
        std::memset(static_cast<void*>(buffer_.data()), 0xff,
                    static_cast<size_t>(count) * sizeof(T));
    }
    T* data() const { return buffer_.data(); }

  private:
    Buffer<T> buffer_;
};

template <class T>
Workspace<T> upload(const std::vector<T>& values) {
    Workspace<T> workspace(static_cast<int64_t>(values.size()));
    std::memcpy(workspace.data(), values.data(), values.size() * sizeof(T));
    return workspace;
}

// Waits for what was launched, then copies.
template <class T>
void download(T* to, const T* from, int64_t count) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
}

// Sets `count` elements to zero bytes.
template <class T>
void fill_zero(T* to, int64_t count) {
    std::memset(static_cast<void*>(to), 0, static_cast<size_t>(count) * sizeof(T));
}

}  // namespace pycnn::cuda
