"""What inspect says of a kernel, without a GPU: sources, refusals, resources."""

from __future__ import annotations

import json
import math
import os
import re
import struct
import subprocess
import sys

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner

from pycnn import dispatch
from pycnn.cli import main
from pycnn.kernels import mode
from pycnn.study import cubins, resources, sass
from pycnn.study.occupancy import occupancy, waves

CUDA = pytest.mark.skipif(cubins.why_not() is not None, reason=str(cubins.why_not()))


def run(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


# --- what is compiled for nothing -----------------------------------------------------------------


def test_the_source_is_printed():
    both = run("conv2d_depthwise", "--source")
    assert both.exit_code == 0
    assert "# --- kernels/conv2d_depthwise.py\n" in both.output
    assert "def _patches(" in both.output
    only = run("max_pool2d", "--source", "--provider", "triton").output
    assert "tl.load" in only and "__global__" not in only
    wrong = run("softmin", "--source")
    assert wrong.exit_code == 1 and "no kernel is called 'softmin'; there are add_" in wrong.output


@pytest.mark.skipif(not cubins.stems(), reason="an installation without the CUDA sources")
def test_the_cuda_source_is_the_kernel_not_its_launcher_alone():
    text = run("conv2d_depthwise", "--source", "--provider", "cuda").output
    for name in ("conv2d_depthwise.cu", "conv2d_depthwise.cuh", "conv2d_depthwise_wgrad.cuh"):
        assert f"// --- cuda/{name}\n" in text
    assert "depthwise_gather_kernel(" in text and "tl.load" not in text


def test_an_answer_for_every_layer_as_from_the_entries():
    found = resources.answers("conv2d_depthwise")
    kernels = {f"{e.provider}/{e.algorithm}" for e in dispatch.entries("conv2d_fprop")}
    assert {a.kernel for a in found} == {"triton/depthwise", "cuda/depthwise"} & kernels
    taken = {a.kernel: a.layers for a in found if a.reason is None}
    assert set(taken.values()) == {("xcep.dw147", "xcep.dw19")}
    refused = next(a for a in found if a.reason is not None)
    assert refused.primitives == ("conv2d_fprop", "conv2d_dgrad", "conv2d_wgrad")
    assert "takes one channel per group, not 1 groups of 3 channels" == refused.reason
    assert refused.layers[0] == "vgg.c1_1" and len(refused.layers) == 27
    output = run("conv2d_depthwise", "--refusals", "--layer", "rn50.stem").output
    assert "refuses: takes one channel per group" in output
    assert "rn50.stem" in output and "vgg" not in output.split("named layers")[1].replace(
        "(so vgg.c1_1)", ""
    )


def test_a_memory_format_is_named_where_it_matters():
    found = [a for a in resources.answers("conv2d_tensor_core") if a.kernel == "cuda/tensor_core"]
    if not found:
        pytest.skip("the CUDA kernels' entries need pycnn._emulated")
    taken = next(a for a in found if a.reason is None)
    assert "vgg.c3_2 (channels_last)" in taken.layers
    refused = next(a for a in found if a.reason and "channels-last" in a.reason)
    assert "vgg.c3_2 (contiguous)" in refused.layers and "vgg.c3_2" not in refused.layers


@pytest.mark.parametrize(
    "kernel, primitive, provider, algorithm, belongs",
    [
        ("conv2d_depthwise", "conv2d_fprop", "cuda", "depthwise", True),
        ("conv2d_depthwise", "conv2d_fprop", "cuda", "naive", False),
        ("conv2d_depthwise", "conv2d_fprop", "native", "depthwise", False),
        ("conv2d_implicit_gemm_dgrad", "conv2d_dgrad", "cuda", "implicit_gemm", True),
        ("conv2d_implicit_gemm_dgrad", "conv2d_fprop", "cuda", "implicit_gemm", False),
        ("conv2d_tensor_core", "conv2d_fprop", "cuda", "tf32", True),
        ("conv2d_transposed", "conv2d_dgrad", "cuda", "pixel_shuffle", True),
        ("batch_norm_sums", "batch_norm_stats", "cuda", "direct", True),
        ("batch_norm_sums", "batch_norm_apply", "cuda", "direct", False),
        ("im2col", "col2im", "cuda", "direct", True),
        ("gemm", "gemm", "cuda", "tensor_core", True),
    ],
)
def test_which_entries_belong_to_a_file(kernel, primitive, provider, algorithm, belongs):
    entry = dispatch.Entry(
        primitive, provider, algorithm, print, dispatch.refuses_nothing, ("cpu",), None
    )
    assert resources.is_of(entry, kernel) is belongs


def test_every_kernel_on_file_has_entries():
    files = {getattr(e.function, "stem", None) for e in dispatch.entries()} - {None}
    for stem in files:
        assert any(resources.is_of(e, stem) for e in dispatch.entries()), stem


def test_architectures_and_forms_that_are_not_there():
    result = run("gemm", "--arch", "sm_35")
    assert result.exit_code == 2 and "sm_35, whose limits are not known" in result.output
    result = run("gemm", "--provider", "cuda", "--ttgir")
    assert result.exit_code == 1 and "nvcc shows no IR before PTX" in result.output


# --- compiled -------------------------------------------------------------------------------------

TRITON = """
import json
from pycnn.study import aot, resources
aot.compile_mode()
options = {"layer": "rn50.l1.add", "multiprocessors": 100}
for one in resources.of_triton("add_activation", "float16", 90, **options):
    asm = {form: one.texts[form] for form in (*resources.IRS, "ptx", "sass")}
    print(json.dumps([*one._replace(facts=one.facts.as_dict(), texts=asm)]))
"""


@pytest.mark.skipif(mode.why_not() is not None, reason=str(mode.why_not()))
def test_a_triton_kernel():
    done = subprocess.run(
        [sys.executable, "-c", TRITON], capture_output=True, text=True, check=True,
        env={**os.environ, "PYCNN_TRITON": "compile"},
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    name, facts, threads, held, in_flight, texts, layer, primitive, geometry, grid, spread = (
        json.loads(line)
    )
    assert (layer, primitive) == ("rn50.l1.add", "add_activation") and "relu" in geometry
    block = int(re.search(r"BLOCK=(\d+)", name)[1])
    elements = 32 * 256 * 56 * 56
    assert math.prod(grid) == -(-elements // block)
    # what Triton tells ptxas of the block is what the occupancy is computed for
    assert threads == int(re.search(r"\.reqntid (\d+)", texts["ptx"])[1])
    assert held == [*occupancy(90, threads, facts["registers"], facts["shared"])]
    assert spread == [*waves(tuple(grid), held[0], 100)]
    # both operands are loaded before the first is needed: 2 halves for every output of a thread
    assert in_flight == 2 * 2 * block // threads * threads * held[0]
    assert "tt.func" in texts["ttir"] and "#ttg.blocked" in texts["ttgir"]
    assert "define " in texts["llir"] and "STG" in texts["sass"]


def test_launch_bounds_are_read_from_the_elf_file():
    attributes = struct.pack("<BBH3I", 4, 5, 12, 32, 4, 2)
    other = struct.pack("<BBH", 3, 0x1B, 255) + struct.pack("<BBHI", 4, 0x2F, 4, 7)
    names = b"\0.nv.info.f\0.nv.info.g\0.shstrtab\0"
    sections = [(1, other + attributes), (12, other), (23, names)]
    at, table, body = 64, b"", b""
    for name, content in sections:
        table += struct.pack("<2I4Q2I2Q", name, 1, 0, 0, at + len(body), len(content), 0, 0, 1, 0)
        body += content
    header = bytearray(64)
    header[:5] = b"\x7fELF\x02"
    struct.pack_into("<Q", header, 0x28, at + len(body))
    struct.pack_into("<3H", header, 0x3A, 64, len(sections), 2)
    assert resources.launch_bounds(bytes(header) + body + table) == {"f": 256}
    with pytest.raises(ValueError, match="64-bit ELF"):
        resources.launch_bounds(b"MZ")


def test_hoppers_cubins_count_what_the_system_takes(monkeypatch):
    """As nvcc made them of one kernel with 1 KiB of its own, for sm_80 and for sm_90a."""
    shared = {"80": 1024, "90a": 2048}
    line = "REG:32 STACK:0 SHARED:{} LOCAL:0"
    monkeypatch.setattr(cubins, "files_of", lambda kernel: [kernel])
    monkeypatch.setattr(cubins, "cubin", lambda stem, arch: arch.encode())
    monkeypatch.setattr(resources, "launch_bounds", lambda code: {"f": 256})
    monkeypatch.setattr(
        resources, "_functions",
        lambda stem, code: [("k.f", "f", sass.Function(line.format(shared[code.decode()]), ""))],
    )  # fmt: skip
    for arch in (80, 90):
        (one,) = resources.of_cuda("k", arch)
        assert one.facts.shared == 1024 and one.held == occupancy(arch, 256, 32, 1024)


@CUDA
def test_a_cuda_kernel():
    found = {one.name.partition(".")[2]: one for one in resources.of_cuda("add_activation", 80)}
    one = found["add_activation_vector_kernel<float>"]
    source = (cubins.CSRC / "cuda" / "add_activation.cuh").read_text()
    assert one.threads == int(re.search(r"kAddThreads = (\d+)", source)[1])
    assert one.held == occupancy(80, one.threads, one.facts.registers, one.facts.shared)
    assert (
        one.facts
        == dict(cubins.kernels("add_activation", "80"))[
            f"add_activation.{one.name.partition('.')[2]}"
        ]
    )
    # a thread loads 16 bytes of each operand
    assert one.in_flight == 32 * one.threads * one.held.blocks
    assert one.waves is None and "STG.E.128" in one.texts["sass"]
    only = [one.name for one in resources.of_cuda("add_activation", 80, "float64")]
    assert only and all("double" in name for name in only)


@CUDA
def test_the_table_says_what_a_multiprocessor_holds():
    output = run(
        "add_activation", "--provider", "cuda", "--arch", "80", "--dtype", "float64"
    ).output
    assert "on a multiprocessor of sm_80 (A100: 108)" in output
    assert "occupancy" in output and "KiB in flight" in output and "of 64" in output
    assert "Dynamic shared memory is its launcher's" in output
    assert "launched for the named layers" in output and "xcep.add" in output
