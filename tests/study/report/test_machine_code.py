"""Excerpts of machine code show the instructions that matter, in bounded time."""

import subprocess
import sys
import time

import pytest

from pycnn.study import cubins
from pycnn.study.report import machine_code
from pycnn.study.report.machine_code import Excerpt

SASS = "".join(
    f"        /*{16 * i:04x}*/                   {word} ;   /* 0x0000 */\n"
    for i, word in enumerate(["MOV R1, R2"] * 60 + ["@P0 HMMA.16816.F32 R4, R5"] * 30)
)


def test_sass_is_cut_around_the_densest_instructions():
    lines = machine_code.sass_excerpt(SASS).splitlines()
    assert lines[0] == "... 42 lines" and len(lines) == machine_code.LINES + 1
    assert lines[-1] == "   590  @P0 HMMA.16816.F32 R4, R5 ;"
    assert sum("HMMA" in line for line in lines) == 30
    # half-precision additions are called ".MMA" and are none
    assert "..." not in machine_code.sass_excerpt("/*0000*/   HFMA2.MMA R2, -RZ ;")


def test_ptx_loses_what_is_about_lines():
    text = "// made\n\t.loc\t1 2 3\n" + "\tmov.b32 \t%r1, %r2;\n" * 60 + "\tfma.rn.f32 \t%f1;\n" * 3
    lines = machine_code.ptx_excerpt(text).splitlines()
    assert not any(".loc" in line or "//" in line for line in lines)
    assert sum("fma.rn" in line for line in lines) == 3


def test_memory_accesses_outweigh_the_slow_path_of_a_division():
    loads = "\tld.global.v4.b32 {%r1};\n" * 4
    text = loads + "\tadd.s32 %r1;\n" * 99 + "\tfma.rn.f32 \t%f1;\n" * 15
    assert machine_code.ptx_excerpt(text).count("ld.global") == 4


def test_time_is_bounded(monkeypatch):
    monkeypatch.setattr(
        machine_code.sys, "executable", "/bin/sleep", raising=True
    )  # sleep -m ... fails at once: a compiler that does not start
    with pytest.raises(RuntimeError):
        machine_code._apart(["Triton", "gemm"], time.monotonic() + 30)
    with pytest.raises(TimeoutError):
        machine_code._apart(["Triton", "gemm"], time.monotonic())


def test_what_runs_out_of_time_is_killed_and_said(monkeypatch):
    real = subprocess.Popen

    def hang(command, **options):
        return real([sys.executable, "-c", "import time; time.sleep(100)"], **options)

    monkeypatch.setattr(machine_code.subprocess, "Popen", hang)
    monkeypatch.setattr(machine_code, "FAMILIES", ("gemm", "concat"))
    monkeypatch.setattr(machine_code, "_no_triton", lambda: None)
    monkeypatch.setattr(cubins, "why_not", lambda: "nvcc was not found")
    monkeypatch.setattr(machine_code, "ROOT", machine_code.ROOT / "nowhere")
    said = []
    start = time.monotonic()
    found = machine_code.excerpts(1.0, said.append)
    assert time.monotonic() - start < 20
    assert found == {"gemm": [], "concat": []}
    assert said == [
        "no time was left for the machine code of Triton's gemm, concat",
        "no machine code: nvcc was not found",
    ]


def test_excerpts_are_kept_until_a_source_changes(monkeypatch, tmp_path):
    calls = []

    def apart(arguments, end):
        calls.append(arguments)
        return '[["Triton", "k", "PTX", "about", "text"]]'

    monkeypatch.setattr(machine_code, "_apart", apart)
    monkeypatch.setattr(machine_code, "ROOT", tmp_path)
    source = tmp_path / "gemm.py"
    source.write_text("1")
    monkeypatch.setattr(machine_code, "_files", lambda room, stem: [source])
    for _ in range(2):
        assert machine_code._kept("Triton", "gemm", 0.0) == [
            Excerpt("Triton", "k", "PTX", "about", "text")
        ]
    assert calls == [["Triton", "gemm"]]
    source.write_text("2")
    machine_code._kept("Triton", "gemm", 0.0)
    assert len(calls) == 2
    assert len(list((tmp_path / "build" / "report").iterdir())) == 1, "the old one went"


@pytest.mark.slow
@pytest.mark.skipif(cubins.why_not() is not None, reason=str(cubins.why_not()))
def test_an_excerpt_of_a_cuda_kernel():
    (found,) = machine_code._kept("CUDA C++", "add_activation", time.monotonic() + 150)
    assert "LDG" in found.text and "registers" in found.about


@pytest.mark.slow
@pytest.mark.skipif(machine_code._no_triton() is not None, reason="no Triton")
def test_an_excerpt_of_a_triton_kernel():
    ptx, machine = machine_code._kept("Triton", "add_activation", time.monotonic() + 150)
    assert "ld.global" in ptx.text and "LDG" in machine.text
