"""Which configuration a call gets: keys, rows and their files. No GPU is needed: it is made up."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import pycnn
from pycnn import array
from pycnn.geometry import conv2d_geometry
from pycnn.kernels import launch, mode, tuning, tuning_rows
from pycnn.kernels.tuning_rows import GPU

if mode.why_not() is not None:
    pytest.skip(str(mode.why_not()), allow_module_level=True)

from pycnn.study import tune

from .made_up import HOPPER, LARGE, OLD, SMALL, choose, row, write

# --- keys -----------------------------------------------------------------------------------------


def test_keys_are_buckets():
    def spelled(*key):
        return tuning.bucket("test", key)

    assert spelled(0, 1, 3, 7, 8) == "0 1 3 7 8"
    assert spelled(9, 16, 17, 2**31 + 1, np.int64(100)) == "16 16 32 4294967296 128"
    assert spelled(-9, -3) == "-16 -3"
    assert spelled("channels_last", True, None, 0.5) == "channels_last True None 0.5"
    assert spelled((2, 33), ((1,),)) == "(2 64) ((1))"
    g = conv2d_geometry((20, 64, 56, 56), (100, 64, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    assert spelled(g, "x") == "(32 64 64 64 128 3 3 1 1 1 1 1 1 1 1 1) x"


def test_every_kernel_of_the_table_has_a_key_that_files_can_hold():
    """A launcher's key must not spell an address, and a kernel's file must be found by its name."""
    from pycnn import dispatch
    from pycnn.study.problems import problems

    seen: dict = {}
    entries = [e for e in dispatch.entries() if e.provider == "triton"]
    for problem in problems(1):
        for entry in (e for e in entries if e.primitive == problem.primitive):
            if seen.setdefault(entry, 0) == 3:  # a few calls show a key's form
                continue
            seen[entry] += 1
            inputs, out, epilogue = problem.allocate("float32")
            operands = tuple(array.describe(a) for a in inputs if a is not None)
            described = None if epilogue is None else epilogue.describe()
            if entry.refuses(problem.geometry, operands, described) is not None:
                continue
            asked = tune.ask(
                lambda call=(entry, problem, inputs, out, epilogue): call[0].function(
                    *call[2], out=call[3], geometry=call[1].geometry, epilogue=call[4]
                )
            )
            for one in asked:
                assert " at 0x" not in one.bucket, one
                assert tuning_rows.source_hash(one.kernel.name.partition(".")[0]), one.kernel.name
                assert one.bucket == tuning.bucket(one.kernel.name, one.key)
                assert not math.isinf(one.cost(one.chosen)), one.kernel.name


# what a launch is compiled for that follows from sizes: calls of about one size share a row
OF_SIZES = {"WHOLE", "FLAT", "GRAIN_C", "GRAIN_P", "INDEX", "IMAGES", "LINES", "LINE", "LOG_COLS"}
OF_SIZES |= {"UNROLLED", "R", "S", "ROW_VISITS", "COLUMN_VISITS", "AXES", "OUTER_AXES", "KEPT"}


def _compiled_for(compilation, chosen):
    """A launch's kernel, its constants but for those of its tile, and what it is not given."""
    found = [compilation.kernel.__name__]
    for path, value in sorted(compilation.constexprs.items()):
        name = compilation.kernel.arg_names[path[0]]
        if value is None or name.isupper() and name not in (*chosen.tiles, *OF_SIZES):
            found.append((name, path[1:], str(value)))
    return tuple(found)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_launches_of_different_code_share_no_row(dtype, monkeypatch):
    from pycnn import dispatch
    from pycnn.study.problems import problems

    asked: list = []  # (kernel, dtype, key, configuration, how many launches went before)
    usual = tuning.Configurations.choose

    def choose(self, dtype, key, cost):
        config = usual(self, dtype, key, cost)
        asked.append((self.name, str(dtype), tuning.bucket(self.name, key), config, len(launches)))
        return config

    monkeypatch.setattr(tuning.Configurations, "choose", choose)
    entries = [e for e in dispatch.entries() if e.provider == "triton"]
    codes: dict = {}
    for layout in (array.channels_last, array.contiguous_format):
        for problem in problems(2):
            inputs, out, epilogue = problem.allocate(dtype, layout)
            operands = tuple(array.describe(a) for a in inputs if a is not None)
            described = None if epilogue is None else epilogue.describe()
            for entry in (e for e in entries if e.primitive == problem.primitive):
                if entry.refuses(problem.geometry, operands, described) is not None:
                    continue
                with launch.recording() as launches:
                    asked.clear()
                    entry.function(*inputs, out=out, geometry=problem.geometry, epilogue=epilogue)
                for *key, config, before in asked:  # a launch follows its choice
                    code = _compiled_for(launches[before], config)
                    first = codes.setdefault(tuple(key), (code, problem.layer, entry.algorithm))
                    assert code == first[0], (key, problem.layer, entry.algorithm, first)


