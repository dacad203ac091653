"""The Triton kernels compiled ahead of time, without a GPU: no spills, within the committed
budgets, and the floors that no budget may lower."""

from __future__ import annotations

import pytest

from pycnn.kernels import mode
from pycnn.study import sass

from . import budgets

pytestmark = pytest.mark.skipif(mode.why_not() is not None, reason=str(mode.why_not()))
DENSE = ("conv2d_implicit_gemm.", "gemm.")


def floors(rows: budgets.Rows) -> list[str]:
    """What holds for 16-bit dense kernels on sm_90 whose tiles are read in whole rows."""
    found = []
    for name, row in rows.items():
        if "error" in row or not name.endswith("sm_90") or "float16" not in name:
            continue
        if not name.startswith(DENSE) or "FLAT=True" in name:
            continue
        if row["hgmma_columns"] >= 128 and row["issue_ratio"] > 0.5:
            found.append(f"{name}: issue-slot ratio {row['issue_ratio']}, at most 0.5")
        if "BLOCK_COLS=128" in name and row["hgmma_columns"] < 128:
            found.append(f"{name}: HGMMA of {row['hgmma_columns']} columns, at least 128")
    return found


def test_one_configuration_of_each_kernel():
    rows = budgets.compiled("--limit", "1", "--arch", "90", "--dtype", "float16")
    assert rows
    wrong = budgets.faults(rows, budgets.load()) + floors(rows)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["80", "90"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_configuration(arch, dtype):
    rows = budgets.compiled("--arch", arch, "--dtype", dtype)
    wrong = budgets.faults(rows, budgets.load()) + floors(rows)
    assert not wrong, "\n".join(wrong)


def test_a_regression_is_told():
    fine = {"registers": 64, "shared": 1024, "loop": 100, "issue_ratio": 0.2, "spills": 0}
    fine |= {"wide_accesses": 1.0, "hgmma_columns": 256, "layer": "vgg.c3_2"}
    assert budgets.faults({"k": fine}, {"k": fine}) == []
    worse = {"registers": 80, "spills": 16, "wide_accesses": 0.5, "hgmma_columns": 64}
    told = "\n".join(budgets.faults({"k": fine | worse}, {"k": fine}))
    for words in ("registers 80, budget 64", "spills 16", "wide_accesses 0.5", "hgmma_columns 64"):
        assert words in told
    assert "no budget" in budgets.faults({"new float16 k": fine}, {})[0]
    assert "does not compile" in budgets.faults({"k": {"error": "E: why"}}, {})[0]


SASS = """
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;
        /*0010*/                   LDG.E.128 R4, [R2.64] ;
        /*0020*/                   HGMMA.64x128x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*0030*/              @!P0 HGMMA.64x128x16.F32.BF16 R24, gdesc[UR8], R24 ;
        /*0040*/               @P1 BRA 0x20 ;
        /*0050*/                   STG.E [R2.64], R4 ;
        /*0060*/                   BRA 0x60 ;
"""


def test_facts_of_machine_code(monkeypatch):
    usage = "Function k:\n REG:40 STACK:0 SHARED:16 LOCAL:0 CONSTANT[0]:544"
    monkeypatch.setattr(sass, "disassemble", lambda cubin: (usage, SASS))
    found = sass.facts(b"", num_warps=8)
    assert (found.registers, found.spills, found.shared, found.instructions) == (40, 0, 16, 7)
    assert found.counts == {"HGMMA": 2, "LDG": 1, "STG": 1}
    assert found.wide_accesses == 0.5
    assert (found.loop, found.hgmma_columns) == (3, 128)
    # two 64x128x16 for each of two warp groups take 256 cycles; two warps a scheduler issue 3 each
    assert found.issue_ratio == round(2 * 3 / 256, 3)
