// The parameters of a kernel: one plain struct per primitive family, passed by value.
//
// Letters are cuDNN's: N C H W the input, K R S the filter, P Q the output, G the groups.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "common/checks.h"

namespace pycnn {

struct Conv2dParams {
    int64_t N, C, H, W;  // x (N, C, H, W)
    int64_t K, R, S, G;  // w (K, C/G, R, S)
    int64_t P, Q;        // y (N, K, P, Q)
    int64_t stride_h, stride_w;
    int64_t top, bottom, left, right;  // padding
    int64_t dilation_h, dilation_w;
};

// P for one axis: floor((H + before + after - dilation*(R - 1) - 1) / stride) + 1, at least 1.
inline int64_t conv_output_size(const char* axis, int64_t size, int64_t taps, int64_t stride,
                                int64_t before, int64_t after, int64_t dilation) {
    const int64_t padded =
        checked_add(checked_add(size, before, "the padded input"), after, "the padded input");
    const int64_t reach =
        checked_add(checked_mul(dilation, taps - 1, "the dilated filter"), 1, "the dilated filter");
    if (reach > padded)
        throw ValueError(refusal(std::string("the dilated filter's ") + axis, std::to_string(reach),
                                 "at most the padded input's, " + std::to_string(padded)));
    return (padded - reach) / stride + 1;
}

// Checks a whole convolution and computes P and Q. An empty batch is a convolution like any other.
// padding is (top, bottom, left, right).
inline Conv2dParams conv2d_params(const std::array<int64_t, 4>& x, const std::array<int64_t, 4>& w,
                                  const std::array<int64_t, 2>& stride,
                                  const std::array<int64_t, 4>& padding,
                                  const std::array<int64_t, 2>& dilation, int64_t groups) {
    for (size_t i = 0; i < 4; ++i) check_at_least(element("x_shape", i), x[i], i == 0 ? 0 : 1);
    for (size_t i = 0; i < 4; ++i) check_at_least(element("w_shape", i), w[i], 1);
    for (size_t i = 0; i < 2; ++i) check_at_least(element("stride", i), stride[i], 1);
    for (size_t i = 0; i < 4; ++i) check_at_least(element("padding", i), padding[i], 0);
    for (size_t i = 0; i < 2; ++i) check_at_least(element("dilation", i), dilation[i], 1);
    check_at_least("groups", groups, 1);
    if (x[1] % groups != 0)
        throw ValueError(refusal("groups", std::to_string(groups),
                                 "a divisor of the input channels, " + std::to_string(x[1])));
    if (w[0] % groups != 0)
        throw ValueError(refusal("groups", std::to_string(groups),
                                 "a divisor of the output channels, " + std::to_string(w[0])));
    if (w[1] != x[1] / groups)
        throw ValueError(refusal("w_shape[1]", std::to_string(w[1]),
                                 "the input channels per group, " + std::to_string(x[1] / groups)));

    Conv2dParams p{};
    p.N = x[0], p.C = x[1], p.H = x[2], p.W = x[3];
    p.K = w[0], p.R = w[2], p.S = w[3], p.G = groups;
    p.stride_h = stride[0], p.stride_w = stride[1];
    p.top = padding[0], p.bottom = padding[1], p.left = padding[2], p.right = padding[3];
    p.dilation_h = dilation[0], p.dilation_w = dilation[1];
    p.P = conv_output_size("height", p.H, p.R, p.stride_h, p.top, p.bottom, p.dilation_h);
    p.Q = conv_output_size("width", p.W, p.S, p.stride_w, p.left, p.right, p.dilation_w);

    const std::array<int64_t, 4> y{p.N, p.K, p.P, p.Q};
    checked_numel(x.data(), 4, "x's number of bytes");
    checked_numel(w.data(), 4, "w's number of bytes");
    checked_numel(y.data(), 4, "y's number of bytes");
    return p;
}

// A convolution from the values of a pycnn.geometry.Conv2dGeometry, in the order of its fields.
// There the bottom and right padding may be negative, and so may K and C be 0.
inline Conv2dParams conv2d_params(const std::array<int64_t, 16>& g) {
    static const char* const names[] = {"N", "C", "H", "W", "K", "R", "S"};
    for (size_t i = 0; i < 7; ++i) check_at_least(names[i], g[i], i < 2 || i == 4 ? 0 : 1);
    Conv2dParams p{};
    p.N = g[0], p.C = g[1], p.H = g[2], p.W = g[3];
    p.K = g[4], p.R = g[5], p.S = g[6];
    p.stride_h = g[7], p.stride_w = g[8];
    p.top = g[9], p.bottom = g[10], p.left = g[11], p.right = g[12];
    p.dilation_h = g[13], p.dilation_w = g[14];
    p.G = g[15];
    constexpr int64_t limit = int64_t{1} << 31;  // no sum or product of two such overflows
    for (size_t i = 0; i < g.size(); ++i)
        if (g[i] >= limit || g[i] <= -limit)
            throw ValueError(
                refusal(element("geometry", i), std::to_string(g[i]), "integers below 2^31"));
    check_at_least("stride_h", p.stride_h, 1);
    check_at_least("stride_w", p.stride_w, 1);
    check_at_least("dilation_h", p.dilation_h, 1);
    check_at_least("dilation_w", p.dilation_w, 1);
    check_at_least("pad_top", p.top, 0);
    check_at_least("pad_left", p.left, 0);
    check_at_least("groups", p.G, 1);
    if (p.C % p.G != 0 || p.K % p.G != 0)
        throw ValueError(refusal(
            "groups", std::to_string(p.G),
            "a divisor of the channels, " + std::to_string(p.C) + " and " + std::to_string(p.K)));
    const auto outputs = [](int64_t padded, int64_t taps, int64_t stride, int64_t dilation) {
        const int64_t reach = dilation * (taps - 1) + 1;
        return reach > padded ? 0 : (padded - reach) / stride + 1;
    };
    p.P = outputs(p.H + p.top + p.bottom, p.R, p.stride_h, p.dilation_h);
    p.Q = outputs(p.W + p.left + p.right, p.S, p.stride_w, p.dilation_w);
    check_at_least("P", p.P, 1);
    check_at_least("Q", p.Q, 1);
    return p;
}

}  // namespace pycnn
