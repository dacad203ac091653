"""The documents hold the tables of the committed results, and these say what was measured."""

import pytest

from pycnn.study.report import results, tables

from . import made_up


@pytest.fixture
def files(tmp_path):
    return results.read_all([made_up.write(tmp_path / "a.json")])


@pytest.mark.parametrize("name", tables.names())
def test_the_documents_hold_the_tables_of_the_committed_results(name):
    path, text = tables.filled(name)
    assert path.read_text(encoding="utf-8") == text, "run python -m pycnn report --readme"


def test_there_is_a_table_for_every_page():
    assert set(tables.names()) == {"readme", "native", *results.FAMILIES}


def test_nets(files):
    assert tables.nets_table(files).splitlines() == [
        "Against PyTorch 9.9 on Made-up CPU (avx512), float32, milliseconds; above 1, pycnn is "
        "faster:",
        "",
        "| | batch | image | threads | pycnn | PyTorch, its fastest | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| madenet, forward | 8 | 64 | 2 | 100.0 | 150.0 | 1.50 |",
        "| madenet, forward | 8 | 128 | 2 | 400.0 | 500.0 | 1.25 |",
    ]


def test_ops_show_losses(files):
    text = tables.ops_table(files)
    assert "| convolution fprop | 3 | 1.14 | 0.50 | made.b, N=1, 2T | 2.00 | made.a, N=8, 2T |" in (
        text.splitlines()
    )


def test_a_family_has_its_rows_at_the_most_threads(files):
    text = tables.family_table(files, "conv2d_direct")
    assert text.startswith("Not measured on a GPU.\n")
    assert "| made.a | fprop | 8 | 2.00 | 500 | 4.00 | 2.00 |" in text.splitlines()
    assert text.count("made.a") == 1, "the row with one thread is the report's"
    assert "No committed result" in tables.family_table(files, "gemm")


def test_a_family_on_a_gpu_says_no_longer_that_it_is_unmeasured(files, tmp_path):
    files += results.read_all([made_up.write_gpu(tmp_path / "gpu.json")])
    text = tables.family_table(files, "conv2d_implicit_gemm")
    assert "Not measured" not in text
    assert "| made.a | fprop | 8 | cold | cuda | 0.010 | 100000 | 0.020 | 2.00 |" in (
        text.splitlines()
    )


@pytest.mark.parametrize(
    "value, text",
    [(None, ""), (0.0482, "0.048"), (2.0, "2.00"), (63.25, "63.2"), (479.4, "479"), (1e4, "10000")],
)
def test_three_digits(value, text):
    assert tables.number(value) == text


def test_a_document_without_its_marks_is_refused(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text("<!-- table: readme -->\nno end")
    monkeypatch.setattr(tables, "_pages", lambda: {"readme": page})
    with pytest.raises(ValueError, match="0 tables called 'readme'; expected one"):
        tables.filled("readme", [])


def test_writing_replaces_what_is_between_the_marks(tmp_path, monkeypatch):
    page = tmp_path / "gemm.md"
    page.write_text("before\n<!-- table: gemm -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(tables, "_pages", lambda: {"gemm": page})
    assert tables.write() == [page]
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "old" not in text and "Not measured on a GPU." in text
    assert tables.write() == [], "nothing has changed"
