"""Faults in the emulator itself."""

from __future__ import annotations

from .harness import Mutant

MACHINE = "csrc/emulator/machine.h"
ENGINE = "csrc/emulator/engine.cpp"
WORDS = "tests/emulator/test_machine.py -k "
CHECKED = "tests/emulator/test_checked.py -k "

MUTANTS = [
    Mutant(MACHINE, "me ^ (distance & 31)", "me ^ (distance & 15)", WORDS + "shuffles"),
    Mutant(MACHINE, "me - static_cast<int>(distance & 31)", "me - static_cast<int>(distance)",
           WORDS + "shuffles"),
    Mutant(MACHINE, "d[1] += sums[group][2 * part + 1];", "d[1] += sums[group][2 * part];",
           WORDS + "mma_of_integers"),
    Mutant(MACHINE, "(bits + 0x1000u)", "(bits + 0x0fffu)", WORDS + "tf32"),
    Mutant("csrc/emulator/copies.h", "group < mine.closed - most", "group <= mine.closed - most",
           WORDS + "copies_land"),
    Mutant("csrc/emulator/shared_arrays.cpp", "std::memset(s.data, 0xff, s.bytes)", "(void)s",
           WORDS + "shared_memory_is_nan"),
    Mutant(ENGINE, "std::memset(shared_.data, 0xff, shared_bytes)", "(void)0",
           WORDS + "shared_memory_is_nan"),
    Mutant(ENGINE, "warp.open = 0;", "(void)warp;", "tests/emulator/test_faults.py"),
    Mutant(ENGINE, "        let_go(barrier);\n", "", CHECKED + "silence"),
    Mutant(ENGINE, "block_generation_ % 2]", "block_generation_ % 1]", CHECKED + "race"),
    Mutant("csrc/emulator/sanitizers.h", "__tsan_switch_to_fiber_no_sync);", "0);",
           CHECKED + "races"),
]  # fmt: skip
