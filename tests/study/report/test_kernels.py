"""What a kernel's page is made of is found in the sources, whatever family it is."""

import pytest

from pycnn.study.report import highlight, kernels, results

if not (results.ROOT / "csrc").is_dir():
    pytest.skip("the sources are not part of an installation", allow_module_level=True)


@pytest.mark.parametrize("stem", results.FAMILIES)
def test_a_family_is_complete(stem):
    family = kernels.load(stem)
    assert family.title and family.sources
    assert "Computes" in family.docstring and "Numerics" in family.docstring
    on_gpu = stem not in ("conv2d_direct", "conv2d_winograd")
    rooms = {source.room for source in family.sources}
    assert "CUDA C++" in rooms if on_gpu else rooms == {"C++ SIMD"}
    compiled = {row.room for row in family.resources}
    alone = {"conv2d_im2col": {"CUDA C++"}, "conv2d_pointwise": {"Triton"}}
    if stem in alone:  # elsewhere they run other families' kernels
        assert compiled == alone[stem]
    else:
        assert compiled == ({"Triton", "CUDA C++"} if on_gpu else set())
    for row in family.resources:
        assert row.registers.keys() == row.shared.keys() <= {"sm_80", "sm_90"}
    assert "<!-- table" not in family.page and "## Measured" not in family.page


def test_no_file_of_kernels_is_two_families_or_forgotten():
    shared = {"conv2d", "conv2d_axis", "conv2d_gather", "conv2d_pack", "conv2d_tile",
              "conv2d_tiles", "pool2d_blocks", "pool2d_naive", "pool2d_rows",
              "pool2d_windows"}  # fmt: skip
    for place in kernels.PLACES.values():
        for path in place.iterdir():
            if path.suffix in (".cpp", ".cu", ".cuh", ".h") and path.stem.startswith(
                ("conv2d", "pool2d", "max_", "avg_", "batch_", "softmax", "concat", "gemm")
            ):
                assert (kernels.owner(path.stem) is None) is (path.stem in shared), path
    assert kernels.owner("softmax_cross_entropy") == "softmax_cross_entropy"
    assert kernels.owner("softmax_rows") == "softmax"
    assert kernels.owner("conv2d_pixel_shuffle") == "conv2d_transposed"


def test_the_figure_is_the_one_about_data():
    page = (
        "# A\n```\n1\n2\n3\n```\n## Data movement\n\n    x\n    y\n    z\n\n```cpp\na\nb\nc\n```\n"
    )
    assert kernels.figure(page) == "x\ny\nz"
    assert kernels.figure("# A\n\n```\n1\n2\n3\n```\n") == "1\n2\n3"
    assert kernels.figure("# A\n\n```cpp\n1\n2\n3\n```\n") == ""


def test_docstrings():
    python = kernels.Source("Triton", "a.py", "python", '"""One.\n\nTwo."""\nx = 1\n')
    assert kernels.docstring(python) == "One.\n\nTwo."
    cpp = kernels.Source("C++ SIMD", "a.cpp", "cpp", "// One.\n//\n//   Two\n#pragma once\n// no\n")
    assert kernels.docstring(cpp) == "One.\n\n  Two"


def test_code_is_escaped_and_marked():
    text = highlight.code('x = 1  # <b> & "c"\ndef f(): return "<i>"', "python")
    assert text == (
        'x = <span class=n>1</span>  <span class=c># &lt;b&gt; &amp; "c"\n</span>'
        "<span class=k>def</span> <span class=f>f</span>(): <span class=k>return</span> "
        '<span class=s>"&lt;i&gt;"</span>'
    )


def test_a_page_keeps_no_html_and_no_dead_links():
    text = highlight.markdown(
        "# Title\n\n## Part\n\n[gemm](gemm.md#x) [code](../../csrc/a.cu) "
        "[paper](https://arxiv.org/a) <script>alert(1)</script>\n\n| a |\n| --- |\n| b |\n"
    )
    assert "Title" not in text and "<h4>Part</h4>" in text
    assert '<a href="#kernel/gemm">gemm</a> <span>code</span>' in text
    assert '<a href="https://arxiv.org/a">paper</a>' in text
    assert "&lt;script&gt;" in text and "<script" not in text
    assert "<td>b</td>" in text
