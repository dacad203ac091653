"""A made-up GPU, its kernels and their rows, for the tests of tuning. Their fixtures are in
conftest.py."""

from __future__ import annotations

import json

from pycnn.kernels import tuning_rows
from pycnn.kernels.tuning import Config
from pycnn.kernels.tuning_rows import GPU

HOPPER = GPU("Test H9", 90)
SMALL, LARGE, HUGE = (Config({"BLOCK": n}) for n in (16, 64, 256))
OLD = Config({"BLOCK": 32}, archs=(80,))


def by_size(config):
    return -config.tiles["BLOCK"]


def row(**changed):
    made = {
        "kernel": "made_up.tiles", "source": tuning_rows.source_hash("made_up"),
        "gpu": HOPPER.name, "arch": "sm_90", "dtype": "float16", "key": "128 256",
        "config": str(SMALL), "microseconds": 2.0, "analytic": str(LARGE),
        "analytic_microseconds": 3, "call": "a test", "software": "none", "date": "2000-01-01",
    }  # fmt: skip
    return made | changed


def write(path, *rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"schema": tuning_rows.SCHEMA, "rows": list(rows)}))
    tuning_rows.forget()


def choose(kernel, dtype="float16", key=(100, 200), cost=by_size):
    return kernel.choose(dtype, key, cost)
