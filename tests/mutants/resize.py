"""Faults in resampling, padding, folding and pixel shuffles."""

from __future__ import annotations

from .harness import Mutant

REFERENCE = "pycnn/providers/reference/resize2d.py"
TABLES = "pycnn/providers/resize_tables.py"
GEOMETRY = "pycnn/geometry/resize2d.py"
PAD = "pycnn/functional/pad.py"
PIXEL = "pycnn/functional/pixel.py"
FOLD = "pycnn/functional/fold.py"
TESTS = "tests/functional/test_resize.py"
PAD_TESTS = "tests/functional/test_pad.py"

MUTANTS = [
    Mutant(
        TABLES,
        'single = np.dtype("float32")',
        'single = np.dtype("float64")',
        killer=f"{TESTS}::test_nearest_picks_the_element_torch_picks[2-float32-nearest]",
    ),
    Mutant(
        TABLES,
        'offset = 0.5 if mode == "nearest-exact" else 0.0',
        "offset = 0.0",
        killer=f"{TESTS}::test_nearest_picks_the_element_torch_picks[2-float32-nearest-exact]",
    ),
    Mutant(
        TABLES,
        "position = np.maximum(position, 0)",
        "position = np.maximum(position, -1)",
        killer=f"{TESTS}::test_sizes_with_gradients[bilinear]",
    ),
    Mutant(
        TABLES,
        "_keys(share + 1 - t, -0.75)",
        "_keys(share + 1 - t, -0.5)",
        killer=f"{TESTS}::test_sizes_with_gradients[bicubic]",
    ),
    Mutant(
        TABLES,
        "stretch = max(step, real(1))",
        "stretch = step",
        killer=f"{TESTS}::test_sizes_with_gradients[bilinear-True1]",
    ),
    Mutant(
        REFERENCE,
        "term = xp.where(xp.asarray(taps.valid[:, t]).reshape(shape), term, 0)",
        "term = term + 0",
        killer=f"{TESTS}::test_infinite_gradients_stay_where_they_belong",
    ),
    Mutant(
        GEOMETRY,
        "return outputs in (size, 2 * size) and not signal",
        "return outputs == 2 * size and not signal",
        killer=f"{TESTS}::test_nearest_picks_the_element_torch_picks[2-float32-nearest]",
    ),
    Mutant(
        PAD,
        "return tuple(size - 1 - abs(size - 1 - abs(i)) for i in positions)",
        "return tuple(size - 1 - abs(size - abs(i)) for i in positions)",
        killer=f"{PAD_TESTS}::test_one_axis[reflect]",
    ),
    Mutant(
        PAD,
        "part = part[(*at, slice(None, None, -1))]",
        "part = part[(*at, slice(None))]",
        killer=f"{PAD_TESTS}::test_more_axes[reflect]",
    ),
    Mutant(
        PAD,
        "if max(before, after) >= size:",
        "if max(before, after) > size:",
        killer=f"{PAD_TESTS}::test_one_axis[reflect]",
    ),
    Mutant(
        PIXEL,
        "(*range(n + 1), n + 3, n + 1, n + 4, n + 2)",
        "(*range(n + 1), n + 3, n + 2, n + 4, n + 1)",
        killer="tests/functional/test_pixel.py::test_values_and_gradients[pixel_shuffle]",
    ),
    Mutant(
        PIXEL,
        "dy, dy.shape[1] // self.groups)",
        "dy, self.groups)",
        killer="tests/functional/test_pixel.py::test_values_and_gradients[channel_shuffle]",
    ),
    Mutant(
        FOLD,
        "pads = (padding[0], padding[0], padding[1], padding[1])",
        "pads = (padding[1], padding[1], padding[0], padding[0])",
        killer="tests/functional/test_fold.py",
    ),
]
