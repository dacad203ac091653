// cuda/machine.cuh on NVIDIA's GPUs, sm_80 and later.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/half.h"
#include "cuda/stream.h"

namespace pycnn::cuda {

constexpr unsigned kFullWarp = 0xffffffffu;

__device__ __forceinline__ unsigned lane() {
    unsigned id;
    asm("mov.u32 %0, %%laneid;" : "=r"(id));
    return id;
}

template <class T>
__device__ __forceinline__ T* dynamic_shared() {
    extern __shared__ __align__(128) unsigned char pycnn_dynamic_shared[];
    return reinterpret_cast<T*>(pycnn_dynamic_shared);
}

__device__ __forceinline__ float to_float(Float16 h) {
    return __half2float(__ushort_as_half(h.bits));
}
__device__ __forceinline__ float to_float(BFloat16 h) {
    return __uint_as_float(static_cast<uint32_t>(h.bits) << 16);
}
template <class H>
__device__ __forceinline__ H from_float(float f) {
    H h;
    if constexpr (std::is_same_v<H, Float16>)
        h.bits = __half_as_ushort(__float2half_rn(f));
    else
        h.bits = __bfloat16_as_ushort(__float2bfloat16_rn(f));
    return h;
}

// --- pairs of halves in a register ---------------------------------------------------------------

template <class H>
__device__ __forceinline__ uint32_t max_pair(uint32_t a, uint32_t b, H) {
    uint32_t d;
    if constexpr (std::is_same_v<H, Float16>)
        asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    else
        asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}
template <class H>
__device__ __forceinline__ uint32_t equal_pair(uint32_t a, uint32_t b, H) {
    using Pair = std::conditional_t<std::is_same_v<H, Float16>, __half2, __nv_bfloat162>;
    return __heq2_mask(reinterpret_cast<const Pair&>(a), reinterpret_cast<const Pair&>(b));
}

// --- tensor cores: the fragments are described in emulator/machine.h -----------------------------

template <class H>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2], H) {
    if constexpr (std::is_same_v<H, Float16>)
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
            "{%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
            "{%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ uint32_t round_to_tf32(float f) {
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(f));
    return bits;
}

__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4],
                                                 const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// st.global.v4: a vector's store can be taken apart into its elements, which the compiler does not
// always put together again.
__device__ __forceinline__ void store_16(void* global, const uint32_t (&words)[4]) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(global), "r"(words[0]),
                 "r"(words[1]), "r"(words[2]), "r"(words[3])
                 : "memory");
}

// --- copies past the registers -------------------------------------------------------------------
// With a source size of 0 nothing is read and zeros are written.

__device__ __forceinline__ void cp_async_16(void* shared, const void* global, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(inside ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void cp_async_4(void* shared, const void* global, bool inside) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(inside ? 4 : 0)
                 : "memory");
}
__device__ __forceinline__ void cp_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// --- on the host ---------------------------------------------------------------------------------

template <class... Params>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
            const std::common_type_t<Params>&... params) {
    if (shared_bytes > 48 * 1024)
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shared_bytes)),
              "shared memory of a kernel");
    kernel<<<grid, block, shared_bytes, current_stream()>>>(params...);
    check(cudaGetLastError(), "launch of a kernel");
}

// Memory from the device's stream-ordered pool: kernels launched on the current stream before it is
// given back may use it. std::bad_alloc where there is none.
template <class T>
class Workspace {
  public:
    Workspace() = default;
    explicit Workspace(int64_t count) : stream_(current_stream()) {
        if (count == 0) return;
        void* data = nullptr;
        check(cudaMallocAsync(&data, static_cast<size_t>(count) * sizeof(T), stream_),
              "a kernel's workspace");
        data_ = static_cast<T*>(data);
    }
    Workspace(Workspace&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), stream_(other.stream_) {}
    Workspace& operator=(Workspace&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(stream_, other.stream_);
        return *this;
    }
    ~Workspace() {
        if (data_ != nullptr) cudaFreeAsync(data_, stream_);
    }
    T* data() const { return data_; }

  private:
    T* data_ = nullptr;
    cudaStream_t stream_ = nullptr;
};

template <class T>
Workspace<T> upload(const std::vector<T>& values) {
    Workspace<T> workspace(static_cast<int64_t>(values.size()));
    if (!values.empty())
        check(cudaMemcpyAsync(workspace.data(), values.data(), values.size() * sizeof(T),
                              cudaMemcpyHostToDevice, current_stream()),
              "a copy to the device");
    return workspace;
}

// Waits for what was launched, then copies.
template <class T>
void download(T* to, const T* from, int64_t count) {
    check(cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(T), cudaMemcpyDeviceToHost,
                          current_stream()),
          "a copy from the device");
    check(cudaStreamSynchronize(current_stream()), "a kernel");
}

// Sets `count` elements to zero bytes.
template <class T>
void fill_zero(T* to, int64_t count) {
    check(cudaMemsetAsync(to, 0, static_cast<size_t>(count) * sizeof(T), current_stream()),
          "zeros on the device");
}

}  // namespace pycnn::cuda
