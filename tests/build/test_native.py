"""pycnn._native: the instruction set, the threads, and what its checks accept and refuse."""

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import pycnn
from pycnn.config import native_status

native, why_none = native_status()
pytestmark = pytest.mark.skipif(native is None, reason=f"no C++ extension: {why_none}")

HUGE = 2**63 - 1


def in_new_process(code, **environment):
    """(exit status, what it printed) of Python code that sees only these PYCNN_* variables."""
    load = (
        "from importlib.util import module_from_spec, spec_from_file_location\n"
        f"spec = spec_from_file_location('pycnn._native', {native.__file__!r})\n"
        "native = module_from_spec(spec)\n"
        "spec.loader.exec_module(native)\n"
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYCNN_")}
    done = subprocess.run(
        [sys.executable, "-c", load + code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


# --- the build ------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_build():
    assert native.version() == pycnn.__version__
    assert native.compiler().split()[0] in ("GCC", "Clang")
    assert "-O3" in native.build_flags()
    assert "march" not in native.build_flags()


@pytest.mark.smoke
def test_every_instruction_set_was_compiled_with_its_own_flags():
    builds = native.isa_builds()
    assert next(iter(builds)) == "baseline"
    expected = {"avx2": {"float_lanes": 8, "fma": True}, "avx512": {"float_lanes": 16, "fma": True}}
    for name in builds.keys() - {"baseline"}:
        assert builds[name] == expected[name]
    assert native.isa() in builds


def processor_flags():
    try:
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.startswith("flags")), "flags :")
    except OSError:
        pytest.skip("no /proc/cpuinfo to compare with")
    return set(flags.split(":")[1].split())


def test_isa_is_the_best_that_build_and_processor_share():
    flags = processor_flags()
    builds = native.isa_builds()
    best = "baseline"
    if "avx2" in builds and {"avx2", "fma", "f16c"} <= flags:
        best = "avx2"
        if "avx512" in builds and {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
            best = "avx512"
    assert in_new_process("print(native.isa())") == (0, best)
    assert in_new_process("print(native.isa())", PYCNN_ISA="") == (0, best)
    assert in_new_process("print(native.isa())", PYCNN_ISA=best) == (0, best)


def test_isa_can_be_forced_down():
    assert in_new_process("print(native.isa())", PYCNN_ISA="baseline") == (0, "baseline")


@pytest.mark.parametrize("value", ["sse9", "AVX2", "avx2 ", "avx512"])
def test_isa_that_cannot_run_is_refused_by_name(value):
    if value == "avx512" and "avx512f" in processor_flags():
        pytest.skip("this processor has avx512")
    status, output = in_new_process("native.isa()", PYCNN_ISA=value)
    assert status == 1
    assert f"ValueError: PYCNN_ISA is '{value}'; accepted: baseline" in output


# --- threads --------------------------------------------------------------------------------------


def test_threads_default_to_the_cores_this_process_may_use():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert in_new_process("print(native.get_num_threads())") == (0, str(cores))
    if hasattr(os, "sched_setaffinity"):
        code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
        assert in_new_process(f"{code}\nprint(native.get_num_threads())") == (0, "1")


@pytest.mark.parametrize(("value", "count"), [("1", "1"), ("3", "3"), ("1024", "1024")])
def test_threads_from_the_environment(value, count):
    code = "print(native.get_num_threads())"
    assert in_new_process(code, PYCNN_NUM_THREADS=value) == (0, count)


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", " 2", "2x", "1025", "9" * 40])
def test_bad_threads_in_the_environment_are_refused(value):
    status, output = in_new_process("native.get_num_threads()", PYCNN_NUM_THREADS=value)
    accepted = "an integer from 1 to 1024 (or unset)"
    assert status == 1
    assert f"ValueError: PYCNN_NUM_THREADS is '{value}'; accepted: {accepted}" in output


def test_set_num_threads():
    before = native.get_num_threads()
    try:
        native.set_num_threads(7)
        assert native.get_num_threads() == 7
        native.set_num_threads(np.int64(3))
        assert pycnn.config.get_num_threads() == 3
        for bad in (0, -1, 1025, 2**31, 2**70, -(2**70)):
            with pytest.raises(ValueError, match="the number of threads is -?[0-9]+; accepted: an"):
                native.set_num_threads(bad)
        for bad in (None, True, 1.0, "2", [2], np.float32(2)):
            with pytest.raises(
                TypeError, match="the number of threads is .*; accepted: an integer"
            ):
                native.set_num_threads(bad)
        assert native.get_num_threads() == 3
    finally:
        native.set_num_threads(before)


# --- convolution geometry -------------------------------------------------------------------------

CONVOLUTION = {
    "x_shape": (2, 6, 17, 13),
    "w_shape": (4, 3, 3, 5),
    "stride": (2, 1),
    "padding": (1, 0, 2, 3),
    "dilation": (2, 1),
    "groups": 2,
}


def output_shape(**changes):
    return native.conv2d_output_shape(**{**CONVOLUTION, **changes})


def counted_output_shape(x_shape, w_shape, stride, padding, dilation, groups):
    """The same by counting the places where the dilated filter fits."""

    def places(size, taps, stride, before, after, dilation):
        reach = dilation * (taps - 1)
        return sum(1 for start in range(0, before + size + after - reach, stride))

    (n, _, h, w), (k, _, r, s) = x_shape, w_shape
    top, bottom, left, right = padding
    p = places(h, r, stride[0], top, bottom, dilation[0])
    q = places(w, s, stride[1], left, right, dilation[1])
    return n, k, p, q


@pytest.mark.smoke
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"x_shape": (0, 6, 17, 13)},
        {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)},
        {"x_shape": (1, 6, 5, 5), "padding": (0, 0, 0, 0)},
        {"stride": (50, 7)},
        {"x_shape": (1, 6, 1, 1), "w_shape": (2, 3, 1, 1), "padding": (0, 0, 0, 0)},
        {"padding": (0, 9, 30, 0), "dilation": (7, 9)},
        {"x_shape": [2, 6, 17, 13], "stride": np.array([2, 1]), "groups": np.uint8(2)},
    ],
)
def test_output_shape(changes):
    assert output_shape(**changes) == counted_output_shape(**{**CONVOLUTION, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_shape": (-1, 6, 17, 13)}, r"x_shape\[0\] is -1; accepted: an integer of at least 0"),
        ({"x_shape": (2, 6, 0, 13)}, r"x_shape\[2\] is 0; accepted: an integer of at least 1"),
        ({"x_shape": (2, 6, 17)}, r"x_shape is \(2, 6, 17\); accepted: 4 integers"),
        ({"x_shape": ()}, r"x_shape is \(\); accepted: 4 integers"),
        ({"x_shape": range(10**6)}, r"x_shape is range\(0, 1000000\); accepted: 4 integers"),
        ({"w_shape": (4, 3, 3, 0)}, r"w_shape\[3\] is 0; accepted: an integer of at least 1"),
        (
            {"w_shape": (4, 2, 3, 5)},
            r"w_shape\[1\] is 2; accepted: the input channels per group, 3",
        ),
        ({"stride": (0, 1)}, r"stride\[0\] is 0; accepted: an integer of at least 1"),
        ({"stride": (1, -3)}, r"stride\[1\] is -3; accepted"),
        ({"padding": (1, 0, -2, 3)}, r"padding\[2\] is -2; accepted: an integer of at least 0"),
        ({"padding": (1, 1)}, r"padding is \(1, 1\); accepted: 4 integers"),
        ({"dilation": (1, 0)}, r"dilation\[1\] is 0; accepted"),
        ({"dilation": (9, 1)}, r"the dilated filter's height is 19; accepted: at most .*, 18"),
        ({"dilation": (1, 5)}, r"the dilated filter's width is 21; accepted: at most .*, 18"),
        (
            {"dilation": (2**31 - 1, 1)},
            r"the dilated filter's height is 4294967295; accepted: at most",
        ),
        ({"dilation": (2**31, 2**31)}, r"the dilated filter's height is 4294967297; accepted"),
        ({"dilation": (2**62, 1)}, r"the dilated filter is 4611686018427387904 \* 2; accepted"),
        ({"dilation": (HUGE, 1)}, r"the dilated filter is 9223372036854775807 \* 2; accepted"),
        ({"dilation": (HUGE + 1, 1)}, r"dilation\[0\] is 9223372036854775808; .* 64 bits"),
        ({"padding": (HUGE, 0, 0, 0)}, r"the padded input is 17 \+ 9223372036854775807; accepted"),
        ({"padding": (2**62, 2**62, 0, 0)}, r"the padded input is .*; accepted: .* 63 bits"),
        ({"padding": (2**40, 0, 2**40, 0)}, r"y's number of bytes is .*; accepted: .* 63 bits"),
        ({"x_shape": (2**40, 6, 2**10, 2**10)}, r"x's number of bytes is .*; accepted"),
        ({"w_shape": (2**61, 3, 3, 5)}, r"w's number of bytes is .*; accepted"),
        ({"groups": 0}, r"groups is 0; accepted: an integer of at least 1"),
        ({"groups": 4}, r"groups is 4; accepted: a divisor of the input channels, 6"),
        ({"groups": 3}, r"groups is 3; accepted: a divisor of the output channels, 4"),
        ({"groups": -(2**100)}, r"groups is -1267650600228229401496703205376; .* 64 bits"),
    ],
)
def test_refused_convolutions(changes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        output_shape(**changes)


class HasBrokenIndex:
    def __index__(self):
        raise ZeroDivisionError("from __index__")


class HasBrokenRepr:
    def __repr__(self):
        raise RuntimeError("from __repr__")


class HasBrokenItems:
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise KeyError("from __getitem__")


@pytest.mark.parametrize("argument", CONVOLUTION)
@pytest.mark.parametrize(
    "value", [None, 1.5, "2222", b"2222", {1, 2}, object(), HasBrokenRepr(), np.float64(2), True]
)
def test_arguments_of_a_wrong_type_are_refused_by_name(argument, value):
    with pytest.raises(TypeError, match=rf"^{argument} is .*; accepted: "):
        output_shape(**{argument: value})


@pytest.mark.parametrize("argument", [name for name in CONVOLUTION if name != "groups"])
@pytest.mark.parametrize("value", [None, 1.5, "2", False, (1,), HasBrokenRepr()])
def test_elements_of_a_wrong_type_are_refused_by_name(argument, value):
    good = CONVOLUTION[argument]
    with pytest.raises(TypeError, match=rf"^{argument}\[1\] is .*; accepted: an integer"):
        output_shape(**{argument: (good[0], value, *good[2:])})


def test_errors_of_the_caller_s_own_objects_pass_through():
    with pytest.raises(ZeroDivisionError, match="from __index__"):
        output_shape(groups=HasBrokenIndex())
    with pytest.raises(KeyError, match="from __getitem__"):
        output_shape(x_shape=HasBrokenItems())


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ValueError, match=r"^x_shape is .{80}\.\.\.; accepted: 4 integers$"):
        output_shape(x_shape=tuple(range(10**4)))


