"""Every mutant applies to the tree as it is, and is killed by the test it names."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator

import pytest

from ..build_copy import ROOT
from .harness import Copy, Mutant, collect

MUTANTS = collect()
every_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=str)


@every_mutant
def test_applies(mutant: Mutant) -> None:
    assert mutant.new != mutant.old
    source = mutant.apply((ROOT / mutant.file).read_text())
    if mutant.file.endswith(".py"):
        ast.parse(source)


@pytest.fixture(scope="module")
def copies() -> Iterator[Callable[[str], Copy]]:
    """copies(check): the copy of the tree whose kernels are built for that check, "" for none."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Copy] = {}

        def copy(check: str) -> Copy:
            if check not in made:
                made[check] = stack.enter_context(Copy(check))
            return made[check]

        yield copy


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first of each check compiles all kernels
@every_mutant
def test_killed(mutant: Mutant, copies: Callable[[str], Copy]) -> None:
    verdict, _, output = copies(mutant.check).verdict(mutant)
    assert verdict == "killed", output


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "file, killer, check",
    [
        ("", "conv2d_fprop-3x3", ""),
        *(("csrc/cuda/", "add_activation-relu_odd_sizes", c) for c in ("", "thread", "address")),
    ],
)
def test_the_tree_itself_passes(
    file: str, killer: str, check: str, copies: Callable[[str], Copy]
) -> None:
    """The copies are sound: without a mutant, a killer finds nothing."""
    copy = copies(check)
    assert not (file and copy.compile(emulated=True))
    answer = copy.run(*Mutant(file, "", "", killer=killer, check=check).pytest_arguments())
    assert answer["code"] == 0, answer["output"]
