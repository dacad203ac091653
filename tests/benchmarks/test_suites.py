"""What the suites hold, and that every kind of problem computes the same as PyTorch in float64."""

import pytest

from pycnn.benchmarks import clock, kernelbench, nets, roof, rows, schema, suites
from pycnn.benchmarks.problem import Key
from pycnn.study import layers

pytest.importorskip("torch")

NO_FLOOR = roof.Roof([(1, 1e18)], dict.fromkeys(("float32", "float64", "bfloat16"), 1e18))


def setting(**changes):
    parts = {"roof": NO_FLOOR, "clock": clock.HostClock(0), "threads": 1, "seconds": 0.0}
    return rows.Setting(**parts | changes)


def rows_of(key, *asked, **changes):
    asked = [rows.Asked(*a) for a in asked] or [rows.Asked("native")]
    return rows.measure(suites.make(key), asked, setting(**changes))


PROBLEMS = [
    *[Key("transposed convolution", "fcn.up2", d, 1) for d in ("fprop", "dgrad", "wgrad")],
    *[Key("convolution", "rnx50.l3.g32", d, 2) for d in ("fprop", "dgrad", "wgrad")],
    Key("convolution", "rn50.l3.1x1r", "fprop", 1, "bfloat16"),
    Key("convolution", "rn50.l3.1x1r", "dgrad", 1, "float64"),
    *[Key("pooling", n, d, 1) for n in ("rn50.global", "goog.max3x3s1", "dn121.avg2x2")
      for d in ("forward", "backward")],
    *[Key(s, "7x2048", d, 1) for s in ("batch norm", "batch norm + relu", "batch norm + add + relu")
      for d in ("forward", "backward")],
    Key("batch norm + add + relu", "7x2048", "backward", 2, "bfloat16"),
    Key("concat", "dn121.block3", "forward", 1),
    Key("add + relu", "xcep.add", "forward", 1),
]  # fmt: skip


@pytest.mark.parametrize("key", PROBLEMS, ids=str)
def test_a_row_holds_what_was_measured_against_both_layouts(key):
    pytest.importorskip("jsonschema")
    (row,) = rows_of(key)
    schema.validate(document([row | {"others_busy": 0.0}]))
    assert row["error"] < {"float32": 1e-5, "float64": 1e-13, "bfloat16": 1e-2}[key.dtype]
    assert row["provider"] == "native" and row["algorithm"]
    assert (row["suite"], row["name"], row["pass"], row["batch"], row["dtype"]) == key
    assert set(row["opponents"]) == {"PyTorch, contiguous", "PyTorch, channels-last"}
    fastest = min(row["opponents"].values(), key=lambda times: times["least"])
    assert row["opponent_seconds"] == row["opponents"][row["opponent"]] == fastest
    assert row["ratio"] == fastest["least"] / row["seconds"]["least"]
    assert row["gflops"] == row["flops"] / row["seconds"]["least"] / 1e9


def document(found):
    return {
        "schema": 2, "device": "x", "kind": "cpu", "isa": "", "versions": {}, "commit": "",
        "date": "2026-01-31", "roof": {}, "rows": found,
    }  # fmt: skip


def test_each_provider_has_a_row_and_who_refuses_is_noted():
    notes = []
    key = Key("convolution", "dn121.1x1", "fprop", 1)
    asked = [("native",), ("native", "naive"), ("native", "depthwise"), ("reference",)]
    found = rows_of(key, *asked, against="none", note=notes.append)
    assert [(r["provider"], r["algorithm"]) for r in found] == [
        ("native", "pointwise"), ("native", "naive"), ("reference", "direct"),
    ]  # fmt: skip
    assert all(r["opponent"] is None and r["ratio"] is None for r in found)
    assert len(notes) == 1 and notes[0].startswith("pycnn native/depthwise: conv2d_fprop")