# --- arrays ---------------------------------------------------------------------------------------

DTYPES = ["float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8"]


def numpy_dtype(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def channels_last(shape, dtype=np.float32):
    n, c, h, w = shape
    return np.zeros((n, h, w, c), dtype).transpose(0, 3, 1, 2)


@pytest.mark.smoke
@pytest.mark.parametrize("dtype", DTYPES)
def test_accepted_arrays(dtype):
    x = np.zeros((2, 3, 4, 5), numpy_dtype(dtype))
    native.check_array(x, "x", shape=(2, 3, 4, 5), dtypes=[dtype], layout="contiguous", output=True)
    others = [name for name in DTYPES if name != dtype]
    with pytest.raises(TypeError, match=rf"^x's dtype is {dtype}; accepted: {', '.join(others)}$"):
        native.check_array(x, "x", dtypes=others)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(()),
        np.zeros((0,)),
        np.zeros((3, 0, 2)),
        np.zeros((2,) * 8),
        np.zeros((4, 6))[::2, ::-3],
        np.broadcast_to(np.zeros(1), (1000, 1000)),
        as_strided(np.zeros(1), (2**30, 2**29), (0, 0)),
    ],
    ids=lambda a: f"{a.shape}",
)
def test_any_strides_may_be_read(array):
    native.check_array(array, "x")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([1.0, 2.0], r"x is \[1.0, 2.0\]; accepted: a numpy.ndarray"),
        (None, "x is None; accepted: a numpy.ndarray"),
        (np.float32(1), r"x is np.float32\(1.0\); accepted: a numpy.ndarray"),
        (memoryview(b"abc"), "x is <memory at .*>; accepted: a numpy.ndarray"),
        (np.zeros(2, np.uint16), r"x's dtype is dtype\('uint16'\); accepted: float16, bfloat16"),
        (np.zeros(2, complex), r"x's dtype is dtype\('complex128'\); accepted"),
        (np.zeros(2, np.longdouble), r"x's dtype is dtype\('.*float.*'\); accepted"),
        (np.zeros(2, object), r"x's dtype is dtype\('O'\); accepted"),
        (np.zeros(2, "V2"), r"x's dtype is dtype\('V2'\); accepted"),
        (np.zeros(2, "S4"), r"x's dtype is dtype\('S4'\); accepted"),
        (np.zeros(2, [("a", "f4")]), r"x's dtype is dtype\(\[\('a', '<f4'\)\]\); accepted"),
        (np.zeros(2, ml_dtypes.float8_e5m2), r"x's dtype is dtype\(float8_e5m2\); accepted"),
        (np.zeros(2, np.dtype("f4").newbyteorder()), r"accepted: .* in this machine's byte order"),
    ],
)
def test_what_is_no_array_of_ours(array, message):
    with pytest.raises(TypeError, match=message):
        native.check_array(array, "x")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1,) * 9), "x's number of axes is 9; accepted: at most 8"),
        (np.zeros(9, np.uint8)[1:].view(np.float32), "x is misaligned; accepted: data aligned"),
        (
            np.ndarray((2,), np.float32, bytearray(16), strides=(6,)),
            "x's byte stride of axis 0 is 6; accepted: a multiple of 4",
        ),
    ],
)
def test_arrays_no_kernel_can_address(array, message):
    with pytest.raises(ValueError, match=message):
        native.check_array(array, "x")