def test_the_source_is_the_file_and_what_it_imports(folder):
    def edited(name):
        before = tuning_rows.source_hash("made_up")
        path = folder / f"{name}.py"
        path.write_text(path.read_text() + "# edited\n")
        tuning_rows.forget()
        return tuning_rows.source_hash("made_up") != before

    assert edited("made_up")
    assert edited("shared")
    assert edited("deeper")
    assert not edited("tuning")  # chooses, and does not reach the machine code
    assert tuning_rows.source_hash("nothing") is None


# --- choosing -------------------------------------------------------------------------------------


def test_without_a_row_the_model_decides(gpu, kernel):
    assert choose(kernel) == LARGE


def test_a_row_decides(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel) == SMALL
    assert choose(kernel, key=(65, 129)) == SMALL  # the same buckets
    assert choose(kernel, key=(129, 200)) == LARGE
    assert choose(kernel, dtype="float32") == LARGE
    with tuning.forcing("made_up.tiles", OLD):
        assert choose(kernel) == OLD


@pytest.mark.parametrize(
    "changed",
    [
        {"gpu": "Test H8"},
        {"arch": "sm_80"},
        {"source": "0" * 16},
        {"config": "BLOCK=128 warps=4 stages=2"},  # not shipped any more
        {"config": str(OLD)},  # shipped for another architecture
        {"kernel": "made_up.other"},
    ],
)
def test_a_row_of_something_else_does_not(gpu, folder, kernel, changed):
    write(tuning_rows.SHIPPED, row(**changed))
    assert choose(kernel) == LARGE


def test_each_way_to_multiply_float32_has_its_rows(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row(dtype="float32 tf32"), row(dtype="float16"))
    assert choose(kernel, "float32") == LARGE
    pycnn.set_float32_precision("tf32")
    try:
        assert choose(kernel, "float32") == choose(kernel, "float16") == SMALL
        assert choose(kernel, "float64") == LARGE
    finally:
        pycnn.set_float32_precision("ieee")


def test_a_row_cannot_choose_what_cannot_run(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel, cost=lambda c: math.inf if c == SMALL else 1) == LARGE


def test_the_users_cache_wins(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row(config=str(LARGE)))
    write(tuning_rows.cache_file(HOPPER), row())
    assert choose(kernel) == SMALL


def test_an_edited_kernel_has_no_rows(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel) == SMALL
    (folder / "deeper.py").write_text("x = 1\n")
    tuning_rows.forget()
    assert choose(kernel) == LARGE


def test_autotune_0_leaves_rows_out(gpu, folder, kernel, monkeypatch):
    write(tuning_rows.SHIPPED, row())
    for setting, wanted in (("0", LARGE), ("read", SMALL), ("1", SMALL), ("", SMALL)):
        monkeypatch.setenv("PYCNN_AUTOTUNE", setting)
        assert choose(kernel) == wanted


def test_an_unknown_setting_is_refused(kernel, monkeypatch):
    monkeypatch.setenv("PYCNN_AUTOTUNE", "yes")
    with pytest.raises(ValueError, match="PYCNN_AUTOTUNE: got 'yes', expected 0, 1 or read"):
        choose(kernel)


