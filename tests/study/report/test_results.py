"""Files of results are read, and others refused in words."""

import pytest

from pycnn import dispatch
from pycnn.study.report import results

from . import made_up


def test_the_committed_files_are_read():
    files = results.read_all(results.committed())
    assert {file.path.name for file in files} >= {"ops.json", "nets.json", "memory.json"}
    for file in files:
        assert file.rows
        assert file.device and file.versions["torch"] and file.date
        for row in file.rows:
            assert set(results.KEYS) <= set(row)
            whole = row["suite"] in (*results.NETS, results.MEMORY)
            assert (row["family"] is None) is whole, row["name"]


def test_rows_are_completed(tmp_path):
    file = results.read(made_up.write(tmp_path / "new.json"))
    assert file.roof["2"]["gflops"] == {"float32": 800.0}
    assert [row["family"] for row in file.rows[:4]] == [
        "conv2d_direct", "conv2d_direct", "conv2d_depthwise", "max_pool2d",
    ]  # fmt: skip
    assert file.rows[0]["bound"] == "memory"
    memory = file.rows[-1]
    assert memory["suite"] == results.MEMORY and memory["seconds"] is memory["family"] is None


def test_a_newer_file_of_the_same_device_replaces_rows(tmp_path):
    old = made_up.write(tmp_path / "old.json", date="2001-01-01")
    one = [made_up.row("made.a", 0.001, 0.004)]
    new = made_up.write(tmp_path / "new.json", one, date="2001-01-02")
    for order in ([old, new], [new, old]):
        rows = [row for file in results.read_all(order) for row in file.rows]
        found = [row["ratio"] for row in rows if (row["name"], row["threads"]) == ("made.a", 2)]
        assert found == [4.0]
        assert len(rows) == len(made_up.ROWS)
    elsewhere = made_up.write(tmp_path / "elsewhere.json", one, device="another", date="2002-01-01")
    rows = [row for file in results.read_all([old, elsewhere]) for row in file.rows]
    assert len(rows) == len(made_up.ROWS) + 1


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "not a JSON file"),
        ("[]", "expected an object with a list 'rows'"),
        ('{"rows": 3}', "expected an object with a list 'rows'"),
        ('{"schema": 3, "rows": []}', "schema 3; accepted: 2"),
        ('{"rows": []}', "schema None; accepted: 2"),
        ('{"schema": 2, "rows": [], "roof": {"1": {"gbytes_per_second": -1}}}', "roof"),
    ],
)
def test_other_files_are_refused(tmp_path, text, words):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="results.json") as error:
        results.read(path)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "row, words",
    [
        ("4", "row 0 is 4; expected a suite and a name"),
        ('{"suite": "a", "name": "b"}', "row 0, 'b': seconds is None"),
        ('{"suite": "a", "name": "b", "seconds": {"least": 0}}', "seconds is"),
        ('{"suite": "a", "name": "b", "seconds": 1}', "seconds is 1; expected"),
        ('{"suite": "a", "name": "b", "seconds": {"least": 1}, "ratio": NaN}', "ratio is nan"),
        ('{"suite": "memory", "name": "b", "grown": {}}', "ratio is None"),
    ],
)
def test_other_rows_are_refused(tmp_path, row, words):
    test_other_files_are_refused(tmp_path, f'{{"schema": 2, "rows": [{row}]}}', words)


def test_a_row_without_an_opponent_is_read(tmp_path):
    alone = made_up.row("made.c", 0.1, 0.1, ratio=None, opponent=None, opponent_seconds=None)
    (row,) = results.read(made_up.write(tmp_path / "alone.json", [alone])).rows
    assert row["ratio"] is None


def test_every_registered_kernel_has_a_family():
    for entry in dispatch.entries():
        if entry.provider == "reference":
            continue
        found = results.family(entry.primitive, entry.algorithm)
        assert found in results.FAMILIES, entry
        stem = getattr(entry.function, "stem", None)
        if stem:  # a family may have several files
            assert stem.startswith(found), (found, stem)


def test_every_page_of_docs_kernels_is_of_a_family():
    pages = {path.stem for path in (results.ROOT / "docs" / "kernels").glob("*.md")} - {"README"}
    assert pages == set(results.FAMILIES)


def test_small_numbers():
    assert results.geometric_mean([0.5, 2.0]) == pytest.approx(1)
    assert results.geometric_mean(r for r in (2.0, 8.0)) == pytest.approx(4)
    row = dict.fromkeys(results.KEYS)
    assert results.image_side({**row, "geometry": "8x3x32x31 -> 16, 3x3"}) == 32
    assert results.image_side({**row, "geometry": "1x(64, 32)x56x56"}) == 56
    assert results.image_side({**row, "size": 224, "geometry": "1x1x2x2"}) == 224
    assert results.image_side(row) is None


def test_what_a_file_does_not_say_does_not_vary():
    rows = [{"cache": None, "dtype": "float32"}, {"cache": "warm", "dtype": "float64"}]
    assert results.varying(rows, ("cache", "dtype")) == ["dtype"]
    assert results.varying([*rows, {"cache": "cold", "dtype": "float32"}], ("cache",)) == ["cache"]