def test_shape():
    x = np.zeros((2, 3))
    for shape in [(3, 2), (2,), (2, 3, 1), (), (2, -3), (2, 2**63 - 1)]:
        with pytest.raises(ValueError, match=r"^x's shape is \(2, 3\); accepted: \("):
            native.check_array(x, "x", shape=shape)
    native.check_array(np.zeros(()), "x", shape=())
    with pytest.raises(ValueError, match=r"^x's shape is \(5,\); accepted: \(\)$"):
        native.check_array(np.zeros(5), "x", shape=())
    with pytest.raises(ValueError, match=r"^shape is .*; accepted: at most 8 integers"):
        native.check_array(x, "x", shape=range(9))
    with pytest.raises(TypeError, match=r"^shape\[1\] is None; accepted: an integer"):
        native.check_array(x, "x", shape=(2, None))


@pytest.mark.parametrize(
    ("array", "contiguous", "is_channels_last"),
    [
        (np.zeros((2, 3, 4, 5)), True, False),
        (channels_last((2, 3, 4, 5)), False, True),
        (np.zeros((2, 1, 4, 5)), True, True),
        (np.zeros((2, 3, 1, 1)), True, True),
        (channels_last((1, 3, 1, 1)), True, True),
        (np.zeros((0, 3, 4, 5)), True, True),
        (np.zeros((2, 3, 4, 10))[..., ::2], False, False),
        (channels_last((2, 6, 4, 5))[:, :3], False, False),
        (np.zeros((2, 3, 4, 5)).transpose(1, 0, 2, 3), False, False),
        (np.zeros((4, 5)), True, False),
        (np.zeros((4, 5))[::-1], False, False),
    ],
    ids=lambda value: f"{value.shape}" if isinstance(value, np.ndarray) else "",
)
def test_layout(array, contiguous, is_channels_last):
    for layout, holds in [("contiguous", contiguous), ("channels_last", is_channels_last)]:
        if holds:
            native.check_array(array, "x", layout=layout)
        else:
            message = rf"^x's memory format is shape \(.*\) with strides .*; accepted: {layout[:8]}"
            with pytest.raises(ValueError, match=message):
                native.check_array(array, "x", layout=layout)


