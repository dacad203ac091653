// The machine: everything a kernel of this folder asks of a GPU beyond C++, in two bodies.
//
// cuda/device.cuh is NVIDIA's (CUDA's own names, and PTX where CUDA has none), emulator/machine.h
// the same on a CPU. No other file knows which of them it is compiled for. Both offer:
//
//   __global__ __device__ __shared__ __launch_bounds__ threadIdx blockIdx blockDim gridDim dim3
//   __syncthreads() __syncwarp(mask)
//   __shfl_sync __shfl_up_sync __shfl_down_sync __shfl_xor_sync(mask, value, lane or distance)
//   __ballot_sync __any_sync __all_sync(mask, predicate)
//   atomicAdd atomicOr atomicMax(address, value)
//
// and in namespace pycnn::cuda, for kernels:
//   lane(), kFullWarp           this thread's place in its warp; the mask of all 32
//   dynamic_shared<T>()         the memory the launch gave the block, 128-byte aligned
//   to_float(h), from_float<H>(f), and the pairs convert<A>(T) builds from them (numbers.cuh)
//   max_pair(a, b, H{}), equal_pair(a, b, H{})         on two halves in a register
//   mma_m16n8k16(d, a, b, H{})  d += a b on tensor cores, halves; mma_m16n8k8_tf32(d, a, b)
//   round_to_tf32(f)            the bits of a float32 rounded to 11 bits, for the latter
//   ldmatrix_x4(r, row), ldmatrix_x4_trans(r, row)     8x8 tiles of halves from shared memory
//   store_16(global, words)     16 bytes at once
//   cp_async_16(shared, global, inside), cp_async_4(...), cp_async_commit(), cp_async_wait<N>()
//                               copies past the registers; zeros where not inside
// for launchers, on the host:
//   launch(kernel, grid, block, shared_bytes, params...)   on the current stream, errors checked
//   Workspace<T>(count)         memory of the device that kernels launched later may use
//   upload<T>(vector), download(to, from, count)           between it and the host
#pragma once

#ifdef PYCNN_EMULATED
#include "emulator/machine.h"
#else
#include "cuda/device.cuh"
#endif
