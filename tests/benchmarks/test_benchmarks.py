"""The benchmarks run and check what they time."""

import json

import numpy as np
import pytest

from benchmarks import measure, nets, ops
from pycnn.study import layers


@pytest.fixture
def hurried(monkeypatch):
    """Neither waits for a quiet machine nor for sleeping threads."""
    monkeypatch.setattr(measure, "wait_until_idle", lambda: 0.0)
    monkeypatch.setattr(measure, "_SPIN", 0.0)


PROBLEMS = [
    ("convolution", "fcn.up2"),
    ("convolution", "rnx50.l3.g32"),
    ("pooling", "rn50.global"),
    ("pooling", "goog.max3x3s1"),
    ("batch norm", "7x2048"),
    ("join", "dn121.block3"),
    ("join", "xcep.add"),
]


@pytest.mark.parametrize("suite, name", PROBLEMS)
def test_a_row_names_the_kernel_and_holds_the_error_of_what_was_timed(hurried, suite, name):
    makers = [make for found, make in ops.SUITES[suite]((1,), ops.PASSES) if found == name]
    assert makers
    for make in makers:
        for row in ops.run(make(), (1,), 0.0):
            json.dumps(row)
            assert row["error"] < 1e-5
            assert row["provider"] == "native"
            assert 0 < row["seconds"]["least"] <= row["seconds"]["p50"]
            assert row["ratio"] == pytest.approx(
                row["opponent_seconds"]["least"] / row["seconds"]["least"]
            )


def test_a_wrong_kernel_shows_in_the_error(hurried):
    make = next(m for n, m in ops.SUITES["join"]((1,), ops.PASSES) if n == "xcep.add")
    problem = make()
    honest = problem.ours
    problem.ours = lambda: honest() + np.float32(1)
    assert ops.run(problem, (1,), 0.0)[0]["error"] > 0.1


def test_every_named_layer_is_in_a_suite():
    names = {name for suite in ops.SUITES.values() for name, _ in suite((1, 8), ops.PASSES)}
    named = (layers.CONVOLUTIONS, layers.POOLS, layers.BATCH_NORMS, layers.ADDS, layers.CONCATS)
    assert names == {name for table in named for name in table}


@pytest.mark.slow
def test_networks(hurried, monkeypatch):
    monkeypatch.setitem(nets.SIZES, "resnet18", 64)
    assert nets.forward("resnet18", 1, 1, 0.0)["difference"] < 1e-4
    assert nets.step("resnet18", 2, 1, 0.0, size=64)["ratio"] > 0
