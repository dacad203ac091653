"""Faults in convolution, its columns, matrix products, their epilogue and the taps they share."""

from __future__ import annotations

from .harness import Mutant

TAP_SPAN = "pycnn/geometry/base.py"
GEOMETRY = "pycnn/geometry/conv2d.py"
CONV2D = "pycnn/providers/reference/conv2d.py"
IM2COL = "pycnn/providers/reference/im2col.py"
GEMM = "pycnn/providers/reference/gemm.py"
EPILOGUE = "pycnn/providers/reference/epilogue.py"

# which pixels a tap reads: shared by the three passes and by im2col
_SPANS = [
    ("offset = tap * dilation - pad", "offset = tap - pad", "conv2d_fprop-uneven_dilation"),
    ("offset = tap * dilation - pad", "offset = tap * dilation", "im2col-3x3_padded"),
    ("-(offset // stride))", "-offset // stride)", "conv2d_dgrad-uneven_all"),
    ("min(outputs - 1, (size - 1", "min(outputs, (size - 1", "conv2d_wgrad-unread_border"),
    ("min(outputs - 1, (size - 1", "min(outputs - 2, (size - 1", "conv2d_wgrad-3x3"),
    ("(size - 1 - offset) // stride", "(size - offset) // stride", "conv2d_fprop-3x3"),
    ("if last < first:", "if last <= first:", "conv2d_dgrad-one_pixel"),
]  # fmt: skip
_TAPS = [
    ("self.P, r, self.stride_h", "self.P, r, self.stride_w", "conv2d_wgrad-uneven_all"),
    ("self.P, r, self.stride_h, self.pad_top", "self.P, r, self.stride_h, self.pad_bottom",
     "conv2d_wgrad-asymmetric"),
    ("self.stride_w, self.pad_left", "self.stride_w, self.pad_right", "conv2d_fprop-asymmetric"),
    ("self.pad_left, self.dilation_w)", "self.pad_left, self.dilation_h)",
     "conv2d_dgrad-uneven_dilation"),
    ("tap_span(self.H, self.P, r,", "tap_span(self.H, self.Q, r,", "conv2d_fprop-uneven_all"),
    ("tap_span(self.H, self.P, r,", "tap_span(self.W, self.P, r,", "conv2d_dgrad-tall_plane"),
    ("self.G == self.C and self.G > 1", "self.G > 1", "conv2d_fprop-grouped"),
]  # fmt: skip

# one matrix product per tap
_DIRECT = [
    ("module.zeros((n, h, w, *split)", "module.empty((n, h, w, *split)", "conv2d_fprop-3x3"),
    ("target += product(module, _pixels(x,", "target[...] = product(module, _pixels(x,",
     "conv2d_fprop-3x3"),
    ("target += product(module, _pixels(dy,", "target[...] = product(module, _pixels(dy,",
     "conv2d_dgrad-3x3"),
    ("_pixels(dy, *outputs, pixel_major), filters", "_pixels(dy, *inputs, pixel_major), filters",
     "conv2d_dgrad-3x3_valid"),
    ("target = _pixels(dx, *inputs", "target = _pixels(dx, *outputs", "conv2d_dgrad-3x3_valid"),
    ("a[:, rows, columns] if", "a[:, columns, rows] if", "conv2d_fprop-depthwise"),
    ("a[..., rows, columns]", "a[..., columns, rows]", "conv2d_wgrad-uneven_all"),
    ("split.transpose(3, 4, 0, 2, 1)", "split.transpose(4, 3, 0, 2, 1)", "conv2d_fprop-3x3"),
    ("_filters(module, w, g, dtype).swapaxes(-1, -2)",
     "_filters(module, w, g, dtype)[::-1].swapaxes(-1, -2)", "conv2d_dgrad-3x3"),
    ("read, given = _pixels(x, *inputs", "read, given = _pixels(x, *outputs", "conv2d_wgrad-3x3"),
    ("dw.transpose(2, 4, 3, 0, 1)", "dw.transpose(2, 4, 3, 1, 0)", "conv2d_wgrad-3x3"),
    ("matmul(left, right).sum(axis=0)", "matmul(left, right)[0]", "conv2d_wgrad-pointwise"),
    (".sum(axis=2).sum(axis=(0, 1))[", ".sum(axis=2).sum(axis=0)[0][", "conv2d_wgrad-depthwise"),
    ("if matrices.shape[1] == 1:", "if True:", "conv2d_dgrad-depthwise_multiplier"),
    ("products.sum(axis=-1 if pixel_major else 2,", "products.sum(axis=-1 if pixel_major else 1,",
     "conv2d_dgrad-depthwise_multiplier"),
]  # fmt: skip

