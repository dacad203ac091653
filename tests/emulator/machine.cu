// Kernels that show what every word of cuda/machine.cuh does, for test_machine.py and
// test_faults.py, which load this file as a library.
#include "cuda/machine.cuh"

#include <algorithm>
#include <cstdlib>

#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn::cuda {

// --- a grid's indices ----------------------------------------------------------------------------

struct Indices {
    int values[14];
};

__global__ void indices_kernel(Indices* out) {
    const int64_t block = (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const int thread =
        static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
    const auto n = [](unsigned i) { return static_cast<int>(i); };
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = {
        {n(threadIdx.x), n(threadIdx.y), n(threadIdx.z), n(blockIdx.x), n(blockIdx.y),
         n(blockIdx.z), n(blockDim.x), n(blockDim.y), n(blockDim.z), n(gridDim.x), n(gridDim.y),
         n(gridDim.z), n(lane()), thread}};
}

// --- barriers ------------------------------------------------------------------------------------

// Each round a thread adds the value of the next one.
__global__ void rounds_kernel(unsigned* out, int rounds) {
    unsigned* const values = dynamic_shared<unsigned>();
    const unsigned me = threadIdx.x, next = (me + 1) % blockDim.x;
    values[me] = blockIdx.x * 1000 + me * me;
    for (int i = 0; i < rounds; ++i) {
        __syncthreads();
        const unsigned sum = values[me] + values[next];
        __syncthreads();
        values[me] = sum;
    }
    out[blockIdx.x * blockDim.x + me] = values[me];
}

// --- warps ---------------------------------------------------------------------------------------

template <class T>
__global__ void shuffle_kernel(const T* in, const int* arguments, T* out, int kind, unsigned mask) {
    const unsigned me = threadIdx.x;
    if (!(mask >> (me % 32) & 1)) return;
    const T x = in[me];
    const int argument = arguments[me];
    switch (kind) {
        case 0: out[me] = __shfl_sync(mask, x, argument); return;
        case 1: out[me] = __shfl_up_sync(mask, x, static_cast<unsigned>(argument)); return;
        case 2: out[me] = __shfl_down_sync(mask, x, static_cast<unsigned>(argument)); return;
        default: out[me] = __shfl_xor_sync(mask, x, argument);
    }
}

// The lanes of the mask vote at one place, the others at another.
__global__ void votes_kernel(const int* predicates, unsigned mask, unsigned* out) {
    const unsigned me = threadIdx.x;
    const int mine = predicates[me];
    unsigned* const to = out + 3 * me;
    if (mask >> (me % 32) & 1) {
        to[0] = __ballot_sync(mask, mine);
        to[1] = static_cast<unsigned>(__any_sync(mask, mine));
        to[2] = static_cast<unsigned>(__all_sync(mask, mine));
    } else {
        to[0] = __ballot_sync(~mask, mine);
        to[1] = static_cast<unsigned>(__any_sync(~mask, mine));
        to[2] = static_cast<unsigned>(__all_sync(~mask, mine));
    }
}

// Every lane alone, then in pairs, half of them before all and half after: as many groups of a warp
// at a time as there can be, and groups that share lanes.
__global__ void groups_kernel(int* out) {
    const unsigned me = lane();
    int x = static_cast<int>(me);
    __syncwarp(1u << me);
    if (me < 16) x = __shfl_xor_sync(3u << (me & ~1u), x, 1);
    x = __shfl_xor_sync(kFullWarp, x, 16);
    if (me < 16) x = __shfl_xor_sync(3u << (me & ~1u), x, 1);
    out[threadIdx.x] = x;
}

// --- atomics -------------------------------------------------------------------------------------

template <class T>
__global__ void atomics_kernel(T* out, int64_t* before) {
    __shared__ T sum;
    const auto i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    atomicAdd(&sum, 1);
    __syncthreads();
    if (threadIdx.x == 0) out[3 + blockIdx.x] = sum;
    before[i] = static_cast<int64_t>(atomicAdd(out, 1));
    if constexpr (std::is_integral_v<T>) {
        atomicOr(out + 1, static_cast<T>(T{1} << (i % 31)));
        atomicMax(out + 2, static_cast<T>(i * 7919 % 100003));
    }
}

// --- shared memory -------------------------------------------------------------------------------

template <class T>
__device__ __forceinline__ T* an_array_of_a_function() {
    __shared__ T values[32];
    return values;
}

// What lies in shared memory when a block begins: four arrays' bits, then it is used.
template <class T>
__global__ void fresh_kernel(uint64_t* out) {
    __shared__ T values[64];
    __shared__ struct {
        T pair[2];
    } matrix[8];
    T* const dynamic = dynamic_shared<T>();
    T* const other = an_array_of_a_function<T>();
    const unsigned me = threadIdx.x;
    const auto bits = [](const T& x) {
        uint64_t b = 0;
        std::memcpy(&b, &x, sizeof x);
        return b;
    };
    uint64_t* const to = out + (blockIdx.x * blockDim.x + me) * 4;
    to[0] = bits(values[me]), to[1] = bits(matrix[me % 8].pair[me / 8 % 2]);
    to[2] = bits(dynamic[me]), to[3] = bits(other[me % 32]);
    __syncthreads();
    values[me] = T(1), dynamic[me] = T(2), other[me % 32] = T(3), matrix[me % 8].pair[0] = T(4);
    matrix[me % 8].pair[1] = T(5);
}

// --- tensor cores --------------------------------------------------------------------------------

// Raw registers of 32 lanes: d (32, 4), a (32, 4), b (32, 2).
template <class H>
__global__ void mma_kernel(float* d, const uint32_t* a, const uint32_t* b) {
    const unsigned me = threadIdx.x;
    float mine[4];
    uint32_t left[4], right[2];
    for (int i = 0; i < 4; ++i) mine[i] = d[me * 4 + i], left[i] = a[me * 4 + i];
    for (int i = 0; i < 2; ++i) right[i] = b[me * 2 + i];
    if constexpr (std::is_same_v<H, float>)
        mma_m16n8k8_tf32(mine, left, right);
    else
        mma_m16n8k16(mine, left, right, H{});
    for (int i = 0; i < 4; ++i) d[me * 4 + i] = mine[i];
}

__global__ void tf32_kernel(const float* in, uint32_t* out) {
    out[threadIdx.x] = round_to_tf32(in[threadIdx.x]);
}

// Lane i hands in the address of the 8 halves from offsets[i] on.
__global__ void ldmatrix_kernel(const uint16_t* in, const int* offsets, uint32_t* out,
                                bool transposed) {
    uint16_t* const tile = dynamic_shared<uint16_t>();
    const unsigned me = threadIdx.x;
    for (unsigned i = me; i < 1024; i += 32) tile[i] = in[i];
    __syncthreads();
    uint32_t r[4];
    if (transposed)
        ldmatrix_x4_trans(r, tile + offsets[me]);
    else
        ldmatrix_x4(r, tile + offsets[me]);
    for (int i = 0; i < 4; ++i) out[me * 4 + i] = r[i];
}

// --- cp.async ------------------------------------------------------------------------------------

// Three groups of copies; what thread t sees of each after every step, out (steps, 3, threads).
__global__ void copies_kernel(const float* in, float* out) {
    float* const to = dynamic_shared<float>();
    const unsigned me = threadIdx.x, n = blockDim.x;
    int step = 0;
    const auto look = [&] {
        for (unsigned i = 0; i < 3; ++i)
            out[(static_cast<unsigned>(step) * 3 + i) * n + me] = to[i * n + me];
        ++step;
    };
    for (unsigned i = 0; i < 3; ++i) to[i * n + me] = -1;
    look();
    for (unsigned i = 0; i < 3; ++i) {
        cp_async_4(to + i * n + me, in + i * n + me, me % 5 != i);
        cp_async_commit();
    }
    look();
    cp_async_wait<2>();
    look();
    cp_async_wait<1>();
    look();
    cp_async_wait<0>();
    look();
}

__global__ void wide_copies_kernel(const float* in, float* out, int shift, int shared_shift) {
    float* const to = dynamic_shared<float>();
    const unsigned me = threadIdx.x;
    cp_async_16(to + 4 * me + shared_shift, in + 4 * me + shift, me != 3);
    cp_async_commit();
    cp_async_wait<0>();
    for (unsigned i = 4 * me; i < 4 * me + 4; ++i) out[i] = to[i];
}

// --- faults --------------------------------------------------------------------------------------

__global__ void touch_kernel(int* out) { ++out[blockIdx.x]; }

// Each kind of fault of a kernel; the comments name the lines for test_faults.py.
__global__ void faulty_kernel(int kind, int* out) {
    const unsigned me = threadIdx.x, full = kFullWarp;
    int x = static_cast<int>(me);
    switch (kind) {
        case 0:
            if (me == 40) return;
            __syncthreads();  // LINE returned
            break;
        case 1:
            if (me < 33)
                __syncthreads();  // LINE one
            else
                __syncthreads();  // LINE other
            break;
        case 2:
            if (me % 32 < 16) x = __shfl_xor_sync(full, x, 1);  // LINE absent
            break;
        case 3:
            x = __shfl_sync(0xfffffffeu, x, 1);  // LINE own
            break;
        case 4:
            if (me % 32 < 16)
                __syncwarp(0x1ffffu);  // LINE low
            else
                __syncwarp(me % 32 < 20 ? 0x8ffff000u : 0xfff00000u);  // LINE high
            break;
        case 5:
            if (me % 32 == 7)
                __syncthreads();  // LINE barrier
            else
                x = __any_sync(full, x);  // LINE vote
            break;
        case 6: x = __ballot_sync(full, x) != 0; break;  // LINE short
        case 7: throw std::bad_alloc();
        case 8: throw 8;
        case 9: launch(touch_kernel, dim3(1), dim3(1), 0, out); break;
        case 10:
            if (me % 2 == 0)
                x = __shfl_sync(full, x, 0);  // LINE even
            else
                x = __shfl_sync(full, x, 1);  // LINE odd
            break;
        case 11: {
            uint32_t r[4];
            ldmatrix_x4(r, dynamic_shared<uint16_t>() + me);  // LINE row
            break;
        }
        default: break;
    }
    out[0] = x;
}

}  // namespace pycnn::cuda

