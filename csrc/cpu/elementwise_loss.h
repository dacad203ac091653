// Formulas of the losses of one element, x the prediction and t its target, and their derivatives.
//
// Numerics   kinks, infinities and NaN as pycnn/providers/reference/loss.py has them
#pragma once

#include "cpu/elementwise_activation.h"

namespace pycnn::PYCNN_ISA {

// Cut off at -limit and limit; NaN stays.
template <class V>
PYCNN_INLINE V within(V z, V limit) {
    return min(limit, max(-limit, z));
}

template <class V>
PYCNN_INLINE V smooth_l1(V z, V beta) {
    return select(z < beta, z * z / (2 * beta), z - beta / 2);
}
template <class V>
PYCNN_INLINE V huber(V z, V delta) {
    return select(z < delta, z * z / 2, delta * (z - delta / 2));
}

// Binary cross entropy stops its logarithms at -100.
template <class V>
PYCNN_INLINE V floored(V logarithm) {
    return max(constant<V>(-100), logarithm);
}

template <class T>
void add_losses(OpTable& table) {
    using V = Vec<T>;
    PYCNN_OP(2, "mse", (V x, V t), (x - t) * (x - t))
    PYCNN_OP(3, "mse_dgrad_a", (V dy, V x, V t), 2 * (x - t) * dy)
    PYCNN_OP(3, "mse_dgrad_b", (V dy, V x, V t), -2 * (x - t) * dy)
    PYCNN_OP(2, "smooth_l1", (V x, V t, V beta), smooth_l1(abs(x - t), beta))
    PYCNN_OP(3, "smooth_l1_dgrad_a", (V dy, V x, V t, V beta),
             dy * within((x - t) / beta, constant<V>(1)))
    PYCNN_OP(3, "smooth_l1_dgrad_b", (V dy, V x, V t, V beta),
             dy * within((t - x) / beta, constant<V>(1)))
    PYCNN_OP(2, "huber", (V x, V t, V delta), huber(abs(x - t), delta))
    PYCNN_OP(3, "huber_dgrad_a", (V dy, V x, V t, V delta), dy * within(x - t, delta))
    PYCNN_OP(3, "huber_dgrad_b", (V dy, V x, V t, V delta), dy * within(t - x, delta))
    PYCNN_OP(3, "kl_div_dgrad_a", (V dy, V x, V t), (static_cast<void>(x), -t * dy))

    table.cost = 1.5;
    PYCNN_OP(2, "binary_cross_entropy", (V x, V t),
             (t - 1) * floored(log1p(-x)) - t * floored(log(x)))
    PYCNN_OP(3, "binary_cross_entropy_dgrad_a", (V dy, V x, V t),
             dy * (x - t) / max(constant<V>(1e-12), (1 - x) * x))
    PYCNN_OP(3, "binary_cross_entropy_dgrad_b", (V dy, V x, V t),
             (static_cast<void>(t), dy * (log1p(-x) - log(x))))
    PYCNN_OP(2, "binary_cross_entropy_with_logits", (V x, V t), (1 - t) * x - log_logistic(x))
    PYCNN_OP(3, "binary_cross_entropy_with_logits", (V x, V t, V p),
             (1 - t) * x - ((p - 1) * t + 1) * log_logistic(x))
    PYCNN_OP(3, "binary_cross_entropy_with_logits_dgrad_a", (V dy, V x, V t),
             dy * (logistic(x) - t))
    PYCNN_OP(4, "binary_cross_entropy_with_logits_dgrad_a", (V dy, V x, V t, V p),
             dy * ((p * t + 1 - t) * logistic(x) - p * t))
    PYCNN_OP(3, "binary_cross_entropy_with_logits_dgrad_b", (V dy, V x, V t),
             (static_cast<void>(t), dy * -x))
    PYCNN_OP(4, "binary_cross_entropy_with_logits_dgrad_b", (V dy, V x, V t, V p),
             (static_cast<void>(t), dy * (log_logistic(-x) - p * log_logistic(x))))
    PYCNN_OP(2, "kl_div", (V x, V t), select(t == 0, V{}, t * log(t)) - t * x)
    PYCNN_OP(3, "kl_div_dgrad_b", (V dy, V x, V t), dy * (log(t) + t / t - x))
    PYCNN_OP(2, "kl_div_log", (V x, V t), exp(t) * (t - x))
    PYCNN_OP(3, "kl_div_log_dgrad_a", (V dy, V x, V t), (static_cast<void>(x), -exp(t) * dy))
    PYCNN_OP(3, "kl_div_log_dgrad_b", (V dy, V x, V t), dy * (exp(t) * (t - x + 1)))
}

// Everything that computes in T.
template <class T>
OpTable all_ops() {
    OpTable table;
    table.cost = 0.2;
    add_arithmetic<T>(table);
    add_clipping<T>(table);
    table.cost = 1.5;
    add_elementary<T>(table);
    add_smooth<T>(table);
    table.cost = 0.2;
    add_losses<T>(table);
    return table;
}

}  // namespace pycnn::PYCNN_ISA
