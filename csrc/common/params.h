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

}  // namespace pycnn
