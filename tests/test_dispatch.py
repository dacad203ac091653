"""select, using, explain, trace: who runs, and who says so."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import pycnn
from pycnn import array, dispatch, providers
from pycnn import functional as F
from pycnn.geometry import conv2d_geometry

pytestmark = pytest.mark.smoke

_CMAKE = (Path(__file__).parent.parent / "CMakeLists.txt").read_text(encoding="utf-8")
_PER_ISA = _CMAKE.partition("set(PER_ISA_SOURCES\n")[2].partition(")")[0]


@pytest.fixture
def table(monkeypatch):
    """A copy of the table that the test may change, with the reference's kernels alone."""
    dispatch.entries()
    reference = {
        name: [e for e in group if e.provider == "reference"]
        for name, group in dispatch._table.items()
    }
    monkeypatch.setattr(dispatch, "_table", reference)
    dispatch.select.cache_clear()
    yield dispatch._table
    dispatch.select.cache_clear()


X, W = pycnn.ones(1, 2, 5, 5), pycnn.ones(3, 2, 3, 3)
GEOMETRY = conv2d_geometry((1, 2, 5, 5), (3, 2, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1)


def fill(value):
    def kernel(*inputs, out, geometry, epilogue):
        out[...] = value

    return kernel


def test_every_primitive_has_a_reference_kernel_that_refuses_nothing():
    for primitive in dispatch.PRIMITIVES:
        references = [e for e in dispatch.entries(primitive) if e.provider == "reference"]
        assert references, primitive
        assert any(e.refuses is dispatch.refuses_nothing for e in references), primitive
        assert all(set(e.devices) == {"cpu", "cuda"} for e in references), primitive


def test_every_reference_kernel_documents_itself():
    """A kernel's keys stand in its docstring, or in its file's where several share them."""
    for entry in dispatch.entries():
        if entry.provider != "reference":
            continue
        doc = f"{entry.function.__doc__}\n{sys.modules[entry.function.__module__].__doc__}"
        for key in ("Computes", "Arrays", "Numerics"):
            assert re.search(rf"^\s*{key}\b", doc, re.M), (
                f"{entry.primitive} {entry.algorithm}: no {key}"
            )


# sources that are parts of kernels, which document them
_PARTS = (
    "isa_build",
    "blocks",
    "conv2d",
    "elementwise_double",
    "elementwise_float",
    "elementwise_integer",
)
KERNEL_SOURCES = sorted(
    path
    for path in Path(__file__).parent.parent.glob("csrc/cpu/*.cpp")
    if re.search(rf"csrc/cpu/{path.name}$", _PER_ISA, re.M) and path.stem not in _PARTS
)


@pytest.mark.parametrize("source", KERNEL_SOURCES, ids=lambda path: path.stem)
def test_every_native_kernel_documents_itself(source):
    head = source.read_text(encoding="utf-8").split("#include")[0]
    for key in ("Computes", "Arrays", "Threads", "Numerics"):
        assert re.search(rf"^// {key}\b", head, re.M), f"{source.name}: no {key}"


def test_a_preferred_provider_is_tried_first_and_its_refusal_falls_through(table):
    refusals = []

    def refuses(geometry, operands, epilogue):
        refusals.append((geometry, operands[0].memory_format, epilogue))
        return "only channels-last" if operands[0].memory_format != "channels_last" else None

    dispatch.register("conv2d_fprop", "native", "direct", refuses)(fill(7))
    assert float(F.conv2d(X, W)[0, 0, 0, 0]) == 18
    assert refusals == [(GEOMETRY, "contiguous", None)]
    assert float(F.conv2d(X.contiguous(memory_format="channels_last"), W)[0, 0, 0, 0]) == 7
    count = len(refusals)
    F.conv2d(X, W)
    assert len(refusals) == count, "the choice is cached"


def test_a_slower_algorithm_is_passed_over_unless_asked_for_or_alone(table):
    def slower(geometry, operands):
        return "11 ms, direct takes 7" if geometry.H < 14 else None

    dispatch.register("conv2d_fprop", "native", "winograd", slower=slower)(fill(7))
    assert float(F.conv2d(X, W)[0, 0, 0, 0]) == 7, "no other algorithm of its provider"
    dispatch.register("conv2d_fprop", "native", "direct")(fill(8))
    assert float(F.conv2d(X, W)[0, 0, 0, 0]) == 8
    assert float(F.conv2d(pycnn.ones(1, 2, 14, 14), W)[0, 0, 0, 0]) == 7
    with pycnn.using(algorithm="winograd"):
        assert float(F.conv2d(X, W)[0, 0, 0, 0]) == 7
    note = "native/winograd: can run, slower here: 11 ms, direct takes 7"
    assert note in pycnn.explain("conv2d_fprop", X, W, geometry=GEOMETRY)


def test_registering_clears_the_cache_and_replaces(table):
    F.conv2d(X, W)
    dispatch.register("conv2d_fprop", "native", "direct")(fill(7))
    assert float(F.conv2d(X, W)[0, 0, 0, 0]) == 7
    dispatch.register("conv2d_fprop", "native", "direct")(fill(8))
    assert float(F.conv2d(X, W)[0, 0, 0, 0]) == 8
    assert len([e for e in table["conv2d_fprop"] if e.provider == "native"]) == 1


def test_using_runs_or_raises(table):
    dispatch.register("conv2d_fprop", "triton", "direct", lambda g, o, e: "it is Tuesday")(fill(7))
    assert float(F.conv2d(X, W)[0, 0, 0, 0]) == 18, "interpreted kernels are not chosen unasked"
    with pycnn.using("triton"):
        with pytest.raises(
            pycnn.NoKernel, match=r"conv2d_fprop 1x2x5x5.*triton/direct: it is Tuesday"
        ):
            F.conv2d(X, W)
        with pytest.raises(pycnn.NoKernel, match="elementwise.*triton has no kernel for it on cpu"):
            F.relu(X)
        with pycnn.using("reference"):
            F.conv2d(X, W)
    F.conv2d(X, W)


def test_using_names_what_it_does_not_know(monkeypatch):
    with (
        pytest.raises(ValueError, match="provider: got 'cudnn', expected one of reference"),
        pycnn.using("cudnn"),
    ):
        raise AssertionError("not reached")
    with pytest.raises(ValueError, match="algorithm: got 'magic', expected 'auto' or one of"):
        F.conv2d(X, W, algorithm="magic")
    monkeypatch.setattr(providers, "status", lambda name: (False, "it is not there"))
    with (
        pytest.raises(RuntimeError, match="provider 'cuda' cannot be used: it is not there"),
        pycnn.using("cuda"),
    ):
        raise AssertionError("not reached")


def test_provider_and_algorithm_on_a_call_bind_its_backward_too():
    x, w = X.detach().clone().requires_grad_(), W.detach().clone().requires_grad_()
    with pycnn.trace() as t:
        F.conv2d(x, w, provider="reference", algorithm="naive").sum().backward()
    ran = {r.primitive: r.algorithm for r in t.records}
    assert ran["conv2d_fprop"] == ran["conv2d_dgrad"] == ran["conv2d_wgrad"] == "naive"
    with pycnn.trace() as t:
        F.conv2d(x, w, algorithm="auto")
    assert t.records[0].algorithm == "direct"


def test_the_tuning_table_orders(table, monkeypatch):
    row = {
        "primitive": "conv2d_fprop",
        "device": "cpu",
        "provider": "reference",
        "algorithm": "im2col",
        "measured": "",
    }
    monkeypatch.setattr(providers.tuning, "ROWS", (row,))
    with pycnn.trace() as t:
        F.conv2d(X, W)
    assert t.records[0].algorithm == "im2col"


def test_environment_chooses_a_provider():
    code = "import pycnn; pycnn.functional.relu(pycnn.ones(1))"
    run = lambda name: subprocess.run(
        [sys.executable, "-c", code], env={"PYCNN_PROVIDER": name}, capture_output=True, text=True
    )
    assert run("reference").returncode == 0
    assert "PYCNN_PROVIDER: got 'cudnn'" in run("cudnn").stderr
    assert run("cuda").returncode == 0, "emulated"


def test_explain_names_the_chosen_and_every_reason(table):
    dispatch.register("conv2d_fprop", "native", "direct", lambda g, o, e: "too small")(fill(7))
    dispatch.register("conv2d_fprop", "triton", "implicit_gemm")(fill(7))
    text = pycnn.explain("conv2d_fprop", X, W, geometry=GEOMETRY)
    assert "-> reference/direct: chosen" in text
    assert "native/direct: refuses: too small" in text
    assert (
        "triton/implicit_gemm: not considered: provider 'triton' is not chosen automatically on cpu"
        in text
    )
    assert "reference/naive: not considered: a naive rung runs only when asked for by name" in text
    with pycnn.using("triton"):
        assert "-> triton/implicit_gemm: chosen" in pycnn.explain(
            "conv2d_fprop", X, W, geometry=GEOMETRY
        )
    with pytest.raises(ValueError, match="primitive: got 'conv3d'"):
        pycnn.explain("conv3d", X)


def test_trace_counts_bytes_flops_and_arrays():
    with pycnn.using("reference"), pycnn.trace() as t:
        F.conv2d(X, W)
        X.sort()
    record = t.records[0]
    assert record[:3] == ("conv2d_fprop", "reference", "direct") and record.geometry == GEOMETRY
    assert record.flops == 2 * 3 * 9 * 2 * 9
    assert record.bytes == 4 * (2 * 25 + 3 * 2 * 9 + 3 * 9) and record.seconds > 0
    assert t.records[-1].provider == "array"
    assert "conv2d_fprop" in t.table() and "reference/direct" in str(t)
    F.conv2d(X, W)
    assert len([r for r in t.records if r.primitive == "conv2d_fprop"]) == 1, (
        "only what runs inside is recorded"
    )


def test_contexts_belong_to_their_thread():
    seen = []
    with pycnn.using("reference", "naive"), pycnn.trace() as t:
        thread = threading.Thread(target=lambda: seen.append(F.conv2d(X, W)))
        thread.start()
        thread.join()
    assert len(seen) == 1 and not t.records


def test_register_refuses_an_unknown_primitive():
    with pytest.raises(ValueError, match="primitive: got 'conv9d', expected one of"):
        dispatch.register("conv9d", "reference", "direct")


def test_describe_tells_layout_and_alignment():
    a = np.zeros((2, 3, 4, 5), np.float32)
    assert array.describe(a) == (np.dtype("float32"), 4, "contiguous", True, False, True, True)
    last = array.empty((2, 3, 4, 5), np.dtype("float32"), "channels_last")
    assert array.describe(last)[2:] == ("channels_last", False, True, True, True)
    assert array.describe(a[:, :, ::2])[2:5] == ("strided", False, False)
    flat = np.zeros(33, np.float32)
    start = (-array.data_pointer(flat) % 16) // 4
    assert array.describe(flat[start : start + 4]).aligned
    assert not array.describe(flat[start + 1 : start + 5]).aligned
    assert array.describe(flat[start + 1 : start + 5]).element_aligned
    off = np.zeros(17, np.uint8)[1:].view(np.float32)
    assert not array.describe(off).element_aligned


def test_provider_status_names_all_four():
    status = {name: (usable, note) for name, usable, note in dispatch.provider_status()}
    assert tuple(status) == ("reference", "native", "triton", "cuda")
    assert status["reference"][0] and "kernels for" in status["reference"][1]
    assert all(note for _, note in status.values())
