// Kernels with and without a fault that only a build for a sanitizer shows: checked <fault or
// none>. The comments name the lines for test_checked.py.
#include "cuda/machine.cuh"

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace pycnn::cuda {

enum Fault { none, first, second, warp, copy, block_shared, past_static, past_dynamic, past_heap };

struct Product {
    const float *a, *b;
    float* c;
    int size, fault;
};

// c = a b in tiles of 16 x 16, one element a thread.
template <int Tile>
__global__ void __launch_bounds__(Tile* Tile) product_kernel(Product p) {
    __shared__ float left[Tile][Tile];
    __shared__ float right_[Tile * Tile];
    float* const right = right_;  // past what UndefinedBehaviorSanitizer knows of the array
    const int thread = static_cast<int>(threadIdx.x), row = thread / Tile, column = thread % Tile;
    const int top = static_cast<int>(blockIdx.x) * Tile;
    const int start = static_cast<int>(blockIdx.y) * Tile;
    float sum = 0;
    for (int k = 0; k < p.size; k += Tile) {
        left[row][column] = p.a[(top + row) * p.size + k + column];  // LINE fill
        const int to = row * Tile + column + (p.fault == past_static ? 1 : 0);
        right[to] = p.b[(k + row) * p.size + start + column];  // LINE static
        if (p.fault != first) __syncthreads();
        for (int i = 0; i < Tile; ++i) sum += left[row][i] * right[i * Tile + column];  // LINE use
        if (p.fault != second) __syncthreads();
    }
    p.c[(top + row) * p.size + start + column + (p.fault == past_heap ? 1 : 0)] = sum;  // LINE heap
}

// Lanes pass values through shared memory, and by a copy past the registers.
__global__ void pass_kernel(const float* in, float* out, int fault) {
    float* const values = dynamic_shared<float>();
    const unsigned me = threadIdx.x, n = blockDim.x;
    values[me + (fault == past_dynamic ? 1 : 0)] = in[me];  // LINE dynamic
    if (fault != warp) __syncwarp();
    const float x = values[me ^ 1];  // LINE lane
    __syncthreads();
    cp_async_4(values + me, in + me, true);  // LINE copied
    cp_async_commit();
    cp_async_wait<0>();
    if (fault != copy) __syncthreads();
    out[blockIdx.x * n + me] = x + values[n - 1 - me];  // LINE read
    // all blocks may write this: nothing is to be seen of it
    if (fault == block_shared && me == 0) out[0] = 0;
}

}  // namespace pycnn::cuda

int main(int argc, char** argv) {
    using namespace pycnn::cuda;
    const int fault = argc > 1 ? std::atoi(argv[1]) : 0, size = 48;
    const std::vector<float> a(size * size, 2), b(size * size, 0.5);
    std::vector<float> c(size * size), out(3 * 64);
    for (int repeat = 0; repeat < 2; ++repeat) {
        launch(product_kernel<16>, dim3(3, 3), dim3(256), 0,
               Product{a.data(), b.data(), c.data(), size, fault});
        launch(pass_kernel, dim3(3), dim3(64), 64 * sizeof(float), a.data(), out.data(), fault);
    }
    for (const float x : c)
        if (x != size) return 2;
    for (const float x : out)
        if (x != 4 && x != 0) return 3;
    std::puts("done");
    return 0;
}