def test_outputs():
    for array in (
        np.zeros((4, 6))[::2, ::-3],
        channels_last((2, 3, 4, 5)),
        np.zeros((3, 5)).T,
        np.zeros((0, 3)),
        as_strided(np.zeros(8), (2, 3), (40, 16)),
    ):
        native.check_array(array, "y", output=True)
    for array in (
        as_strided(np.zeros(4), (3, 4), (0, 8)),
        as_strided(np.zeros(8), (3, 3), (16, 8)),
        as_strided(np.zeros(9), (2, 2, 2), (32, 16, 16)),
        as_strided(np.zeros(2), (2**20, 2), (0, 8)),
    ):
        with pytest.raises(ValueError, match=r"^y's strides is .*; accepted: strides under which"):
            native.check_array(array, "y", output=True)
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    native.check_array(frozen, "y")
    with pytest.raises(ValueError, match="^y is read-only; accepted: a writable array"):
        native.check_array(frozen, "y", output=True)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"dtypes": ["float33"]}, ValueError, r"^dtypes\[0\] is 'float33'; accepted: float16"),
        ({"dtypes": [np.float32]}, TypeError, r"^dtypes\[0\] is .*; accepted: a string"),
        ({"dtypes": "float32"}, TypeError, r"^dtypes is 'float32'; accepted: a sequence"),
        ({"layout": "NHWC"}, ValueError, "^layout is 'NHWC'; accepted: 'any', 'contiguous'"),
        ({"layout": None}, TypeError, "^layout is None; accepted: a string"),
        ({"shape": 3}, TypeError, "^shape is 3; accepted: a sequence of integers"),
        ({"name": b"x"}, TypeError, "^name is b'x'; accepted: a string"),
    ],
)
def test_check_array_s_own_arguments(keywords, error, message):
    with pytest.raises(error, match=message):
        native.check_array(**{"array": np.zeros(3), "name": "x", **keywords})