def test_launches_that_are_only_recorded_do_not_read_rows(gpu, folder, kernel):
    write(tuning_rows.SHIPPED, row())
    with launch.recording():
        assert choose(kernel) == LARGE
    assert choose(kernel) == SMALL


@pytest.mark.skipif(mode.settle() != mode.INTERPRETED, reason="kernels are compiled here")
def test_interpreted_kernels_do_not_read_rows(folder, kernel):
    write(tuning_rows.SHIPPED, row())
    assert choose(kernel) == LARGE


def test_a_gpu_is_given_what_is_shipped_for_it(gpu, kernel):
    assert choose(kernel, cost=lambda c: c != OLD) == SMALL  # not OLD, which is for sm_80
    assert [tuning.shipped_arch(a) for a in (75, 80, 86, 89, 90, 120)] == [80, 80, 80, 80, 90, 90]


def test_another_threads_forcing_is_its_own(kernel):
    inside, found = threading.Event(), []

    def other():
        inside.wait(10)
        with tuning.asking() as asked:
            found.append(choose(kernel))
            found.append(len(asked))

    thread = threading.Thread(target=other)
    thread.start()
    with (
        tuning.forcing("made_up.tiles", SMALL),
        tuning.asking() as asked,
        tuning.consulting() as names,
        launch.recording(),
    ):
        inside.set()
        thread.join()
        assert found == [LARGE, 1]
        assert not asked and not names
        assert choose(kernel) == SMALL and len(asked) == len(names) == 1


# --- files ----------------------------------------------------------------------------------------


def test_the_shipped_table_is_valid():
    document = json.loads(tuning_rows.SHIPPED.read_text())
    assert tuning_rows.problems(document) == []
    assert all(tuning_rows.is_current(r) for r in document["rows"]), "rows of edited kernels"


def test_problems_are_named(folder):
    def of(*rows):
        return tuning_rows.problems({"schema": 1, "rows": list(rows)})

    assert of(row()) == of(row(), row(key="1 1")) == of(row(key="")) == []
    assert of(row(), row(config="x")) == [
        "two rows for made_up.tiles | " + " | ".join(
            [tuning_rows.source_hash("made_up"), HOPPER.name, "sm_90", "float16", "128 256"]
        )
    ]  # fmt: skip
    for wrong, words in (
        (row(microseconds="2"), "row 0: microseconds: got '2', expected a positive number"),
        (row(microseconds=0), "row 0: microseconds: got 0, expected"),
        (row(microseconds=math.nan), "row 0: microseconds: got nan"),
        (row(microseconds=math.inf), "row 0: microseconds: got inf"),
        (row(analytic_microseconds=True), "row 0: analytic_microseconds: got True"),
        (row(dtype=None), "row 0: dtype: got None, expected a string"),
        (row(kernel=""), "row 0: kernel: got '', expected a string"),
        (row(colour="red"), "row 0: its fields differ in colour"),
        ([1], "row 0: expected an object"),
    ):
        assert of(wrong)[0].startswith(words), of(wrong)
    assert tuning_rows.problems({"schema": 2, "rows": []})
    assert tuning_rows.problems([]) and tuning_rows.problems({"schema": 1})


CORRUPT = [
    b"", b"{", b"[]", b"null", b'{"schema": 1}', b'{"schema": 1, "rows": {}}', b"\xff\xfe\x00",
    b'{"schema": 0, "rows": []}', b'{"schema": 1, "rows": [1, null, {}]}', b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", CORRUPT, ids=lambda c: repr(c[:30]))
def test_a_corrupt_file_is_ignored_and_rebuilt(gpu, folder, kernel, content):
    path = tuning_rows.cache_file(HOPPER)
    path.parent.mkdir()
    path.write_bytes(content)
    tuning_rows.forget()
    assert choose(kernel) == LARGE
    assert tuning_rows.store(HOPPER, [row()]) == path
    assert choose(kernel) == SMALL
    assert tuning_rows.problems(json.loads(path.read_text())) == []


def test_a_broken_row_costs_only_itself(gpu, folder, kernel):
    write(tuning_rows.cache_file(HOPPER), {"kernel": 3}, row(), row(config=None))
    assert choose(kernel) == SMALL


def test_storing_adds_replaces_and_drops_what_is_stale(gpu, folder, kernel):
    path = tuning_rows.cache_file(HOPPER)
    write(path, row(source="0" * 16), row(key="1 1"), row(config=str(LARGE)))
    tuning_rows.store(HOPPER, [row(), row(key="2 2")])
    kept = json.loads(path.read_text())["rows"]
    assert sorted(r["key"] for r in kept) == ["1 1", "128 256", "2 2"]
    assert choose(kernel) == SMALL  # this process sees it at once


def test_a_crash_leaves_the_file_as_it_was(folder, monkeypatch):
    path = tuning_rows.store(HOPPER, [row()])
    before = path.read_text()

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        tuning_rows.store(HOPPER, [row(key="1 1")])
    assert path.read_text() == before
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".lock"]


