"""Faults in elementwise ops, reductions, joining, and the tensor functions built on them."""

from __future__ import annotations

from .harness import Mutant

OPS = "pycnn/providers/reference/elementwise.py"
REDUCE = "pycnn/providers/reference/reduce.py"
CONCAT = "pycnn/providers/reference/concat.py"
ERF = "pycnn/providers/reference/erf.py"
POINTWISE = "pycnn/functional/_pointwise.py"
ELEMENTWISE = "tests/functional/test_elementwise.py"
REDUCTION = "tests/functional/test_reduction.py"
SHAPE = "tests/functional/test_shape.py"
INDEXING = "tests/functional/test_indexing.py"
LINALG = "tests/functional/test_linalg.py"
SORTING = "tests/functional/test_sorting.py"

# (file, old, new, killer)
_FAULTS = [
    # boundaries, ties and signs of the ops
    (OPS, "xp.where((x >= low) & (x <= high), dy, 0)", "xp.where((x > low) & (x <= high), dy, 0)",
     "elementwise-clamp_dgrad"),
    (OPS, "xp.where(x <= high, dy, 0)", "xp.where(x < high, dy, 0)",
     "elementwise-clamp_max_dgrad"),
    (OPS, "xp.minimum(xp.maximum(x, low), high)", "xp.maximum(xp.minimum(x, high), low)",
     "elementwise-clamp_crossed"),
    (OPS, "xp.where(a == b, dy / 2, dy)", "xp.where(a == b, dy, dy)",
     "elementwise-maximum_dgrad_a"),
    (OPS, "maximum_dgrad_a(xp, dy, b, a)", "maximum_dgrad_a(xp, dy, a, b)",
     "elementwise-maximum_dgrad_b"),
    (OPS, "xp.where(x < 0, -1, 0)", "xp.where(x < 0, -1, 1)", "elementwise-abs_dgrad"),
    (OPS, "-dy * ((a / b) / b)", "-dy * (a / b)", "elementwise-div_dgrad_b"),
    (OPS, "xp.where((a == 0) & (b >= 0), 0,", "xp.where((a == 0) & (b > 0), 0,",
     f"{ELEMENTWISE}::test_gradients_at_kinks"),
    (OPS, "((quotient < 0) & (quotient * b != a))", "(quotient * b != a)",
     "elementwise-trunc_divide"),
    (OPS, "else a + alpha * b", "else a + alpha * a", "elementwise-add_alpha"),
    (OPS, "accumulation_dtype(a.dtype)", "a.dtype",
     f"{ELEMENTWISE}::test_wide_operands_round_once"),
    (ERF, "middle = (a >= 0.84375)", "middle = (a >= 0.875)",
     f"{ELEMENTWISE}::test_erf_is_within_an_ulp"),
    # reductions
    (REDUCE, "count(x, axes) - correction", "count(x, axes) + correction", "reduce-var"),
    (REDUCE, "x.transpose(*kept, *axes)", "x.transpose(*kept, *axes[::-1])",
     "reduce-argmax_over_(0,_2,_3)"),
    (REDUCE, "top = xp.where(xp.isfinite(top), top, 0)", "top = 0 * top",
     f"{REDUCTION}::test_logsumexp_does_not_overflow"),
    (REDUCE, 'return xp.float64 if x.dtype.kind == "f"', 'return x.dtype if x.dtype.kind == "f"',
     f"{REDUCTION}::test_long_sums_stay_accurate"),
    (OPS, "(zeros == 1) & (x == 0)", "(zeros >= 1) & (x == 0)",
     f"{REDUCTION}::test_product_of_zeros"),
    ("pycnn/functional/reduction.py", "2.0 / divisor if", "1.0 / divisor if",
     f"{REDUCTION}::test_dims[var]"),
    # joining and cutting
    (CONCAT, "start += size", "start += geometry.sizes[0]", "concat-channels"),
    (CONCAT, "(slice(None),) * geometry.axis", "(slice(None),) * (geometry.axis - 1)",
     "split-height"),
    ("pycnn/functional/_joining.py", "            start += size\n        return tuple(gradients)",
     "            start += size if wanted else 0\n        return tuple(gradients)",
     f"{SHAPE}::test_cat_gradients_go_where_wanted"),
    # promotion, in-place edits, views
    (POINTWISE, "if 0.0 in parameters:", "if None in parameters:",
     f"{ELEMENTWISE}::test_negative_zero_is_not_taken_for_zero"),
    (POINTWISE, "same = a.shape == b.shape and a.strides == b.strides",
     "same = a.shape == b.shape", f"{ELEMENTWISE}::test_inplace_on_overlapping_operands"),
    (POINTWISE, "if dtype in HALVES:", "if dtype not in FLOATING:",
     f"{ELEMENTWISE}::test_scalars_are_rounded_as_the_tensor_is"),
    ("pycnn/functional/_views.py", "sorted(range(len(self.dims)), key=self.dims.__getitem__)",
     "self.dims", f"{SHAPE}::test_values_and_gradients[permute]"),
    ("pycnn/functional/_views.py", "dx[self.key] = dy", "dx[...] = dy",
     f"{INDEXING}::test_getitem[int]"),
    # indices
    ("pycnn/functional/indexing.py", "xp.add.at(out, key, values.astype(out.dtype, copy=False))",
     "out[key] = values", f"{INDEXING}::test_getitem[repeated]"),
    ("pycnn/functional/indexing.py", "dx[self.key] = 0", "dx[self.key] = 1",
     f"{INDEXING}::test_setitem[tensor]"),
    ("pycnn/functional/indexing.py", "high >= size:", "high > size:", f"{INDEXING}::test_errors"),
    # products and sorting
    ("pycnn/functional/_products.py", "product(dy, transposed(b))", "product(dy, b)",
     f"{LINALG}::test_products"),
    ("pycnn/functional/_einsum.py", "[*batch, *rows, *columns]\n",
     "[*batch, *columns, *rows]\n", f"{LINALG}::test_einsum"),
    ("pycnn/functional/sorting.py", "x.shape[axis] - 1 - xp.flip(backwards, axis)",
     "x.shape[axis] - xp.flip(backwards, axis)", f"{SORTING}::test_sort[True]"),
]  # fmt: skip

MUTANTS = [Mutant(*fault) for fault in _FAULTS]
