"""python -m pycnn bench: its options, its file, and what it says."""

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("torch")
pytest.importorskip("jsonschema")

from click.testing import CliRunner

from pycnn.benchmarks import bench, harness, measure, roof, schema
from pycnn.benchmarks.clock import HostClock
from pycnn.cli import main


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Neither waits, nor measures the roof, nor changes the memory of the tests' process."""
    again = roof.Roof([(1, 1e18)], {"float32": 1e18})
    monkeypatch.setattr(roof, "measure", lambda threads, dtypes: again)
    monkeypatch.setattr(roof, "anew", lambda threads: None)
    monkeypatch.setattr(measure, "keep_freed_memory", lambda: False)
    monkeypatch.setattr(bench, "HostClock", lambda: HostClock(0))


@pytest.fixture(autouse=True)
def given_back(monkeypatch):
    """A list with an entry for each time that freed memory was given back."""
    times = []
    monkeypatch.setattr(measure, "give_back_freed_memory", lambda: times.append(1))
    return times


def run(*arguments):
    arguments = [str(a) for a in arguments]
    return CliRunner().invoke(main, ["bench", *arguments, "--patience", "0", "--seconds", "0"])


def test_a_run_writes_a_file_and_says_what_it_found(tmp_path, given_back):
    out = tmp_path / "ops.json"
    result = run("ops", "--only", "xcep.add,rn50.global", "--batches", "1,2", "--threads", "1",
                 "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    document = schema.read(out)
    assert document["schema"] == 2 and document["kind"] == "cpu" and document["roof"]["1"]
    assert document["settings"]["what"] == "ops" and document["settings"]["batches"] == [1, 2]
    rows = [(r["name"], r["pass"], r["batch"], r["threads"]) for r in document["rows"]]
    assert rows == [
        ("rn50.global", "forward", 1, 1), ("rn50.global", "backward", 1, 1),
        ("rn50.global", "forward", 2, 1), ("rn50.global", "backward", 2, 1),
        ("xcep.add", "forward", 1, 1), ("xcep.add", "forward", 2, 1),
    ]  # fmt: skip
    assert len(given_back) == len(rows)  # after each problem
    assert "pooling rn50.global backward" in result.output
    assert "add + relu forward native" in result.output
    assert "geometric mean" in result.output and f"written to {out}" in result.output


def test_a_kernel_is_timed_on_the_problems_it_runs(tmp_path):
    out = tmp_path / "x.json"
    options = ("--suite", "smoke", "--passes", "fprop", "--against", "none", "--threads", "1")
    result = run("conv2d_depthwise", "--only", "xcep,dn121.3x3", "--providers", "native,reference",
                 "--out", out, *options)  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = schema.read(out)["rows"]
    assert [(r["name"], r["provider"], r["algorithm"]) for r in rows] == [
        ("xcep.dw19", "native", "depthwise")
    ]
    assert "left out" not in result.output
    result = run("conv2d_depthwise", "--only", "dn121.3x3", *options)
    assert result.output.strip() == "none of the 1 problems is one that conv2d_depthwise runs"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["op"], "what: got 'op'; accepted: ops, nets, memory, kernelbench, add_activation"),
        (["ops", "--suite", "quick"], "suite: got 'quick'; accepted: smoke, full"),
        (["ops", "--providers", "abacus"], "providers: got 'abacus'; accepted: reference, native"),
        (["ops", "--against", "cudnn"], "against: got 'cudnn'; accepted: torch, none"),
        (["ops", "--dtype", "int8"], "dtype: got 'int8'; accepted: float64, float32"),
        (["nets", "--dtype", "float64"], "dtype: got float64; networks run in float32 only"),
        (["ops", "--passes", "sideways"], "passes: got 'sideways'; accepted: fprop"),
        (["ops", "--batches", "one"], "--batches: got 'one', expected numbers such as 1,8"),
        (["ops", "--batches", "0"], "batches: got 0, expected positive numbers"),
        (["ops", "--threads", "-1"], "threads: got -1, expected positive numbers"),
        (["ops", "--only", "nothing"], "they leave nothing to measure"),
        (["ops", "--device", "tpu"], "device: got 'tpu'; accepted: cpu, cuda"),
        (["ops", "--device", "cpu", "--tf32"], "tf32: the CPU has none"),
    ],
)
def test_what_is_not_accepted_is_named(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2 and said in " ".join(result.output.split())


def test_a_result_that_is_none_ends_the_run_and_keeps_what_was_measured(tmp_path, monkeypatch):
    out = tmp_path / "ops.json"
    honest, turns = harness.Contender.turn, []

    def turn(self):
        turns.append(self.pool.problem.key.name)
        if self.pool.problem.key.name == "xcep.add":
            raise harness.Caught(f"{self.name}: it changed its input 0")
        return honest(self)

    arguments = ("ops", "--only", "rn50.l1.add,xcep.add", "--batches", "1", "--threads", "1",
                 "--out", out)  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(harness.Contender, "turn", turn)
        result = run(*arguments)
    assert result.exit_code == 1 and not out.exists()
    assert "pycnn native: it changed its input 0; the rows before it are kept" in result.output
    with monkeypatch.context() as patch:
        turns.clear()
        patch.setattr(harness.Contender, "turn", lambda self: turns.append(
            self.pool.problem.key.name) or honest(self))  # fmt: skip
        assert run(*arguments).exit_code == 0
    assert set(turns) == {"xcep.add"}
    assert [r["name"] for r in schema.read(out)["rows"]] == ["rn50.l1.add", "xcep.add"]


def test_a_time_below_the_floor_ends_the_run(tmp_path, monkeypatch):
    slow = roof.Roof([(1, 1.0)], {"float32": 1.0})
    monkeypatch.setattr(roof, "measure", lambda threads, dtypes: slow)
    result = run("ops", "--only", "xcep.add", "--batches", "1", "--threads", "1")
    assert result.exit_code == 1
    assert "is below the physical floor" in result.output and "not recorded" in result.output
    assert "add + relu xcep.add forward N=1 float32, 1 threads" in result.output


def test_a_roof_that_was_corrected_is_the_one_recorded(tmp_path, monkeypatch):
    low, high = roof.Roof([(1, 1.0)], {"float32": 1e18}), roof.Roof([(1, 1e18)], {})
    monkeypatch.setattr(roof, "measure", lambda threads, dtypes: low)
    monkeypatch.setattr(roof, "anew", lambda threads: lambda part, effort: high)
    out = tmp_path / "ops.json"
    result = run("ops", "--only", "xcep.add", "--batches", "1", "--threads", "1", "--out", out)
    assert result.exit_code == 0, result.output
    assert schema.read(out)["roof"]["1"]["gbytes_per_second"] == pytest.approx(1e9)