def test_every_named_layer_is_in_the_full_suite_once_a_pass():
    found = suites.keys("ops", batches=(1,))
    assert len(set(found)) == len(found)
    named = (layers.CONVOLUTIONS, layers.POOLS, layers.BATCH_NORMS, layers.ADDS, layers.CONCATS)
    assert {key.name for key in found} == {name for table in named for name in table}
    convolutions = [k for k in found if k.name in layers.CONVOLUTIONS]
    assert len(convolutions) == 3 * len(layers.CONVOLUTIONS)
    assert len([k for k in found if k.name in layers.BATCH_NORMS]) == 6 * len(layers.BATCH_NORMS)
    assert {k.batch for k in suites.keys("nets")} == {1, 8, 32}
    assert {k.batch for k in suites.keys("ops", gpu=True)} == {1, 8, 32}


def test_the_smoke_suite_has_some_of_every_kind():
    smoke, full = suites.keys("ops", "smoke"), suites.keys("ops")
    assert set(smoke) < set(full) and len(smoke) < 70
    assert {(k.suite, k.direction) for k in smoke} == {(k.suite, k.direction) for k in full}
    assert {k.batch for k in smoke} == {1}
    assert 32 not in {k.batch for k in suites.keys("nets", "smoke")}


def test_names_passes_and_dtypes_choose():
    found = suites.keys("ops", passes=("wgrad",), only=("rn50",), dtypes=("float32", "bfloat16"))
    assert {k.direction for k in found} == {"wgrad"} and all("rn50" in k.name for k in found)
    assert {k.dtype for k in found} == {"float32", "bfloat16"}


def test_every_key_has_a_problem():
    for what in ("ops", "kernelbench"):
        for key in suites.keys(what, batches=(2,)):
            problem = suites.make(key)
            assert problem.key == key and 0 < problem.least_bytes <= problem.bytes
    with pytest.raises(ValueError, match="which no suite has"):
        suites.make(Key("convolution", "rn51.stem", "fprop", 1))


def test_kernelbench_shapes_give_the_sizes_its_problems_state():
    sizes = {
        "50": (96, 55, 55), "55": (128, 510, 1022), "57.transposed": (64, 1026, 1026),
        "75.transposed": (64, 257, 766), "76.1d": (128, 1, 174758), "80": (64, 508, 496),
        "81.transposed": (64, 318, 638), "83.depthwise": (8, 510, 512),
    }  # fmt: skip
    for name, (k, h, w) in sizes.items():
        shape = kernelbench.SHAPES[name]
        g = shape.geometry(1)
        out = g.x_shape if shape.transposed else g.y_shape
        assert out == (1, k, h, w), name


def test_a_stem_names_the_kernels_of_its_family_and_algorithm():
    stems = suites.kernels()
    passes = ("conv2d_fprop", "conv2d_dgrad", "conv2d_wgrad")
    assert {(p, "depthwise") for p in passes} <= stems["conv2d_depthwise"]
    assert {p for p, _ in stems["conv2d_winograd"]} == {"conv2d_fprop", "conv2d_dgrad"}
    assert {a for _, a in stems["max_pool2d"]} == {"direct", "naive"}


@pytest.mark.slow
def test_networks(monkeypatch):
    monkeypatch.setitem(nets.SIZES, "resnet18", 64)
    (row,) = rows_of(Key("forward", "resnet18", "forward", 2))
    assert row["error"] < 1e-4 and row["size"] == 64 and row["primitive"] is None
    assert row["flops"] > 2 * 2 * 1.4e8
    (row,) = rows_of(Key("training step", "resnet18", "step", 2))
    assert row["error"] < 1e-4 and row["size"] == nets.STEP_SIZE


@pytest.mark.slow
def test_a_step_that_leaves_a_gradient_out_is_caught():
    from pycnn.benchmarks.harness import Caught

    key = Key("training step", "resnet18", "step", 2)
    problem = nets.step(key, 64)
    honest = problem.ours()

    def bind(x, target):
        call = honest(x, target)

        def skips():
            loss, *weights = call()
            weights[0]._data[...] = nets._weights("resnet18")["conv1.weight"]
            return [loss, *weights]

        return skips

    import dataclasses

    lying = dataclasses.replace(problem, ours=lambda: bind)
    with pytest.raises(Caught):
        rows.measure(lying, [rows.Asked("native")], setting(against="none"))
