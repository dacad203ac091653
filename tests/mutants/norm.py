"""Faults in normalisation: the variance's divisor, the gradient's terms, windows of channels."""

from __future__ import annotations

from .harness import Mutant

REFERENCE = "pycnn/providers/reference/batch_norm.py"
RESPONSE = "pycnn/providers/reference/local_response_norm.py"
FUNCTIONAL = "pycnn/functional/norm.py"
TESTS = "tests/functional/test_norm.py"

MUTANTS = [
    Mutant(
        FUNCTIONAL,
        "self._update(running_var, m2, count - 1.0)",
        "self._update(running_var, m2, count)",
        killer=f"{TESTS}::test_running_statistics",
    ),
    Mutant(
        REFERENCE,
        "(1 - momentum) * running + momentum * (new / divisor)",
        "momentum * running + (1 - momentum) * (new / divisor)",
        killer=f"{TESTS}::test_running_statistics",
    ),
    Mutant(
        REFERENCE,
        "xp.square(rows - mean).sum(axis=1)",
        "xp.square(rows).sum(axis=1) - rows.shape[1] * mean[:, 0] ** 2",
        killer="batch_norm_stats-mean_1000",
    ),
    Mutant(
        REFERENCE,
        "m2 = m2 + deviation * (value - mean)",
        "m2 = m2 + deviation * deviation",
        killer="batch_norm_stats-odd_planes",
    ),
    Mutant(
        REFERENCE,
        "1 / xp.sqrt(m2 / count + eps)",
        "1 / (xp.sqrt(m2 / count) + eps)",
        killer=f"{TESTS}::test_batch_norm_inference",
    ),
    Mutant(
        REFERENCE,
        "dy - sum_dy / count - ((x - mean) * invstd) * (sum_dy_xhat / count)",
        "dy - sum_dy / count - (x - mean) * (sum_dy_xhat / count)",
        killer=f"{TESTS}::test_batch_norm_training",
    ),
    Mutant(
        FUNCTIONAL,
        "(sum_dy, sum_dy_xhat) if self.training else (None, None)",
        "(sum_dy, sum_dy_xhat)",
        killer=f"{TESTS}::test_batch_norm_inference",
    ),
    Mutant(
        FUNCTIONAL,
        "dy = activation_gradient(dy, y, self.activation)",
        "dy = dy",
        killer=f"{TESTS}::test_activation_and_residual",
    ),
    Mutant(
        FUNCTIONAL,
        "Epilogue(residual=added, activation=self.activation)",
        "Epilogue(residual=None, activation=self.activation)",
        killer=f"{TESTS}::test_residual_without_activation",
    ),
    Mutant(
        FUNCTIONAL,
        'recording and activations.SAVES[activation] != "y"',
        'activations.SAVES[activation] != "y"',
        killer=f"{TESTS}::test_fused_where_the_derivative_allows",
    ),
    Mutant(
        RESPONSE,
        "_window_sum(xp, x * x, g.size // 2, (g.size - 1) // 2)",
        "_window_sum(xp, x * x, (g.size - 1) // 2, g.size // 2)",
        killer=f"{TESTS}::test_local_response_norm",
    ),
    Mutant(
        RESPONSE,
        "_window_sum(xp, dy * y / s, (g.size - 1) // 2, g.size // 2)",
        "_window_sum(xp, dy * y / s, g.size // 2, (g.size - 1) // 2)",
        killer=f"{TESTS}::test_local_response_norm",
    ),
]
