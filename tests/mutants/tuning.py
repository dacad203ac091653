"""Faults in the choice of a kernel's configuration and in the files of measured rows."""

from __future__ import annotations

from .harness import Mutant

TUNING = "kernels/tuning.py"
ROWS = "kernels/tuning_rows.py"
TUNE = "pycnn/study/tune.py"
TESTS = "tests/kernels/test_tuning.py -k "
MEASURING = "tests/kernels/test_tune.py -k "

MUTANTS = [
    Mutant(TUNING, "(abs(part) - 1).bit_length()", "abs(part).bit_length()", TESTS + "buckets"),
    Mutant(TUNING, "setting != OFF", "setting != READ", TESTS + "autotune_0"),
    Mutant(
        TUNING, "if chosen is not None and math.isinf(cost(chosen)):", "if False:",
        TESTS + "cannot_run",
    ),
    Mutant(TUNING, " or launch.is_recording()", "", TESTS + "only_recorded"),
    Mutant(TUNING, "class _Local(threading.local):", "class _Local:", TESTS + "another_threads"),
    Mutant(
        "kernels/elementwise.py", "key = (geometry.op, kinds,", "key = (kinds,",
        TESTS + "share_no_row",
    ),
    Mutant(
        "kernels/local_response_norm.py", '"dgrad" if len(arrays) > 1 else "fprop"', "None",
        TESTS + "share_no_row",
    ),
    Mutant(ROWS, "        waiting += _imported(texts[name])\n", "", TESTS + "the_source_is"),
    Mutant(
        ROWS, "read(SHIPPED) + ([] if path is None else read(path))",
        "([] if path is None else read(path)) + read(SHIPPED)", TESTS + "users_cache_wins",
    ),
    Mutant(ROWS, " if is_current(row)}", "}", TESTS + "drops_what_is_stale"),
    Mutant(ROWS, "            os.unlink(name)", "            pass", TESTS + "a_crash"),
    Mutant(TUNE, "if all(map(agrees, outs, wanted)):", "if True:", MEASURING + "another_answer"),
    Mutant(TUNE, "times[best] > GAIN *", "times[best] >", MEASURING + "noise"),
    Mutant(
        TUNE, "            try:\n                _poison(outs)", "            try:",
        MEASURING + "left_over",
    ),
]  # fmt: skip
