// Convolution as the formula says, one output element at a time.
//
// Computes   fprop, dgrad and wgrad of cpu/conv2d.h
// Arrays     any strides; halves are widened as they are read
// Threads    one task per (image, output channel) plane, per filter for wgrad
// Traffic    every operand is read again for every output that uses it: 2 FLOP for two loads
// Numerics   one accumulator per output, in float32 for the halves, the taps in order c, r, s;
//            deterministic
// Refuses    nothing
// Source     LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541
#include "cpu/conv2d.h"
#include "cpu/epilogue.h"
#include "cpu/parallel.h"

namespace pycnn::PYCNN_ISA {
namespace {

// Element (i, j, k, l) of a four-dimensional array.
template <class T>
T* at(const ArrayView& a, int64_t i, int64_t j, int64_t k, int64_t l) {
    return static_cast<T*>(a.data) + i * a.strides[0] + j * a.strides[1] + k * a.strides[2] +
           l * a.strides[3];
}

template <class T>
T one_activated(T value, Activation activation) {
    activate(&value, 1, activation);
    return value;
}

// activation((acc + bias) * scale + shift + residual) of one element, stored.
template <class T>
void finish(Accumulation<T> acc, const EpilogueView& e, const ArrayView& out, int64_t n,
            int64_t channel, int64_t row, int64_t column) {
    using A = Accumulation<T>;
    const auto value = [channel](const ArrayView& a) {
        return static_cast<A>(static_cast<const T*>(a.data)[channel * a.strides[0]]);
    };
    if (e.bias) acc += value(*e.bias);
    if (e.scale) acc *= value(*e.scale);
    if (e.shift) acc += value(*e.shift);
    if (e.residual) acc += static_cast<A>(*at<T>(*e.residual, n, channel, row, column));
    *at<T>(out, n, channel, row, column) = static_cast<T>(one_activated(acc, e.activation));
}

template <class T>
void fprop(const Conv2dParams& g, const ArrayView& x, const ArrayView& w, const ArrayView& y,
           const EpilogueView& epilogue) {
    const int64_t per_group = g.C / g.G;
    const double cost = static_cast<double>(g.P * g.Q * per_group * g.R * g.S);
    parallel_for(g.N * g.K, cost, [&](int64_t plane) {
        const int64_t n = plane / g.K, k = plane % g.K;
        const int64_t first = k / (g.K / g.G) * per_group;
        for (int64_t p = 0; p < g.P; ++p)
            for (int64_t q = 0; q < g.Q; ++q) {
                Accumulation<T> sum = 0;
                for (int64_t c = 0; c < per_group; ++c)
                    for (int64_t r = 0; r < g.R; ++r) {
                        const int64_t h = p * g.stride_h - g.top + r * g.dilation_h;
                        if (h < 0 || h >= g.H) continue;
                        for (int64_t s = 0; s < g.S; ++s) {
                            const int64_t v = q * g.stride_w - g.left + s * g.dilation_w;
                            if (v < 0 || v >= g.W) continue;
                            sum += static_cast<Accumulation<T>>(*at<T>(x, n, first + c, h, v)) *
                                   static_cast<Accumulation<T>>(*at<T>(w, k, c, r, s));
                        }
                    }
                finish<T>(sum, epilogue, y, n, k, p, q);
            }
    });
}

template <class T>
void dgrad(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w, const ArrayView& dx,
           const EpilogueView& epilogue) {
    const int64_t per_group = g.K / g.G;
    const double cost = static_cast<double>(g.H * g.W * per_group * g.R * g.S);
    parallel_for(g.N * g.C, cost, [&](int64_t plane) {
        const int64_t n = plane / g.C, c = plane % g.C;
        const int64_t group = c / (g.C / g.G), channel = c % (g.C / g.G);
        for (int64_t h = 0; h < g.H; ++h)
            for (int64_t v = 0; v < g.W; ++v) {
                Accumulation<T> sum = 0;
                for (int64_t k = group * per_group; k < (group + 1) * per_group; ++k)
                    for (int64_t r = 0; r < g.R; ++r) {
                        const int64_t down = h + g.top - r * g.dilation_h;
                        if (down < 0 || down % g.stride_h != 0 || down / g.stride_h >= g.P)
                            continue;
                        for (int64_t s = 0; s < g.S; ++s) {
                            const int64_t right = v + g.left - s * g.dilation_w;
                            if (right < 0 || right % g.stride_w != 0 || right / g.stride_w >= g.Q)
                                continue;
                            sum += static_cast<Accumulation<T>>(
                                       *at<T>(dy, n, k, down / g.stride_h, right / g.stride_w)) *
                                   static_cast<Accumulation<T>>(*at<T>(w, k, channel, r, s));
                        }
                    }
                finish<T>(sum, epilogue, dx, n, c, h, v);
            }
    });
}

template <class T>
void wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    const int64_t per_group = g.C / g.G;
    const double cost = static_cast<double>(g.N * g.P * g.Q * per_group * g.R * g.S);
    parallel_for(g.K, cost, [&](int64_t k) {
        const int64_t first = k / (g.K / g.G) * per_group;
        for (int64_t c = 0; c < per_group; ++c)
            for (int64_t r = 0; r < g.R; ++r)
                for (int64_t s = 0; s < g.S; ++s) {
                    Accumulation<T> sum = 0;
                    for (int64_t n = 0; n < g.N; ++n)
                        for (int64_t p = 0; p < g.P; ++p) {
                            const int64_t h = p * g.stride_h - g.top + r * g.dilation_h;
                            if (h < 0 || h >= g.H) continue;
                            for (int64_t q = 0; q < g.Q; ++q) {
                                const int64_t v = q * g.stride_w - g.left + s * g.dilation_w;
                                if (v < 0 || v >= g.W) continue;
                                sum += static_cast<Accumulation<T>>(*at<T>(x, n, first + c, h, v)) *
                                       static_cast<Accumulation<T>>(*at<T>(dy, n, k, p, q));
                            }
                        }
                    *at<T>(dw, k, c, r, s) = static_cast<T>(sum);
                }
    });
}

}  // namespace

void conv2d_fprop_naive(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                        const ArrayView& y, const EpilogueView& epilogue) {
    with_float_dtype(y.dtype, [&](auto t) { fprop<decltype(t)>(p, x, w, y, epilogue); });
}

void conv2d_dgrad_naive(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                        const ArrayView& dx, const EpilogueView& epilogue) {
    with_float_dtype(dx.dtype, [&](auto t) { dgrad<decltype(t)>(p, dy, w, dx, epilogue); });
}

void conv2d_wgrad_naive(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                        const ArrayView& dw, const EpilogueView&) {
    with_float_dtype(dw.dtype, [&](auto t) { wgrad<decltype(t)>(p, x, dy, dw); });
}

}  // namespace pycnn::PYCNN_ISA
