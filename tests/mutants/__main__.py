"""python -m tests.mutants [words]: run the mutants whose file, text or killer holds every word."""

from __future__ import annotations

import contextlib
import sys

from .harness import Copy, collect


def main(words: list[str]) -> int:
    mutants = [m for m in collect() if all(w in f"{m.file} {m} {m.killer}" for w in words)]
    failed = 0
    with contextlib.ExitStack() as stack:
        copies = {
            check: stack.enter_context(Copy(check)) for check in sorted({m.check for m in mutants})
        }
        for mutant in mutants:
            verdict, seconds, output = copies[mutant.check].verdict(mutant)
            print(f"{verdict:9} {seconds:6.1f} s  {str(mutant):90}  {mutant.killer}", flush=True)
            if verdict != "killed":
                failed += 1
                print(output)
    print(f"{len(mutants) - failed} of {len(mutants)} killed")
    return 1 if failed or not mutants else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
