"""A run goes on where it stopped, if it is the same run."""

import json

import pytest

from pycnn.benchmarks import session

from .test_schema import MEMORY, ROW

pytest.importorskip("jsonschema")

PROVENANCE = {
    "device": "A Processor, 2 cores", "kind": "cpu", "isa": "avx2", "versions": {"torch": "2"},
    "commit": "abc", "date": "2026-01-31",
}  # fmt: skip
ROOF = {"gbytes_per_second": 10.0, "gflops": {"float32": 100.0}}


class Machine:
    """Counts what is measured, and breaks down when it is told to."""

    def __init__(self, out):
        self.out, self.measured, self.breaks_at = out, [], None

    def go(self, options=None, **provenance):
        self.measured.clear()
        one = session.Session(PROVENANCE | provenance, options or {"seconds": 1.0}, self.out)
        one.roof("2", lambda: self.measured.append("roof") or ROOF)
        return one.run((name, lambda name=name: self.measure(name)) for name in "abc")

    def measure(self, name):
        if name == self.breaks_at:
            raise KeyboardInterrupt
        self.measured.append(name)
        return [ROW | {"name": name}]


@pytest.fixture
def interrupted(tmp_path):
    """After a and before b."""
    machine = Machine(tmp_path / "folder" / "ops.json")
    machine.breaks_at = "b"
    with pytest.raises(KeyboardInterrupt):
        machine.go()
    assert machine.measured == ["roof", "a"] and not machine.out.exists()
    machine.breaks_at = None
    return machine


def test_an_interrupted_run_measures_what_is_missing(interrupted):
    rows = interrupted.go(date="2026-02-01")
    assert interrupted.measured == ["b", "c"]
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    document = json.loads(interrupted.out.read_text())
    assert document["rows"] == rows and document["roof"] == {"2": ROOF}
    assert document["date"] == "2026-02-01" and document["schema"] == 2
    assert [p.name for p in interrupted.out.parent.iterdir()] == ["ops.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"commit": "abd"},
        {"device": "another"},
        {"versions": {"torch": "3"}},
        {"options": {"seconds": 2.0}},
    ],
)
def test_another_run_begins_anew(interrupted, changes):
    interrupted.go(**changes)
    assert interrupted.measured == ["roof", "a", "b", "c"]


def test_a_line_that_was_cut_short_is_measured_again(interrupted):
    partial = interrupted.out.with_name("ops.json.partial")
    partial.write_text(partial.read_text()[:-20])
    interrupted.breaks_at = "c"
    with pytest.raises(KeyboardInterrupt):
        interrupted.go()
    assert interrupted.measured == ["a", "b"]
    interrupted.breaks_at = None
    interrupted.go()
    assert interrupted.measured == ["c"]


def test_a_finished_run_leaves_nothing_to_go_on_with(tmp_path):
    machine = Machine(tmp_path / "ops.json")
    machine.go(), machine.go()
    assert machine.measured == ["roof", "a", "b", "c"]


def test_without_a_file_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    machine = Machine(None)
    assert len(machine.go()) == 3
    assert not list(tmp_path.iterdir())


def test_a_row_that_is_none_is_not_written_and_the_side_file_stays(tmp_path):
    machine = Machine(tmp_path / "ops.json")
    machine.measure = lambda name: [MEMORY | {"ratio": -1}]
    with pytest.raises(ValueError, match=r"rows\[0\]\['ratio'\]"):
        machine.go()
    assert [p.name for p in tmp_path.iterdir()] == ["ops.json.partial"]


def test_the_machine_names_the_file():
    full = session.auto_file("ops", "full", PROVENANCE)
    assert full.parts[-4:] == ("benchmarks", "results", "a-processor-2-cores", "ops.json")
    # the README's numbers come from what lies in benchmarks/results: of the full suites only
    smoke = session.auto_file("ops", "smoke", PROVENANCE)
    assert smoke.parts == ("out", "bench", "ops.json")