// --- what Python calls: null, or what was thrown -------------------------------------------------

using namespace pycnn;
using namespace pycnn::cuda;

template <class F>
static const char* caught(const F& function) {
    static thread_local std::string text;
    try {
        function();
        return nullptr;
    } catch (const emulator::Fault& fault) {
        text = fault.what();
    } catch (const std::bad_alloc&) {
        text = "std::bad_alloc";
    } catch (const std::exception& error) {
        text = std::string("std::exception: ") + error.what();
    } catch (int i) {
        text = "int " + std::to_string(i);
    }
    return text.c_str();
}

#define ENTRY extern "C" __attribute__((visibility("default"))) const char*

ENTRY set_threads(int count) {
    return caught([&] {
        set_num_threads(count);
        set_least_share(0);
    });
}
ENTRY indices(Indices* out, const unsigned* g, const unsigned* b) {
    return caught(
        [&] { launch(indices_kernel, dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), 0, out); });
}
ENTRY limits(const unsigned* g, const unsigned* b, size_t shared, int* out) {
    return caught(
        [&] { launch(touch_kernel, dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), shared, out); });
}
ENTRY rounds(unsigned* out, unsigned blocks, unsigned threads, int count) {
    return caught([&] {
        launch(rounds_kernel, dim3(blocks), dim3(threads), threads * sizeof(unsigned), out, count);
    });
}
ENTRY shuffle_float(const float* in, const int* arguments, float* out, int kind, unsigned mask) {
    return caught([&] {
        launch(shuffle_kernel<float>, dim3(1), dim3(64), 0, in, arguments, out, kind, mask);
    });
}
ENTRY shuffle_int64(const int64_t* in, const int* arguments, int64_t* out, int kind,
                    unsigned mask) {
    return caught([&] {
        launch(shuffle_kernel<int64_t>, dim3(1), dim3(64), 0, in, arguments, out, kind, mask);
    });
}
ENTRY votes(const int* predicates, unsigned mask, unsigned* out) {
    return caught([&] { launch(votes_kernel, dim3(1), dim3(64), 0, predicates, mask, out); });
}
ENTRY groups(int* out) {
    return caught([&] { launch(groups_kernel, dim3(1), dim3(96), 0, out); });
}

