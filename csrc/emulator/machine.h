// cuda/machine.cuh on a CPU: CUDA's words and the tensor cores', on the engine of engine.h.
//
// What is asynchronous on a GPU is late here: a copy of cp_async lands when its group is waited
// for, and until then its destination holds NaN, so that reading too early and overwriting too
// early both show. Shared memory and workspaces begin as NaN.
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

#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#ifdef PYCNN_EMULATOR_CHECKED
// One block runs at a time. AddressSanitizer guards no variable that the linker may share among
// files, as those of templates and inline functions: kernels are local to their files.
#define __global__ [[maybe_unused]] static
#define __shared__ static
#else
#define __global__
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

inline void __syncwarp(unsigned mask = 0xffffffffu,
                       pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    pycnn::emulator::meet_warp(mask, "__syncwarp()", site,
                               pycnn::emulator::Combine([](pycnn::emulator::Thread* const*) {}));
}

namespace pycnn::emulator {

// Each lane takes the value of lane `from`, or its own where that is outside the warp. A lane
// outside the mask has no defined value: all bits set.
template <class T>
T shuffle(unsigned mask, const char* what, Site site, T value, int from) {
    struct Asked {
        T value;
        int from;
    };
    if (from < 0 || from >= static_cast<int>(kWarp)) from = static_cast<int>(current->lane);
    return exchange<T>(mask, what, site, Asked{value, from}, [](Thread* const* lanes) {
        for (unsigned i = 0; i < kWarp; ++i) {
            if (lanes[i] == nullptr) continue;
            Thread* const other = lanes[operand_of<Asked>(*lanes[i]).from];
            if (other != nullptr)
                result_of<T>(*lanes[i]) = operand_of<Asked>(*other).value;
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

// The width of CUDA's shuffles is left at the whole warp; of a lane or a distance five bits count.
template <class T>
T __shfl_sync(unsigned mask, T value, int lane,
              pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::shuffle(mask, "__shfl_sync()", site, value, lane & 31);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance,
                 pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    const int me = static_cast<int>(pycnn::emulator::current->lane);
    return pycnn::emulator::shuffle(mask, "__shfl_up_sync()", site, value,
                                    me - static_cast<int>(distance & 31));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance,
                   pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    const int me = static_cast<int>(pycnn::emulator::current->lane);
    return pycnn::emulator::shuffle(mask, "__shfl_down_sync()", site, value,
                                    me + static_cast<int>(distance & 31));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance,
                  pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    const int me = static_cast<int>(pycnn::emulator::current->lane);
    return pycnn::emulator::shuffle(mask, "__shfl_xor_sync()", site, value, me ^ (distance & 31));
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::ballot(mask, "__ballot_sync()", site, predicate);
}
inline int __any_sync(unsigned mask, int predicate,
                      pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::ballot(mask, "__any_sync()", site, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      pycnn::emulator::Site site = pycnn::emulator::Site::here()) {
    return pycnn::emulator::ballot(mask, "__all_sync()", site, predicate) == mask;
}

// Atomic on integers and floats; each returns what was there before.
template <class T, class F>
T pycnn_atomic(T* address, const F& change) {
    T before;
    __atomic_load(address, &before, __ATOMIC_RELAXED);
    for (T after = change(before); !__atomic_compare_exchange(address, &before, &after, false,
                                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED);
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

// --- pairs of halves in a register ---------------------------------------------------------------

namespace detail {
template <class H>
float half_of(uint32_t pair, int which) {
    H h;
    h.bits = static_cast<uint16_t>(pair >> 16 * which);
    return static_cast<float>(h);
}
}  // namespace detail

// The larger of each two, NaN where one of them is; -0 is less than 0.
template <class H>
uint32_t max_pair(uint32_t a, uint32_t b, H) {
    uint32_t larger = 0;
    for (int i = 0; i < 2; ++i) {
        const float x = detail::half_of<H>(a, i), y = detail::half_of<H>(b, i);
        const bool first = x > y || x != x || (x == y && (a >> 16 * i & 0x8000u) == 0);
        larger |= ((first ? a : b) >> 16 * i & 0xffffu) << 16 * i;
    }
    return larger;
}
// Ones where the two are equal.
template <class H>
uint32_t equal_pair(uint32_t a, uint32_t b, H) {
    uint32_t mask = 0;
    for (int i = 0; i < 2; ++i)
        if (detail::half_of<H>(a, i) == detail::half_of<H>(b, i)) mask |= 0xffffu << 16 * i;
    return mask;
}

// --- tensor cores --------------------------------------------------------------------------------
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

// Where a lane has its fragments.
struct Fragments {
    float* d;
    const uint32_t *a, *b;
};

// d += left right, on the fragments of the 32 lanes. Products are exact, sums in float32 in an
// order that the hardware does not promise either.
template <int Depth>
void multiply(const Fragments (&lanes)[32], const float (&left)[16][Depth],
              const float (&right)[Depth][8]) {
    float sums[16][8] = {};
    for (int row = 0; row < 16; ++row)
        for (int k = 0; k < Depth; ++k)
            for (int column = 0; column < 8; ++column)
                sums[row][column] += left[row][k] * right[k][column];
    for (int i = 0; i < 32; ++i) {
        const int group = i / 4, part = i % 4;
        float* const d = lanes[i].d;
        d[0] += sums[group][2 * part];
        d[1] += sums[group][2 * part + 1];
        d[2] += sums[group + 8][2 * part];
        d[3] += sums[group + 8][2 * part + 1];
    }
}

// Calls product(fragments of the 32 lanes) where they have met.
template <class F>
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const char* what,
         emulator::Site site, const F& product) {
    emulator::operand_of<Fragments>(*emulator::current) = {d, a, b};
    const auto together = [&](emulator::Thread* const* lanes) {
        Fragments fragments[32];
        for (int i = 0; i < 32; ++i) fragments[i] = emulator::operand_of<Fragments>(*lanes[i]);
        product(fragments);
    };
    emulator::meet_warp(kFullWarp, what, site, emulator::Combine(together));
}

// The two halves of a register, the lower first.
template <class H>
void unpack(uint32_t pair, float& low, float& high) {
    H h;
    h.bits = static_cast<uint16_t>(pair);
    low = static_cast<float>(h);
    h.bits = static_cast<uint16_t>(pair >> 16);
    high = static_cast<float>(h);
}

// The part of an operand that tensor cores read as tf32: they ignore the rest.
inline float tf32_of(uint32_t bits) { return float_of_bits(bits & 0xffffe000u); }

}  // namespace detail

template <class H>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], H,
                  emulator::Site site = emulator::Site::here()) {
    detail::mma(d, a, b, "mma.m16n8k16", site, [](const detail::Fragments(&lanes)[32]) {
        float left[16][16], right[16][8];
        for (int i = 0; i < 32; ++i) {
            const int group = i / 4, part = i % 4;
            for (int j = 0; j < 4; ++j) {
                float* const pair = &left[group + 8 * (j % 2)][2 * part + 8 * (j / 2)];
                detail::unpack<H>(lanes[i].a[j], pair[0], pair[1]);
            }
            for (int j = 0; j < 2; ++j)
                detail::unpack<H>(lanes[i].b[j], right[2 * part + 8 * j][group],
                                  right[2 * part + 8 * j + 1][group]);
        }
        detail::multiply<16>(lanes, left, right);
    });
}

// A float32 rounded to tf32, 11 bits, to nearest with ties away from zero (cvt.rna.tf32.f32).
inline uint32_t round_to_tf32(float f) {
    const uint32_t bits = float_bits(f);
    if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
    return (bits + 0x1000u) & 0xffffe000u;
}

inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                             emulator::Site site = emulator::Site::here()) {
    detail::mma(d, a, b, "mma.m16n8k8", site, [](const detail::Fragments(&lanes)[32]) {
        float left[16][8], right[8][8];
        for (int i = 0; i < 32; ++i) {
            const int group = i / 4, part = i % 4;
            for (int j = 0; j < 4; ++j)
                left[group + 8 * (j % 2)][part + 4 * (j / 2)] = detail::tf32_of(lanes[i].a[j]);
            for (int j = 0; j < 2; ++j) right[part + 4 * j][group] = detail::tf32_of(lanes[i].b[j]);
        }
        detail::multiply<8>(lanes, left, right);
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
        throw emulator::Fault(emulator::name_of(*emulator::current) + " calls " +
                              emulator::text_of(what, site) +
                              " with a row that is not aligned to 16 bytes");
    // each lane reads its row itself: what another wrote there must have been waited for
    const emulator::Piece<16> mine = emulator::piece<16>(row);
    const auto fill = [](emulator::Thread* const* lanes) {
        uint16_t tile[4][8][8];
        for (int i = 0; i < 32; ++i)
            std::memcpy(tile[i / 8][i % 8], lanes[i]->operand, sizeof tile[0][0]);
        for (int i = 0; i < 32; ++i)
            for (int t = 0; t < 4; ++t) {
                const int major = i / 4, minor = 2 * (i % 4);
                const uint32_t low = Transposed ? tile[t][minor][major] : tile[t][major][minor];
                const uint32_t high =
                    Transposed ? tile[t][minor + 1][major] : tile[t][major][minor + 1];
                emulator::result_of<Four>(*lanes[i]).r[t] = low | high << 16;
            }
    };
    const auto out = emulator::exchange<Four>(kFullWarp, what, site, mine, fill);
    std::memcpy(r, out.r, sizeof r);
}
}  // namespace detail

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row,
                        emulator::Site site = emulator::Site::here()) {
    detail::ldmatrix<false>(r, row, site);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row,
                              emulator::Site site = emulator::Site::here()) {
    detail::ldmatrix<true>(r, row, site);
}

inline void store_16(void* global, const uint32_t (&words)[4]) {
    std::memcpy(__builtin_assume_aligned(global, 16), words, sizeof words);
}

// --- copies past the registers -------------------------------------------------------------------

inline void cp_async_16(void* shared, const void* global, bool inside) {
    emulator::copy_later<16>(shared, inside ? global : nullptr);
}
inline void cp_async_4(void* shared, const void* global, bool inside) {
    emulator::copy_later<4>(shared, inside ? global : nullptr);
}
inline void cp_async_commit() { emulator::commit_copies(); }
// Waits until at most `Pending` of the thread's groups are under way.
template <int Pending>
void cp_async_wait() {
    emulator::finish_copies(Pending);
}

// --- on the host ---------------------------------------------------------------------------------

template <class... Params>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
            const std::common_type_t<Params>&... params) {
    static_assert((std::is_trivially_copyable_v<Params> && ...), "they are copied as bytes");
    const auto body = [&] { kernel(params...); };
    emulator::run_grid(
        grid, block, shared_bytes, reinterpret_cast<const void*>(kernel),
        [](const void* f) { (*static_cast<const decltype(body)*>(f))(); }, &body);
}

// Memory for kernels, full of NaN, or as it is if no kernel will run; std::bad_alloc where there is
// none.
template <class T>
class Workspace {
  public:
    Workspace() = default;
    explicit Workspace(int64_t count) : buffer_(count) {
        if (emulator::noting()) return;
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
