"""Every mutant applies to the tree as it is, and is killed by the test it names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

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
def copy() -> Iterator[Copy]:
    with Copy() as tree:
        yield tree


@pytest.mark.slow
@every_mutant
def test_killed(mutant: Mutant, copy: Copy) -> None:
    verdict, _, output = copy.verdict(mutant)
    assert verdict == "killed", output


@pytest.mark.slow
def test_the_tree_itself_passes(copy: Copy) -> None:
    """The copy is sound: without a mutant, a killer finds nothing."""
    answer = copy.run(*Mutant("", "", "", killer="conv2d_fprop-3x3").pytest_arguments())
    assert answer["code"] == 0, answer["output"]
