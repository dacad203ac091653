"""python -m tests.kernels.budgets --update"""

import sys

from . import update

if sys.argv[1:] != ["--update"]:
    raise SystemExit("usage: python -m tests.kernels.budgets --update")
update()
