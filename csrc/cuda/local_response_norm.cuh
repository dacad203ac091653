// Local response normalisation across neighbouring channels, and its gradient.
//
// Computes   s[c] = k + alpha/size * sum of x[j]^2, c - size/2 <= j <= c + (size-1)/2, 0 <= j < C
//            y[c] = x[c] / s[c]^beta
//            dx[c] = dy[c] / s[c]^beta - 2*alpha*beta/size * x[c] * sum of dy[i]*y[i]/s[i] over the
//                    i whose window holds c: c - (size-1)/2 <= i <= c + size/2
// Arrays     x, y, dy, dx (N,C,*) of one dtype (f16, bf16, f32, f64); any strides
// Grid       x: 128 threads a block over pixels x runs of channels; neighbours differ in their run
//            where channels lie closer than pixels, else in their pixel
// Tiling     run: windows of 5 channels; a thread has a run of 8 channels (dgrad: 4) of one pixel,
//            or where the arrays have whole vectors of channels 16 bytes of them, and loads what
//            lies around it once: a vector on either side. window: one channel a thread, any size,
//            loops
// Traffic    fprop: x read, y written; dgrad: dy, x, y read, dx written; neighbours' loads are hits
//            of the L1 cache. AlexNet's 55x55x96, size 5 in float32: about 3 FLOP/byte, bandwidth
// Numerics   in float32 (f64 in itself), the window in the order of its channels. s^0.75 is
//            sqrt(s) * sqrt(sqrt(s)); NaN and infinity as IEEE arithmetic has them
// Refuses    nothing
// Source     Krizhevsky, Sutskever and Hinton 2012, section 3.3 (alpha there is not divided)
#pragma once

#include <math.h>

#include "cuda/numbers.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kNormThreads = 128;

// One array: its pixels are walked, its channels a step apart.
template <class T>
struct Channels {
    T* data;
    int64_t step;
};

template <class A>
struct LocalResponse {
    A k, share, beta, slope;  // share is alpha / size, slope 2 * alpha * beta / size
    int before, after;        // channels of a window ahead of its own and behind it

    __device__ __forceinline__ A scale(A squares) const { return k + squares * share; }
    // s^beta
    __device__ __forceinline__ A power(A s) const {
        if (beta == A(0.75)) {
            const A root = sqrt(s);
            return root * sqrt(root);
        }
        if (beta == A(0.5)) return sqrt(s);
        if (beta == A(1)) return s;
        return pow(s, beta);
    }
};

// Threads numbered over pixels x runs of channels.
struct Runs {
    uint32_t count;
    Division pixels, runs;
    bool channels_inner;
};

// The run of thread `i`, which becomes its pixel.
__device__ __forceinline__ uint32_t run_of(const Runs& runs, uint32_t& i) {
    if (runs.channels_inner) return runs.runs.divide(i);
    const uint32_t pixel = runs.pixels.divide(i), run = i;
    i = pixel;
    return run;
}

template <class T>
struct LocalResponseNormFprop {
    Channels<const T> x;
    Channels<T> y;
    LocalResponse<Accumulation<T>> norm;
    Runs runs;
    Walk<2> walk;  // y, x
    int channels;
};

template <class T>
struct LocalResponseNormDgrad {
    Channels<const T> dy, x, y;
    Channels<T> dx;
    LocalResponse<Accumulation<T>> norm;
    Runs runs;
    Walk<4> walk;  // dx, dy, x, y
    int channels;
};

// Channels c - HALO to c + RUN + HALO of a pixel, zeros where there are none.
template <int RUN, int HALO, bool VECTORS, class T>
__device__ __forceinline__ void load_run(const T* pixel, int64_t step, int c, int channels,
                                         Accumulation<T> (&values)[RUN + 2 * HALO]) {
    using A = Accumulation<T>;
    if constexpr (VECTORS) {
        static_assert(HALO <= RUN, "the halo lies in the next vector");
        Vector<T, RUN> vectors[3];
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            const int first = c + (i - 1) * RUN;
            vectors[i] = load_vector<T, RUN>(pixel + (first < 0 || first >= channels ? c : first));
        }
#pragma unroll
        for (int j = 0; j < RUN + 2 * HALO; ++j) {
            const int at = j - HALO + RUN;
            const bool exists = c + j - HALO >= 0 && c + j - HALO < channels;
            values[j] = exists ? convert<A>(vectors[at / RUN].v[at % RUN]) : A(0);
        }
    } else {
#pragma unroll
        for (int j = 0; j < RUN + 2 * HALO; ++j) {
            const int channel = c + j - HALO;
            const bool exists = channel >= 0 && channel < channels;
            values[j] = exists ? convert<A>(pixel[channel * step]) : A(0);
        }
    }
}

template <int RUN, bool VECTORS, class T>
__device__ __forceinline__ void store_run(T* pixel, int64_t step, int c, int channels,
                                          const Vector<T, RUN>& values) {
    if constexpr (VECTORS) {
        store_vector(pixel + c, values);
    } else {
#pragma unroll
        for (int r = 0; r < RUN; ++r)
            if (c + r < channels) pixel[(c + r) * step] = values.v[r];
    }
}