# one column per patch
_COLUMNS = [
    (IM2COL, "module.zeros((n, g.C, g.R", "module.empty((n, g.C, g.R", "im2col-3x3_padded"),
    (IM2COL, "module.zeros((n, g.C, g.H", "module.empty((n, g.C, g.H", "col2im-uneven_all"),
    (IM2COL, "x[:, :, h, w] += columns", "x[:, :, h, w] = columns", "col2im-3x3_padded"),
    (IM2COL, "columns[:, :, r, s, p, q] = x", "columns[:, :, s, r, p, q] = x", "im2col-3x3_padded"),
    (IM2COL, "+= columns[:, :, r, s, p, q]", "+= columns[:, :, s, r, p, q]", "col2im-3x3_padded"),
    (CONV2D, "dw += module.matmul(given", "dw = module.matmul(given", "conv2d_wgrad-3x3"),
    (CONV2D, "y[image] = module.matmul(filters, columns)", "y[0] = module.matmul(filters, columns)",
     "conv2d_fprop-3x3"),
    (CONV2D, "return g.C // g.G * g.R * g.S", "return g.C * g.R * g.S", "conv2d_fprop-grouped"),
]  # fmt: skip

# the formulas, element by element
_NAIVE = [
    ("(g.R - 1) * g.dilation_h + 1 : g.dilation_h", "(g.R - 1) * g.dilation_w + 1 : g.dilation_w",
     "conv2d_fprop-uneven_dilation"),
    ("first = k // (g.K // g.G) * (g.C // g.G)", "first = k // g.G * (g.C // g.G)",
     "conv2d_fprop-grouped", 2),
    ("top, left = p * g.stride_h, q * g.stride_w", "top, left = p * g.stride_w, q * g.stride_h",
     "conv2d_fprop-uneven_all"),
    ("if uneven_p or not 0 <= p < g.P", "if uneven_p or not 0 < p < g.P", "conv2d_dgrad-3x3_valid"),
    ("if uneven_q or not 0 <= q < g.Q", "if not 0 <= q < g.Q", "conv2d_dgrad-stem"),
    ("not 0 <= q < g.Q", "not 0 <= q < g.P", "conv2d_dgrad-1x7"),
    ("divmod(v + g.pad_left - s * g.dilation_w", "divmod(v + g.pad_left - s",
     "conv2d_dgrad-depthwise_dilated"),
    ("total = module.zeros((), dtype)", "total = module.empty((), dtype)", "conv2d_dgrad-3x3"),
    ("top, left = r * g.dilation_h, s * g.dilation_w", "top, left = r, s * g.dilation_w",
     "conv2d_wgrad-uneven_dilation"),
    ("(g.Q - 1) * g.stride_w + 1 : g.stride_w", "(g.Q - 1) * g.stride_h + 1 : g.stride_h",
     "conv2d_wgrad-uneven_all"),
]  # fmt: skip

_ENDS = [
    (EPILOGUE, "acc += bias.reshape(shape)", "acc -= bias.reshape(shape)", "gemm-bias"),
    (EPILOGUE, "shape[channel] = -1", "shape[1] = -1", "gemm-scale_and_shift"),
    (EPILOGUE, "+= shift.reshape(shape)", "+= scale.reshape(shape)", "epilogue_scale_shift"),
    (EPILOGUE, "        if residual is not None:\n            acc += residual\n", "",
     "conv2d_dgrad-epilogue_residual"),
    (GEMM, "a[batch, m, :] * b[batch, :, n]", "a[0, m, :] * b[batch, :, n]", "gemm-batched"),
    (GEMM, "range(geometry.M)", "range(1, geometry.M)", "gemm-primes"),
]  # fmt: skip

MUTANTS = [
    *(Mutant(TAP_SPAN, *row) for row in _SPANS),
    *(Mutant(GEOMETRY, *row) for row in _TAPS),
    *(Mutant(CONV2D, *row) for row in (*_DIRECT, *_NAIVE)),
    *(Mutant(*row) for row in (*_COLUMNS, *_ENDS)),
]
