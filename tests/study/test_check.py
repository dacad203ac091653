"""`pycnn.study.check`: right kernels are accepted, and what is wrong with the others is named."""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

import pycnn
from pycnn import array
from pycnn.kernels import mode
from pycnn.study import check, check_report, cuda_source, own_kernel, toolkit

from .own_kernels import write

needs_triton = pytest.mark.skipif(mode.why_not() is not None, reason=str(mode.why_not()))
needs_compiler = pytest.mark.skipif(
    cuda_source.why_not("cpu") is not None, reason=str(cuda_source.why_not("cpu"))
)


def direct(folder, *faults):
    """The page's function, imported."""
    path = write(folder, "direct.py", *faults)
    spec = importlib.util.spec_from_file_location("direct_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.conv2d_fprop


def failed(report):
    return [row.case for row in report.failures()]


# --- right and subtly wrong, in the three languages -----------------------------------------------


def test_a_right_python_kernel_is_accepted(tmp_path):
    report = check(direct(tmp_path), "conv2d_fprop")
    assert report.ok and report.check() is report, report.message()
    verdicts = {row.verdict for row in report.rows}
    assert verdicts == {"ok", "refused"}, "epilogues are refused: there is no parameter for them"
    assert report.passed > 40
    refused = [row for row in report.rows if row.verdict == "refused"]
    assert all(row.case.startswith("epilogue") and "epilogue" in row.line for row in refused)
    seen = set().union(*(row.errors for row in report.rows))
    assert seen == {"float32", "float64", "float16", "bfloat16"}


def test_a_dropped_dilation_is_named(tmp_path):
    kernel = direct(tmp_path, ("s * g.dilation_w", "s"))
    report = check(kernel, "conv2d_fprop")
    assert not report and 0 < len(report.failures()) < 6
    assert all("dilation" in row.geometry for row in report.failures())
    message = report.message()
    first = report.failures()[0]
    assert f"the first that fails: {first.case}\n  geometry: {first.geometry}\n" in message
    assert "in common: dilation_w > 1" in message
    with pytest.raises(AssertionError, match="dilation_w > 1"):
        report.check()
    again = check(kernel, "conv2d_fprop", cases=first.case, seed=report.seed)
    assert again.failures() == [first], "the seed brings the same numbers back"


def test_sums_in_half_precision_are_named(tmp_path):
    fault = ("np.float64 if x.dtype == np.float64 else np.float32", "x.dtype.type")
    report = check(direct(tmp_path, fault), "conv2d_fprop", cases="3x3", dtypes=["float16"])
    assert not report
    first = report.failures()[0]
    assert first.where.startswith("float16") and "random numbers" in first.where
    assert "times what it may be" in first.line
    assert "--dtype" not in report.again(first), "a function has no command line"
    report = check(direct(tmp_path, fault), "conv2d_fprop", cases="3x3", dtypes=["float32"])
    assert report, report.message()


@needs_triton
def test_a_triton_kernel_that_reads_past_the_border_is_named(tmp_path):
    """Where the width is odd, one column more passes the mask: in memory it is the next row."""
    assert check(write(tmp_path, "direct_triton.py"), cases="padding_over", device="cpu")
    path = write(tmp_path, "direct_triton.py", ("v < image[1]", "v < image[1] + image[1] % 2"))
    report = check(path, cases="pad", device="cpu", dtypes=["float32"])
    assert report.language == "Triton"
    odd = [r.case for r in report.rows if "W odd" in r.traits and "pad_right != 0" in r.traits]
    assert failed(report) and set(failed(report)) <= set(odd), report.message()
    first = report.failures()[0]
    assert first.geometry in report.message()
    assert f"study check {path} --primitive conv2d_fprop" in report.message()


@needs_compiler
def test_a_right_cuda_kernel_is_accepted_on_the_emulator(tmp_path, cache):
    report = check(write(tmp_path, "direct.cu"), device="cpu")
    assert report.ok, report.message()
    assert report.passed > 40 and report.language == "CUDA C++"
    reasons = {row.line for row in report.rows if row.verdict == "refused"}
    assert reasons == {"the launcher does not ask for the epilogue"}


@pytest.mark.skipif(toolkit.find_nvcc()[0] is None, reason="no nvcc")
def test_a_cuda_kernel_compiles_for_a_gpu(tmp_path, cache):
    library = cuda_source.compile_for(write(tmp_path, "direct.cu"), 90)
    assert b"pycnn_kernel_conv2d_fprop" in library.read_bytes()


@needs_compiler
def test_a_cuda_kernel_that_forgets_groups_is_named(tmp_path, cache):
    fault = ("first = k / (g.K / g.G) * channels", "first = 0")
    report = check(write(tmp_path, "direct.cu", fault), device="cpu", dtypes=["float32"])
    assert failed(report) and all("groups" in row.geometry for row in report.failures())
    assert "in common: G > 1" in report.message()
    assert report.failures()[0].geometry in report.message()


# --- what else may go wrong -----------------------------------------------------------------------


def test_an_exception_a_returned_array_and_nan_are_reported(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def conv2d_fprop(x, w, *, out, geometry):\n    out[...] = x[99]\n")
    report = check(path, cases="1x7")
    assert [row.verdict for row in report.rows] == ["raised"]
    assert "IndexError: index 99 is out of bounds" in report.rows[0].line
    assert report.rows[0].line.endswith("(line 2)") and "Traceback" not in report.message()

    report = check(lambda x, w, out, geometry: x[..., :2], "conv2d_fprop", cases="1x7")
    assert "returned an array of shape (1, 3, 4, 2), and it has to fill `out`" in report.message()

    def most(x, w, *, out, geometry):
        out[:, :, 1:] = 0

    report = check(most, "conv2d_fprop", cases="1x7")
    assert "18 of 72 elements are NaN" in report.message()

    def wrong_shape(x, w, *, out, geometry):
        out[...] = np.zeros((3, 4))

    report = check(wrong_shape, "conv2d_fprop", cases="1x7")
    assert "ValueError: could not broadcast" in report.message()


def test_what_lies_beside_the_arrays_is_watched():
    def writes_its_input(a, b, *, out, geometry, epilogue):
        np.add(a, b, out=out)
        a[..., :1] = 7

    report = check(writes_its_input, "add_activation", dtypes=["float32"])
    assert "bytes of input 0 changed" in report.message()


def test_two_runs_must_give_the_same_bits():
    calls = []

    def wavers(x, *, out, geometry):
        calls.append(1)
        out[...] = np.nextafter(np.float32(1), np.float32(1 + len(calls) % 2))

    report = check(wavers, "softmax_fprop", cases="one_class", dtypes=["float32"])
    assert "two runs on the same numbers differ" in report.message()


def test_refusals_are_counted_and_a_kernel_that_refuses_all_fails(tmp_path):
    def refuses(geometry, operands, epilogue):
        return "it is for one group" if geometry.G != 1 else None

    kernel = direct(tmp_path)
    report = check(kernel, "conv2d_fprop", refuses=refuses, cases="stride_2")
    assert report and "refused" in report.counts()
    assert {r.line for r in report.rows if r.verdict == "refused" and "epil" not in r.case} == {
        "it is for one group"
    }
    report = check(kernel, "conv2d_fprop", refuses=refuses, cases="depthwise")
    assert not report and "refuses every case" in report.message()
    report = check(kernel, "conv2d_fprop", refuses=lambda *a: 1 / 0, cases="1x7")
    assert "in refuses(): ZeroDivisionError" in report.message()


def test_a_crash_and_a_hang_are_lines_of_the_report(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import ctypes, time\n"
        "def conv2d_fprop(x, w, *, out, geometry):\n"
        "    if geometry.G > 1:\n"
        "        ctypes.string_at(8) if geometry.N > 1 else time.sleep(60)\n"
        "    raise ValueError('no')\n"
    )
    report = check(path, cases="grouped")
    assert [row.verdict for row in report.rows] == ["died", "not run"]
    assert "SIGSEGV" in report.rows[0].line and report.rows[0].where.startswith("float32")
    assert "geometry: 2x6x5x4 -> 4" in report.message()
    report = check(path, cases="grouped_stride_2", timeout=2)
    assert [row.verdict for row in report.rows] == ["too slow"]
    assert "longer than 2 s" in report.message()


@needs_compiler
def test_cuda_errors_are_words_and_every_field_arrives(tmp_path, cache):
    path = tmp_path / "mine.cu"
    path.write_text(
        '#include "study/kernel.cuh"\n'
        "__global__ void meet() {\n    if (threadIdx.x > 0) __syncthreads();\n}\n"
        "PYCNN_KERNEL(conv2d_fprop) {\n"
        '    if (call.integer("N") == 1) throw Refused("one image");\n'
        "    launch(meet, dim3(1), dim3(2), 0);\n}\n"
        'PYCNN_KERNEL(conv2d_dgrad) { call.integer("M"); }\n'
        "PYCNN_KERNEL(reduce) {\n"
        '    throw Refused(call.text("op") + " " + std::to_string(call.integer("axes[0]")));\n}\n'
        "PYCNN_KERNEL(dropout) {\n"
        '    throw Refused(std::to_string(call.number("p")) + (call.has_input(2) ? "3" : "2"));\n'
        "}\n"
    )
    with pytest.raises(own_kernel.LoadError, match="several kernels, conv2d_fprop, conv2d_dgrad"):
        own_kernel.load(path, device="cpu")

    def rows(primitive, cases):
        own = own_kernel.load(path, primitive, device="cpu")
        return check(own.function, primitive, cases=cases, dtypes=["float32"]).rows

    unmet, refused = rows("conv2d_fprop", "grouped")
    assert unmet.verdict == "raised" and "__syncthreads() at" in unmet.line
    assert "mine.cu:3" in unmet.line
    assert (refused.verdict, refused.line) == ("refused", "one image")
    (unknown,) = rows("conv2d_dgrad", "1x7")
    assert "the geometry's field is M; accepted: N, C, H, W" in unknown.line
    assert "sum 0" in {row.line for row in rows("reduce", "")}
    assert "0.5000002" in {row.line for row in rows("dropout", "")}
    path.write_text('#include "study/kernel.cuh"\nPYCNN_KERNEL(conv2d_fprop) { nothing(); }\n')
    with pytest.raises(own_kernel.LoadError, match=r"does not compile:(.|\n)*mine.cu:2"):
        own_kernel.load(path, device="cpu")


def test_mistakes_are_one_sentence(tmp_path):
    def kernel(x, w, *, out, geometry):
        pass

    with pytest.raises(ValueError, match="primitive: got 'conv3d', expected one of conv2d_fprop"):
        check(kernel, "conv3d")
    with pytest.raises(ValueError, match="primitive: which one"):
        check(kernel)
    with pytest.raises(ValueError, match=r"is not called as conv2d_fprop\(x, w, \*, out, geometry"):
        check(lambda x: x, "conv2d_fprop")
    with pytest.raises(ValueError, match="dtypes: got .'int7'"):
        check(kernel, "conv2d_fprop", dtypes=["int7"])
    with pytest.raises(ValueError, match="cases: no case of conv2d_fprop holds 'none'"):
        check(kernel, "conv2d_fprop", cases="none")
    with pytest.raises(ValueError, match="device: got 'tpu', expected 'cpu'"):
        check(kernel, "conv2d_fprop", device="tpu")
    if array.gpu_status() is not None:
        with pytest.raises(ValueError, match="device: got 'cuda', but cupy"):
            check(kernel, "conv2d_fprop", device="cuda")
    for text, words in (
        ("x = 1 / 0", r"does not load: ZeroDivisionError: division by zero \(line 1\)"),
        ("def f(): pass", "names no kernel after a primitive.*It defines f"),
        ("def gemm(a): pass", r"gemm\(a\) is not called as gemm\(a, b"),
    ):
        (tmp_path / "mine.py").write_text(text)
        with pytest.raises(own_kernel.LoadError, match=words):
            own_kernel.load(tmp_path / "mine.py")
    with pytest.raises(own_kernel.LoadError, match="there is no file"):
        own_kernel.load(tmp_path / "other.py")
    shutil.copy(tmp_path / "mine.py", tmp_path / "mine.txt")
    with pytest.raises(own_kernel.LoadError, match="expected a .py or .cu file"):
        own_kernel.load(tmp_path / "mine.txt")
    (tmp_path / "mine.cu").write_text("int x;")
    if cuda_source.why_not("cpu") is None:
        with pytest.raises(own_kernel.LoadError, match="has no launcher"):
            own_kernel.load(tmp_path / "mine.cu")


def test_without_the_sources_a_cuda_file_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_source, "CSRC", tmp_path / "csrc")
    (tmp_path / "mine.cu").write_text("PYCNN_KERNEL(gemm) {}")
    with pytest.raises(own_kernel.LoadError, match="run from a checkout of pycnn's sources"):
        own_kernel.load(tmp_path / "mine.cu", device="cpu")


def test_what_failures_have_in_common():
    def row(verdict, *traits, where="float32"):
        return check_report.CaseRow("", "", verdict, traits=list(traits), where=where)

    ok = [row("ok", "W odd") for _ in range(10)]
    both = [row("wrong", "W odd", "G > 1"), row("raised", "G > 1")]
    assert check_report.in_common(ok + both) == "G > 1 in all 2 that fail, and in none that passed"
    assert check_report.in_common([*ok, row("wrong", "G > 1")]) == "", "one case is no pattern"
    spread = [row("wrong", "W odd"), row("wrong", "W odd")]
    assert check_report.in_common(ok + spread) == "", "those that pass have it too"
    halves = [row("wrong", where="float16, ..."), row("wrong", where="bfloat16, ...")]
    assert check_report.in_common(ok + halves) == "only halves fail (float16, bfloat16)"


def test_the_time_beside_pycnn_and_pytorch(tmp_path, monkeypatch):
    from pycnn.benchmarks import clock, measure
    from pycnn.study import side_by_side

    asked = []

    def interleaved(functions, seconds):
        asked.append(list(functions))
        for function in functions.values():
            function()
        return {name: measure.Times(*[2.0 + i] * 4) for i, name in enumerate(functions)}

    monkeypatch.setattr(clock, "interleaved", interleaved)
    monkeypatch.setattr(measure.Idle, "wait", lambda self: 0.5)
    layers = side_by_side.layers_of("conv2d_fprop")[:2]
    monkeypatch.setattr(side_by_side, "layers_of", lambda *arguments: layers)
    kernel = direct(tmp_path)
    report = check(kernel, "conv2d_fprop", cases="3x3_valid", bench=True)
    first, *rest = report.times
    assert first["layer"] == layers[0].layer and first["error"] < 1e-5
    assert first["own"] == 2.0 and first["ours"] == 3.0 and first["torch"] == 4.0
    assert first["others_busy"] == 0.5
    assert first["kernel"].split("/")[0] in ("native", "reference")
    assert "would take too long" in rest[-1]["note"], "2 s for the cheapest layer"
    assert [name.split("/")[0] for name in asked[0]][0] == "yours"
    assert pycnn.study.check is check