// Windows of SIZE channels.
template <class T, int SIZE, int RUN, bool VECTORS>
__global__ void __launch_bounds__(kNormThreads)
    local_response_norm_fprop_run_kernel(LocalResponseNormFprop<T> p) {
    using A = Accumulation<T>;
    static_assert(SIZE % 2 == 1, "as many channels ahead as behind");
    constexpr int kHalo = SIZE / 2;
    uint32_t i = blockIdx.x * kNormThreads + threadIdx.x;
    if (i >= p.runs.count) return;
    const int c = static_cast<int>(run_of(p.runs, i)) * RUN;
    int64_t at[2];
    locate(p.walk, i, at);
    A x[RUN + 2 * kHalo];
    load_run<RUN, kHalo, VECTORS>(p.x.data + at[1], p.x.step, c, p.channels, x);
    Vector<T, RUN> out;
#pragma unroll
    for (int r = 0; r < RUN; ++r) {
        A squares = 0;
#pragma unroll
        for (int j = 0; j < SIZE; ++j) squares += x[r + j] * x[r + j];
        out.v[r] = convert<T>(x[r + kHalo] / p.norm.power(p.norm.scale(squares)));
    }
    store_run<RUN, VECTORS>(p.y.data + at[0], p.y.step, c, p.channels, out);
}

template <class T, int SIZE, int RUN, bool VECTORS>
__global__ void __launch_bounds__(kNormThreads)
    local_response_norm_dgrad_run_kernel(LocalResponseNormDgrad<T> p) {
    using A = Accumulation<T>;
    static_assert(SIZE % 2 == 1, "as many channels ahead as behind");
    constexpr int kHalo = SIZE / 2, kWide = RUN + 2 * kHalo;
    uint32_t i = blockIdx.x * kNormThreads + threadIdx.x;
    if (i >= p.runs.count) return;
    const int c = static_cast<int>(run_of(p.runs, i)) * RUN;
    int64_t at[4];
    locate(p.walk, i, at);
    A x[RUN + 4 * kHalo], dy[kWide], y[kWide];
    load_run<RUN, 2 * kHalo, VECTORS>(p.x.data + at[2], p.x.step, c, p.channels, x);
    load_run<RUN, kHalo, VECTORS>(p.dy.data + at[1], p.dy.step, c, p.channels, dy);
    load_run<RUN, kHalo, VECTORS>(p.y.data + at[3], p.y.step, c, p.channels, y);
    A s[kWide], ratio[kWide];
#pragma unroll
    for (int r = 0; r < kWide; ++r) {
        A squares = 0;
#pragma unroll
        for (int j = 0; j < SIZE; ++j) squares += x[r + j] * x[r + j];
        s[r] = p.norm.scale(squares);
        const bool exists = c + r - kHalo >= 0 && c + r - kHalo < p.channels;
        ratio[r] = exists ? dy[r] * y[r] / s[r] : A(0);
    }
    Vector<T, RUN> out;
#pragma unroll
    for (int r = 0; r < RUN; ++r) {
        A through = 0;
#pragma unroll
        for (int j = 0; j < SIZE; ++j) through += ratio[r + j];
        out.v[r] = convert<T>(dy[r + kHalo] / p.norm.power(s[r + kHalo]) -
                              x[r + 2 * kHalo] * through * p.norm.slope);
    }
    store_run<RUN, VECTORS>(p.dx.data + at[0], p.dx.step, c, p.channels, out);
}

// s of channel c of the pixel at `x`.
template <class T>
__device__ __forceinline__ Accumulation<T> scale_of(const T* x, int64_t step, int c, int channels,
                                                    const LocalResponse<Accumulation<T>>& norm) {
    using A = Accumulation<T>;
    const int first = c > norm.before ? c - norm.before : 0,
              last = c + norm.after < channels ? c + norm.after : channels - 1;
    A squares = 0;
    for (int j = first; j <= last; ++j) {
        const A value = convert<A>(x[j * step]);
        squares += value * value;
    }
    return norm.scale(squares);
}

// Any window; a run is one channel.
template <class T>
__global__ void __launch_bounds__(kNormThreads)
    local_response_norm_fprop_window_kernel(LocalResponseNormFprop<T> p) {
    using A = Accumulation<T>;
    uint32_t i = blockIdx.x * kNormThreads + threadIdx.x;
    if (i >= p.runs.count) return;
    const int c = static_cast<int>(run_of(p.runs, i));
    int64_t at[2];
    locate(p.walk, i, at);
    const T* x = p.x.data + at[1];
    const A s = scale_of(x, p.x.step, c, p.channels, p.norm);
    p.y.data[at[0] + c * p.y.step] = convert<T>(convert<A>(x[c * p.x.step]) / p.norm.power(s));
}

template <class T>
__global__ void __launch_bounds__(kNormThreads)
    local_response_norm_dgrad_window_kernel(LocalResponseNormDgrad<T> p) {
    using A = Accumulation<T>;
    uint32_t i = blockIdx.x * kNormThreads + threadIdx.x;
    if (i >= p.runs.count) return;
    const int c = static_cast<int>(run_of(p.runs, i));
    int64_t at[4];
    locate(p.walk, i, at);
    const T *dy = p.dy.data + at[1], *x = p.x.data + at[2], *y = p.y.data + at[3];
    const int first = c > p.norm.after ? c - p.norm.after : 0,
              last = c + p.norm.before < p.channels ? c + p.norm.before : p.channels - 1;
    const A own =
        convert<A>(dy[c * p.dy.step]) / p.norm.power(scale_of(x, p.x.step, c, p.channels, p.norm));
    A through = 0;
    for (int j = first; j <= last; ++j)
        through += convert<A>(dy[j * p.dy.step]) * convert<A>(y[j * p.y.step]) /
                   scale_of(x, p.x.step, j, p.channels, p.norm);
    p.dx.data[at[0] + c * p.dx.step] =
        convert<T>(own - convert<A>(x[c * p.x.step]) * through * p.norm.slope);
}

}  // namespace pycnn::cuda
