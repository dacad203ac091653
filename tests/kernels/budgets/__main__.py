"""python -m tests.kernels.budgets --update [stem ...]"""

import sys

from pycnn.study import cubins

from . import cuda, update

if sys.argv[1:2] != ["--update"]:
    raise SystemExit("usage: python -m tests.kernels.budgets --update [stem ...]")
stems = sys.argv[2:]
reason = cubins.why_not()
known = [] if reason else cubins.stems()
if reason:
    print(f"the budgets of the CUDA kernels stay as they are: {reason}")
elif not stems or set(stems) & set(known):
    cuda.update([stem for stem in stems if stem in known])
update(stems)