def test_a_folder_that_cannot_be_written_is_an_oserror(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PYCNN_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(OSError):
        tuning_rows.store(HOPPER, [row()])


WRITER = """
import sys
from pycnn.kernels import tuning_rows
from pycnn.kernels.tuning_rows import GPU
fields = {name: 1.0 if kind is float else "x" for name, kind in tuning_rows.FIELDS.items()}
fields |= {"kernel": "add_activation.x", "source": tuning_rows.source_hash("add_activation")}
for i in range(6):
    tuning_rows.store(GPU("Test", 90), [fields | {"key": f"{sys.argv[1]} {i}"}])
"""


def test_processes_write_at_once_and_lose_nothing(tmp_path):
    environment = os.environ | {"PYCNN_CACHE_DIR": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(i)], env=environment) for i in range(2)
    ]
    path = tmp_path / "tuning-test-sm-90.json"
    while any(process.poll() is None for process in running):
        if path.exists():  # whole at every moment
            assert tuning_rows.problems(json.loads(path.read_text())) == []
        time.sleep(0.01)
    assert [process.wait() for process in running] == [0, 0]
    assert len(json.loads(path.read_text())["rows"]) == 12
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".lock"]


def test_threads_store_and_read_at_once(gpu, folder, kernel):
    def work(index):
        for i in range(5):
            tuning_rows.store(HOPPER, [row(key=f"{index} {i}")])
            assert choose(kernel, key=(index, i)) == SMALL

    errors = []
    threading_hook, threading.excepthook = threading.excepthook, errors.append
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = threading_hook
    assert not errors
    assert len(tuning_rows.read(tuning_rows.cache_file(HOPPER))) == 20


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv("PYCNN_CACHE_DIR", "/a")
    assert tuning_rows.cache_file(GPU("NVIDIA H100 80GB HBM3", 90)) == Path(
        "/a/tuning-nvidia-h100-80gb-hbm3-sm-90.json"
    )
    assert tuning_rows.cache_file(GPU("../NVIDIA/x", 80)) == Path("/a/tuning-nvidia-x-sm-80.json")
    monkeypatch.delenv("PYCNN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert tuning_rows.cache_folder() == Path("/b/pycnn")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert tuning_rows.cache_folder() == Path("/home/someone/.cache/pycnn")


# --- estimates ------------------------------------------------------------------------------------


def test_estimates_rank_tiles():
    assert [tuning.waves(n) for n in (0, 1, 132, 133, 264)] == [0, 1, 1, 2, 2]
    assert tuning.waves(9, 4) == 3

    def cost(rows, cols, depth, *tile, **splits):
        return tuning.gemm_cost(rows, cols, depth, *tile, **splits)

    large, small = (128, 256, 64), (64, 64, 32)
    assert cost(100352, 256, 2304, *large) < cost(100352, 256, 2304, *small)
    assert cost(32, 32, 64, *small) < cost(32, 32, 64, *large)
    deep = (64, 64, 400_000)  # one tile: its depth must be shared out
    assert cost(*deep, *small, splits=64) < cost(*deep, *small) / 8
    assert cost(100352, 256, 2304, *large) < cost(100352, 256, 2304, *large, splits=4)
