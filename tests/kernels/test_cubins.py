"""The CUDA kernels compiled ahead of time: one small file here, all of them by make cubins."""

from __future__ import annotations

import pytest

from pycnn.study import cubins

from .budgets import cuda

without_nvcc = pytest.mark.skipif(cubins.why_not() is not None, reason=str(cubins.why_not()))


@without_nvcc
def test_one_file_compiles():
    rows = cuda.compiled(["add_activation"])
    assert {name.rpartition(" ")[2] for name in rows} == {"sm_80", "sm_90a"}
    wrong = cuda.faults(rows, cuda.load())
    assert not wrong, "\n".join(wrong)
    row = rows["add_activation.add_activation_vector_kernel<float> sm_90a"]
    assert {"LDG.E.128", "STG.E.128"} <= set(row["uses"]) and row["registers"] > 8


FINE = {"registers": 64, "shared": 1024, "spills": 0, "uses": ["HMMA", "LDG.E.128", "LDSM"]}
NAME = "gemm.gemm_tensor_core_kernel<Float16> sm_80"


def test_a_regression_is_told():
    assert cuda.faults({NAME: FINE}, {NAME: FINE}) == []
    worse = FINE | {"registers": 80, "shared": 4096, "spills": 16, "uses": ["LDG.E.128"]}
    told = cuda.faults({NAME: worse}, {NAME: FINE})
    for words in (
        "registers 80, budget 64",
        "shared 4096, budget 1024",
        "spills 16",
        "lost HMMA",
        "lost LDSM",
        "none of HMMA, HGMMA, DMMA, which its name claims",
    ):
        assert any(words in line for line in told), words
    better = FINE | {"registers": 32, "uses": [*FINE["uses"], "LDGSTS"]}
    assert cuda.faults({NAME: better}, {NAME: FINE}) == []
    assert "does not compile:\nwhy" in cuda.faults({"gemm sm_80": {"error": "why"}}, {})[0]


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("gemm_tensor_core.sum_parts_kernel<float> sm_80", []),
        ("gemm.product_kernel<TensorCores<true>, Tile<Float16, 8> > sm_80", ["tensor_core"]),
        ("add.add_vector_kernel<Vector<float> > sm_80", ["vector"]),
        ("add.add_kernel<Vector<float> > sm_80", []),
        ("conv.conv_async_tensor_core_kernel sm_90a", ["tensor_core", "async"]),
    ],
)
def test_what_a_name_claims(name, claims):
    assert cuda.claims(name) == claims


def test_a_naive_rung_may_use_a_stack():
    assert cuda.faults({"gemm.gemm_naive_kernel<float> sm_80": FINE | {"spills": 8}}, {}) == []


def test_what_has_no_budget_is_told():
    other = "pool.pool_kernel<float> sm_80"
    assert cuda.unmatched({NAME: FINE}, {NAME: FINE, other: FINE}, ["gemm"]) == []
    lines = cuda.unmatched({NAME: FINE}, {other: FINE}, [])
    assert [line.split(":")[0] for line in lines] == [NAME, other]
    assert "no budget" in lines[0] and "no longer there" in lines[1]
    broken = {"pool sm_80": {"error": "why"}}
    assert cuda.unmatched(broken, {other: FINE}, []) == []


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("void pycnn::cuda::f<int, (bool)1>(pycnn::P<int>)", "f<int, 1>"),
        ("void pycnn::cuda::(anonymous namespace)::g<(pycnn::Activation)2>(int)", "g<2>"),
        ("void pycnn::cuda::h<pycnn::Float16, (int)-4>(pycnn::cuda::P)", "h<Float16, -4>"),
        ("f(int)", "f"),
    ],
)
def test_names_are_short(name, short):
    assert cubins.shortened(name) == short


def test_a_header_is_part_of_what_a_cubin_is_made_of(tmp_path, monkeypatch):
    (tmp_path / "cuda").mkdir()
    (tmp_path / "cuda" / "f.cu").write_text('#include "cuda/f.cuh"\n#include <cmath>\n')
    (tmp_path / "cuda" / "f.cuh").write_text('  #  include "common/g.h"\n#include "absent.h"\n')
    (tmp_path / "common").mkdir()
    header = tmp_path / "common" / "g.h"
    header.write_text("one")
    monkeypatch.setattr(cubins, "CSRC", tmp_path)
    monkeypatch.setattr(cubins, "_nvcc", lambda: ("nvcc", "13.0"))
    source = tmp_path / "cuda" / "f.cu"
    first = cubins._key(source, "80")
    assert first == cubins._key(source, "80") != cubins._key(source, "90a")
    header.write_text("two")
    assert cubins._key(source, "80") != first


def test_a_family_is_its_files_without_those_of_others(tmp_path, monkeypatch):
    (tmp_path / "cuda").mkdir()
    for stem in ("softmax", "softmax_rows", "softmax_cross_entropy", "gemm"):
        (tmp_path / "cuda" / f"{stem}.cu").touch()
    monkeypatch.setattr(cubins, "CSRC", tmp_path)
    assert cubins.files_of("softmax") == ["softmax", "softmax_rows"]
    assert cubins.files_of("conv2d") == []
