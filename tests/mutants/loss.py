"""Faults in softmax, the losses, embeddings and distances."""

from __future__ import annotations

from .harness import Mutant

SOFTMAX = "pycnn/providers/reference/softmax.py"
CROSS_ENTROPY = "pycnn/providers/reference/softmax_cross_entropy.py"
LOSS = "pycnn/providers/reference/loss.py"
CLASSES = "pycnn/functional/_class_loss.py"
SPARSE = "pycnn/functional/sparse.py"
DISTANCE = "pycnn/functional/distance.py"
IMPLICIT = "tests/functional/test_softmax.py -k implicit"
TEST_LOSS = "tests/functional/test_loss.py -x"
TEST_CLASSES = "tests/functional/test_class_loss.py -x"
TEST_SPARSE = "tests/functional/test_sparse.py -x"
TEST_DISTANCE = "tests/functional/test_distance.py -x"
ROWS = "tests/functional/test_sparse.py -k test_rows"

MUTANTS = [
    Mutant(
        SOFTMAX, "x = x - x.max(axis, keepdims=True)", "x = x - x.max()", "softmax_fprop-overflow"
    ),
    Mutant(SOFTMAX, "xp(x).exp(x).sum(axis", "xp(x).exp(x).sum(0", "softmax_fprop-rows"),
    Mutant(SOFTMAX, "(dy * y).sum", "dy.sum", "softmax_dgrad-rows"),
    Mutant(SOFTMAX, "dy - xp(y).exp(y) * dy.sum", "dy - y * dy.sum", "softmax_dgrad-log_rows"),
    Mutant(
        CROSS_ENTROPY,
        "w_t * (log_sum - picked)",
        "log_sum - picked",
        "softmax_cross_entropy_fprop-weights",
    ),
    Mutant(
        CROSS_ENTROPY,
        "value = (1 - s) * value +",
        "value = value +",
        "softmax_cross_entropy_fprop-smoothing",
    ),
    Mutant(
        CROSS_ENTROPY,
        "(w * (log_sum - x)).sum",
        "(log_sum - x).sum",
        "softmax_cross_entropy_fprop-weights_and_smoothing",
    ),
    Mutant(
        CROSS_ENTROPY,
        "value = module.where(counts, value, 0)\n",
        "",
        "softmax_cross_entropy_fprop-ignored",
    ),
    Mutant(
        CROSS_ENTROPY,
        "(p * w.sum() - w)",
        "(p * classes - w)",
        "softmax_cross_entropy_dgrad-weights_and_smoothing",
    ),
    Mutant(
        CROSS_ENTROPY,
        "(target < 0) | (target >= logits.shape[1])",
        "(target < 0) | (target > logits.shape[1])",
        f"{TEST_CLASSES} -k outside",
    ),
    Mutant(LOSS, "xp.where(z < beta,", "xp.where(z < 1,", f"{TEST_LOSS} -k smooth_l1"),
    Mutant(LOSS, "z - beta / 2)", "z - beta)", f"{TEST_LOSS} -k smooth_l1"),
    Mutant(
        LOSS,
        "xp.clip(t - x, -delta, delta)",
        "xp.clip(x - t, -delta, delta)",
        f"{TEST_LOSS} -k huber",
    ),
    Mutant(LOSS, "LOG_FLOOR = -100.0", "LOG_FLOOR = -1000.0", f"{TEST_LOSS} -k binary"),
    Mutant(LOSS, "PRODUCT_FLOOR = 1e-12", "PRODUCT_FLOOR = 1e-6", f"{TEST_LOSS} -k binary"),
    Mutant(LOSS, "(p - 1) * t + 1", "(p - 1) * t", f"{TEST_LOSS} -k logits"),
    Mutant(LOSS, "(p * t + 1 - t) * sigmoid", "(p * t + t) * sigmoid", f"{TEST_LOSS} -k logits"),
    Mutant(
        LOSS, "xp.where(t == 0, 0, t * xp.log(t))", "t * xp.log(t)", f"{TEST_LOSS} -k zero_target"
    ),
    Mutant(LOSS, "(xp.exp(t) * (t - x + 1))", "(xp.exp(t) * (t - x))", f"{TEST_LOSS} -k kl_div"),
    Mutant(
        CLASSES, "counts = target != ignore_index\n", "counts = target == target\n", TEST_CLASSES
    ),
    Mutant(CLASSES, "target >= classes)) &", "target > classes)) &", TEST_CLASSES),
    Mutant(CLASSES, "where(a == 0,", "where(a < 0,", TEST_CLASSES),
    Mutant(SPARSE, "counts = indices != self.padding_idx", "counts = indices != -1", ROWS),
    Mutant(SPARSE, "return padding_idx % rows", "return abs(padding_idx)", ROWS),
    Mutant(SPARSE, "norms > max_norm", "norms < max_norm", f"{TEST_SPARSE} -k max_norm"),
    Mutant(SPARSE, "num_classes = high + 1", "num_classes = high", f"{TEST_SPARSE} -k one_hot"),
    Mutant(DISTANCE, "        return dy\n", "        return dy * 0\n", f"{TEST_DISTANCE} -k short"),
    Mutant(DISTANCE, "add(sub(x1, x2), eps)", "sub(x1, x2)", f"{TEST_DISTANCE} -k pairwise"),
    Mutant(
        "pycnn/functional/softmax.py",
        "return 0 if ndim in (0, 1, 3) else 1",
        "return 0 if ndim in (0, 1) else 1",
        IMPLICIT,
    ),
]
