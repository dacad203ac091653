"""python -m tests.kernels.budgets --update [stem ...]"""

import sys

from . import update

if sys.argv[1:2] != ["--update"]:
    raise SystemExit("usage: python -m tests.kernels.budgets --update [stem ...]")
update(sys.argv[2:])
