"""The file of results holds what the schema says, or is not written."""

import json
from pathlib import Path

import pytest

from pycnn.benchmarks import schema

pytest.importorskip("jsonschema")

TIMES = {"least": 1.0, "p20": 1.0, "p50": 1.5, "p80": 2.0}
ROW = {
    "suite": "convolution", "name": "vgg.c3_2", "primitive": "conv2d_fprop", "pass": "fprop",
    "batch": 1, "threads": 2, "geometry": "", "dtype": "float32", "layout": "channels-last",
    "cache": "warm", "provider": "native", "algorithm": "winograd", "seconds": TIMES,
    "gflops": 10.0, "gbytes_per_second": 1.0, "percent_of_roof": 50.0, "bound": "compute",
    "flops": 10, "bytes": 10, "error": 1e-7, "opponent": "PyTorch, contiguous",
    "opponent_seconds": TIMES, "opponents": {"PyTorch, contiguous": TIMES}, "ratio": 1.0,
    "ratio_of_medians": 1.0, "others_busy": 0.0,
}  # fmt: skip
MEMORY = {
    "suite": "memory", "name": "xception", "batch": 1, "size": 299, "ratio": 2.0,
    "grown": {"pycnn": 1, "PyTorch": 2}, "grown_by_layout": {"contiguous": 2},
}  # fmt: skip
DOCUMENT = {
    "schema": 2, "device": "a processor", "kind": "cpu", "isa": "avx2", "versions": {"torch": "2"},
    "commit": "", "date": "2026-01-31",
    "roof": {"2": {"gbytes_per_second": 10.0, "gflops": {"float32": 100.0}}},
    "rows": [ROW, MEMORY],
}  # fmt: skip


def test_a_document_is_written_whole_and_read_again(tmp_path):
    path = tmp_path / "a folder" / "ops.json"
    schema.write(path, DOCUMENT)
    assert schema.read(path) == DOCUMENT
    assert [p.name for p in path.parent.iterdir()] == ["ops.json"]


def without(key):
    return lambda d: d["rows"][0].pop(key)


def put(place, value):
    def change(document):
        *way, last = place
        for part in way:
            document = document[part]
        document[last] = value

    return change


@pytest.mark.parametrize(
    "change, said",
    [
        *[(without(key), f"rows[0]: '{key}' is a required property") for key in ROW],
        (put(("rows", 0, "seconds", "least"), 0), "rows[0]['seconds']['least']"),
        (put(("rows", 0, "ratio"), "fast"), "rows[0]['ratio']"),
        (put(("rows", 0, "cache"), "hot"), "rows[0]['cache']: 'hot' is not one of"),
        (put(("rows", 0, "remark"), ""), "rows[0]: Additional properties are not allowed"),
        (put(("rows", 1, "grown"), {"pycnn": 1}), "rows[1]['grown']: 'PyTorch' is a required"),
        (put(("roof", "two"), {}), "['roof']"),
        (put(("date",), "yesterday"), "['date']"),
        (put(("schema",), 1), "['schema']"),
    ],
)
def test_what_does_not_fit_is_named_and_not_written(tmp_path, change, said):
    document = json.loads(json.dumps(DOCUMENT))
    change(document)
    path = tmp_path / "ops.json"
    with pytest.raises(ValueError) as error:
        schema.write(path, document)
    assert said in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_row_without_an_opponent_is_a_row():
    document = json.loads(json.dumps(DOCUMENT))
    nothing = {"opponent": None, "opponent_seconds": None, "ratio": None, "ratio_of_medians": None}
    document["rows"][0] |= nothing | {"opponents": {}, "threads": None}
    schema.validate(document)


def test_reading_says_what_a_file_is_not(tmp_path):
    path = tmp_path / "x.json"
    for text, said in (("{", "x.json: "), ("{}", "it has no rows"), ("[1]", "it has no rows")):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            schema.read(path)
    path.write_text(json.dumps(DOCUMENT | {"isa": 3}))
    with pytest.raises(ValueError, match=r"x\.json: results: \['isa'\]"):
        schema.read(path)


def test_the_committed_results_can_be_read():
    folder = Path(schema.__file__).parent / "results"
    files = sorted(folder.glob("*/*.json"))
    assert files
    for path in files:
        assert schema.read(path)["rows"], path