#define ATOMICS(name, T)                                                                      \
    ENTRY atomics_##name(T* out, int64_t* before, unsigned blocks, unsigned threads) {        \
        return caught(                                                                        \
            [&] { launch(atomics_kernel<T>, dim3(blocks), dim3(threads), 0, out, before); }); \
    }
ATOMICS(int32, int32_t)
ATOMICS(uint32, uint32_t)
ATOMICS(uint64, uint64_t)
ATOMICS(float32, float)
ATOMICS(float64, double)

ENTRY fresh(uint64_t* out, unsigned blocks, bool wide) {
    return caught([&] {
        if (wide)
            launch(fresh_kernel<double>, dim3(blocks), dim3(64), 64 * sizeof(double), out);
        else
            launch(fresh_kernel<float>, dim3(blocks), dim3(64), 64 * sizeof(float), out);
    });
}
ENTRY mma(int kind, float* d, const uint32_t* a, const uint32_t* b) {
    return caught([&] {
        const auto kernel = kind == 0   ? mma_kernel<Float16>
                            : kind == 1 ? mma_kernel<BFloat16>
                                        : mma_kernel<float>;
        launch(kernel, dim3(1), dim3(32), 0, d, a, b);
    });
}
ENTRY tf32(const float* in, uint32_t* out, unsigned count) {
    return caught([&] { launch(tf32_kernel, dim3(1), dim3(count), 0, in, out); });
}
ENTRY ldmatrix(const uint16_t* in, const int* offsets, uint32_t* out, bool transposed) {
    return caught(
        [&] { launch(ldmatrix_kernel, dim3(1), dim3(32), 2048, in, offsets, out, transposed); });
}
ENTRY copies(const float* in, float* out, unsigned threads) {
    return caught([&] {
        launch(copies_kernel, dim3(1), dim3(threads), 3 * threads * sizeof(float), in, out);
    });
}
ENTRY wide_copies(const float* in, float* out, int shift, int shared_shift) {
    return caught([&] {
        launch(wide_copies_kernel, dim3(1), dim3(8), 33 * 16, in, out, shift, shared_shift);
    });
}
ENTRY fault(int kind, unsigned blocks, unsigned threads, int* out) {
    return caught([&] { launch(faulty_kernel, dim3(blocks), dim3(threads), 512, kind, out); });
}
// Poison of a workspace, an upload and back, zeros: out (3, 4).
ENTRY workspaces(float* out) {
    return caught([&] {
        const Workspace<float> empty(0), fresh(4);
        const auto uploaded = upload(std::vector<float>{1, 2, 3, 4});
        download(out, fresh.data(), 4);
        download(out + 4, uploaded.data(), 4);
        fill_zero(uploaded.data(), 3);
        download(out + 8, uploaded.data(), 4);
        Workspace<float> moved;
        moved = Workspace<float>(1);
        moved.data()[0] = 0;
    });
}
